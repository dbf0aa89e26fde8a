import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { type Answer, type Api, expectProblem, expectRefusal, follow, nth, openApi } from '../support/api.ts';

const base = '/v1/queues/orders/receipts';

/** A queue with one message in somebody's hands. */
async function withHeld(settings?: object): Promise<{ api: Api; handle: string; messageId: string }> {
  const api = await openApi();
  await api.queue('orders-dlq');
  await api.queue('orders', settings);
  const messageId = await api.send('orders', 'x');
  const { receiptHandle } = nth(await api.receive('orders'));
  return { api, handle: receiptHandle, messageId };
}
const withDlq = { deadLetter: { queue: 'orders-dlq', maxReceiveCount: 3 } };

describe('a delete', () => {
  it('removes the message, and may be repeated', async () => {
    const { api, handle } = await withHeld();
    expect((await api.delete(`${base}/${handle}`)).status).toBe(204);
    expect((await api.delete(`${base}/${handle}`)).status).toBe(204);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is refused with 410 when somebody else holds the message', async () => {
    const { api, handle } = await withHeld();
    await api.clock.advance({ seconds: 30 });
    await api.receive('orders');
    await expectRefusal(api, 'orders', () => api.delete(`${base}/${handle}`), [410, 'receipt_expired']);
  });

  it.each(['x', 'A'.repeat(48), 'a'.repeat(10_000), 'a.b', 'batches'])('refuses the handle %.20s', async (handle) => {
    const { api } = await withHeld();
    await expectRefusal(api, 'orders', () => api.delete(`${base}/${handle}`), [400, 'receipt_invalid']);
  });

  it('refuses a handle with one letter changed, and one of another queue', async () => {
    const { api, handle } = await withHeld();
    const changed = `${handle.slice(0, 20)}${handle[20] === 'A' ? 'B' : 'A'}${handle.slice(21)}`;
    await expectRefusal(api, 'orders', () => api.delete(`${base}/${changed}`), [400, 'receipt_invalid']);
    const foreign = () => api.delete(`/v1/queues/orders-dlq/receipts/${handle}`);
    await expectRefusal(api, 'orders', foreign, [400, 'receipt_foreign']);
    expectProblem(await api.delete(`/v1/queues/nope/receipts/${handle}`), 404, 'queue_not_found');
  });

  it('takes neither query nor body', async () => {
    const { api, handle } = await withHeld();
    await expectRefusal(api, 'orders', () => api.delete(`${base}/${handle}?force=1`), [400, 'invalid_argument']);
    const withBody = () => api.call('DELETE', `${base}/${handle}`, { json: { reason: 'x' } });
    await expectRefusal(api, 'orders', withBody, [400, 'invalid_argument', 'body']);
  });
});

describe('a change of the visibility timeout', () => {
  it('counts from now, said in the body or in the query', async () => {
    const { api, handle } = await withHeld();
    await api.clock.advance({ seconds: 10 });
    const inBody = await api.patch(`${base}/${handle}`, { visibilityTimeoutSeconds: 120 });
    expect(inBody.json).toEqual({ visibleAt: '2026-01-01T00:02:10.000Z' });
    const inQuery = await api.call('PATCH', `${base}/${handle}?visibility=5m`);
    expect(inQuery.json).toEqual({ visibleAt: '2026-01-01T00:05:10.000Z' });
    await api.clock.advance({ seconds: 299 });
    expect(await api.counts('orders')).toEqual([0, 1, 0]);
  });

  it('gives the message back at once with 0', async () => {
    const { api, handle } = await withHeld();
    await api.patch(`${base}/${handle}`, { visibilityTimeoutSeconds: 0 });
    expect(await api.counts('orders')).toEqual([1, 0, 0]);
  });

  it('takes twelve hours, and no more from the receive on', async () => {
    const { api, handle } = await withHeld();
    const ask = (seconds: number) => () => api.patch(`${base}/${handle}`, { visibilityTimeoutSeconds: seconds });
    const max = limits.visibilityTimeoutSecondsMax;
    expect((await ask(max)()).status).toBe(200);
    await expectRefusal(api, 'orders', ask(max + 1), [400, 'invalid_argument', 'at most 43200']);
    await api.clock.advance({ seconds: 1 });
    await expectRefusal(api, 'orders', ask(max), [
      400,
      'visibility_too_long',
      `${max} seconds from its receive; ${max - 1} are`,
    ]);
    expect((await ask(max - 1)()).status).toBe(200);
  });

  it.each([
    [undefined, 'visibility: is missing: say ?visibility=2m, or send {"visibilityTimeoutSeconds":120}'],
    [{}, 'visibility: is missing'],
    [{ visibilityTimeoutSeconds: -1 }, 'visibilityTimeoutSeconds: must be at least 0'],
    [{ visibilityTimeoutSeconds: '10' }, 'visibilityTimeoutSeconds: must be a number'],
    [
      { visibilityTimeoutSeconds: 1, x: 1 },
      'x: is not a member that is known here; there are visibilityTimeoutSeconds',
    ],
    [[], 'body: must be an object'],
  ])('refuses %j', async (json, detail) => {
    const { api, handle } = await withHeld();
    await expectRefusal(api, 'orders', () => api.patch(`${base}/${handle}`, json), [400, 'invalid_argument', detail]);
  });

  it('refuses to be told twice', async () => {
    const { api, handle } = await withHeld();
    const ask = () => api.patch(`${base}/${handle}?visibility=1m`, { visibilityTimeoutSeconds: 1 });
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', /^visibility: is given .* either, not both/]);
  });

  it('is refused with 410 when the message is gone or held by another', async () => {
    const { api, handle } = await withHeld();
    await api.delete(`${base}/${handle}`);
    expectProblem(await api.patch(`${base}/${handle}`, { visibilityTimeoutSeconds: 1 }), 410, 'receipt_expired');
  });
});

