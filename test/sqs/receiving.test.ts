/** Receiving: how many, how long, which attributes; receipt handles and what can be done with them. */
import { describe, expect, it } from 'vitest';
import { anonymousId, defaultAccount } from '../../src/domain/principal.ts';
import {
  deleteEntries,
  hideEntries,
  nth,
  on,
  openSqs,
  overBoth,
  type Sqs,
  sendEntries,
  textAttribute,
} from '../support/sqs.ts';

overBoth('a receive', (protocol) => {
  it('asks for one to ten messages, one unless told', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('SendMessageBatch', on(QueueUrl, sendEntries(['a', 'b', 'c'].map((Id) => ({ Id, MessageBody: Id })))));
    expect(await t.bodies(QueueUrl)).toEqual(['a']);
    for (const MaxNumberOfMessages of [0, 11, -1]) {
      expect(await t.refused('ReceiveMessage', { QueueUrl, MaxNumberOfMessages })).toMatchObject({
        code: 'InvalidParameterValue',
        message: `Value ${MaxNumberOfMessages} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`,
      });
    }
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 10 })).toEqual(['b', 'c']);
  });

  it('waits 0 to 20 seconds and hides for 0 to 43,200', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const [member, values, reason] of [
      ['WaitTimeSeconds', [-1, 21], 'Must be >= 0 and <= 20, if provided.'],
      ['VisibilityTimeout', [-1, 43_201], 'Must be >= 0 and <= 43200, if provided.'],
    ] as const) {
      for (const value of values) {
        expect(await t.refused('ReceiveMessage', { QueueUrl, [member]: value })).toMatchObject({
          code: 'InvalidParameterValue',
          message: `Value ${value} for parameter ${member} is invalid. Reason: ${reason}`,
        });
      }
    }
  });

  it('that waits answers with what there is', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const body of ['a', 'b']) await t.send(QueueUrl, body);
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 3, WaitTimeSeconds: 20 })).toEqual(['a', 'b']);
  });

  it('that waits is ended by a message, also when the queue says how long', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { ReceiveMessageWaitTimeSeconds: '20' });
    for (const members of [{}, { WaitTimeSeconds: 15 }]) {
      const waiting = t.receive(QueueUrl, members);
      await t.clock.advance({ seconds: 3 });
      await t.send(QueueUrl, 'a');
      const message = nth(await waiting);
      expect(message.Body).toBe('a');
      await t.delete(QueueUrl, message);
    }
  });

  it('that waits gets a message whose visibility timeout or delay ends', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a', { DelaySeconds: 5 });
    const delayed = t.receive(QueueUrl, { WaitTimeSeconds: 20, VisibilityTimeout: 7 });
    await t.clock.advance({ seconds: 5 });
    expect(await delayed).toHaveLength(1);
    const hidden = t.receive(QueueUrl, { WaitTimeSeconds: 20 });
    await t.clock.advance({ seconds: 7 });
    const message = nth(await hidden);
    const released = t.receive(QueueUrl, { WaitTimeSeconds: 20 });
    await t.clock.advance({ seconds: 1 });
    await t.hide(QueueUrl, message, 0);
    expect(await released).toHaveLength(1);
  });

  it('that waits in vain ends with nothing', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const waiting = t.receive(QueueUrl, { WaitTimeSeconds: 2 });
    await t.clock.advance({ seconds: 2 });
    expect(await waiting).toEqual([]);
  });

  it('with a wait of 0 does not wait, whatever the queue says', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { ReceiveMessageWaitTimeSeconds: '10' });
    expect(await t.receive(QueueUrl, { WaitTimeSeconds: 0 })).toEqual([]);
  });

  it('hides for as long as it says, once', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { VisibilityTimeout: '30' });
    await t.send(QueueUrl, 'a');
    await t.receiveOne(QueueUrl, { VisibilityTimeout: 5 });
    await t.clock.advance({ seconds: 5 });
    await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 29 });
    expect(await t.receive(QueueUrl)).toEqual([]);
    await t.clock.advance({ seconds: 1 });
    expect(await t.bodies(QueueUrl)).toEqual(['a']);
  });

  it('counts, also with a visibility timeout of 0, and gives a handle of its own each time', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const ask = { VisibilityTimeout: 0, AttributeNames: ['All'] };
    const first = await t.receiveOne(QueueUrl, ask);
    await t.clock.advance({ seconds: 9 });
    const second = await t.receiveOne(QueueUrl, ask);
    expect([first, second].map(({ Attributes }) => Attributes?.ApproximateReceiveCount)).toEqual(['1', '2']);
    expect(second.ReceiptHandle).not.toBe(first.ReceiptHandle);
    expect(second.Attributes?.ApproximateFirstReceiveTimestamp).toBe(
      first.Attributes?.ApproximateFirstReceiveTimestamp,
    );
    expect(second.Attributes?.SentTimestamp).toBe(first.Attributes?.SentTimestamp);
  });

  it('does not prolong retention, which ends for hidden messages, too', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MessageRetentionPeriod: '60', VisibilityTimeout: '10' });
    await t.send(QueueUrl, 'a');
    await t.clock.advance({ seconds: 55 });
    const message = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 6 });
    expect(await t.receive(QueueUrl)).toEqual([]);
    await t.clock.advance({ seconds: 60 });
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
    await t.delete(QueueUrl, message);
  });

  it('names its sender, which is not the account', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const { Attributes } = await t.receiveOne(QueueUrl, { AttributeNames: ['SenderId'] });
    expect(Attributes).toEqual({ SenderId: anonymousId });
    expect(anonymousId).not.toContain(defaultAccount);
  });
});

