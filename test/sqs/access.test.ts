/** The facade of a server with access keys: who is let in, and to what. Requests are signed as SDKs sign them. */
import { describe, expect, it } from 'vitest';
import { defaultAccount, everything, openPrincipal, type Scope } from '../../src/domain/principal.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import { openCursor } from '../../src/http/cursor.ts';
import { guarded } from '../support/keys.ts';
import { type Credentials, presignSmithy, signSmithy } from '../support/signing.ts';
import { openSqs, type Sqs } from '../support/sqs.ts';

const host = 'queue.test:9324';
const urlOf = (name: string) => `http://${host}/${defaultAccount}/${name}`;

type Seen = {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly message: string;
  readonly result: Record<string, unknown>;
};

async function openGuarded() {
  const sqs = await openSqs('json', { access: guarded });
  await sqs.broker.keys.load();
  const holder = async (scopes: readonly Scope[]): Promise<Credentials> => {
    const { key, secret } = await sqs.broker.keys.create(openPrincipal(defaultAccount), {
      name: 'a',
      scopes,
      expiresAt: null,
    });
    return { keyId: key.keyId, secret };
  };
  const admin = await holder(everything);
  const call = (who: Credentials, action: string, members: object = {}) => signedCall(sqs, who, action, members);
  for (const name of ['orders', 'orders-dlq', 'other']) await call(admin, 'CreateQueue', { QueueName: name });
  return { ...sqs, admin, holder, call };
}

