/** A queue is one thing: what one API makes, sends and sets, the other sees. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { arnOf, openSqs, overBoth, redrivePolicy, type Sqs, textAttribute } from '../support/sqs.ts';

type View = Readonly<Record<string, unknown>> & { readonly messages?: readonly View[] };

async function rest(
  t: Sqs,
  method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  payload?: string | object,
  headers: Record<string, string> = {},
): Promise<{ status: number; view: View }> {
  const { statusCode, body } = await t.server.inject({
    method,
    url,
    ...(payload === undefined ? {} : { payload }),
    headers: { host: 'queue.test:9324', ...headers },
  });
  return { status: statusCode, view: body.startsWith('{') ? (JSON.parse(body) as View) : { text: body } };
}

overBoth('a queue', (protocol) => {
  it('made through SQS has the same settings in REST', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    await t.queue('q', {
      DelaySeconds: '3',
      MaximumMessageSize: '2048',
      MessageRetentionPeriod: '600',
      ReceiveMessageWaitTimeSeconds: '4',
      VisibilityTimeout: '5',
      RedrivePolicy: redrivePolicy('dlq', 7),
      RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: [arnOf('x')] }),
      KmsMasterKeyId: 'k',
    });
    const { status, view } = await rest(t, 'GET', '/v1/queues/q');
    expect(status).toBe(200);
    expect(view).toMatchObject({
      name: 'q',
      type: 'standard',
      delaySeconds: 3,
      maxMessageBytes: 2048,
      retentionSeconds: 600,
      waitSeconds: 4,
      visibilityTimeoutSeconds: 5,
      deadLetter: { queue: 'dlq', maxReceiveCount: 7 },
      redriveAllow: { permission: 'byQueue', queues: ['x'] },
    });
    expect(Object.keys(view).filter((name) => /kms|sse|policy/i.test(name))).toEqual([]);
  });

  it('made through REST has the same attributes in SQS', async () => {
    const t = await openSqs(protocol);
    await rest(t, 'PUT', '/v1/queues/dlq.fifo');
    const deadLetter = { queue: 'dlq.fifo', maxReceiveCount: 2 };
    const settings = { contentBasedDeduplication: true, delaySeconds: 9, deadLetter, tags: { team: 'a' } };
    await rest(t, 'PUT', '/v1/queues/q.fifo', settings);
    const { QueueUrl } = await t.ok('GetQueueUrl', { QueueName: 'q.fifo' });
    expect(await t.attributes(QueueUrl, 'All')).toMatchObject({
      FifoQueue: 'true',
      ContentBasedDeduplication: 'true',
      DelaySeconds: '9',
      RedrivePolicy: redrivePolicy('dlq.fifo', 2),
    });
    expect((await t.ok('ListQueueTags', { QueueUrl })).Tags).toEqual({ team: 'a' });
  });

  it('keeps what only SQS knows when REST changes it', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { Policy: '{"a":1}', KmsMasterKeyId: 'k' });
    expect((await rest(t, 'PATCH', '/v1/queues/q', { delaySeconds: 1 })).status).toBe(200);
    expect((await rest(t, 'PUT', '/v1/queues/q', { delaySeconds: 1 })).status).toBe(200);
    expect((await rest(t, 'PATCH', '/v1/queues/q', { policy: '{}' })).status).toBe(400);
    expect(await t.attributes(QueueUrl, 'Policy', 'KmsMasterKeyId', 'DelaySeconds')).toEqual({
      Policy: '{"a":1}',
      KmsMasterKeyId: 'k',
      DelaySeconds: '1',
    });
  });

  it('that was deleted through either can be made at once through REST, and later through SQS', async () => {
    const t = await openSqs(protocol);
    await t.queue('q');
    await rest(t, 'DELETE', '/v1/queues/q');
    expect((await t.refused('CreateQueue', { QueueName: 'q' })).code).toMatch(/QueueDeletedRecently$/);
    expect((await rest(t, 'PUT', '/v1/queues/q')).status).toBe(201);
    await t.queue('q');
  });
});

overBoth('a message', (protocol) => {
  it('sent through SQS is received through REST with its attributes', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const { MessageId } = await t.send(QueueUrl, 'häl\r\nlo', {
      MessageGroupId: 'tenant',
      MessageAttributes: {
        color: textAttribute('blue', 'String.paint'),
        blob: { DataType: 'Binary', BinaryValue: 'AQID' },
      },
    });
    const { view } = await rest(t, 'POST', '/v1/queues/q/messages/receive');
    expect(view.messages?.[0]).toMatchObject({
      messageId: MessageId,
      body: 'häl\r\nlo',
      contentType: 'text/plain',
      groupId: 'tenant',
      attributes: {
        color: { type: 'String.paint', value: 'blue' },
        blob: { type: 'Binary', value: 'AQID' },
      },
    });
    const handle = String(view.messages?.[0]?.receiptHandle);
    await t.ok('DeleteMessage', { QueueUrl, ReceiptHandle: handle });
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });

  it('sent through REST is received through SQS with its attributes', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const entry = { body: { orderId: 42 }, attributes: { n: { type: 'Number', value: '1' }, s: 'x' } };
    await rest(t, 'POST', '/v1/queues/q/messages/batch', { messages: [entry] });
    const message = await t.receiveOne(QueueUrl, { AttributeNames: ['SenderId'], MessageAttributeNames: ['All'] });
    expect(message.Body).toBe('{"orderId":42}');
    expect(message.MessageAttributes).toEqual({ n: textAttribute('1', 'Number'), s: textAttribute('x') });
    expect(message.Attributes?.SenderId).toMatch(/^AIDA/);
    const { status } = await rest(t, 'DELETE', `/v1/queues/q/receipts/${message.ReceiptHandle}`);
    expect(status).toBe(204);
  });

  it('of bytes that are no text comes through SQS in base64', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const bytes of [Buffer.from([0xff, 0]), Buffer.from('a\u0001')]) {
      await rest(t, 'POST', '/v1/queues/q/messages', bytes, { 'content-type': 'application/octet-stream' });
      const message = await t.receiveOne(QueueUrl);
      expect(message.Body).toBe(bytes.toString('base64'));
      await t.delete(QueueUrl, message);
    }
  });

  it('wakes who waits on the other side', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const waiting = t.bodies(QueueUrl, { WaitTimeSeconds: 20 });
    await t.clock.advance({ seconds: 1 });
    await rest(t, 'POST', '/v1/queues/q/messages', 'hello', { 'content-type': 'text/plain' });
    expect(await waiting).toEqual(['hello']);
  });

  it('keeps a receipt of REST strict', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const { ReceiptHandle } = await t.receiveOne(QueueUrl);
    await t.clock.advance({ seconds: 31 });
    expect((await rest(t, 'DELETE', `/v1/queues/q/receipts/${ReceiptHandle}`)).status).toBe(410);
    await t.delete(QueueUrl, { ReceiptHandle });
  });
});

describe('a redrive', () => {
  it('started through SQS is a task in REST', async () => {
    const t = await openSqs('json');
    const dlq = await t.queue('dlq');
    const q = await t.queue('q', { RedrivePolicy: redrivePolicy('dlq', 1) });
    await t.send(q, 'a');
    for (let i = 0; i < 2; i += 1) await t.receive(q, { VisibilityTimeout: 0 });
    expect(await t.counts(dlq)).toEqual(['1', '0', '0']);
    await t.ok('StartMessageMoveTask', { SourceArn: arnOf('dlq') });
    await t.clock.advance({ seconds: 1 });
    const { view } = await rest(t, 'GET', '/v1/tasks');
    expect(view.items).toMatchObject([{ source: 'dlq', status: 'completed', moved: 1 }]);
  });
});

describe('the health check of an emulator', () => {
  it.each(['/_localstack/health', '/health'])('is answered at %s, to whom it may concern', async (url) => {
    const { server } = await openSqs('json');
    const headers = { host: 'queue.test:9324' };
    const answer = await server.inject({ url, headers });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(answer.json()).toEqual({ services: { sqs: 'running' } });
    const head = await server.inject({ method: 'HEAD', url, headers });
    expect([head.statusCode, head.payload]).toEqual([200, '']);
  });
});

describe('a look through the developer endpoint', () => {
  const open = async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'held', { MessageAttributes: { a: textAttribute('x') } });
    await t.receiveOne(QueueUrl);
    await t.send(QueueUrl, 'free', { MessageAttributes: { a: textAttribute('x') } });
    await t.send(QueueUrl, 'late', { DelaySeconds: 60 });
    return { t, QueueUrl };
  };
  const look = async (t: Sqs, query: string, accept = 'application/json') =>
    t.server.inject({ url: `/_aws/sqs/messages${query}`, headers: { host: 'queue.test:9324', accept } });

  it('shows what can be received, and changes nothing', async () => {
    const { t, QueueUrl } = await open();
    const { payload } = await look(t, `?QueueUrl=${encodeURIComponent(QueueUrl)}`);
    expect(JSON.parse(payload).ReceiveMessageResponse.ReceiveMessageResult.Message).toMatchObject([
      {
        Body: 'free',
        ReceiptHandle: 'SQS/BACKDOOR/ACCESS',
        MD5OfBody: 'aa2d6e4f578eb0cfaba23beef76c2194',
        Attribute: expect.arrayContaining([{ Name: 'ApproximateReceiveCount', Value: '0' }]),
        MessageAttribute: [{ Name: 'a', Value: { StringValue: 'x', DataType: 'String' } }],
      },
    ]);
    expect(await t.counts(QueueUrl)).toEqual(['1', '1', '1']);
  });

  it('shows hidden and delayed messages when asked, also in XML and by path', async () => {
    const { t } = await open();
    const query = '/us-east-1/000000000000/q?ShowInvisible=true&ShowDelayed=true';
    const { payload, headers } = await look(t, query, '*/*');
    expect(headers['content-type']).toBe('text/xml');
    expect([...payload.matchAll(/<Body>(\w+)<\/Body>/g)].map((match) => match[1])).toEqual(['held', 'free', 'late']);
  });

  it('shows no more bytes than a receive may hand out', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    for (let i = 0; i < 10; i += 1) await t.send(QueueUrl, 'x'.repeat(limits.messageBytesMax));
    const { payload } = await look(t, `?QueueUrl=${encodeURIComponent(QueueUrl)}`);
    const { Message } = JSON.parse(payload).ReceiveMessageResponse.ReceiveMessageResult;
    expect(Message).toHaveLength(limits.receiveBytesMax / limits.messageBytesMax);
  });

  it('of a queue that is not there is refused', async () => {
    const { t } = await open();
    const { statusCode, payload } = await look(t, '?QueueUrl=none');
    expect(statusCode).toBe(400);
    expect(payload).toContain('NonExistentQueue');
  });
});