describe('system attributes', () => {
  overBoth('are given', (protocol) => {
    it('only when they are asked for', async () => {
      const t = await openSqs(protocol);
      const QueueUrl = await t.queue('q');
      await t.send(QueueUrl, 'a');
      expect(await t.receiveOne(QueueUrl, { VisibilityTimeout: 0 })).not.toHaveProperty('Attributes');
      const members = { VisibilityTimeout: 0, AttributeNames: ['SequenceNumber', 'Nonsense'] };
      expect(await t.receiveOne(QueueUrl, members)).not.toHaveProperty('Attributes');
      const all = await t.receiveOne(QueueUrl, { MessageSystemAttributeNames: ['All'] });
      expect(Object.keys(all.Attributes ?? {}).sort()).toEqual([
        'ApproximateFirstReceiveTimestamp',
        'ApproximateReceiveCount',
        'SenderId',
        'SentTimestamp',
      ]);
    });
  });

  it('are the union of both lists', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const ask = { AttributeNames: ['SentTimestamp'], MessageSystemAttributeNames: ['SenderId'], VisibilityTimeout: 0 };
    expect(Object.keys((await t.receiveOne(QueueUrl, ask)).Attributes ?? {}).sort()).toEqual([
      'SenderId',
      'SentTimestamp',
    ]);
    const all = { AttributeNames: ['All'], MessageSystemAttributeNames: ['SenderId'] };
    expect(Object.keys((await t.receiveOne(QueueUrl, all)).Attributes ?? {})).toHaveLength(4);
  });
});

