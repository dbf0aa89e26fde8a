import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { asUnread } from '../../src/rest/message-json.ts';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const receiveUrl = '/v1/queues/orders/messages/receive';
const nextUrl = '/v1/queues/orders/messages/next';
const now = '2026-01-01T00:00:00.000Z';

async function withQueue(settings?: object): Promise<Api> {
  const api = await openApi();
  await api.queue('orders', settings);
  return api;
}

describe('a receive', () => {
  it('answers everything that is known of a message, and nothing that is not', async () => {
    const api = await withQueue();
    const messageId = await api.send('orders', 'hello');
    const { status, json } = await api.post(receiveUrl);
    expect(status).toBe(200);
    expect(json.messages).toEqual([
      {
        messageId,
        receiptHandle: expect.stringMatching(/^[\w-]{48}$/),
        body: 'hello',
        contentType: 'text/plain',
        attributes: {},
        sentAt: now,
        receiveCount: 1,
        firstReceivedAt: now,
        visibleAt: '2026-01-01T00:00:30.000Z',
      },
    ]);
  });

  it('answers an empty list when there is nothing', async () => {
    const api = await withQueue();
    expect((await api.post(receiveUrl)).text).toBe('{"messages":[]}\n');
  });

  it('answers 1 unless more are asked for, and at most 100', async () => {
    const api = await withQueue();
    for (let i = 0; i < 3; i += 1) await api.send('orders', `m${i}`);
    expect(await api.receive('orders')).toHaveLength(1);
    expect(await api.receive('orders', '?max=100')).toHaveLength(2);
  });

  it('answers 8 MiB of messages at most, and the rest next time', async () => {
    const api = await withQueue();
    const body = 'x'.repeat(1_048_576);
    for (let i = 0; i < 9; i += 1) await api.send('orders', body);
    expect(await api.receive('orders', '?max=100')).toHaveLength(8);
    expect(await api.receive('orders', '?max=100')).toHaveLength(1);
  });

  it.each([
    'max=0',
    'max=101',
    'max=1.5',
    'max=',
    'max=-1',
    'wait=21',
    'wait=21s',
    'visibility=43201',
    'visibility=13h',
    'attempt=',
    'attempt=a%20b',
    'wat=1',
  ])('refuses %s and receives nothing', async (query) => {
    const api = await withQueue();
    await api.send('orders', 'x');
    const ask = () => api.post(`${receiveUrl}?${query}`);
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', nth(query.split('='))]);
  });

  it('takes the longest visibility timeout, and none', async () => {
    const api = await withQueue();
    await api.send('orders', 'x');
    expect(await api.receive('orders', '?visibility=0')).toHaveLength(1);
    expect(nth(await api.receive('orders', '?visibility=12h'))).toMatchObject({
      visibleAt: '2026-01-01T12:00:00.000Z',
      receiveCount: 2,
    });
  });

  it('takes an empty body or {}, and refuses one that says something', async () => {
    const api = await withQueue();
    await api.send('orders', 'x');
    const ask = () => api.post(receiveUrl, { json: { max: 1 } });
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', 'query string']);
    expect((await api.post(receiveUrl, { json: {} })).json.messages).toHaveLength(1);
  });

  it('waits for a message that comes', async () => {
    const api = await withQueue();
    const answer = api.post(`${receiveUrl}?wait=20s`);
    await api.clock.advance({ seconds: 5 });
    const messageId = await api.send('orders', 'at last');
    expect((await answer).json.messages).toMatchObject([{ messageId }]);
  });

  it('waits for a message that becomes visible, and no longer than asked', async () => {
    const api = await withQueue();
    await api.send('orders', 'later', '?delay=10');
    const early = api.post(`${receiveUrl}?wait=9`);
    const late = api.post(`${receiveUrl}?wait=20`);
    await api.clock.advance({ seconds: 10 });
    expect((await early).json.messages).toEqual([]);
    expect((await late).json.messages).toHaveLength(1);
  });

  it('waits as long as the queue says, unless told otherwise', async () => {
    const api = await withQueue({ waitSeconds: 5 });
    expect((await api.post(`${receiveUrl}?wait=0`)).json.messages).toEqual([]);
    const answer = api.post(receiveUrl);
    await api.clock.advance({ seconds: 5 });
    expect((await answer).json.messages).toEqual([]);
  });

  it('embeds JSON as it was sent, and gives text for what is not JSON or too deep', async () => {
    const api = await withQueue();
    const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    const bodies = ['{"n":1e400, "__proto__":1}', 'not json', deep(32), deep(33), '"\\ud800"'];
    for (const body of bodies) {
      await api.post('/v1/queues/orders/messages', { body, headers: { 'content-type': 'application/json' } });
    }
    const { text, json } = await api.post(`${receiveUrl}?max=10`);
    expect(text).toContain('"body":{"n":1e400, "__proto__":1}');
    expect(nth(json.messages, 1)).toMatchObject({ body: 'not json', bodyEncoding: 'text' });
    expect(text).toContain(`"body":${deep(32)},`);
    expect(nth(json.messages, 3)).toMatchObject({ body: deep(33), bodyEncoding: 'text' });
    expect(text).toContain('"body":"\\ud800"');
  });

  it('takes no attempt on a standard queue, where it would say nothing', async () => {
    const api = await openApi();
    await api.queue('orders');
    await api.send('orders', 'x');
    const ask = () => api.post('/v1/queues/orders/messages/receive?attempt=r1');
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', 'attempt: is for FIFO queues']);
  });

  it('answers the same messages for the same attempt', async () => {
    const api = await openApi();
    await api.queue('orders.fifo');
    await api.send('orders.fifo', 'x', '?group=g&dedup=d');
    const ask = () => api.receive('orders.fifo', '?attempt=r1');
    expect(await ask()).toEqual(await ask());
  });

  it('tells the queue that is not there', async () => {
    const api = await openApi();
    expectProblem(await api.post(receiveUrl), 404, 'queue_not_found');
  });

  it('says so when too many wait', async () => {
    const api = await withQueue();
    const queue = await api.storage.findQueue({ account: '000000000000', name: 'orders' as never });
    const waiters = Array.from({ length: limits.waitersPerQueueMax }, () => api.broker.waiters.join(queue?.id ?? 0));
    const answer = await api.post(`${receiveUrl}?wait=1`);
    expectProblem(answer, 429, 'too_many_waiters');
    expect(answer.headers['retry-after']).toBe('1');
    for (const waiter of waiters) waiter.leave();
  });
});

