import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders-dlq/redrive';

/** Messages in the dead-letter queue, put there by a receiver that gave up. */
async function withDead(count: number): Promise<Api> {
  const api = await openApi();
  await api.queue('orders-dlq');
  await api.queue('orders', { deadLetter: { queue: 'orders-dlq', maxReceiveCount: 1 } });
  for (let i = 0; i < count; i += 1) {
    await api.send('orders', `m${i}`);
    const { receiptHandle } = nth(await api.receive('orders'));
    await api.post(`/v1/queues/orders/receipts/${receiptHandle}/dead-letter?reason=bad`);
  }
  api.broker.upkeep.start();
  return api;
}

describe('a redrive', () => {
  it('answers 202 with the task, which moves the messages back', async () => {
    const api = await withDead(2);
    const { status, headers, json } = await api.post(`${url}?rate=50&limit=10`);
    expect(status).toBe(202);
    expect(json).toEqual({
      taskId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      source: 'orders-dlq',
      status: 'running',
      moved: 0,
      toMove: 2,
      skipped: 0,
      ratePerSecond: 50,
      limit: 10,
      startedAt: '2026-01-01T00:00:00.000Z',
    });
    expect(headers.location).toBe(`/v1/tasks/${json.taskId}`);
    await api.clock.advance({ seconds: 2 });
    expect((await api.get(`/v1/tasks/${json.taskId}`)).json).toMatchObject({
      status: 'completed',
      moved: 2,
      finishedAt: expect.any(String),
    });
    expect(await api.counts('orders')).toEqual([2, 0, 0]);
    expect(await api.counts('orders-dlq')).toEqual([0, 0, 0]);
    await api.broker.upkeep.stop();
  });

  it('goes to another queue when told so', async () => {
    const api = await withDead(1);
    await api.queue('elsewhere');
    const { json } = await api.post(`${url}?to=elsewhere`);
    expect(json).toMatchObject({ destination: 'elsewhere' });
    await api.clock.advance({ seconds: 2 });
    expect(await api.counts('elsewhere')).toEqual([1, 0, 0]);
    await api.broker.upkeep.stop();
  });

  it('is only told with dryRun', async () => {
    const api = await withDead(7);
    const before = await api.look('orders-dlq');
    const { status, json } = await api.post(`${url}?dryRun=true`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ toMove: 7, skipped: 0, samples: { length: limits.redriveSamplesMax } });
    expect(await api.look('orders-dlq')).toEqual(before);
    expect((await api.get('/v1/tasks')).json.items).toEqual([]);
    await api.broker.upkeep.stop();
  });

  it('starts once under an Idempotency-Key', async () => {
    const api = await withDead(1);
    const ask = (query: string) => api.post(url + query, { headers: { 'idempotency-key': 'k' } });
    const first = await ask('');
    expect((await ask('')).json.taskId).toBe(first.json.taskId);
    expectProblem(await ask('?rate=1'), 422, 'idempotency_key_reused');
    expect((await api.get('/v1/tasks')).json.items).toHaveLength(1);
    await api.broker.upkeep.stop();
  });

  it.each([
    ['rate=0', 400, 'invalid_argument'],
    ['rate=10001', 400, 'invalid_argument'],
    ['limit=0', 400, 'invalid_argument'],
    ['limit=9007199254740993', 400, 'invalid_argument'],
    ['to=a%20b', 400, 'invalid_argument'],
    ['dryRun=maybe', 400, 'invalid_argument'],
    ['to=orders-dlq', 400, 'redrive_invalid'],
    ['to=nope', 404, 'queue_not_found'],
    ['to=nope&dryRun=true', 404, 'queue_not_found'],
    ['to=other.fifo', 400, 'redrive_invalid'],
  ])('is refused with %s', async (query, status, code) => {
    const api = await withDead(1);
    await api.queue('other.fifo');
    await expectRefusal(api, 'orders-dlq', () => api.post(`${url}?${query}`), [status, code]);
    expect((await api.get('/v1/tasks')).json.items).toEqual([]);
    await api.broker.upkeep.stop();
  });

  it('is one at a time', async () => {
    const api = await withDead(2);
    const { json } = await api.post(`${url}?rate=1`);
    expectProblem(await api.post(url), 409, 'redrive_running', json.taskId);
    await api.broker.upkeep.stop();
  });

  it('needs a queue', async () => {
    const api = await openApi();
    expectProblem(await api.post(url), 404, 'queue_not_found');
  });
});

describe('a task', () => {
  it('is cancelled, with what was moved', async () => {
    const api = await withDead(3);
    const { json } = await api.post(`${url}?rate=1`);
    const cancelled = await api.delete(`/v1/tasks/${json.taskId}`);
    expect(cancelled.json).toMatchObject({ status: 'cancelled', taskId: json.taskId });
    expectProblem(await api.delete(`/v1/tasks/${json.taskId}`), 409, 'task_not_active', 'cancelled');
    await api.broker.upkeep.stop();
  });

  it('tells why it failed', async () => {
    const api = await withDead(2);
    await api.queue('elsewhere');
    const { json } = await api.post(`${url}?to=elsewhere&rate=1`);
    await api.delete('/v1/queues/elsewhere');
    await api.clock.advance({ seconds: 2 });
    expect((await api.get(`/v1/tasks/${json.taskId}`)).json).toMatchObject({
      status: 'failed',
      failure: { code: 'queue_not_found', detail: expect.stringContaining('elsewhere') },
    });
    await api.broker.upkeep.stop();
  });

  it('tells how many messages had nowhere to go', async () => {
    const api = await withDead(2);
    await api.send('orders-dlq', 'sent here by hand');
    expect((await api.post(`${url}?dryRun=true`)).json).toMatchObject({ toMove: 2, skipped: 1 });
    const { json } = await api.post(url);
    await api.clock.advance({ seconds: 2 });
    expect((await api.get(`/v1/tasks/${json.taskId}`)).json).toMatchObject({
      status: 'completed',
      moved: 2,
      skipped: 1,
    });
    expect(await api.counts('orders-dlq')).toEqual([1, 0, 0]);
    await api.broker.upkeep.stop();
  });

  it('is listed, newest first, page by page', async () => {
    const api = await withDead(1);
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const { json } = await api.post(url);
      ids.unshift(json.taskId);
      await api.delete(`/v1/tasks/${json.taskId}`);
      await api.clock.advance({ seconds: 1 });
    }
    const first = await api.get('/v1/tasks?limit=2');
    const second = await api.get(`/v1/tasks?limit=2&cursor=${first.json.nextCursor}`);
    expect([...first.json.items, ...second.json.items].map(({ taskId }) => taskId)).toEqual(ids);
    expect(second.json.nextCursor).toBeUndefined();
    await api.broker.upkeep.stop();
  });

  it('is not found when it is not there', async () => {
    const api = await openApi();
    const missing = '/v1/tasks/01890a5d-ac96-774b-bcce-b302099a8057';
    expectProblem(await api.get(missing), 404, 'task_not_found');
    expectProblem(await api.delete(missing), 404, 'task_not_found');
    expectProblem(await api.get('/v1/tasks/x'), 400, 'invalid_argument', 'task');
    expectProblem(await api.get('/v1/tasks?limit=0'), 400, 'invalid_argument', 'limit');
  });
});
