/** Every action of SQS once, and the errors that an application catches by class, with the AWS SDK for JavaScript v3. */
import assert from 'node:assert/strict';
import * as sdk from '@aws-sdk/client-sqs';

const sqs = new sdk.SQS();
const done = new Set();
// The SDK's own list of actions: a new one that nobody tries here fails the count below.
const known = Object.keys(sdk).filter((name) => name.endsWith('Command') && name !== '$Command');
sqs.middlewareStack.add(
  (next, { commandName }) =>
    async (args) => {
      const answer = await next(args);
      done.add(commandName);
      return answer;
    },
  { step: 'initialize' },
);

/** What must be refused with that class, code and status. */
async function refused(attempt, Class, code, status) {
  const error = await attempt.then(
    () => assert.fail('it was not refused'),
    (reason) => reason,
  );
  assert.ok(error instanceof Class, `${error.name}: ${error.message}`);
  assert.equal(error.Error?.Code ?? error.Code ?? error.name, code);
  assert.equal(error.$metadata.httpStatusCode, status);
  assert.ok(error.$metadata.requestId);
  errors += 1;
}
let errors = 0;

// Queues.
const { QueueUrl: dead } = await sqs.createQueue({ QueueName: 'dead' });
const { QueueUrl } = await sqs.createQueue({
  QueueName: 'work',
  Attributes: { VisibilityTimeout: '60' },
  tags: { team: 'sales' },
});
assert.equal(new URL(QueueUrl).pathname, '/000000000000/work');
assert.equal((await sqs.getQueueUrl({ QueueName: 'work' })).QueueUrl, QueueUrl);
assert.deepEqual((await sqs.listQueues({ QueueNamePrefix: 'w' })).QueueUrls, [QueueUrl]);
assert.equal((await sqs.listQueues({ QueueNamePrefix: 'nothing' })).QueueUrls, undefined);
const page = await sqs.listQueues({ MaxResults: 1 });
assert.deepEqual(page.QueueUrls, [dead]);
assert.deepEqual((await sqs.listQueues({ MaxResults: 1, NextToken: page.NextToken })).QueueUrls, [QueueUrl]);
const attributesOf = async (url) =>
  (await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ['All'] })).Attributes;
const SourceArn = (await attributesOf(dead)).QueueArn;
await sqs.setQueueAttributes({
  QueueUrl,
  Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 }) },
});
assert.equal(JSON.parse((await attributesOf(QueueUrl)).RedrivePolicy).maxReceiveCount, 1);
assert.deepEqual((await sqs.listDeadLetterSourceQueues({ QueueUrl: dead })).queueUrls, [QueueUrl]);
await sqs.tagQueue({ QueueUrl, Tags: { stage: 'test' } });
assert.deepEqual((await sqs.listQueueTags({ QueueUrl })).Tags, { team: 'sales', stage: 'test' });
await sqs.untagQueue({ QueueUrl, TagKeys: ['team', 'stage'] });
assert.equal((await sqs.listQueueTags({ QueueUrl })).Tags, undefined);
await sqs.addPermission({ QueueUrl, Label: 'all', AWSAccountIds: ['111122223333'], Actions: ['SendMessage'] });
assert.equal(JSON.parse((await attributesOf(QueueUrl)).Policy).Statement[0].Sid, 'all');
await sqs.removePermission({ QueueUrl, Label: 'all' });
assert.equal((await attributesOf(QueueUrl)).Policy, undefined);

// Messages.
const trace = { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-5759e988-bd862e3fe1be46a994272793' } };
await sqs.sendMessage({ QueueUrl, MessageBody: 'a', MessageSystemAttributes: trace });
const sent = await sqs.sendMessageBatch({
  QueueUrl,
  Entries: [
    { Id: 'b', MessageBody: 'b' },
    { Id: 'later', MessageBody: 'later', DelaySeconds: 900 },
    { Id: 'bad', MessageBody: '\u0001' },
  ],
});
assert.deepEqual(
  sent.Successful.map(({ Id }) => Id),
  ['b', 'later'],
);
assert.equal(sent.Failed.length, 1);
assert.equal(sent.Failed[0].Code, 'InvalidMessageContents');
assert.equal(sent.Failed[0].SenderFault, true);
const { Messages } = await sqs.receiveMessage({
  QueueUrl,
  MaxNumberOfMessages: 10,
  MessageSystemAttributeNames: ['All'],
});
assert.deepEqual(Messages.map(({ Body }) => Body).sort(), ['a', 'b']);
const [a, b] = Messages.sort((x, y) => x.Body.localeCompare(y.Body));
assert.equal(a.Attributes.AWSTraceHeader, trace.AWSTraceHeader.StringValue);
await sqs.changeMessageVisibility({ QueueUrl, ReceiptHandle: a.ReceiptHandle, VisibilityTimeout: 120 });
const hidden = await sqs.changeMessageVisibilityBatch({
  QueueUrl,
  Entries: [
    { Id: 'b', ReceiptHandle: b.ReceiptHandle, VisibilityTimeout: 0 },
    { Id: 'bad', ReceiptHandle: 'nonsense', VisibilityTimeout: 0 },
  ],
});
assert.deepEqual(hidden.Successful, [{ Id: 'b' }]);
assert.equal(hidden.Failed[0].Code, 'ReceiptHandleIsInvalid');
await sqs.deleteMessage({ QueueUrl, ReceiptHandle: a.ReceiptHandle });

// Message b has used up its only receive.
assert.equal((await sqs.receiveMessage({ QueueUrl })).Messages, undefined);
await sqs.startMessageMoveTask({ SourceArn, MaxNumberOfMessagesPerSecond: 500 });
const [back] = (await sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20 })).Messages;
assert.equal(back.Body, 'b');
const [task] = (await sqs.listMessageMoveTasks({ SourceArn })).Results;
assert.equal(task.SourceArn, SourceArn);
assert.equal(typeof task.StartedTimestamp, 'number');
const deleted = await sqs.deleteMessageBatch({ QueueUrl, Entries: [{ Id: 'b', ReceiptHandle: back.ReceiptHandle }] });
assert.deepEqual(deleted.Successful, [{ Id: 'b' }]);
await sqs.purgeQueue({ QueueUrl });
assert.equal((await attributesOf(QueueUrl)).ApproximateNumberOfMessagesDelayed, '0');