describe('a raw receive', () => {
  it('has the message as its body, and its facts in headers', async () => {
    const api = await withQueue();
    await api.post('/v1/queues/orders/messages?group=g1', {
      body: '{"a":1}',
      headers: { 'content-type': 'application/json', 'attr-tenant': 'acme' },
    });
    const { status, text, headers } = await api.post(nextUrl);
    expect(status).toBe(200);
    expect(text).toBe('{"a":1}');
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'receive-count': '1',
      'sent-at': now,
      'group-id': 'g1',
      'attr-tenant': 'acme',
      'x-content-type-options': 'nosniff',
      'receipt-url': `http://localhost:80/v1/queues/orders/receipts/${String(headers['receipt-handle'])}`,
    });
    expect(headers).not.toHaveProperty('sequence-number');
    expect((await api.call('DELETE', String(headers['receipt-url']).replace('http://localhost:80', ''))).status).toBe(
      204,
    );
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is 204 when there is nothing', async () => {
    const api = await withQueue();
    const { status, text } = await api.post(nextUrl);
    expect([status, text]).toEqual([204, '']);
  });

  it('has what FIFO queues add', async () => {
    const api = await openApi();
    await api.queue('orders.fifo');
    await api.send('orders.fifo', 'x', '?group=g&dedup=d');
    const { headers } = await api.post('/v1/queues/orders.fifo/messages/next');
    expect(headers).toMatchObject({
      'group-id': 'g',
      'deduplication-id': 'd',
      'sequence-number': expect.stringMatching(/^\d{20}$/),
    });
  });

  it('percent-encodes the last reason', async () => {
    const api = await withQueue();
    await api.send('orders', 'x');
    const { receiptHandle } = nth(await api.receive('orders'));
    const reason = 'line 1\r\nX-Evil: 1 ü';
    await api.post(`/v1/queues/orders/receipts/${receiptHandle}/release?reason=${encodeURIComponent(reason)}&delay=0`);
    const { headers } = await api.post(nextUrl);
    expect(headers['last-failure']).toBe(encodeURIComponent(reason));
    expect(headers).not.toHaveProperty('x-evil');
  });

  it.each([
    ['line breaks', { a: 'x\r\nset-cookie: y' }],
    ['other letters', { a: 'grün' }],
    ['blanks at the ends', { a: ' x' }],
    ['names that differ by case alone', { a: 'x', A: 'y' }],
    ['names that are no tokens', { grün: 'x' }],
  ])('puts all attributes into one header because of %s', async (_what, attributes) => {
    const api = await withQueue();
    await api.post('/v1/queues/orders/messages/batch', { json: { messages: [{ body: 'x', attributes }] } });
    const { headers } = await api.post(nextUrl);
    const typed = Object.fromEntries(
      Object.entries(attributes).map(([name, value]) => [name, { type: 'String', value }]),
    );
    expect(JSON.parse(Buffer.from(String(headers.attributes), 'base64url').toString())).toEqual(typed);
    expect(headers).not.toHaveProperty('set-cookie');
  });

  it('keeps the first of the attributes whose header would be the same', async () => {
    const api = await withQueue();
    const attributes = { Tenant: 'first', tenant: 'second' };
    await api.post('/v1/queues/orders/messages/batch', { json: { messages: [{ body: 'x', attributes }] } });
    expect((await api.post(nextUrl)).headers).toMatchObject({ 'attr-tenant': 'first' });
  });

  it('leaves out attributes that are too large for headers, and says how many', async () => {
    const api = await withQueue();
    await api.post('/v1/queues/orders/messages/batch', {
      json: { messages: [{ body: 'x', attributes: { a: 'x'.repeat(9_000) } }] },
    });
    const { headers } = await api.post(nextUrl);
    expect(headers).toMatchObject({ 'attributes-omitted': '1' });
    expect(headers).not.toHaveProperty('attr-a');
  });

  it('does not trust a strange Host in its URL', async () => {
    const api = await openApi({
      access: { account: '000000000000', auth: 'open', isLoopback: false, allowedHosts: [] },
    });
    await api.queue('orders');
    await api.send('orders', 'x');
    const { headers } = await api.post(nextUrl, { headers: { host: 'a"b', 'x-forwarded-host': 'evil.example' } });
    expect(headers['receipt-url']).toMatch(/^http:\/\/localhost\/v1/);
  });

  it('refuses max, which is one here', async () => {
    const api = await withQueue();
    expectProblem(await api.post(`${nextUrl}?max=2`), 400, 'invalid_argument', /^max: is unknown/);
  });
});

describe('a body that may stay unread', () => {
  it.each([
    { what: 'all of its block', bytes: 100_000, keptBytes: 100_000 },
    { what: 'half of its block', bytes: 50_000, keptBytes: 100_000 },
    { what: 'less than half of it', bytes: 49_999, keptBytes: 49_999 },
  ])('keeps no more than twice its bytes in memory: $what', ({ bytes, keptBytes }) => {
    const block = Buffer.alloc(100_000, 'a');
    const unread = asUnread(block.subarray(0, bytes));
    expect(unread.buffer.byteLength).toBe(keptBytes);
    expect(unread.equals(block.subarray(0, bytes))).toBe(true);
  });
});
