/**
 * The order pipeline with the client that openapi-typescript makes: 200 orders, two workers, one poison order that ends
 * in the dead-letter queue, goes back when the workers are repaired, and is done then. Prints what it saw, as JSON.
 */
import createClient from 'openapi-fetch';
import type { components, paths } from './sluice.ts';

type Problem = components['schemas']['Problem'];
type Order = { readonly order: number; readonly amount: number | string };

const sluice = createClient<paths>({ baseUrl: process.env.SLUICE_URL ?? 'http://localhost:8080' });

/** What an answer carries; a refusal is thrown. */
function ok<Data>({ data, error }: { data?: Data; error?: Problem }): Data {
  if (error !== undefined) throw new Error(`${error.title}: ${error.detail}`);
  return data as Data;
}

/** The body of a message is whatever was sent. */
function orderOf(body: unknown): Order {
  if (typeof body !== 'object' || body === null || !('order' in body) || !('amount' in body))
    throw new Error('No order.');
  const { order, amount } = body;
  if (typeof order !== 'number' || (typeof amount !== 'number' && typeof amount !== 'string'))
    throw new Error('No order.');
  return { order, amount };
}

const orders = Array.from({ length: 200 }, (_, i): Order => {
  const order = i + 1;
  return { order, amount: order === 137 ? 'twelve' : order * 5 };
});

const ordersQueue = { path: { queue: 'orders' } };
const deadQueue = { path: { queue: 'orders-dlq' } };

const processed = new Set<number>();

/** Ends when no order comes for a second. */
async function work(): Promise<void> {
  for (;;) {
    const params = { ...ordersQueue, query: { max: 10, wait: '1s' } };
    const { messages } = ok(await sluice.POST('/v1/queues/{queue}/messages/receive', { params }));
    if (messages.length === 0) return;
    for (const { body, receiptHandle } of messages) {
      const { order, amount } = orderOf(body);
      const path = { ...ordersQueue.path, receiptHandle };
      if (typeof amount === 'number') {
        ok(await sluice.DELETE('/v1/queues/{queue}/receipts/{receiptHandle}', { params: { path } }));
        processed.add(order);
      } else {
        const body = { reason: 'the amount is not a number' };
        ok(await sluice.POST('/v1/queues/{queue}/receipts/{receiptHandle}/release', { params: { path }, body }));
      }
    }
  }
}

const stats = async (params: { path: { queue: string } }) =>
  ok(await sluice.GET('/v1/queues/{queue}/stats', { params }));

ok(await sluice.PUT('/v1/queues/{queue}', { params: deadQueue }));
const created = ok(
  await sluice.PUT('/v1/queues/{queue}', {
    params: ordersQueue,
    body: { visibilityTimeoutSeconds: 30, deadLetter: { queue: 'orders-dlq', maxReceiveCount: 3 } },
  }),
);

const misspelt = await sluice.GET('/v1/queues/{queue}', { params: { path: { queue: 'order' } } });

const batch = ok(
  await sluice.POST('/v1/queues/{queue}/messages/batch', {
    params: ordersQueue,
    body: { messages: orders.map((body) => ({ body })) },
  }),
);
await Promise.all([work(), work()]);
const processedBefore = processed.size;

const { items } = ok(await sluice.GET('/v1/queues/{queue}/messages', { params: deadQueue }));
const dead = items.map(({ body, deadLetter, lastFailure }) => ({
  order: orderOf(body).order,
  source: deadLetter?.sourceQueue,
  receiveCount: deadLetter?.receiveCount,
  reason: lastFailure?.reason,
}));

const started = ok(await sluice.POST('/v1/queues/{queue}/redrive', { params: deadQueue }));
if (!('taskId' in started)) throw new Error('That was no dry run.');
let task = started;
while (task.status === 'running') {
  task = ok(await sluice.GET('/v1/tasks/{task}', { params: { path: { task: task.taskId } } }));
}

// The workers are repaired: they read words, too.
const { messages } = ok(
  await sluice.POST('/v1/queues/{queue}/messages/receive', { params: { ...ordersQueue, query: { wait: '20s' } } }),
);
for (const { body } of messages) processed.add(orderOf(body).order);
const settled = ok(
  await sluice.POST('/v1/queues/{queue}/receipts/batch', {
    params: ordersQueue,
    body: { delete: messages.map(({ receiptHandle }) => receiptHandle) },
  }),
);

console.log(
  JSON.stringify({
    deadLetterQueue: created.deadLetter?.queue,
    misspelt: misspelt.error?.code,
    sentCount: batch.sentCount,
    processedBefore,
    dead,
    task: { source: task.source, status: task.status, moved: task.moved },
    settledCount: settled.settledCount,
    processed: processed.size,
    orders: await stats(ordersQueue),
    deadLetters: await stats(deadQueue),
  }),
);