// A slow move task can be stopped.
for (const body of ['x', 'y', 'z']) await sqs.sendMessage({ QueueUrl: dead, MessageBody: body });
const { TaskHandle } = await sqs.startMessageMoveTask({
  SourceArn,
  DestinationArn: (await attributesOf(QueueUrl)).QueueArn,
  MaxNumberOfMessagesPerSecond: 1,
});
const cancelled = await sqs.cancelMessageMoveTask({ TaskHandle });
assert.ok(cancelled.ApproximateNumberOfMessagesMoved < 3);

// Errors.
const prefix = 'AWS.SimpleQueueService.';
const { SQSServiceException: Any } = sdk;
const ReceiptHandle = back.ReceiptHandle;
await refused(sqs.getQueueUrl({ QueueName: 'none' }), sdk.QueueDoesNotExist, `${prefix}NonExistentQueue`, 400);
await refused(
  sqs.createQueue({ QueueName: 'work', Attributes: { VisibilityTimeout: '1' } }),
  sdk.QueueNameExists,
  'QueueAlreadyExists',
  400,
);
await refused(
  sqs.setQueueAttributes({ QueueUrl, Attributes: { Colour: 'red' } }),
  sdk.InvalidAttributeName,
  'InvalidAttributeName',
  400,
);
await refused(
  sqs.setQueueAttributes({ QueueUrl, Attributes: { VisibilityTimeout: '43201' } }),
  sdk.InvalidAttributeValue,
  'InvalidAttributeValue',
  400,
);
await refused(sqs.purgeQueue({ QueueUrl }), sdk.PurgeQueueInProgress, `${prefix}PurgeQueueInProgress`, 403);
await refused(
  sqs.sendMessage({ QueueUrl, MessageBody: '\u0001' }),
  sdk.InvalidMessageContents,
  'InvalidMessageContents',
  400,
);
await refused(
  sqs.deleteMessage({ QueueUrl, ReceiptHandle: 'nonsense' }),
  sdk.ReceiptHandleIsInvalid,
  'ReceiptHandleIsInvalid',
  404,
);
await refused(
  sqs.deleteMessageBatch({ QueueUrl, Entries: [] }),
  sdk.EmptyBatchRequest,
  `${prefix}EmptyBatchRequest`,
  400,
);
const entries = (ids) => ({ QueueUrl, Entries: ids.map((Id) => ({ Id, ReceiptHandle })) });
await refused(
  sqs.deleteMessageBatch(entries(['1', '1'])),
  sdk.BatchEntryIdsNotDistinct,
  `${prefix}BatchEntryIdsNotDistinct`,
  400,
);
await refused(sqs.deleteMessageBatch(entries(['.'])), sdk.InvalidBatchEntryId, `${prefix}InvalidBatchEntryId`, 400);
await refused(
  sqs.deleteMessageBatch(entries([...'abcdefghijk'])),
  sdk.TooManyEntriesInBatchRequest,
  `${prefix}TooManyEntriesInBatchRequest`,
  400,
);
await refused(
  sqs.sendMessageBatch({ QueueUrl, Entries: [{ Id: '1', MessageBody: 'x'.repeat(1_048_577) }] }),
  sdk.BatchRequestTooLong,
  `${prefix}BatchRequestTooLong`,
  400,
);
await refused(
  sqs.listMessageMoveTasks({ SourceArn: `${SourceArn}-none` }),
  sdk.ResourceNotFoundException,
  'ResourceNotFoundException',
  404,
);
await refused(sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 11 }), Any, 'InvalidParameterValue', 400);
await refused(sqs.sendMessage({ QueueUrl, MessageBody: '' }), Any, 'MissingParameter', 400);

// The end: a name can be used again after a minute.
await sqs.deleteQueue({ QueueUrl });
await refused(sqs.createQueue({ QueueName: 'work' }), sdk.QueueDeletedRecently, `${prefix}QueueDeletedRecently`, 400);
await refused(sqs.sendMessage({ QueueUrl, MessageBody: 'x' }), sdk.QueueDoesNotExist, `${prefix}NonExistentQueue`, 400);

assert.deepEqual([...done].sort(), known.sort());
console.log(`actions: ${done.size} done, ${errors} errors`);
