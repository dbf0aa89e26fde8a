/** sqs-producer sends orders, sqs-consumer handles them; one is poison and ends in the dead-letter queue. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { SQS } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';
import { Producer } from 'sqs-producer';

const sqs = new SQS();
const { QueueUrl: dead } = await sqs.createQueue({ QueueName: 'orders-dlq' });
const { Attributes } = await sqs.getQueueAttributes({ QueueUrl: dead, AttributeNames: ['QueueArn'] });
const { QueueUrl: orders } = await sqs.createQueue({
  QueueName: 'orders',
  Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: Attributes.QueueArn, maxReceiveCount: 2 }) },
});

const producer = Producer.create({ queueUrl: orders, sqs });
const sent = await producer.send(
  Array.from({ length: 25 }, (_, i) => ({
    id: `order-${i}`,
    body: JSON.stringify({ order: i }),
    messageAttributes: { customer: { DataType: 'String', StringValue: `customer ${i}` } },
  })),
);
assert.equal(sent.length, 25);

const handled = new Set();
let failures = 0;
const worker = Consumer.create({
  sqs,
  queueUrl: orders,
  batchSize: 10,
  messageAttributeNames: ['All'],
  terminateVisibilityTimeout: true,
  handleMessage: async (message) => {
    const { order } = JSON.parse(message.Body);
    assert.equal(message.MessageAttributes.customer.StringValue, `customer ${order}`);
    if (order === 7) throw new Error('poison');
    handled.add(order);
    return message;
  },
});
worker.on('processing_error', () => {
  failures += 1;
});

const undertaker = Consumer.create({
  sqs,
  queueUrl: dead,
  messageSystemAttributeNames: ['All'],
  handleMessage: async (message) => message,
});
const buried = once(undertaker, 'message_processed');
worker.start();
undertaker.start();
const [body] = await buried;
assert.equal(JSON.parse(body.Body).order, 7);
assert.equal(failures, 2);

const stopped = [once(worker, 'stopped'), once(undertaker, 'stopped')];
// Without abort, each would wait for the end of its long poll.
worker.stop({ abort: true });
undertaker.stop({ abort: true });
await Promise.all(stopped);
assert.equal(handled.size, 24);
assert.equal(await producer.queueSize(), 0);
console.log(`orders: ${sent.length} sent, ${handled.size} handled, 1 dead`);
