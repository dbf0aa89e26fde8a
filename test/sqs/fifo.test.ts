/** FIFO queues: groups, order, deduplication, sequence numbers, receive attempts. */
import { describe, expect, it } from 'vitest';
import {
  deleteEntries,
  hideEntries,
  nth,
  on,
  openSqs,
  overBoth,
  type Sqs,
  type SqsMessage,
  sendEntries,
  textAttribute,
} from '../support/sqs.ts';

const byContent = { ContentBasedDeduplication: 'true', VisibilityTimeout: '30' };
const all = { MaxNumberOfMessages: 10 };

/** A queue with messages, each written as group and number: `g1`. */
async function withMessages(t: Sqs, ...bodies: string[]): Promise<string> {
  const QueueUrl = await t.queue('q.fifo', byContent);
  await put(t, QueueUrl, ...bodies);
  return QueueUrl;
}
async function put(t: Sqs, QueueUrl: string, ...bodies: string[]): Promise<void> {
  for (const body of bodies) await t.send(QueueUrl, body, { MessageGroupId: body.slice(0, -1) });
}
const bodiesOf = (messages: readonly SqsMessage[]): readonly string[] => messages.map(({ Body }) => Body);

overBoth('a message group', (protocol) => {
  it('comes in order, several messages at once', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'g3');
    expect(await t.bodies(QueueUrl, all)).toEqual(['g1', 'g2', 'g3']);
  });

  it('is locked while an earlier message is in flight; others are served', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'h1');
    expect(await t.bodies(QueueUrl)).toEqual(['g1']);
    expect(await t.bodies(QueueUrl, all)).toEqual(['h1']);
    expect(await t.bodies(QueueUrl, all)).toEqual([]);
  });

  it('stays locked by a partial delete and is freed by a whole one', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'g3');
    const held = await t.receive(QueueUrl, { MaxNumberOfMessages: 2 });
    await t.delete(QueueUrl, nth(held, 0));
    expect(await t.bodies(QueueUrl, all)).toEqual([]);
    await t.delete(QueueUrl, nth(held, 1));
    expect(await t.bodies(QueueUrl, all)).toEqual(['g3']);
  });

  it('gives the first again when its timeout is set to 0, and nothing behind a hidden one', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'g3');
    const held = await t.receive(QueueUrl, { MaxNumberOfMessages: 2 });
    await t.hide(QueueUrl, nth(held, 0), 0);
    expect(await t.bodies(QueueUrl, all)).toEqual(['g1']);
  });

  it.each([
    [0, []],
    [1, ['g1']],
    [2, ['g1', 'g2']],
  ] as const)('with message %i extended gives %j when the others expire', async (index, bodies) => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'g3');
    const held = await t.receive(QueueUrl, all);
    await t.hide(QueueUrl, nth(held, index), 60);
    await t.clock.advance({ seconds: 30 });
    expect(await t.bodies(QueueUrl, all)).toEqual(bodies);
  });

  it('keeps its order when all expire, and after a receive with a timeout of 0', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'g3');
    await t.receive(QueueUrl, all);
    await t.clock.advance({ seconds: 30 });
    expect(await t.bodies(QueueUrl, { ...all, VisibilityTimeout: 0 })).toEqual(['g1', 'g2', 'g3']);
    expect(await t.bodies(QueueUrl, all)).toEqual(['g1', 'g2', 'g3']);
  });

  it('is not unlocked by a new message', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1');
    await t.receiveOne(QueueUrl);
    await put(t, QueueUrl, 'g2');
    expect(await t.bodies(QueueUrl, all)).toEqual([]);
  });

  it('that was emptied serves what comes later', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1');
    await t.delete(QueueUrl, await t.receiveOne(QueueUrl));
    await put(t, QueueUrl, 'g2');
    expect(await t.bodies(QueueUrl)).toEqual(['g2']);
  });

  it('fills a receive before the next group does; a served group goes behind the others', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'h1', 'g2', 'h2', 'i1');
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 3, VisibilityTimeout: 0 })).toEqual(['g1', 'g2', 'h1']);
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 1 })).toEqual(['i1']);
  });

  it('counts as visible behind its lock', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2', 'h1', 'h2', 'i1', 'i2');
    await t.receive(QueueUrl, { MaxNumberOfMessages: 2 });
    expect(await t.counts(QueueUrl)).toEqual(['4', '2', '0']);
  });

  it('is needed: one message is missing a parameter, a batch has an invalid one', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo', byContent);
    const message = 'The request must contain the parameter MessageGroupId.';
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'a' })).toMatchObject({
      code: 'MissingParameter',
      message,
    });
    const list = [
      { Id: 'a', MessageBody: 'a', MessageGroupId: 'g' },
      { Id: 'b', MessageBody: 'b' },
    ];
    expect(await t.refused('SendMessageBatch', on(QueueUrl, sendEntries(list)))).toMatchObject({
      code: 'InvalidParameterValue',
      message,
    });
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });
});