overBoth('message attributes', (protocol) => {
  const send = async (t: Sqs) => {
    const QueueUrl = await t.queue('q', { VisibilityTimeout: '0' });
    const names = { 'Help.Me': 'Me', Hello: 'There', General: 'Kenobi' };
    const MessageAttributes = Object.fromEntries(
      Object.entries(names).map(([name, value]) => [name, textAttribute(value)]),
    );
    await t.send(QueueUrl, 'a', { MessageAttributes });
    return QueueUrl;
  };

  it.each([
    [['Hel.*'], ['Hello', 'Help.Me'], '83fee93c1bcd8b9a5a923ffacdc636c7'],
    [['*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['.*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['All'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['Hello'], ['Hello'], 'a311262e065454b75da111d535b8dacd'],
    [['Hello', 'General', 'none'], ['General', 'Hello'], 'fca026605781cb4126a1e9044df24232'],
  ])('%j gives %j, and their checksum', async (MessageAttributeNames, names, checksum) => {
    const t = await openSqs(protocol);
    const message = await t.receiveOne(await send(t), { MessageAttributeNames });
    expect(Object.keys(message.MessageAttributes ?? {}).sort()).toEqual(names);
    expect(message.MD5OfMessageAttributes).toBe(checksum);
  });

  it.each([[[]], [['hello']], [['AWS.']], [['..foo']], [['Hel']], [['']]])('%j gives none', async (names) => {
    const t = await openSqs(protocol);
    const message = await t.receiveOne(await send(t), { MessageAttributeNames: names });
    expect(message).not.toHaveProperty('MessageAttributes');
    expect(message).not.toHaveProperty('MD5OfMessageAttributes');
  });

  it('come back with their types, bytes as base64', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const MessageAttributes = {
      color: { DataType: 'String', StringValue: 'bl<u>e\r' },
      count: { DataType: 'Number', StringValue: '3' },
      blob: { DataType: 'Binary', BinaryValue: 'AQID/w==' },
    };
    await t.send(QueueUrl, 'a', { MessageAttributes });
    const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
    expect(message.MessageAttributes).toEqual(MessageAttributes);
  });
});

overBoth('a receipt handle', (protocol) => {
  it('deletes once and for all, however often', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl);
    for (let i = 0; i < 3; i += 1) await t.delete(QueueUrl, message);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });

  it('deletes after its visibility timeout, and after another receive', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const expired = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 31 });
    await t.delete(QueueUrl, expired);
    expect(await t.receive(QueueUrl)).toEqual([]);
    await t.send(QueueUrl, 'b');
    const stale = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 31 });
    await t.receiveOne(QueueUrl);
    await t.delete(QueueUrl, stale);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });

  it('that nobody gave out is refused with 404', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const handle of ['garbage', 'A'.repeat(48), '"<&>', 'A'.repeat(2_000)]) {
      const error = {
        status: 404,
        code: 'ReceiptHandleIsInvalid',
        message: `The input receipt handle "${handle}" is not a valid receipt handle.`,
      };
      const members = { QueueUrl, ReceiptHandle: handle };
      expect(await t.refused('DeleteMessage', members)).toMatchObject(error);
      expect(await t.refused('ChangeMessageVisibility', { ...members, VisibilityTimeout: 1 })).toMatchObject(error);
    }
  });

  it('of another queue is refused with 404', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const other = await t.queue('other');
    await t.send(QueueUrl, 'a');
    const { ReceiptHandle } = await t.receiveOne(QueueUrl);
    const error = {
      status: 404,
      code: 'ReceiptHandleIsInvalid',
      message: `The receipt handle "${ReceiptHandle}" is not valid for this queue.`,
    };
    expect(await t.refused('DeleteMessage', { QueueUrl: other, ReceiptHandle })).toMatchObject(error);
  });

  it('of a deleted message changes no visibility', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl);
    await t.delete(QueueUrl, message);
    const { ReceiptHandle } = message;
    expect(await t.refused('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 1 })).toMatchObject(
      {
        status: 400,
        code: 'InvalidParameterValue',
        message: `Value ${ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
      },
    );
  });

  it('that has expired hides its message again', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 31 });
    await t.hide(QueueUrl, message, 42);
    expect(await t.counts(QueueUrl)).toEqual(['0', '1', '0']);
    await t.hide(QueueUrl, message, 0);
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
    await t.hide(QueueUrl, message, 5);
    expect(await t.receive(QueueUrl)).toEqual([]);
    await t.clock.advance({ seconds: 5 });
    expect(await t.receive(QueueUrl)).toHaveLength(1);
  });

  it('that is stale works on its message all the same', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const stale = await t.receiveOne(QueueUrl, { VisibilityTimeout: 0 });
    await t.receiveOne(QueueUrl);
    await t.hide(QueueUrl, stale, 0);
    expect(await t.receive(QueueUrl)).toHaveLength(1);
  });

  it('holds for twelve hours from the receive at most', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.clock.advance({ seconds: 100 });
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 1 });
    await t.hide(QueueUrl, message, 43_199);
    const members = { QueueUrl, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 43_200 };
    expect(await t.refused('ChangeMessageVisibility', members)).toMatchObject({
      code: 'InvalidParameterValue',
      message:
        'Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]',
    });
    for (const VisibilityTimeout of [-1, 43_201]) {
      expect((await t.refused('ChangeMessageVisibility', { ...members, VisibilityTimeout })).message).toBe(
        `Value ${VisibilityTimeout} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.`,
      );
    }
  });

  it('of a message that was purged or has expired deletes nothing, without complaint', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MessageRetentionPeriod: '60' });
    await t.send(QueueUrl, 'a');
    const purged = await t.receiveOne(QueueUrl);
    await t.ok('PurgeQueue', { QueueUrl });
    await t.delete(QueueUrl, purged);
    await t.send(QueueUrl, 'b');
    const expired = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 60 });
    await t.delete(QueueUrl, expired);
  });

  it('that is not remembered: a changed timeout holds for this receive only', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl);
    await t.hide(QueueUrl, message, 5);
    await t.clock.advance({ seconds: 5 });
    await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 29 });
    expect(await t.receive(QueueUrl)).toEqual([]);
  });
});

overBoth('a batch of handles', (protocol) => {
  it('fails by entry, with the fault of the sender', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const { ReceiptHandle } = await t.receiveOne(QueueUrl);
    const list = [
      { Id: 'bad', ReceiptHandle: 'garbage', VisibilityTimeout: 1 },
      { Id: 'good', ReceiptHandle, VisibilityTimeout: 1 },
      { Id: 'long', ReceiptHandle, VisibilityTimeout: 43_201 },
    ];
    const hidden = await t.ok('ChangeMessageVisibilityBatch', on(QueueUrl, hideEntries(list)));
    expect(hidden.Successful).toEqual([{ Id: 'good' }]);
    expect(hidden.Failed).toMatchObject([
      { Id: 'bad', Code: 'ReceiptHandleIsInvalid', SenderFault: true },
      { Id: 'long', Code: 'InvalidParameterValue', SenderFault: true },
    ]);
    const deletes = list.slice(0, 2).map(({ Id, ReceiptHandle: handle }) => ({ Id, ReceiptHandle: handle }));
    const deleted = await t.ok('DeleteMessageBatch', on(QueueUrl, deleteEntries(deletes)));
    expect(deleted.Successful).toEqual([{ Id: 'good' }]);
    expect(deleted.Failed).toMatchObject([{ Id: 'bad', Code: 'ReceiptHandleIsInvalid', SenderFault: true }]);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });

  const actions = [
    ['SendMessage', sendEntries],
    ['DeleteMessage', deleteEntries],
    ['ChangeMessageVisibility', hideEntries],
  ] as const;

  it.each(actions)('of %s has one to ten entries, whose ids are sane and distinct', async (action, entriesOf) => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const refused = (ids: readonly string[]) =>
      t.refused(
        `${action}Batch`,
        on(QueueUrl, entriesOf(ids.map((Id) => ({ Id, MessageBody: 'a', ReceiptHandle: 'x', VisibilityTimeout: 1 })))),
      );
    expect(await refused([])).toMatchObject({
      status: 400,
      code: 'AWS.SimpleQueueService.EmptyBatchRequest',
      message: `There should be at least one ${action}BatchRequestEntry in the request.`,
    });
    expect(await refused(Array.from({ length: 11 }, (_, i) => `${i}`))).toMatchObject({
      code: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
      message: 'Maximum number of entries per request are 10. You have sent 11.',
    });
    for (const id of ['a.b', 'a'.repeat(81), '', 'a b', 'ä']) {
      expect(await refused([id])).toMatchObject({
        code: 'AWS.SimpleQueueService.InvalidBatchEntryId',
        message:
          'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      });
    }
    expect((await refused(['a', 'b', 'a'])).message).toBe('Id a repeated.');
    await t.ok(
      `${action}Batch`,
      on(QueueUrl, entriesOf([{ Id: 'a'.repeat(80), ReceiptHandle: 'x', MessageBody: 'a', VisibilityTimeout: 1 }])),
    );
  });
});
