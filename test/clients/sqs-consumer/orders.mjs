/**
 * The order pipeline with sqs-producer and sqs-consumer. Workers handle orders and give them back when they fail; one order
 * is poison until it is in the dead-letter queue, and is brought back by the SDK client that both wrap.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { SQS } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';
import { Producer } from 'sqs-producer';

const sqs = new SQS();
const customerOf = (order) => ({ customer: { DataType: 'String', StringValue: `customer ${order}` } });
const orderOf = ({ Body }) => JSON.parse(Body).order;

/** Starts a worker; what it does about a failure is to give the message back at once. */
function work(queueUrl, options) {
  const worker = Consumer.create({
    sqs,
    queueUrl,
    batchSize: 10,
    terminateVisibilityTimeout: true,
    suppressFifoWarning: true,
    messageAttributeNames: ['All'],
    messageSystemAttributeNames: ['All'],
    ...options,
  });
  worker.on('error', (error) => {
    // Who is stopped leaves its requests.
    if (worker.status.isRunning) assert.fail(error);
  });
  worker.start();
  return worker;
}

async function stop(worker) {
  const stopped = once(worker, 'stopped');
  // Without abort, it would wait for the end of its long poll.
  worker.stop({ abort: true });
  await stopped;
}

// Queues: orders that are received twice without success go to a dead-letter queue.
const { QueueUrl: dead } = await sqs.createQueue({ QueueName: 'orders-dlq' });
const { QueueArn } = (await sqs.getQueueAttributes({ QueueUrl: dead, AttributeNames: ['QueueArn'] })).Attributes;
const { QueueUrl: orders } = await sqs.createQueue({
  QueueName: 'orders',
  Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: QueueArn, maxReceiveCount: 2 }) },
});

// Send 25: the producer makes batches of ten.
const producer = Producer.create({ queueUrl: orders, sqs });
const sent = await producer.send(
  Array.from({ length: 25 }, (_, order) => ({
    id: `order-${order}`,
    body: JSON.stringify({ order }),
    messageAttributes: customerOf(order),
  })),
);
assert.equal(sent.length, 25);

// Order 7 is poison, and is given back by a visibility timeout of 0 each time.
const handled = new Map();
let isRepaired = false;
let failures = 0;
const worker = work(orders, {
  handleMessage: async (message) => {
    const order = orderOf(message);
    assert.deepEqual(message.MessageAttributes, customerOf(order));
    if (order === 7 && !isRepaired) throw new Error('poison');
    handled.set(order, Date.now());
    return message;
  },
});
worker.on('processing_error', () => {
  failures += 1;
});
const untilHandled = async (count) => {
  while (handled.size < count) await once(worker, 'message_processed');
};

// The undertaker gives the dead order back, whence a move task brings it to where it came from.
const undertaker = work(dead, {
  handleMessage: async (message) => {
    assert.equal(orderOf(message), 7);
    assert.equal(message.Attributes.DeadLetterQueueSourceArn, QueueArn.replace('orders-dlq', 'orders'));
    throw new Error('not mine');
  },
});
await once(undertaker, 'response_processed');
await stop(undertaker);
assert.equal(failures, 2);
isRepaired = true;
await sqs.startMessageMoveTask({ SourceArn: QueueArn });
await untilHandled(25);

// An order that is sent during a long poll ends it.
const lateAt = Date.now();
await producer.send({ id: 'late', body: JSON.stringify({ order: 25 }), messageAttributes: customerOf(25) });
await untilHandled(26);
assert.ok(handled.get(25) - lateAt < 15_000, 'the long poll did not end when an order came');
await stop(worker);

// In batches, each of which is held longer than its visibility timeout: the heartbeat holds it.
const { QueueUrl: slow } = await sqs.createQueue({ QueueName: 'orders-slow' });
await Producer.create({ queueUrl: slow, sqs }).send(['1', '2', '3']);
let slowReceives = 0;
const slowWorker = work(slow, {
  visibilityTimeout: 2,
  heartbeatInterval: 1,
  handleMessageBatch: async (messages) => {
    slowReceives += messages.length;
    await new Promise((resolve) => setTimeout(resolve, 2500));
    return messages;
  },
});
await once(slowWorker, 'response_processed');
await stop(slowWorker);
assert.equal(slowReceives, 3);

// FIFO: a duplicate is not stored, a group is handed out in order.
const { QueueUrl: fifo } = await sqs.createQueue({ QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true' } });
const names = ['a-paid', 'a-packed', 'b-paid', 'a-sent'];
const event = (name) => ({ id: name, body: name, groupId: name.slice(0, 1), deduplicationId: name });
const eventProducer = Producer.create({ queueUrl: fifo, sqs });
await eventProducer.send(names.map(event));
await eventProducer.send(event('a-paid'));
const events = [];
const clerk = work(fifo, {
  batchSize: 1,
  handleMessage: async (message) => {
    events.push(message.Body);
    return message;
  },
});
while (events.length < names.length) await once(clerk, 'response_processed');
await stop(clerk);
assert.deepEqual(
  events.filter((name) => name.startsWith('a')),
  names.filter((name) => name.startsWith('a')),
);
assert.deepEqual(events.toSorted(), names.toSorted());

// Nothing is left.
for (const queueUrl of [orders, dead, slow, fifo]) {
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl: queueUrl, AttributeNames: ['All'] });
  assert.equal(Attributes.ApproximateNumberOfMessages, '0');
  assert.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '0');
}
console.log(
  `orders: ${sent.length + 1} sent, ${handled.size} handled, ${failures} failures, 1 dead, 1 redriven, ${slowReceives} held by a heartbeat, ${events.length} events in order`,
);
