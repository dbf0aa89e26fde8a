/** The order pipeline with version 2 of the AWS SDK for JavaScript, which speaks Query to the addresses of queues. */
import assert from 'node:assert/strict';
import AWS from 'aws-sdk';

const sqs = new AWS.SQS({ endpoint: process.env.AWS_ENDPOINT_URL });
const call = (action, params) => sqs[action](params).promise();
const count = { sent: 0, received: 0, deleted: 0, dead: 0, redriven: 0, duplicates: 0 };

const orderOf = ({ Body }) => JSON.parse(Body).order;
/** Its ends of line are those that XML would change. */
const body = (order) => `${JSON.stringify({ order, note: 'blåbær & <smør>' })}\r\n`;

async function receive(QueueUrl, options = {}) {
  const { Messages = [] } = await call('receiveMessage', {
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 20,
    MessageAttributeNames: ['All'],
    AttributeNames: ['All'],
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

const entriesOf = (messages, more = {}) =>
  messages.map(({ ReceiptHandle }, i) => ({ Id: `${i}`, ReceiptHandle, ...more }));

async function remove(QueueUrl, ...messages) {
  if (messages.length === 1) await call('deleteMessage', { QueueUrl, ReceiptHandle: messages[0].ReceiptHandle });
  else {
    const answer = await call('deleteMessageBatch', { QueueUrl, Entries: entriesOf(messages) });
    assert.deepEqual([answer.Successful.length, answer.Failed], [messages.length, []]);
  }
  count.deleted += messages.length;
}

const giveBack = (QueueUrl, { ReceiptHandle }) =>
  call('changeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });

const attributesOf = async (QueueUrl) =>
  (await call('getQueueAttributes', { QueueUrl, AttributeNames: ['All'] })).Attributes;

// Queues: orders that are received twice without success go to a dead-letter queue.
const { QueueUrl: dead } = await call('createQueue', { QueueName: 'orders-dlq' });
const { QueueArn: deadArn } = await attributesOf(dead);
const { QueueUrl: orders } = await call('createQueue', {
  QueueName: 'orders',
  Attributes: {
    VisibilityTimeout: '60',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 2 }),
  },
  tags: { team: 'sales' },
});
assert.deepEqual((await call('listQueueTags', { QueueUrl: orders })).Tags, { team: 'sales' });
const gone = await call('getQueueUrl', { QueueName: 'no-such-queue' }).catch((error) => error);
assert.equal(gone.code, 'AWS.SimpleQueueService.NonExistentQueue');
assert.equal(gone.statusCode, 400);

// Send one with attributes, and nine in a batch.
const attributes = {
  customer: { DataType: 'String', StringValue: 'Åse' },
  amount: { DataType: 'Number', StringValue: '12.50' },
  seal: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255, 16]) },
};
await call('sendMessage', { QueueUrl: orders, MessageBody: body(1), MessageAttributes: attributes });
const batch = await call('sendMessageBatch', {
  QueueUrl: orders,
  Entries: [2, 3, 4, 5, 6, 7, 8, 9, 10].map((order) => ({ Id: `order-${order}`, MessageBody: body(order) })),
});
assert.deepEqual([batch.Successful.length, batch.Failed], [9, []]);
count.sent += 10;

// Receive them all; the first has its attributes.
const first = await receiveOrders(orders, 10);
assert.equal(first.get(1).Body, body(1));
for (const [name, { DataType, ...value }] of Object.entries(attributes)) {
  const { DataType: type, StringValue, BinaryValue } = first.get(1).MessageAttributes[name];
  assert.deepEqual(
    { type, StringValue, BinaryValue },
    { type: DataType, StringValue: undefined, BinaryValue: undefined, ...value },
  );
}
assert.equal(first.get(1).Attributes.ApproximateReceiveCount, '1');

// Delete one, then five.
await remove(orders, first.get(1));
await remove(orders, ...[2, 3, 4, 5, 6].map((order) => first.get(order)));

// A visibility timeout of 0 gives a message back.
await giveBack(orders, first.get(8));
const again = (await receiveOrders(orders, 1)).get(8);
assert.equal(again.Attributes.ApproximateReceiveCount, '2');
await remove(orders, again);
const given = await call('changeMessageVisibilityBatch', {
  QueueUrl: orders,
  Entries: entriesOf(
    [7, 9, 10].map((order) => first.get(order)),
    { VisibilityTimeout: 0 },
  ),
});
assert.equal(given.Successful.length, 3);
const second = await receiveOrders(orders, 3);
await remove(orders, second.get(9), second.get(10));

// Order 7 is poison: given back for the second time, it is in the dead-letter queue.
await giveBack(orders, second.get(7));
assert.deepEqual(await receive(orders, { WaitTimeSeconds: 0 }), []);
const poison = (await receiveOrders(dead, 1)).get(7);
assert.equal(poison.MessageId, first.get(7).MessageId);
count.dead += 1;
await giveBack(dead, poison);

// A move task brings it back.
await call('startMessageMoveTask', { SourceArn: deadArn });
await remove(orders, (await receiveOrders(orders, 1)).get(7));
const newestTask = async () => (await call('listMessageMoveTasks', { SourceArn: deadArn })).Results[0];
let task = await newestTask();
for (let tries = 0; task.Status !== 'COMPLETED' && tries < 1000; tries += 1) task = await newestTask();
assert.deepEqual([task.Status, task.ApproximateNumberOfMessagesMoved], ['COMPLETED', 1]);
count.redriven += 1;

// A message that is sent during a long poll ends it.
const waiting = receive(orders);
await call('sendMessage', { QueueUrl: orders, MessageBody: body(11) });
count.sent += 1;
const [late] = await waiting;
assert.equal(orderOf(late), 11);
await remove(orders, late);

// FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
const { QueueUrl: fifo } = await call('createQueue', { QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true' } });
const event = (group, name) => ({ MessageGroupId: group, MessageDeduplicationId: name, MessageBody: body(name) });
const paid = await call('sendMessage', { QueueUrl: fifo, ...event('a', 'a-paid') });
const repeated = await call('sendMessage', { QueueUrl: fifo, ...event('a', 'a-paid') });
assert.equal(repeated.MessageId, paid.MessageId);
count.duplicates += 1;
const events = await call('sendMessageBatch', {
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
for (const queue of [orders, dead, fifo]) {
  const left = await attributesOf(queue);
  assert.equal(left.ApproximateNumberOfMessages, '0');
  assert.equal(left.ApproximateNumberOfMessagesNotVisible, '0');
}
console.log(
  `orders: ${Object.entries(count)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ')}`,
);
