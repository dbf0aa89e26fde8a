/** Move tasks: start, watch, cancel. */
import { expect, it } from 'vitest';
import { arnOf, nth, openSqs, overBoth, redrivePolicy, type Sqs } from '../support/sqs.ts';

const SourceArn = arnOf('dlq');

/** A dead-letter queue with so many messages that came from `q`. */
async function withDeadLetters(t: Sqs, count: number): Promise<{ dlq: string; q: string }> {
  const dlq = await t.queue('dlq');
  const q = await t.queue('q', { RedrivePolicy: redrivePolicy('dlq', 1) });
  for (let i = 0; i < count; i += 1) await t.send(q, `m${i}`);
  for (let i = 0; i < count; i += 1) await t.receive(q, { VisibilityTimeout: 0 });
  expect(await t.receive(q, { MaxNumberOfMessages: 10 })).toEqual([]);
  return { dlq, q };
}

const tasks = async (t: Sqs, MaxResults = 10) =>
  (await t.ok('ListMessageMoveTasks', { SourceArn, MaxResults })).Results ?? [];
const settle = (t: Sqs) => t.clock.advance({ seconds: 1 });

overBoth('a move task', (protocol) => {
  it('brings each message back to where it came from, as a new one', async () => {
    const t = await openSqs(protocol);
    const { dlq, q } = await withDeadLetters(t, 3);
    const before = (await t.receive(dlq, { MaxNumberOfMessages: 10, VisibilityTimeout: 0 })).map((m) => m.MessageId);
    const { TaskHandle } = await t.ok('StartMessageMoveTask', { SourceArn });
    expect(JSON.parse(Buffer.from(TaskHandle, 'base64').toString())).toEqual({
      taskId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sourceArn: SourceArn,
    });
    await settle(t);
    const startedAt = t.clock.now() - 1_000;
    const moved = await t.receive(q, { MaxNumberOfMessages: 10, AttributeNames: ['All'] });
    expect(moved.map(({ Body }) => Body).sort()).toEqual(['m0', 'm1', 'm2']);
    expect(moved.filter(({ MessageId }) => before.includes(MessageId))).toEqual([]);
    for (const { Attributes } of moved) {
      expect(Attributes?.ApproximateReceiveCount).toBe('1');
      expect(Attributes).not.toHaveProperty('DeadLetterQueueSourceArn');
      expect(Number(Attributes?.SentTimestamp)).toBeGreaterThanOrEqual(startedAt);
    }
    expect(await tasks(t)).toEqual([
      {
        Status: 'COMPLETED',
        SourceArn,
        ApproximateNumberOfMessagesMoved: 3,
        ApproximateNumberOfMessagesToMove: 3,
        StartedTimestamp: startedAt,
      },
    ]);
  });

  it('brings them to a queue that is named, as slowly as is said, and shows how far it is', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 5);
    const target = await t.queue('target');
    const members = { SourceArn, DestinationArn: arnOf('target'), MaxNumberOfMessagesPerSecond: 1 };
    const { TaskHandle } = await t.ok('StartMessageMoveTask', members);
    await t.clock.advance({ ms: 1_500 });
    const running = nth(await tasks(t));
    expect(running).toMatchObject({
      TaskHandle,
      Status: 'RUNNING',
      SourceArn,
      DestinationArn: arnOf('target'),
      MaxNumberOfMessagesPerSecond: 1,
      ApproximateNumberOfMessagesToMove: 5,
    });
    expect(running.ApproximateNumberOfMessagesMoved).toBeLessThan(5);
    await t.clock.advance({ seconds: 10 });
    expect(nth(await tasks(t))).toMatchObject({ Status: 'COMPLETED', ApproximateNumberOfMessagesMoved: 5 });
    expect(nth(await tasks(t))).not.toHaveProperty('TaskHandle');
    expect(await t.counts(target)).toEqual(['5', '0', '0']);
  });

  it('serves several sources at once', async () => {
    const t = await openSqs(protocol);
    const { q } = await withDeadLetters(t, 1);
    const other = await t.queue('other', { RedrivePolicy: redrivePolicy('dlq', 1) });
    await t.send(other, 'o');
    for (let i = 0; i < 2; i += 1) await t.receive(other, { VisibilityTimeout: 0 });
    await t.ok('StartMessageMoveTask', { SourceArn });
    await settle(t);
    expect([await t.bodies(q), await t.bodies(other)]).toEqual([['m0'], ['o']]);
  });

  it('needs a source that is a dead-letter queue', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    expect(await t.refused('StartMessageMoveTask', { SourceArn })).toMatchObject({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'Source queue must be configured as a Dead Letter Queue.',
    });
  });

  it('finds no queue that is not there', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 0);
    const missing = (member: string) => ({
      status: 404,
      code: 'ResourceNotFoundException',
      message: `The resource that you specified for the ${member} parameter doesn't exist.`,
    });
    const none = arnOf('none');
    expect(await t.refused('StartMessageMoveTask', { SourceArn: none })).toMatchObject(missing('SourceArn'));
    expect(await t.refused('ListMessageMoveTasks', { SourceArn: none })).toMatchObject(missing('SourceArn'));
    const toNowhere = { SourceArn, DestinationArn: none };
    expect(await t.refused('StartMessageMoveTask', toNowhere)).toMatchObject(missing('DestinationArn'));
    const handle = Buffer.from(JSON.stringify({ taskId: 'x', sourceArn: none })).toString('base64');
    expect(await t.refused('CancelMessageMoveTask', { TaskHandle: handle })).toMatchObject(missing('SourceArn'));
  });

  it('is refused for what makes no sense', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 0);
    await t.queue('q.fifo');
    const message = async (members: object) =>
      (await t.refused('StartMessageMoveTask', { SourceArn, ...members })).message;
    expect(await message({ DestinationArn: SourceArn })).toMatch(/cannot be the same/);
    expect(await message({ DestinationArn: arnOf('q.fifo') })).toMatch(/same queue type/);
    expect(await message({ SourceArn: 'dlq' })).toMatch(/^You must use this format to specify the SourceArn/);
    for (const MaxNumberOfMessagesPerSecond of [0, 501]) {
      expect(await message({ MaxNumberOfMessagesPerSecond })).toMatch(/between 1 and 500\.$/);
    }
    for (const MaxResults of [0, 11]) {
      const error = await t.refused('ListMessageMoveTasks', { SourceArn, MaxResults });
      expect(error.message).toMatch(/between 1 and 10\.$/);
    }
  });

  it('is alone at its source', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 5);
    const slowly = { SourceArn, MaxNumberOfMessagesPerSecond: 1 };
    await t.ok('StartMessageMoveTask', slowly);
    expect(await t.refused('StartMessageMoveTask', slowly)).toMatchObject({
      code: 'InvalidParameterValue',
      message:
        'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
    });
  });

  it('can be cancelled; what was moved stays moved', async () => {
    const t = await openSqs(protocol);
    const { q, dlq } = await withDeadLetters(t, 5);
    const { TaskHandle } = await t.ok('StartMessageMoveTask', { SourceArn, MaxNumberOfMessagesPerSecond: 1 });
    await t.clock.advance({ ms: 1_500 });
    const cancelled = await t.ok('CancelMessageMoveTask', { TaskHandle });
    const moved = cancelled.ApproximateNumberOfMessagesMoved;
    expect(moved).toBeGreaterThan(0);
    await t.clock.advance({ seconds: 30 });
    expect(nth(await tasks(t))).toMatchObject({ Status: 'CANCELLED', ApproximateNumberOfMessagesMoved: moved });
    expect(await t.counts(q)).toEqual([String(moved), '0', '0']);
    expect(await t.counts(dlq)).toEqual([String(5 - moved), '0', '0']);
    expect(await t.refused('CancelMessageMoveTask', { TaskHandle })).toMatchObject({
      status: 404,
      message: 'Only active tasks can be cancelled.',
    });
  });

  it('is not cancelled by what is no handle of it', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 0);
    for (const TaskHandle of ['x', Buffer.from('{}').toString('base64'), '"']) {
      expect(await t.refused('CancelMessageMoveTask', { TaskHandle })).toMatchObject({
        status: 400,
        code: 'InvalidParameterValue',
        message: 'Value for parameter TaskHandle is invalid.',
      });
    }
    const TaskHandle = Buffer.from(JSON.stringify({ taskId: 'none', sourceArn: SourceArn })).toString('base64');
    expect(await t.refused('CancelMessageMoveTask', { TaskHandle })).toMatchObject({
      status: 404,
      code: 'ResourceNotFoundException',
      message: 'Task does not exist.',
    });
  });

  it('fails when its destination goes away', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 5);
    const target = await t.queue('target');
    const members = { SourceArn, DestinationArn: arnOf('target'), MaxNumberOfMessagesPerSecond: 1 };
    await t.ok('StartMessageMoveTask', members);
    await t.clock.advance({ ms: 1_500 });
    await t.ok('DeleteQueue', { QueueUrl: target });
    await t.clock.advance({ seconds: 10 });
    expect(nth(await tasks(t))).toMatchObject({
      Status: 'FAILED',
      FailureReason: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  });

  it('fails when nobody knows where a message came from', async () => {
    const t = await openSqs(protocol);
    const { dlq } = await withDeadLetters(t, 0);
    await t.send(dlq, 'sent here');
    await t.ok('StartMessageMoveTask', { SourceArn });
    await settle(t);
    expect(nth(await tasks(t))).toMatchObject({ Status: 'FAILED', FailureReason: 'CouldNotDetermineMessageSource' });
  });

  it('is listed newest first, one unless more are asked for', async () => {
    const t = await openSqs(protocol);
    await withDeadLetters(t, 1);
    expect(await tasks(t)).toEqual([]);
    for (let i = 0; i < 3; i += 1) {
      await t.ok('StartMessageMoveTask', { SourceArn });
      await settle(t);
    }
    expect((await t.ok('ListMessageMoveTasks', { SourceArn })).Results).toHaveLength(1);
    const started = (await tasks(t)).map(({ StartedTimestamp }) => StartedTimestamp);
    expect(started).toHaveLength(3);
    expect(started).toEqual(started.toSorted((a, b) => b - a));
  });

  it('leaves hidden messages until they are visible', async () => {
    const t = await openSqs(protocol);
    const { dlq, q } = await withDeadLetters(t, 2);
    await t.receiveOne(dlq, { VisibilityTimeout: 60 });
    await t.ok('StartMessageMoveTask', { SourceArn });
    await settle(t);
    expect(await t.counts(q)).toEqual(['1', '0', '0']);
    await t.clock.advance({ seconds: 60 });
    expect(await t.counts(q)).toEqual(['2', '0', '0']);
  });

  it('of a FIFO queue keeps groups and their order', async () => {
    const t = await openSqs(protocol);
    const fifo = { ContentBasedDeduplication: 'true' };
    await t.queue('dlq.fifo', fifo);
    const q = await t.queue('q.fifo', { ...fifo, RedrivePolicy: redrivePolicy('dlq.fifo', 1) });
    for (const body of ['a', 'b', 'c']) await t.send(q, body, { MessageGroupId: 'g' });
    const ask = { MaxNumberOfMessages: 10, VisibilityTimeout: 0 };
    for (let i = 0; i < 2; i += 1) await t.receive(q, ask);
    await t.ok('StartMessageMoveTask', { SourceArn: arnOf('dlq.fifo') });
    await settle(t);
    const messages = await t.receive(q, { MaxNumberOfMessages: 10, AttributeNames: ['All'] });
    expect(messages.map(({ Body, Attributes }) => [Body, Attributes?.MessageGroupId])).toEqual([
      ['a', 'g'],
      ['b', 'g'],
      ['c', 'g'],
    ]);
  });
});