describe('a release', () => {
  const release = (api: Api, handle: string, query = '', json?: unknown): Promise<Answer> =>
    api.post(`${base}/${handle}/release${query}`, { json });

  it('gives the message back after the delay, and keeps the reason', async () => {
    const { api, handle } = await withHeld();
    const { json } = await release(api, handle, '?delay=1m&reason=db+down');
    expect(json).toEqual({ visibleAt: '2026-01-01T00:01:00.000Z' });
    expect(await api.counts('orders')).toEqual([0, 0, 1]);
    await api.clock.advance({ seconds: 60 });
    const failure = { at: '2026-01-01T00:00:00.000Z', reason: 'db down' };
    expect(nth(await api.receive('orders'))).toMatchObject({
      receiveCount: 2,
      firstFailure: failure,
      lastFailure: failure,
    });
  });

  it('takes its options in the body, too', async () => {
    const { api, handle } = await withHeld();
    const { json } = await release(api, handle, '', { delaySeconds: 5, reason: 'later' });
    expect(json).toEqual({ visibleAt: '2026-01-01T00:00:05.000Z' });
  });

  it("waits for the queue's back-off when told nothing", async () => {
    const { api, handle } = await withHeld({ retryDelaySeconds: [7] });
    expect((await release(api, handle)).json).toEqual({ visibleAt: '2026-01-01T00:00:07.000Z' });
  });

  it('takes a reason of the full length, and refuses one letter more, control characters and repetition', async () => {
    const { api, handle } = await withHeld();
    const long = 'r'.repeat(limits.reasonCharsMax);
    await expectRefusal(api, 'orders', () => release(api, handle, `?reason=${long}r`), [
      400,
      'invalid_argument',
      'reason',
    ]);
    await expectRefusal(api, 'orders', () => release(api, handle, '?reason=%00'), [400, 'invalid_argument', 'reason']);
    await expectRefusal(api, 'orders', () => release(api, handle, '?reason='), [400, 'invalid_argument', 'reason']);
    const twice = () => release(api, handle, '?delay=1', { delaySeconds: 1 });
    await expectRefusal(api, 'orders', twice, [
      400,
      'invalid_argument',
      'delay: is given in the query and in the body',
    ]);
    expect((await release(api, handle, `?reason=${long}`)).status).toBe(200);
  });

  it('is over after the timeout of its receipt', async () => {
    const { api, handle } = await withHeld();
    await api.clock.advance({ seconds: 30 });
    await api.receive('orders');
    await expectRefusal(api, 'orders', () => release(api, handle), [410, 'receipt_expired']);
  });
});

