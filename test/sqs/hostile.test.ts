/** What nobody should send to the facade: it is refused or kept as it is, has no other effect, and is nowhere in the log. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { defaultAccount, everything, openPrincipal } from '../../src/domain/principal.ts';
import { guarded } from '../support/keys.ts';
import { signSmithy } from '../support/signing.ts';
import { arnOf, nth, openSqs, overBoth, type Sqs, textAttribute } from '../support/sqs.ts';

const jsonHeaders = (action: string) => ({
  'content-type': 'application/x-amz-json-1.0',
  'x-amz-target': `AmazonSQS.${action}`,
});
const formHeaders = { 'content-type': 'application/x-www-form-urlencoded' };

const inject = (t: Sqs, headers: Record<string, string>, payload: string) =>
  t.server.inject({ method: 'POST', url: '/000000000000/q', headers, payload });

overBoth('an action', (protocol) => {
  it.each(['constructor', 'toString', '__proto__', 'hasOwnProperty', 'sendMessage', 'SendMessage '])(
    'called %s is none',
    async (action) => {
      const t = await openSqs(protocol);
      expect(await t.refused(action)).toMatchObject({ status: 400, code: 'InvalidAction' });
    },
  );
});

describe('JSON', () => {
  it.each([
    ['a number as text', '"DelaySeconds":"10"'],
    ['half a second', '"DelaySeconds":10.5'],
    ['a number beyond all', '"DelaySeconds":1e400'],
    ['a number beyond 2^53', '"DelaySeconds":9007199254740993'],
    ['a zero below zero', '"DelaySeconds":-0'],
    ['what is no number', '"DelaySeconds":NaN'],
    ['a member that is there twice', '"DelaySeconds":0,"DelaySeconds":0'],
    ['a member that is there twice, once in disguise', String.raw`"DelaySeconds":0,"Delay\u0053econds":0`],
    ['a poisoned prototype', '"__proto__":{"polluted":1}'],
    ['a poisoned constructor', '"constructor":{"prototype":{"polluted":1}}'],
    ['more members than anybody needs', Array.from({ length: 257 }, (_, i) => `"k${i}":1`).join()],
  ])('with %s is refused', async (_what, member) => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    const body = `{"QueueUrl":"${QueueUrl}","MessageBody":"x",${member}}`;
    expect((await inject(t, jsonHeaders('SendMessage'), body)).statusCode).toBe(400);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('may begin with a byte order mark, as on the other face', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    const body = `\ufeff${JSON.stringify({ QueueUrl, MessageBody: 'x' })}`;
    expect((await inject(t, jsonHeaders('SendMessage'), body)).statusCode).toBe(200);
    expect(await t.bodies(QueueUrl)).toEqual(['x']);
  });
});

describe('a form', () => {
  it.each([
    ['as the name of a part', 'SendMessageBatchRequestEntry.1.__proto__.polluted=1'],
    ['as a number', 'SendMessageBatchRequestEntry.__proto__.Id=a'],
    ['as a parameter', '__proto__=1&constructor.prototype.polluted=1'],
    [
      'as an attribute',
      'SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=__proto__',
    ],
  ])('poisons nothing: %s', async (_what, parameters) => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const { statusCode } = await inject(t, formHeaders, `Action=SendMessageBatch&${parameters}`);
    expect(statusCode).toBe(400);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('has as many parameters as are counted, whether of one name, empty or distinct, and not one more', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const start = ['Action=SendMessage', 'MessageBody=x'];
    const status = async (count: number, more: (i: number) => string) => {
      const rest = Array.from({ length: count - start.length }, (_, i) => more(i));
      return (await inject(t, formHeaders, [...start, ...rest].join('&'))).statusCode;
    };
    const kinds = [() => 'a=b', () => '', (i: number) => `p${i}=`];
    for (const kind of kinds) {
      expect(await status(limits.formParametersMax, kind)).toBe(200);
      expect(await status(limits.formParametersMax + 1, kind)).toBe(400);
      expect(await status(100_000, kind)).toBe(400);
    }
    expect(await t.counts(QueueUrl)).toEqual(['3', '0', '0']);
  });
});

overBoth('what is stored', (protocol) => {
  it('has attributes under any name that is allowed, and their checksum is the same on both ways', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const names = ['z', '2', '1', '10', 'constructor', 'toString', 'valueOf', 'prototype'];
    const MessageAttributes = Object.fromEntries(names.map((name) => [name, textAttribute(`value of ${name}`)]));
    const sent = await t.send(QueueUrl, 'x', { MessageAttributes });
    const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
    expect(message.MessageAttributes).toEqual(MessageAttributes);
    expect(message.MD5OfMessageAttributes).toBe(sent.MD5OfMessageAttributes);
  });

  it.each(["'; drop table messages; --", '" or 1=1 --', '%_*?[a-z]', '\u001b[31mred', '{"level":60}\n', '{{7*7}}'])(
    'is text wherever text goes: %j',
    async (text) => {
      const t = await openSqs(protocol);
      const QueueUrl = await t.queue('q');
      const isSane = !text.includes('\u001b');
      const body = isSane ? text : 'x';
      const MessageAttributes = { a: textAttribute(body, 'String.label') };
      await t.send(QueueUrl, body, { MessageAttributes });
      const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
      expect(message).toMatchObject({ Body: body, MessageAttributes });
      if (!isSane)
        expect(await t.refused('SendMessage', { QueueUrl, MessageBody: text })).toHaveProperty('status', 400);
      // Nothing of these is a name: of a queue, a prefix, an attribute, a handle, an ARN or a task.
      const refusals = [
        ['CreateQueue', { QueueName: text }],
        ['GetQueueUrl', { QueueName: text }],
        ['GetQueueAttributes', { QueueUrl, AttributeNames: [text] }],
        ['SetQueueAttributes', { QueueUrl, Attributes: { [text]: '1' } }],
        ['SetQueueAttributes', { QueueUrl, Attributes: { RedrivePolicy: text } }],
        ['DeleteMessage', { QueueUrl, ReceiptHandle: text }],
        ['StartMessageMoveTask', { SourceArn: text }],
        ['StartMessageMoveTask', { SourceArn: arnOf(text) }],
        ['CancelMessageMoveTask', { TaskHandle: text }],
      ] as const;
      for (const [action, members] of refusals) {
        const { status } = await t.refused(action, members);
        expect([400, 404], `${action} ${JSON.stringify(members)}`).toContain(status);
      }
      expect((await t.ok('ListQueues', { QueueNamePrefix: text })).QueueUrls).toBeUndefined();
      expect(await t.counts(QueueUrl)).toEqual(['0', '1', '0']);
    },
  );
});

describe('the log of the facade, at its finest level', () => {
  it('holds no body, attribute, handle, signature or secret', async () => {
    const t = await openSqs('json', { access: guarded });
    await t.broker.keys.load();
    const { key, secret } = await t.broker.keys.create(openPrincipal(defaultAccount), {
      name: 'test',
      scopes: everything,
      expiresAt: null,
    });
    const signatures: string[] = [];
    const ask = async (action: string, members: object, asSecret = secret) => {
      const plain = {
        method: 'POST',
        path: '/',
        headers: { host: 'localhost', ...jsonHeaders(action) },
        body: JSON.stringify(members),
      };
      const signed = await signSmithy(plain, { keyId: key.keyId, secret: asSecret, at: t.clock.now() });
      const headers: Record<string, string> = {};
      for (let i = 0; i < signed.rawHeaders.length; i += 2) {
        headers[signed.rawHeaders[i] ?? ''] = signed.rawHeaders[i + 1] ?? '';
      }
      signatures.push(/Signature=(\w+)/.exec(JSON.stringify(headers))?.[1] ?? '');
      const { payload } = await t.server.inject({ method: 'POST', url: '/', headers, payload: plain.body });
      return payload === '' ? {} : (JSON.parse(payload) as Record<string, never>);
    };
    await ask('CreateQueue', { QueueName: 'q' });
    const MessageAttributes = { a: textAttribute('PRIVATE') };
    await ask('SendMessage', { QueueUrl: 'q', MessageBody: 'PRIVATE', MessageAttributes });
    const { Messages = [] } = (await ask('ReceiveMessage', { QueueUrl: 'q' })) as unknown as {
      Messages: { ReceiptHandle: string; Body: string }[];
    };
    const { ReceiptHandle, Body } = nth(Messages);
    expect(Body).toBe('PRIVATE');
    await ask('ChangeMessageVisibility', { QueueUrl: 'q', ReceiptHandle, VisibilityTimeout: 'PRIVATE' });
    await ask('DeleteMessage', { QueueUrl: 'q', ReceiptHandle });
    await ask('SendMessage', { QueueUrl: 'q', MessageBody: 'PRIVATE' }, 'another secret');
    await ask('PRIVATE', { PRIVATE: 'PRIVATE' });
    const text = JSON.stringify(t.log.lines);
    expect(t.log.lines.length).toBeGreaterThanOrEqual(7);
    for (const hidden of ['PRIVATE', secret, 'another secret', ReceiptHandle, ...signatures]) {
      expect(text).not.toContain(hidden);
    }
  });
});