async function signedCall({ server, clock }: Sqs, who: Credentials, action: string, members: object): Promise<Seen> {
  const headers = { host, 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` };
  const body = JSON.stringify(members);
  const signed = await signSmithy({ method: 'POST', path: '/', headers, body }, { ...who, at: clock.now() });
  const sent = Object.fromEntries(
    signed.rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, signed.rawHeaders[i + 1] ?? '']] : [])),
  );
  const answer = await server.inject({ method: 'POST', url: '/', headers: sent, payload: body });
  const result = (answer.payload === '' ? {} : JSON.parse(answer.payload)) as Record<string, unknown>;
  return {
    status: answer.statusCode,
    type: String(result.__type ?? '').replace(/.*#/, ''),
    code: String(answer.headers['x-amzn-query-error'] ?? '').split(';')[0] ?? '',
    message: String(result.message ?? ''),
    result,
  };
}

const ok = { status: 200 };
const refused = { status: 403, type: 'AccessDeniedException', code: 'AccessDenied' };

describe('a facade with access keys', () => {
  it('refuses in the shapes of AWS who has no key, an unknown one, or a wrong secret', async () => {
    const { call, admin, server } = await openGuarded();
    const bare = await server.inject({
      method: 'POST',
      url: '/',
      headers: { host, 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ListQueues' },
      payload: '{}',
    });
    expect([bare.statusCode, bare.headers['x-amzn-query-error']]).toEqual([403, 'AccessDenied;Sender']);
    expect(bare.payload).toContain(`Access to the resource http://${host}/ is denied.`);
    expect(await call({ ...admin, keyId: 'SLUICENOBODYSKEY7777' }, 'ListQueues')).toMatchObject({
      status: 403,
      type: 'UnrecognizedClientException',
      code: 'InvalidClientTokenId',
    });
    expect(await call({ ...admin, secret: 'wrong' }, 'ListQueues')).toMatchObject({
      status: 403,
      type: 'InvalidSignatureException',
      code: 'SignatureDoesNotMatch',
    });
    const bearer = await server.inject({
      method: 'POST',
      url: '/',
      headers: { host, 'x-amz-target': 'AmazonSQS.ListQueues', authorization: `Bearer ${admin.keyId}.${admin.secret}` },
      payload: '{}',
    });
    expect([bearer.statusCode, bearer.headers['x-amzn-query-error']]).toEqual([400, 'IncompleteSignature;Sender']);
  });

  it('answers a presigned URL in Query', async () => {
    const { admin, server, clock } = await openGuarded();
    const plain = {
      method: 'GET',
      path: `/${defaultAccount}/orders`,
      query: 'Action=GetQueueAttributes&AttributeName.1=QueueArn',
      headers: { host },
    };
    const { rawUrl } = await presignSmithy(plain, { ...admin, at: clock.now() });
    const answer = await server.inject({ method: 'GET', url: rawUrl, headers: { host } });
    expect(answer.statusCode, answer.payload).toBe(200);
    expect(answer.payload).toContain(':orders</Value>');
    const changed = await server.inject({ method: 'GET', url: rawUrl.replace('orders', 'other'), headers: { host } });
    expect(changed.statusCode).toBe(403);
    expect(changed.payload).toContain('<Code>SignatureDoesNotMatch</Code>');
  });

  it('stores a replayed FIFO send once', async () => {
    const { admin, call, server, clock } = await openGuarded();
    await call(admin, 'CreateQueue', { QueueName: 'q.fifo', Attributes: { FifoQueue: 'true' } });
    const body = JSON.stringify({
      QueueUrl: urlOf('q.fifo'),
      MessageBody: 'x',
      MessageGroupId: 'g',
      MessageDeduplicationId: 'd',
    });
    const headers = { host, 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
    const { rawHeaders } = await signSmithy(
      { method: 'POST', path: '/', headers, body },
      { ...admin, at: clock.now() },
    );
    const sent = Object.fromEntries(
      rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? '']] : [])),
    );
    const send = async () =>
      JSON.parse((await server.inject({ method: 'POST', url: '/', headers: sent, payload: body })).payload);
    const first = await send();
    expect(first.MessageId).toMatch(/^[0-9a-f-]{36}$/);
    await clock.advance({ seconds: 30 });
    expect((await send()).MessageId).toBe(first.MessageId);
    const counts = await call(admin, 'GetQueueAttributes', {
      QueueUrl: urlOf('q.fifo'),
      AttributeNames: ['ApproximateNumberOfMessages'],
    });
    expect(counts.result).toEqual({ Attributes: { ApproximateNumberOfMessages: '1' } });
  });

  it('lets a key do what its scopes say, the same in batches', async () => {
    const { holder, call } = await openGuarded();
    const sender = await holder([{ actions: ['send'], queues: ['orders'] }]);
    const QueueUrl = urlOf('orders');
    expect(await call(sender, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject(ok);
    expect(
      await call(sender, 'SendMessageBatch', { QueueUrl, Entries: [{ Id: 'a', MessageBody: 'x' }] }),
    ).toMatchObject(ok);
    expect(await call(sender, 'GetQueueUrl', { QueueName: 'orders' })).toMatchObject(ok);
    for (const [action, members] of [
      ['ReceiveMessage', { QueueUrl }],
      ['PurgeQueue', { QueueUrl }],
      ['DeleteQueue', { QueueUrl }],
      ['GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] }],
      ['SetQueueAttributes', { QueueUrl, Attributes: { DelaySeconds: '1' } }],
      ['TagQueue', { QueueUrl, Tags: { a: 'b' } }],
      ['ListQueueTags', { QueueUrl }],
      ['AddPermission', { QueueUrl, Label: 'l', AWSAccountIds: [defaultAccount], Actions: ['*'] }],
      ['CreateQueue', { QueueName: 'new' }],
      ['SendMessage', { QueueUrl: 'other', MessageBody: 'x' }],
      ['SendMessage', { QueueUrl: urlOf('nowhere'), MessageBody: 'x' }],
      ['SendMessageBatch', { QueueUrl: 'http://elsewhere/other', Entries: [{ Id: 'a', MessageBody: 'x' }] }],
      ['GetQueueUrl', { QueueName: 'other' }],
      ['GetQueueUrl', { QueueName: 'nowhere' }],
      ['StartMessageMoveTask', { SourceArn: `arn:aws:sqs:us-east-1:${defaultAccount}:orders` }],
      ['ListMessageMoveTasks', { SourceArn: `arn:aws:sqs:us-east-1:${defaultAccount}:orders` }],
      ['CancelMessageMoveTask', { TaskHandle: 'x' }],
    ] as const) {
      expect(await call(sender, action, members), action).toMatchObject(refused);
    }
    expect((await call(sender, 'ReceiveMessage', { QueueUrl })).message).toBe(
      `User: arn:aws:iam::${defaultAccount}:user/${sender.keyId} is not authorized to perform: sqs:receivemessage on resource: arn:aws:sqs:us-east-1:${defaultAccount}:orders because no identity-based policy allows the sqs:receivemessage action`,
    );
  });

  it('lists the queues of its scopes alone', async () => {
    const { holder, call, admin } = await openGuarded();
    const some = await holder([{ actions: ['send'], queues: ['orders*'] }]);
    expect((await call(some, 'ListQueues')).result).toEqual({ QueueUrls: [urlOf('orders'), urlOf('orders-dlq')] });
    expect((await call(admin, 'ListQueues')).result.QueueUrls).toHaveLength(3);
  });

  it('asks for the right to send to a dead-letter queue', async () => {
    const { holder, call } = await openGuarded();
    const keeper = await holder([{ actions: ['updateQueue', 'receive'], queues: ['orders'] }]);
    const RedrivePolicy = JSON.stringify({
      deadLetterTargetArn: `arn:aws:sqs:us-east-1:${defaultAccount}:orders-dlq`,
      maxReceiveCount: 2,
    });
    const set = { QueueUrl: urlOf('orders'), Attributes: { RedrivePolicy } };
    expect(await call(keeper, 'SetQueueAttributes', set)).toMatchObject(refused);
  });

  const arnOf = (name: string) => `arn:aws:sqs:us-east-1:${defaultAccount}:${name}`;
  const redrivePolicy = JSON.stringify({ deadLetterTargetArn: arnOf('orders-dlq'), maxReceiveCount: 2 });
  const withSources = async (...names: string[]) => {
    const t = await openGuarded();
    for (const QueueName of names) {
      const Attributes = { RedrivePolicy: redrivePolicy };
      expect(await t.call(t.admin, 'CreateQueue', { QueueName, Attributes })).toMatchObject(ok);
    }
    return t;
  };

  it('tells who cancels no more of a queue outside of the scopes than of none', async () => {
    const { holder, call } = await openGuarded();
    const keeper = await holder([{ actions: ['cancelTask'], queues: ['orders*'] }]);
    const cancel = (name: string) => {
      const handle = JSON.stringify({ taskId: 'none', sourceArn: arnOf(name) });
      return call(keeper, 'CancelMessageMoveTask', { TaskHandle: Buffer.from(handle).toString('base64') });
    };
    for (const name of ['other', 'nowhere']) expect(await cancel(name)).toMatchObject(refused);
    expect(await cancel('orders')).toMatchObject({ status: 404, message: 'Task does not exist.' });
  });

  it('lists the queues of its scopes page by page, however long their names are', async () => {
    const { holder, call, admin } = await openGuarded();
    const names = ['1', '2', '3'].map((end) => 'q'.repeat(79) + end);
    for (const QueueName of names) await call(admin, 'CreateQueue', { QueueName });
    const some = await holder([{ actions: ['send'], queues: [`${'q'.repeat(78)}*`] }]);
    const seen: unknown[] = [];
    let NextToken: unknown;
    do {
      const { status, result } = await call(some, 'ListQueues', { MaxResults: 1, NextToken });
      expect(status).toBe(200);
      seen.push(...(result.QueueUrls as unknown[]));
      NextToken = result.NextToken;
    } while (NextToken !== undefined);
    expect(seen).toEqual(names.map(urlOf));
  });

  it('lists the sources of its scopes alone, page by page, and no page ends at another', async () => {
    const { holder, call } = await withSources('a', 'b-secret', 'c', 'd-secret');
    const some = await holder([
      { actions: ['readQueue'], queues: ['orders-dlq'] },
      { actions: ['send'], queues: ['a', 'c'] },
    ]);
    const list = (page: object) =>
      call(some, 'ListDeadLetterSourceQueues', { QueueUrl: urlOf('orders-dlq'), MaxResults: 1, ...page });
    const first = await list({});
    expect(first.result.queueUrls).toEqual([urlOf('a')]);
    expect(openCursor(String(first.result.NextToken))).toBe('a sources orders-dlq');
    expect((await list({ NextToken: first.result.NextToken })).result).toEqual({ queueUrls: [urlOf('c')] });
  });

  it('lets a key redrive to where it may send, whether it sees the sources or not', async () => {
    const { holder, call } = await withSources('a');
    const operator = await holder([
      { actions: ['redrive'], queues: ['orders-dlq'] },
      { actions: ['send'], queues: ['other'] },
    ]);
    const start = (DestinationArn?: string) =>
      call(operator, 'StartMessageMoveTask', { SourceArn: arnOf('orders-dlq'), DestinationArn });
    expect(await start(arnOf('other'))).toMatchObject(ok);
    for (const name of ['orders', 'nowhere']) expect(await start(arnOf(name))).toMatchObject(refused);
    expect(await start()).toMatchObject(refused);
  });

  it('lets nobody give themselves rights by a policy', async () => {
    const { holder, call } = await openGuarded();
    const keeper = await holder([{ actions: ['createQueue', 'updateQueue'], queues: ['*'] }]);
    const Policy = policy({ Principal: { AWS: defaultAccount }, Action: 'sqs:*', Resource: '*' });
    expect(
      await call(keeper, 'SetQueueAttributes', { QueueUrl: urlOf('orders'), Attributes: { Policy } }),
    ).toMatchObject(refused);
    expect(await call(keeper, 'CreateQueue', { QueueName: 'new', Attributes: { Policy } })).toMatchObject(refused);
  });

  const policy = (statement: object) =>
    JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', ...statement }] });
  const Resource = `arn:aws:sqs:us-east-1:${defaultAccount}:orders`;

  it('lets in by the policy of the queue who has no scope for it, and keeps out by it who has', async () => {
    const { holder, call, admin } = await openGuarded();
    const guest = await holder([{ actions: ['send'], queues: ['other'] }]);
    const QueueUrl = urlOf('orders');
    const set = (statement: object) =>
      call(admin, 'SetQueueAttributes', { QueueUrl, Attributes: { Policy: policy({ Resource, ...statement }) } });
    const AWS = `arn:aws:iam::${defaultAccount}:user/${guest.keyId}`;
    expect(await call(guest, 'ReceiveMessage', { QueueUrl })).toMatchObject(refused);
    expect(await set({ Principal: { AWS }, Action: 'sqs:ReceiveMessage' })).toMatchObject(ok);
    expect(await call(guest, 'ReceiveMessage', { QueueUrl })).toMatchObject(ok);
    expect(await call(guest, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject(refused);
    expect(await set({ Effect: 'Deny', Principal: '*', Action: 'sqs:SendMessage' })).toMatchObject(ok);
    expect(await call(admin, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject({
      ...refused,
      message: expect.stringContaining('explicit deny'),
    });
    expect(await call(admin, 'SetQueueAttributes', { QueueUrl, Attributes: { Policy: '' } })).toMatchObject(ok);
    expect(await call(admin, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject(ok);
  });

  it('refuses a policy that is not understood when it is set', async () => {
    const { call, admin } = await openGuarded();
    const QueueUrl = urlOf('orders');
    for (const Policy of [
      '{"a":1}',
      policy({ Principal: '*', Action: 'sqs:*', Resource }),
      policy({ NotPrincipal: '*', Action: '*', Resource }),
    ]) {
      expect(await call(admin, 'SetQueueAttributes', { QueueUrl, Attributes: { Policy } })).toMatchObject({
        status: 400,
        type: 'InvalidAttributeValue',
        message: expect.stringMatching(/^Invalid value for the parameter Policy\. Reason: /),
      });
    }
  });

  it('opens nothing to everybody by a policy that was set while the server was open, and reads no further than it understands', async () => {
    const { broker, admin, holder, call } = await openGuarded();
    const stranger = await holder([{ actions: ['receive'], queues: ['other'] }]);
    const QueueUrl = urlOf('orders');
    const orders = QueueName.parse('orders');
    const setWhileOpen = (text: string) =>
      broker.queues.update(openPrincipal(defaultAccount), orders, { settings: { policy: text } });
    const send = { QueueUrl, MessageBody: 'x' };
    await setWhileOpen(policy({ Principal: '*', Action: 'sqs:*', Resource }));
    expect(await call(stranger, 'SendMessage', send)).toMatchObject(refused);
    expect(await call(admin, 'SendMessage', send)).toMatchObject(ok);
    await setWhileOpen(
      policy({ Principal: { AWS: `arn:aws:iam::${defaultAccount}:role/app` }, Action: 'sqs:*', Resource }),
    );
    expect(await call(admin, 'SendMessage', send)).toMatchObject({
      ...refused,
      message: expect.stringMatching(/because the policy of the queue is not understood here$/),
    });
    expect(await call(admin, 'GetQueueAttributes', { QueueUrl, AttributeNames: ['Policy'] })).toMatchObject(ok);
  });

  it('lets in by a permission that was added, which is a policy that is understood', async () => {
    const { holder, call, admin } = await openGuarded();
    const guest = await holder([{ actions: ['send'], queues: ['other'] }]);
    const QueueUrl = urlOf('orders');
    const permission = { QueueUrl, Label: 'all', AWSAccountIds: [defaultAccount], Actions: ['SendMessage'] };
    expect(await call(admin, 'AddPermission', permission)).toMatchObject(ok);
    expect(await call(guest, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject(ok);
    expect(await call(admin, 'RemovePermission', { QueueUrl, Label: 'all' })).toMatchObject(ok);
    expect(await call(guest, 'SendMessage', { QueueUrl, MessageBody: 'x' })).toMatchObject(refused);
  });

  it('ends the long poll of a key that is deleted', async () => {
    const { holder, call, admin, broker } = await openGuarded();
    const worker = await holder([{ actions: ['receive'], queues: ['orders'] }]);
    const poll = call(worker, 'ReceiveMessage', { QueueUrl: urlOf('orders'), WaitTimeSeconds: 20 });
    while (broker.waiters.count() === 0) await new Promise((resolve) => setImmediate(resolve));
    await broker.keys.delete({ account: defaultAccount, id: admin.keyId, scopes: everything }, worker.keyId);
    expect(await poll).toMatchObject({
      status: 403,
      type: 'UnrecognizedClientException',
      code: 'InvalidClientTokenId',
    });
  });

  it('asks for the right to peek at its developer endpoint', async () => {
    const { holder, server, clock } = await openGuarded();
    const path = '/_aws/sqs/messages';
    const look = async (who: Credentials) => {
      const plain = {
        method: 'GET',
        path,
        query: `QueueUrl=${encodeURIComponent(urlOf('orders'))}`,
        headers: { host },
      };
      const { rawUrl } = await presignSmithy(plain, { ...who, at: clock.now() });
      return (await server.inject({ method: 'GET', url: rawUrl, headers: { host } })).statusCode;
    };
    expect(await look(await holder([{ actions: ['peek'], queues: ['orders'] }]))).toBe(200);
    expect(await look(await holder([{ actions: ['receive', 'readQueue'], queues: ['orders'] }]))).toBe(403);
  });
});