describe('giving up on a message', () => {
  it('moves it to the dead-letter queue with the reason', async () => {
    const { api, handle, messageId } = await withHeld(withDlq);
    const { status, text } = await api.post(`${base}/${handle}/dead-letter?reason=no+such+customer`);
    expect([status, text]).toEqual([204, '']);
    expect(nth(await api.receive('orders-dlq'))).toMatchObject({
      messageId,
      lastFailure: { reason: 'no such customer' },
      deadLetter: { sourceQueue: 'orders', receiveCount: 1, movedAt: '2026-01-01T00:00:00.000Z' },
    });
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('needs a dead-letter queue', async () => {
    const { api, handle } = await withHeld();
    const ask = () => api.post(`${base}/${handle}/dead-letter`, { json: { reason: 'x' } });
    const { json } = await expectRefusal(api, 'orders', ask, [409, 'dead_letter_queue_missing']);
    expect(json.hint).toContain('curl -X PATCH');
  });

  it('is no reason to keep its dead-letter queue: once that is deleted, messages come past their maximum', async () => {
    const { api } = await withHeld(withDlq);
    expect((await api.delete('/v1/queues/orders-dlq')).status).toBe(204);
    expect((await api.get('/v1/queues/orders')).json).toMatchObject(withDlq);
    await api.clock.advance({ seconds: 30 });
    for (let count = 0; count < withDlq.deadLetter.maxReceiveCount; count += 1) {
      expect(await api.receive('orders', '?visibility=0s')).toHaveLength(1);
    }
  });

  it('names the dead-letter queue that is gone, and how to make it again', async () => {
    const { api, handle } = await withHeld(withDlq);
    await api.delete('/v1/queues/orders-dlq');
    const ask = () => api.post(`${base}/${handle}/dead-letter`);
    const { json } = await expectRefusal(api, 'orders', ask, [
      409,
      'dead_letter_queue_missing',
      '"orders-dlq" of the queue "orders" does not exist',
    ]);
    expect(json.hint).toBe('curl -X PUT http://localhost:80/v1/queues/orders-dlq # creates it');
    await follow(api, json.hint);
    expect((await ask()).status).toBe(204);
  });
});

describe('many receipts at once', () => {
  const settle = (api: Api, json: unknown): Promise<Answer> => api.post(`${base}/batch`, { json });
  async function withMany(count: number): Promise<{ api: Api; handles: readonly string[] }> {
    const api = await openApi();
    await api.queue('orders-dlq');
    await api.queue('orders', withDlq);
    for (let i = 0; i < count; i += 1) await api.send('orders', `m${i}`);
    const held = await api.receive('orders', '?max=100');
    return { api, handles: held.map(({ receiptHandle }) => receiptHandle) };
  }

  it('are each done, under the names of the request', async () => {
    const { api, handles } = await withMany(4);
    const { status, json } = await settle(api, {
      deadLetter: [{ receiptHandle: nth(handles, 3), reason: 'bad' }],
      delete: [nth(handles, 0), 'garbage'],
      extend: [{ receiptHandle: nth(handles, 1), visibilityTimeoutSeconds: 60 }],
      release: [{ receiptHandle: nth(handles, 2), delaySeconds: 5, reason: 'later' }],
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({
      delete: [{}, { error: { code: 'receipt_invalid' } }],
      extend: [{ visibleAt: '2026-01-01T00:01:00.000Z' }],
      release: [{ visibleAt: '2026-01-01T00:00:05.000Z' }],
      deadLetter: [{}],
      settledCount: 4,
      failedCount: 1,
    });
    expect(await api.counts('orders')).toEqual([0, 1, 1]);
    expect(await api.counts('orders-dlq')).toEqual([1, 0, 0]);
  });

  it('are a thousand at most in all, and one at least', async () => {
    const { api, handles } = await withMany(1);
    const many = (count: number) => Array.from({ length: count }, () => nth(handles));
    const over = { delete: many(500), release: many(501).map((receiptHandle) => ({ receiptHandle })) };
    await expectRefusal(api, 'orders', () => settle(api, over), [400, 'invalid_argument', 'at most 1000']);
    await expectRefusal(api, 'orders', () => settle(api, {}), [400, 'invalid_argument', 'at least one']);
    await expectRefusal(api, 'orders', () => settle(api, { delete: [] }), [400, 'invalid_argument', 'at least one']);
    expect((await settle(api, { delete: many(1_000) })).json).toMatchObject({ settledCount: 1_000 });
  });

  it.each([
    { delete: ['x'], more: [] },
    { delete: [1] },
    { extend: [{ receiptHandle: 'x' }] },
    { extend: [{ receiptHandle: 'x', visibilityTimeoutSeconds: 43_201 }] },
    { release: [{ receiptHandle: 'x', reason: '' }] },
    { deadLetter: ['x'] },
    { delete: ['x'.repeat(1_025)] },
  ])('are refused whole as %j', async (json) => {
    const { api } = await withMany(1);
    await expectRefusal(api, 'orders', () => settle(api, json), [400, 'invalid_argument']);
  });

  it('need JSON', async () => {
    const { api } = await withMany(1);
    const form = () =>
      api.post(`${base}/batch`, { body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    const { json } = await expectRefusal(api, 'orders', form, [415, 'unsupported_media_type', 'send application/json']);
    expect(json.hint).toContain('--json');
  });
});