overBoth('a handle of a FIFO queue', (protocol) => {
  it('is void when its visibility timeout has passed, and good when that was extended', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'h1');
    const [expired, extended] = await t.receive(QueueUrl, all);
    await t.hide(QueueUrl, { ReceiptHandle: extended?.ReceiptHandle ?? '' }, 60);
    await t.clock.advance({ seconds: 31 });
    const ReceiptHandle = expired?.ReceiptHandle ?? '';
    const error = {
      status: 400,
      code: 'InvalidParameterValue',
      message: `Value ${ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`,
    };
    expect(await t.refused('DeleteMessage', { QueueUrl, ReceiptHandle })).toMatchObject(error);
    const hide = { QueueUrl, ReceiptHandle, VisibilityTimeout: 5 };
    expect(await t.refused('ChangeMessageVisibility', hide)).toMatchObject(error);
    for (const [action, list] of [
      ['DeleteMessageBatch', deleteEntries([{ Id: 'a', ReceiptHandle }])],
      ['ChangeMessageVisibilityBatch', hideEntries([{ Id: 'a', ReceiptHandle, VisibilityTimeout: 5 }])],
    ] as const) {
      const { Failed } = await t.ok(action, on(QueueUrl, list));
      expect(Failed).toEqual([{ Id: 'a', SenderFault: true, Code: error.code, Message: error.message }]);
    }
    await t.delete(QueueUrl, { ReceiptHandle: extended?.ReceiptHandle ?? '' });
    await t.receiveOne(QueueUrl);
    expect(await t.refused('DeleteMessage', { QueueUrl, ReceiptHandle })).toMatchObject(error);
  });

  it('deletes what is deleted already', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1');
    const message = await t.receiveOne(QueueUrl);
    await t.delete(QueueUrl, message);
    await t.delete(QueueUrl, message);
  });
});

overBoth('a duplicate', (protocol) => {
  const ids = (MessageGroupId: string, MessageDeduplicationId: string) => ({ MessageGroupId, MessageDeduplicationId });

  it('is a success with the id of the first, and stores nothing', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const first = await t.send(QueueUrl, 'a', ids('g', 'd'));
    const again = await t.send(QueueUrl, 'another', ids('g', 'd'));
    expect(again.MessageId).toBe(first.MessageId);
    expect(again.SequenceNumber).toBe(first.SequenceNumber);
    expect(again.MD5OfMessageBody).toBe('b32d73e56ec99bc5ec8f83871cde708a');
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
  });

  it('is one also when the first was deleted, for five minutes from its send', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const first = await t.send(QueueUrl, 'a', ids('g', 'd'));
    await t.delete(QueueUrl, await t.receiveOne(QueueUrl));
    await t.clock.advance({ ms: 300_000 });
    expect((await t.send(QueueUrl, 'a', ids('g', 'd'))).MessageId).toBe(first.MessageId);
    await t.clock.advance({ ms: 1 });
    expect((await t.send(QueueUrl, 'a', ids('g', 'd'))).MessageId).not.toBe(first.MessageId);
  });

  it('is one in any group, unless the queue was made with the scope of the group', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const scoped = await t.queue('scoped.fifo', { DeduplicationScope: 'messageGroup' });
    for (const url of [QueueUrl, scoped])
      for (const group of ['g', 'h', 'g']) await t.send(url, group, ids(group, 'd'));
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
    expect(await t.counts(scoped)).toEqual(['2', '0', '0']);
  });

  it('stays one when the scope is changed later: only what is reported changes', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const scoped = await t.queue('scoped.fifo', { DeduplicationScope: 'messageGroup' });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { DeduplicationScope: 'messageGroup' } });
    await t.ok('SetQueueAttributes', { QueueUrl: scoped, Attributes: { DeduplicationScope: 'queue' } });
    expect(await t.attributes(QueueUrl, 'DeduplicationScope')).toEqual({ DeduplicationScope: 'messageGroup' });
    for (const url of [QueueUrl, scoped]) for (const group of ['g', 'h']) await t.send(url, group, ids(group, 'd'));
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
    expect(await t.counts(scoped)).toEqual(['2', '0', '0']);
  });

  it('is forgotten by a purge', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    await t.send(QueueUrl, 'a', ids('g', 'd'));
    await t.ok('PurgeQueue', { QueueUrl });
    await t.send(QueueUrl, 'a', ids('g', 'd'));
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
  });

  it('by content is one of the same body, whatever its attributes', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo', byContent);
    const group = { MessageGroupId: 'g' };
    await t.send(QueueUrl, 'same', group);
    await t.send(QueueUrl, 'same', { ...group, MessageAttributes: { a: textAttribute('x') } });
    const id = '0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5';
    await t.send(QueueUrl, 'other', { ...group, MessageDeduplicationId: id });
    const messages = await t.receive(QueueUrl, { ...all, AttributeNames: ['MessageDeduplicationId'] });
    expect(messages.map(({ Attributes }) => Attributes)).toEqual([{ MessageDeduplicationId: id }]);
    await t.send(QueueUrl, 'same', { ...group, MessageDeduplicationId: 'explicit' });
    expect(await t.counts(QueueUrl)).toEqual(['1', '1', '0']);
  });

  it('in one batch is one, too', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const list = ['a', 'b'].map((Id) => ({ Id, MessageBody: Id, ...ids('g', 'd') }));
    const { Successful } = await t.ok('SendMessageBatch', on(QueueUrl, sendEntries(list)));
    expect(nth(Successful, 1).MessageId).toBe(nth(Successful, 0).MessageId);
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
  });

  it('cannot be found without an id, alone or in a batch', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const error = {
      status: 400,
      code: 'InvalidParameterValue',
      message:
        'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    };
    const message = { MessageBody: 'a', MessageGroupId: 'g' };
    expect(await t.refused('SendMessage', { QueueUrl, ...message })).toMatchObject(error);
    const list = [
      { Id: 'a', ...message, MessageDeduplicationId: 'd' },
      { Id: 'b', ...message },
    ];
    expect(await t.refused('SendMessageBatch', on(QueueUrl, sendEntries(list)))).toMatchObject(error);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { ContentBasedDeduplication: 'true' } });
    await t.ok('SendMessageBatch', on(QueueUrl, sendEntries(list)));
    expect(await t.counts(QueueUrl)).toEqual(['2', '0', '0']);
  });

  it('of a send that was refused is none', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo', { MaximumMessageSize: '1024' });
    const members = { QueueUrl, MessageBody: 'x'.repeat(1_025), ...ids('g', 'd') };
    await t.refused('SendMessage', members);
    await t.send(QueueUrl, 'a', ids('g', 'd'));
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
  });
});

