/** A shorter order pipeline with version 2 of the AWS SDK for JavaScript, which speaks Query to the addresses of queues. */
import assert from 'node:assert/strict';
import AWS from 'aws-sdk';

const sqs = new AWS.SQS({ endpoint: process.env.AWS_ENDPOINT_URL });
const call = (action, params) => sqs[action](params).promise();
const receive = async (QueueUrl, options = {}) => {
  const { Messages = [] } = await call('receiveMessage', {
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 20,
    MessageAttributeNames: ['All'],
    AttributeNames: ['All'],
    ...options,
  });
  return Messages;
};

const { QueueUrl: dead } = await call('createQueue', { QueueName: 'orders-dlq' });
const { Attributes } = await call('getQueueAttributes', { QueueUrl: dead, AttributeNames: ['QueueArn'] });
const deadLetterTargetArn = Attributes.QueueArn;
const { QueueUrl: orders } = await call('createQueue', {
  QueueName: 'orders',
  Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 }) },
});

const body = (order) => `{"order":${order},"note":"blåbær & <smør>\r\n"}`;
const seal = { DataType: 'Binary', BinaryValue: Buffer.from([0, 255, 16]) };
await call('sendMessage', { QueueUrl: orders, MessageBody: body(1), MessageAttributes: { seal } });
const { Successful } = await call('sendMessageBatch', {
  QueueUrl: orders,
  Entries: [2, 3].map((order) => ({ Id: `${order}`, MessageBody: body(order) })),
});
assert.equal(Successful.length, 2);
const found = new Map();
while (found.size < 3) for (const message of await receive(orders)) found.set(message.Body, message);
assert.deepEqual(found.get(body(1)).MessageAttributes.seal.BinaryValue, seal.BinaryValue);
const handleOf = (order) => found.get(body(order)).ReceiptHandle;
await call('deleteMessage', { QueueUrl: orders, ReceiptHandle: handleOf(1) });
await call('deleteMessageBatch', { QueueUrl: orders, Entries: [{ Id: '2', ReceiptHandle: handleOf(2) }] });

await call('changeMessageVisibility', { QueueUrl: orders, ReceiptHandle: handleOf(3), VisibilityTimeout: 0 });
assert.deepEqual(await receive(orders, { WaitTimeSeconds: 0 }), []);
await call('startMessageMoveTask', { SourceArn: deadLetterTargetArn });
const [back] = await receive(orders);
assert.equal(back.Body, body(3));
await call('deleteMessage', { QueueUrl: orders, ReceiptHandle: back.ReceiptHandle });

const gone = await call('getQueueUrl', { QueueName: 'none' }).catch((error) => error);
assert.equal(gone.code, 'AWS.SimpleQueueService.NonExistentQueue');
assert.equal(gone.statusCode, 400);
console.log('orders: 3 sent, 3 deleted, 1 dead, 1 redriven');
