import { describe, expect, it } from 'vitest';
import { nth, openApi } from '../support/api.ts';
import { basic, openKeyedApi } from '../support/keys.ts';

const requestLines = (lines: readonly { readonly msg: string }[]) => lines.filter(({ msg }) => msg === 'request');

describe('the log', () => {
  it('has one line per request, in our words', async () => {
    const api = await openApi();
    await api.queue('orders');
    const { headers } = await api.get('/v1/queues/orders/stats?');
    expect(nth(requestLines(api.log.lines), 1)).toMatchObject({
      level: 30,
      requestId: headers['x-request-id'],
      method: 'GET',
      route: '/v1/queues/:queue/stats',
      status: 200,
      ms: 0,
      queue: 'orders',
    });
  });

  it('tells the address of who is refused for want of a key, and of nobody else', async () => {
    const { log, get, admin } = await openKeyedApi();
    await get('/v1/queues');
    await get('/v1/queues', { headers: { authorization: basic(admin.keyId, 'guessed') } });
    await get('/v1/queues', { headers: { authorization: basic(admin.keyId, admin.secret) } });
    const told = requestLines(log.lines).slice(-3);
    expect(told).toMatchObject([
      { status: 401, address: '127.0.0.1' },
      { status: 401, address: '127.0.0.1' },
      { status: 200, key: admin.keyId },
    ]);
    expect(told[2]).not.toHaveProperty('address');
  });

  it('holds no body, handle, attribute, reason or key', async () => {
    const api = await openApi();
    await api.queue('orders');
    const headers = {
      'content-type': 'text/plain',
      'attr-a': 'SECRET',
      'idempotency-key': 'SECRET',
      authorization: 'SECRET',
      cookie: 'SECRET',
    };
    await api.post('/v1/queues/orders/messages', { body: 'SECRET', headers });
    await api.post('/v1/queues/orders/messages/batch', { json: { messages: [{ body: 'SECRET', SECRET: 1 }] } });
    const { receiptHandle } = nth(await api.receive('orders'));
    await api.post(`/v1/queues/orders/receipts/${receiptHandle}/release?reason=SECRET&delay=0`);
    await api.delete(`/v1/queues/orders/receipts/${receiptHandle}`);
    await api.get(`/v1/queues/orders/receipts/${receiptHandle}/SECRET`);
    await api.put('/v1/queues/orders', { SECRET: 'SECRET' });
    const text = JSON.stringify(api.log.lines);
    expect(text).not.toContain('SECRET');
    expect(text).not.toContain(receiptHandle);
  });

  it('and the metrics have the patterns of routes, whatever is asked for', async () => {
    const seen = new Set<string>();
    const metrics = {
      observeRequest: (method: string, route: string, status: number) => seen.add(`${method} ${route} ${status}`),
    };
    const api = await openApi({ metrics: metrics as never });
    for (let i = 0; i < 50; i += 1) {
      await api.get(`/v1/queues/q${i}`);
      await api.get(`/nope/${i}`);
      await api.post(`/00000000000${i % 10}/q${i}`);
    }
    const routes = new Set(api.log.lines.filter(({ msg }) => msg === 'request').map(({ route }) => route));
    expect([...routes]).toHaveLength(3);
    expect([...seen]).toHaveLength(3);
  });

  it('names a queue only when it is a name', async () => {
    const api = await openApi();
    await api.get(`/v1/queues/${encodeURIComponent('a\n{"level":60}')}`);
    expect(nth(requestLines(api.log.lines))).not.toHaveProperty('queue');
  });
});

describe('a request id', () => {
  it('is made, unique, and told in header, problem and log', async () => {
    const api = await openApi();
    const first = await api.get('/nope');
    const second = await api.get('/nope');
    expect(first.headers['x-request-id']).not.toBe(second.headers['x-request-id']);
    expect(first.json).toMatchObject({ requestId: first.headers['x-request-id'] });
  });

  it("is the client's own when it is sane", async () => {
    const api = await openApi();
    const answer = await api.get('/livez', { headers: { 'x-request-id': 'abc-123:4/5' } });
    expect(answer.headers['x-request-id']).toBe('abc-123:4/5');
  });

  it.each(['a b', 'a"b', 'x'.repeat(129), '', 'ü', '\u001b[31m', '{"level":60}'])('is not %.20j', async (id) => {
    const api = await openApi();
    const answer = await api.get('/livez', { headers: { 'x-request-id': id } });
    expect(answer.headers['x-request-id']).not.toBe(id);
  });
});

describe('an answer', () => {
  it('announces no versions, and may be neither sniffed, framed nor kept', async () => {
    const api = await openApi();
    for (const path of ['/', '/v1/queues', '/nope', '/v1/queues/%']) {
      const { headers } = await api.get(path);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
      });
      expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['server']));
      expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['x-powered-by']));
    }
  });
});