overBoth('a sequence number', (protocol) => {
  it('has 20 digits, rises, and is the same on send and receive', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo', byContent);
    const numbers: (string | undefined)[] = [];
    for (const body of ['a', 'b', 'c']) {
      numbers.push((await t.send(QueueUrl, body, { MessageGroupId: 'g' })).SequenceNumber);
    }
    expect(numbers).toEqual(numbers.toSorted());
    for (const number of numbers) expect(number).toMatch(/^\d{20}$/);
    const messages = await t.receive(QueueUrl, { ...all, AttributeNames: ['All'] });
    expect(messages.map(({ Attributes }) => Attributes?.SequenceNumber)).toEqual(numbers);
    expect(nth(messages).Attributes).toMatchObject({ MessageGroupId: 'g' });
  });

  it('is absent on standard queues', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.send(QueueUrl, 'a')).not.toHaveProperty('SequenceNumber');
    const { Attributes } = await t.receiveOne(QueueUrl, { AttributeNames: ['All', 'SequenceNumber'] });
    expect(Attributes).not.toHaveProperty('SequenceNumber');
  });
});

overBoth('a receive attempt', (protocol) => {
  const attempt = { ...all, ReceiveRequestAttemptId: 'r1', AttributeNames: ['ApproximateReceiveCount'] };

  it('that is repeated gives the same messages with the same handles, uncounted, hidden anew', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2');
    const first = await t.receive(QueueUrl, attempt);
    await t.clock.advance({ seconds: 20 });
    expect(await t.receive(QueueUrl, attempt)).toEqual(first);
    await t.clock.advance({ seconds: 20 });
    expect(await t.bodies(QueueUrl, all)).toEqual([]);
  });

  it('cannot be repeated when its messages have changed', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await withMessages(t, 'g1', 'g2');
    const [first] = await t.receive(QueueUrl, attempt);
    await t.delete(QueueUrl, { ReceiptHandle: first?.ReceiptHandle ?? '' });
    expect(await t.refused('ReceiveMessage', { QueueUrl, ...attempt })).toMatchObject({
      code: 'InvalidParameterValue',
      message:
        'Value r1 for parameter ReceiveRequestAttemptId is invalid. Reason: The receiveRequestAttemptId is not valid anymore since the receive call is not retryable.',
    });
  });

  it('is passed over on standard queues', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    expect(bodiesOf(await t.receive(QueueUrl, attempt))).toEqual(['a']);
    expect(bodiesOf(await t.receive(QueueUrl, attempt))).toEqual([]);
  });

  it('has a sane id', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo');
    const error = await t.refused('ReceiveMessage', { QueueUrl, ReceiveRequestAttemptId: 'a b' });
    expect(error.message).toMatch(/^Value a b for parameter ReceiveRequestAttemptId is invalid\./);
  });
});

describe('a delay of a FIFO queue', () => {
  it('that is changed holds for messages that wait already', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q.fifo', { ...byContent, DelaySeconds: '60' });
    await put(t, QueueUrl, 'g1');
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '1']);
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { DelaySeconds: '0' } });
    expect(await t.bodies(QueueUrl)).toEqual(['g1']);
  });
});
