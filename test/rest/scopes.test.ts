/** What a key may do. */
import { describe, expect, it } from 'vitest';
import { defaultAccount, openPrincipal } from '../../src/domain/principal.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import { expectProblem, nth } from '../support/api.ts';
import { type KeyedApi, openKeyedApi } from '../support/keys.ts';

async function withQueues(...names: readonly string[]): Promise<KeyedApi> {
  const api = await openKeyedApi();
  for (const name of names) expect(await api.admin.status('PUT', `/v1/queues/${name}`)).toBe(201);
  return api;
}
const textHeaders = { headers: { 'content-type': 'text/plain' } };
const hello = { ...textHeaders, body: 'hello' };

describe('a scope', () => {
  it('to send does not let one receive', async () => {
    const { holder } = await withQueues('orders-a');
    const sender = await holder([{ actions: ['send'], queues: ['orders-*'] }]);
    expect(await sender.status('POST', '/v1/queues/orders-a/messages', hello)).toBe(201);
    expectProblem(
      await sender.call('POST', '/v1/queues/orders-a/messages/receive'),
      403,
      'access_denied',
      /receive on "orders-a"/,
    );
  });

  it('on orders-* ends at the dash', async () => {
    const { holder } = await withQueues('orders-a', 'ordersx', 'my-orders-a');
    const sender = await holder([{ actions: ['send'], queues: ['orders-*'] }]);
    expect(await sender.status('POST', '/v1/queues/orders-/messages', hello)).toBe(404);
    for (const name of ['ordersx', 'orders', 'my-orders-a', 'ORDERS-a']) {
      expectProblem(await sender.call('POST', `/v1/queues/${name}/messages`, hello), 403, 'access_denied');
    }
  });

  it('does not reach out of the name of a queue', async () => {
    const { holder } = await withQueues('admin');
    const sender = await holder([{ actions: ['send'], queues: ['orders-*'] }]);
    for (const name of ['orders-..%2Fadmin', 'orders-%2e%2e%2fadmin', 'orders-%00', 'orders-%2a']) {
      expectProblem(await sender.call('POST', `/v1/queues/${name}/messages`, hello), 400, 'invalid_argument');
    }
    expect(await sender.status('POST', '/v1/queues/orders-../admin/messages', hello)).toBe(404);
  });

  it('of one tenant does not open the receipts of another', async () => {
    const { holder, admin } = await withQueues('orders');
    await admin.call('POST', '/v1/queues/orders/messages', hello);
    const held = nth((await admin.call('POST', '/v1/queues/orders/messages/receive')).json.messages);
    const other = await holder([{ actions: ['*'], queues: ['*'] }], '111111111111');
    await other.call('PUT', '/v1/queues/orders');
    expectProblem(
      await other.call('DELETE', `/v1/queues/orders/receipts/${held.receiptHandle}`),
      400,
      'receipt_foreign',
    );
    expect(
      await admin.status('PATCH', `/v1/queues/orders/receipts/${held.receiptHandle}`, {
        json: { visibilityTimeoutSeconds: 60 },
      }),
    ).toBe(200);
  });

  it('does not open receipts of another queue, nor what is none', async () => {
    const { admin } = await withQueues('a', 'b');
    await admin.call('POST', '/v1/queues/a/messages', hello);
    const handle = String(nth((await admin.call('POST', '/v1/queues/a/messages/receive')).json.messages).receiptHandle);
    expectProblem(await admin.call('DELETE', `/v1/queues/b/receipts/${handle}`), 400, 'receipt_foreign');
    for (const wrong of [handle.slice(1), `${handle}A`, `B${handle.slice(1)}`, handle.slice(0, -1)]) {
      expectProblem(await admin.call('DELETE', `/v1/queues/a/receipts/${wrong}`), 400, 'receipt_invalid');
    }
  });

  it('tells a queue outside of it from none in nothing', async () => {
    const { holder } = await withQueues('secret-plans');
    const worker = await holder([{ actions: ['*'], queues: ['orders-*'] }]);
    for (const path of [
      '',
      '/stats',
      '/groups',
      '/dead-letter-sources',
      '/messages',
      '/messages/0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    ]) {
      const there = await worker.call('GET', `/v1/queues/secret-plans${path}`);
      const missing = await worker.call('GET', `/v1/queues/secret-plan2${path}`);
      expectProblem(there, 403, 'access_denied');
      expect(missing.text.replace(/"requestId":"[^"]*"/, '').replaceAll('plan2', 'plans')).toBe(
        there.text.replace(/"requestId":"[^"]*"/, ''),
      );
    }
    // Nor by "did you mean".
    const { text } = await worker.call('GET', '/v1/queues/orders-a');
    expect(text).not.toContain('did you mean');
  });

  it('is respected by "did you mean"', async () => {
    const { holder } = await withQueues('orders');
    const outside = await holder([{ actions: ['*'], queues: ['order', 'ordert'] }]);
    expect((await outside.call('GET', '/v1/queues/order/messages')).text).not.toContain('queues/orders ');
    const inside = await holder([{ actions: ['*'], queues: ['order*'] }]);
    expect((await inside.call('GET', '/v1/queues/order/messages')).text).toContain('did you mean');
  });

  it('is all that a list shows, and its cursor is of no use to others', async () => {
    const { holder, admin } = await withQueues(
      'a',
      'orders-1',
      'orders-2',
      'orders-3',
      'orders-3.fifo',
      'payments',
      'z',
    );
    const names = async (who: typeof admin, query = '') =>
      ((await who.call('GET', `/v1/queues${query}`)).json.items ?? []).map(({ name }) => String(name));
    const worker = await holder([
      { actions: ['readQueue'], queues: ['orders-2', 'orders-*', 'z'] },
      { actions: ['send'], queues: ['payments'] },
    ]);
    expect(await names(worker)).toEqual(['orders-1', 'orders-2', 'orders-3', 'orders-3.fifo', 'z']);
    expect(await names(worker, '?prefix=orders-3')).toEqual(['orders-3', 'orders-3.fifo']);
    expect(await names(worker, '?prefix=o')).toHaveLength(4);
    expect(await names(worker, '?prefix=pay')).toEqual([]);
    const walked: string[] = [];
    let cursor = '';
    for (let page = 0; page < 6; page += 1) {
      const { json } = await worker.call('GET', `/v1/queues?limit=2${cursor}`);
      walked.push(...json.items.map(({ name }) => String(name)));
      if (json.nextCursor === undefined) break;
      cursor = `&cursor=${json.nextCursor}`;
    }
    expect(walked).toEqual(await names(worker));

    const { json } = await worker.call('GET', '/v1/queues?limit=1');
    const other = await holder([{ actions: ['readQueue'], queues: ['payments'] }]);
    expectProblem(await other.call('GET', `/v1/queues?cursor=${json.nextCursor}`), 400, 'invalid_argument');
    expect(await names(admin)).toHaveLength(7);
  });

  it('is asked for each entry of a batch of receipts as for one alone', async () => {
    const { admin } = await withQueues('a', 'b');
    for (const queue of ['a', 'b']) await admin.call('POST', `/v1/queues/${queue}/messages`, hello);
    const handleOf = async (queue: string) =>
      nth((await admin.call('POST', `/v1/queues/${queue}/messages/receive`)).json.messages).receiptHandle;
    const [own, foreign] = [await handleOf('a'), await handleOf('b')];
    const { json } = await admin.call('POST', '/v1/queues/a/receipts/batch', { json: { delete: [foreign, own] } });
    expect(JSON.stringify(json)).toContain('receipt_foreign');
    const counts = async (queue: string) => (await admin.call('GET', `/v1/queues/${queue}/stats`)).json.inFlight;
    expect([await counts('a'), await counts('b')]).toEqual([0, 1]);
  });

  it('is needed for a dead-letter queue, and to receive from the queue itself', async () => {
    const { holder } = await withQueues('orders-a', 'orders-dlq', 'spy', 'orders-x');
    const deadLetter = (queue: string) => ({ json: { deadLetter: { queue, maxReceiveCount: 1 } } });
    const keeper = await holder([{ actions: ['createQueue', 'updateQueue', 'receive', 'send'], queues: ['orders-*'] }]);
    for (const [method, name] of [
      ['PATCH', 'orders-a'],
      ['PUT', 'orders-new'],
    ] as const) {
      expectProblem(
        await keeper.call(method, `/v1/queues/${name}`, deadLetter('spy')),
        403,
        'access_denied',
        /send on "spy"/,
      );
      // The same for one that does not exist.
      expectProblem(await keeper.call(method, `/v1/queues/${name}`, deadLetter('nowhere')), 403, 'access_denied');
    }
    expect(await keeper.status('PATCH', '/v1/queues/orders-a', deadLetter('orders-dlq'))).toBe(200);
    const updater = await holder([
      { actions: ['updateQueue'], queues: ['*'] },
      { actions: ['send', 'receive'], queues: ['spy'] },
    ]);
    expectProblem(
      await updater.call('PATCH', '/v1/queues/orders-x', deadLetter('spy')),
      403,
      'access_denied',
      /receive on "orders-x"/,
    );
    expect(await updater.status('PATCH', '/v1/queues/orders-x', { json: { deadLetter: null } })).toBe(200);
  });

  it('is needed for the target of a redrive, named or not', async () => {
    const { holder, admin } = await withQueues('orders-dlq', 'payments', 'orders-a');
    const deadLetter = { json: { deadLetter: { queue: 'orders-dlq', maxReceiveCount: 1 } } };
    await admin.call('PATCH', '/v1/queues/orders-a', deadLetter);
    const mover = await holder([
      { actions: ['redrive', 'peek', 'readTask'], queues: ['orders-dlq'] },
      { actions: ['send'], queues: ['orders-*'] },
    ]);
    expectProblem(
      await mover.call('POST', '/v1/queues/orders-dlq/redrive?to=payments'),
      403,
      'access_denied',
      /send on "payments"/,
    );
    expect(await mover.status('POST', '/v1/queues/orders-dlq/redrive?dryRun=true')).toBe(200);
    expect(await mover.status('POST', '/v1/queues/orders-dlq/redrive')).toBe(202);
    await admin.call('PATCH', '/v1/queues/payments', deadLetter);
    expectProblem(
      await mover.call('POST', '/v1/queues/orders-dlq/redrive?dryRun=true'),
      403,
      'access_denied',
      /send on "payments"/,
    );
  });

  it('is needed on side paths too', async () => {
    const { holder, admin } = await withQueues('orders', 'orders-dlq');
    await admin.call('PATCH', '/v1/queues/orders', {
      json: { deadLetter: { queue: 'orders-dlq', maxReceiveCount: 1 } },
    });
    const worker = await holder([{ actions: ['send', 'receive', 'settle'], queues: ['orders*'] }]);
    for (const path of [
      '',
      '/stats',
      '/groups',
      '/dead-letter-sources',
      '/messages',
      '/messages/0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    ]) {
      expectProblem(await worker.call('GET', `/v1/queues/orders${path}`), 403, 'access_denied');
    }
    expect(await worker.status('GET', '/metrics')).toBe(403);
    expect(await worker.status('GET', '/v1/tasks')).toBe(403);
    // A plan shows messages.
    const planner = await holder([{ actions: ['redrive', 'send'], queues: ['*'] }]);
    expectProblem(
      await planner.call('POST', '/v1/queues/orders-dlq/redrive?dryRun=true'),
      403,
      'access_denied',
      /peek/,
    );
    const reader = await holder([{ actions: ['readQueue'], queues: ['orders-dlq'] }]);
    expect((await reader.call('GET', '/v1/queues/orders-dlq/dead-letter-sources')).json.items).toEqual([]);
    expect((await admin.call('GET', '/v1/queues/orders-dlq/dead-letter-sources')).json.items).toEqual(['orders']);
  });

  it('is all that the front page and the lists of tasks show', async () => {
    const { holder, admin } = await withQueues('orders-dlq', 'secret-dlq', 'target');
    for (const queue of ['orders-dlq', 'secret-dlq']) {
      expect(await admin.status('POST', `/v1/queues/${queue}/redrive?to=target`)).toBe(202);
    }
    const worker = await holder([{ actions: ['readQueue', 'readTask', 'cancelTask'], queues: ['orders-*'] }]);
    expect((await worker.call('GET', '/')).text).not.toContain('secret-dlq');
    const tasks = async (who: typeof admin) =>
      (JSON.parse((await who.call('GET', '/v1/tasks')).text) as { items: { source: string; taskId: string }[] }).items;
    const shown = await tasks(worker);
    expect(shown.map(({ source }) => source)).toEqual(['orders-dlq']);
    const foreign = (await tasks(admin)).find(({ source }) => source === 'secret-dlq');
    for (const method of ['GET', 'DELETE'] as const) {
      expectProblem(await worker.call(method, `/v1/tasks/${foreign?.taskId}`), 404, 'task_not_found');
    }
    expect(await worker.status('GET', `/v1/tasks/${nth(shown).taskId}`)).toBe(200);
  });

  it('to watch does not let one delete, purge or change', async () => {
    const { holder, admin } = await withQueues('orders');
    const look = () => admin.call('GET', '/v1/queues/orders');
    const monitor = await holder([{ actions: ['readQueue', 'readMetrics', 'readTask'], queues: ['*'] }]);
    const before = (await look()).text;
    expect(await monitor.status('GET', '/metrics')).toBe(200);
    for (const [method, url] of [
      ['DELETE', '/v1/queues/orders'],
      ['PATCH', '/v1/queues/orders'],
      ['PUT', '/v1/queues/orders'],
      ['POST', '/v1/queues/orders/purge'],
      ['POST', '/v1/queues/orders/redrive'],
      ['DELETE', '/v1/queues/orders/messages/0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'],
      ['DELETE', '/v1/tasks/0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'],
      ['POST', '/v1/queues/orders/messages'],
    ] as const) {
      expectProblem(await monitor.call(method, url), 403, 'access_denied');
    }
    expect((await look()).text).toBe(before);
  });

  it('is that of the method of the request, whatever headers say', async () => {
    const { holder } = await withQueues('orders');
    const reader = await holder([{ actions: ['readQueue'], queues: ['orders'] }]);
    const headers = { 'x-http-method-override': 'DELETE', 'x-http-method': 'DELETE', 'x-method-override': 'DELETE' };
    const answer = await reader.call('GET', '/v1/queues/orders', { headers });
    expect([answer.status, answer.json.name]).toEqual([200, 'orders']);
  });

  it('gives an account queues of its own', async () => {
    const { holder, admin } = await withQueues('orders');
    const other = await holder([{ actions: ['*'], queues: ['*'] }], '111111111111');
    expect((await other.call('GET', '/v1/queues')).json.items).toEqual([]);
    expect(await other.status('GET', '/v1/queues/orders')).toBe(404);
    expect(await other.status('PUT', '/v1/queues/orders')).toBe(201);
    await other.call('POST', '/v1/queues/orders/messages', hello);
    expect((await admin.call('GET', '/v1/queues/orders/stats')).json.available).toBe(0);
  });

  it('marks messages with the key that sent them', async () => {
    const { holder, broker } = await withQueues('orders');
    const sender = await holder([{ actions: ['send'], queues: ['orders'] }]);
    await sender.call('POST', '/v1/queues/orders/messages', hello);
    const page = await broker.messages.peek(openPrincipal(defaultAccount), QueueName.parse('orders'), {
      state: 'all',
      limit: 1,
    });
    expect(nth(page.items).senderId).toBe(sender.keyId);
  });
});
