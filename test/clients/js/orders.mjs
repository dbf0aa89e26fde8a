/** The order pipeline with the AWS SDK for JavaScript v3. Endpoint, region and credentials come from the environment. */
import assert from 'node:assert/strict';
import { SQS } from '@aws-sdk/client-sqs';

const sqs = new SQS();
const count = { sent: 0, received: 0, deleted: 0, dead: 0, redriven: 0, duplicates: 0 };

const orderOf = ({ Body }) => JSON.parse(Body).order;
const body = (order) => JSON.stringify({ order, note: 'blåbær & <"smør">' });

async function receive(QueueUrl, options = {}) {
  const { Messages = [] } = await sqs.receiveMessage({
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 20,
    MessageAttributeNames: ['All'],
    MessageSystemAttributeNames: ['All'],
    ...options,
  });
  count.received += Messages.length;
  return Messages;
}

/** Receives until there are as many as expected, by order. */
async function receiveOrders(QueueUrl, expected) {
  const messages = [];
  while (messages.length < expected) messages.push(...(await receive(QueueUrl)));
  return new Map(messages.map((message) => [orderOf(message), message]));
}

async function remove(QueueUrl, ...messages) {
  const [{ ReceiptHandle }] = messages;
  if (messages.length === 1) await sqs.deleteMessage({ QueueUrl, ReceiptHandle });
  else {
    const Entries = messages.map((message, i) => ({ Id: `${i}`, ReceiptHandle: message.ReceiptHandle }));
    const { Successful, Failed } = await sqs.deleteMessageBatch({ QueueUrl, Entries });
    assert.equal(Failed, undefined);
    assert.deepEqual(
      Successful,
      Entries.map(({ Id }) => ({ Id })),
    );
  }
  count.deleted += messages.length;
}

// Queues: orders that are received twice without success go to a dead-letter queue.
const arnOf = async (QueueUrl) =>
  (await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ['QueueArn'] })).Attributes.QueueArn;
const { QueueUrl: dead } = await sqs.createQueue({ QueueName: 'orders-dlq' });
const deadArn = await arnOf(dead);
const { QueueUrl: orders } = await sqs.createQueue({
  QueueName: 'orders',
  Attributes: {
    VisibilityTimeout: '60',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 2 }),
  },
  tags: { team: 'sales' },
});
assert.equal((await sqs.getQueueUrl({ QueueName: 'orders' })).QueueUrl, orders);

// Send one with attributes, and nine in a batch.
const attributes = {
  customer: { DataType: 'String', StringValue: 'Åse' },
  amount: { DataType: 'Number', StringValue: '12.50' },
  seal: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255, 16]) },
};
await sqs.sendMessage({ QueueUrl: orders, MessageBody: body(1), MessageAttributes: attributes });
const Entries = [2, 3, 4, 5, 6, 7, 8, 9, 10].map((order) => ({ Id: `order-${order}`, MessageBody: body(order) }));
const batch = await sqs.sendMessageBatch({ QueueUrl: orders, Entries });
assert.equal(batch.Failed, undefined);
assert.equal(batch.Successful.length, 9);
count.sent += 10;

// Receive them all; the first has its attributes.
const first = await receiveOrders(orders, 10);
assert.deepEqual(
  [...first.keys()].sort((a, b) => a - b),
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
);
assert.equal(first.get(1).Body, body(1));
assert.deepEqual(first.get(1).MessageAttributes, attributes);
assert.equal(first.get(1).Attributes.ApproximateReceiveCount, '1');
assert.equal(first.get(2).MessageAttributes, undefined);

// Delete one, then five.
await remove(orders, first.get(1));
await remove(orders, ...[2, 3, 4, 5, 6].map((order) => first.get(order)));

// A visibility timeout of 0 gives a message back.
const giveBack = (QueueUrl, { ReceiptHandle }) =>
  sqs.changeMessageVisibility({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });
await giveBack(orders, first.get(8));
const again = (await receiveOrders(orders, 1)).get(8);
assert.equal(again.Attributes.ApproximateReceiveCount, '2');
await remove(orders, again);
const given = await sqs.changeMessageVisibilityBatch({
  QueueUrl: orders,
  Entries: [7, 9, 10].map((order) => ({
    Id: `${order}`,
    ReceiptHandle: first.get(order).ReceiptHandle,
    VisibilityTimeout: 0,
  })),
});
assert.equal(given.Successful.length, 3);
const second = await receiveOrders(orders, 3);
await remove(orders, second.get(9), second.get(10));

// Order 7 is poison: given back for the second time, it is in the dead-letter queue.
await giveBack(orders, second.get(7));
assert.deepEqual(await receive(orders, { WaitTimeSeconds: 0 }), []);
const poison = (await receiveOrders(dead, 1)).get(7);
assert.equal(poison.MessageId, first.get(7).MessageId);
assert.equal(poison.Attributes.DeadLetterQueueSourceArn, await arnOf(orders));
count.dead += 1;
await giveBack(dead, poison);

// A move task brings it back.
const { TaskHandle } = await sqs.startMessageMoveTask({ SourceArn: deadArn });
assert.ok(TaskHandle);
await remove(orders, (await receiveOrders(orders, 1)).get(7));
const newestTask = async () => (await sqs.listMessageMoveTasks({ SourceArn: deadArn })).Results[0];
let task = await newestTask();
for (let tries = 0; task.Status !== 'COMPLETED' && tries < 1000; tries += 1) task = await newestTask();
assert.equal(task.Status, 'COMPLETED');
assert.equal(task.ApproximateNumberOfMessagesMoved, 1);
count.redriven += 1;

// A message that is sent during a long poll ends it.
const waiting = receive(orders);
await sqs.sendMessage({ QueueUrl: orders, MessageBody: body(11) });
count.sent += 1;
const [late] = await waiting;
assert.equal(orderOf(late), 11);
await remove(orders, late);

// FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
const { QueueUrl: fifo } = await sqs.createQueue({ QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true' } });
const event = (group, name) => ({ MessageGroupId: group, MessageDeduplicationId: name, MessageBody: body(name) });
const paid = await sqs.sendMessage({ QueueUrl: fifo, ...event('a', 'a-paid') });
const repeated = await sqs.sendMessage({ QueueUrl: fifo, ...event('a', 'a-paid') });
assert.equal(repeated.MessageId, paid.MessageId);
count.duplicates += 1;
const events = await sqs.sendMessageBatch({
  QueueUrl: fifo,
  Entries: [
    { Id: '1', ...event('a', 'a-sent') },
    { Id: '2', ...event('b', 'b-paid') },
  ],
});
assert.ok(BigInt(events.Successful[0].SequenceNumber) > BigInt(paid.SequenceNumber));
count.sent += 3;
const [aPaid] = await receive(fifo, { MaxNumberOfMessages: 1 });
assert.equal(orderOf(aPaid), 'a-paid');
assert.equal(aPaid.Attributes.SequenceNumber, paid.SequenceNumber);
const [bPaid, ...blocked] = await receive(fifo);
assert.equal(orderOf(bPaid), 'b-paid');
assert.deepEqual(blocked, []);
await remove(fifo, aPaid);
const [aSent] = await receive(fifo);
assert.equal(orderOf(aSent), 'a-sent');
assert.equal(aSent.Attributes.MessageGroupId, 'a');
await remove(fifo, aSent, bPaid);

// Nothing is left.
for (const QueueUrl of [orders, dead, fifo]) {
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ['All'] });
  assert.equal(Attributes.ApproximateNumberOfMessages, '0');
  assert.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '0');
}
console.log(
  `orders: ${Object.entries(count)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ')}`,
);
