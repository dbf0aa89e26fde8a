/** Dead-letter queues: policies, when a message moves, and what it keeps. */
import { describe, expect, it } from 'vitest';
import { arnOf, openSqs, overBoth, redrivePolicy, type Sqs, textAttribute } from '../support/sqs.ts';

const setPolicy = (t: Sqs, QueueUrl: string, RedrivePolicy: string) =>
  t.refused('SetQueueAttributes', { QueueUrl, Attributes: { RedrivePolicy } });

overBoth('a redrive policy', (protocol) => {
  it('is written anew, its count a number, whether that came as text or not', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    for (const [given, count] of [
      ['"42"', 42],
      ['7', 7],
    ] as const) {
      const policy = `{ "maxReceiveCount" : ${given}, "deadLetterTargetArn" : "${arnOf('dlq')}" }`;
      const QueueUrl = await t.queue(`q${count}`, { RedrivePolicy: policy });
      expect(await t.attributes(QueueUrl, 'RedrivePolicy')).toEqual({
        RedrivePolicy: `{"deadLetterTargetArn":"${arnOf('dlq')}","maxReceiveCount":${count}}`,
      });
    }
  });

  it.each([
    ['0', /valid values are from 1 to 1000/],
    ['1001', /valid values are from 1 to 1000/],
    ['1.5', /valid values are from 1 to 1000/],
    ['"x"', /valid values are from 1 to 1000/],
    ['[]', /valid values are from 1 to 1000/],
  ])('with the count %s is an invalid parameter', async (count, message) => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    const QueueUrl = await t.queue('q');
    const error = await setPolicy(t, QueueUrl, `{"deadLetterTargetArn":"${arnOf('dlq')}","maxReceiveCount":${count}}`);
    expect(error).toMatchObject({ status: 400, code: 'InvalidParameterValue' });
    expect(error.message).toMatch(message);
  });

  it('needs a target that is there, is its own, and is of its type', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq.fifo');
    const QueueUrl = await t.queue('q');
    const refused = async (arn: string) => {
      const error = await setPolicy(t, QueueUrl, JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 3 }));
      expect(error.code).toBe('InvalidParameterValue');
      return error.message.replace(/^.*Reason: /, '');
    };
    expect(await refused(arnOf('none'))).toBe('Dead letter target does not exist.');
    expect(await refused(arnOf('dlq.fifo'))).toBe('Dead-letter queue must be same type of queue as the source..');
    expect(await refused('dlq')).toBe('Dead-letter target ARN should be fully qualified ARN.');
    expect(await refused('arn:aws:sns:us-east-1:000000000000:x')).toMatch(/^Only SQS queues/);
    expect(await refused('arn:aws:sqs:us-east-1:123456789012:x')).toMatch(/owner should be same as the source/);
  });

  it('has two members and no others', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await setPolicy(t, QueueUrl, 'x')).toMatchObject({ code: 'InvalidAttributeValue' });
    expect((await setPolicy(t, QueueUrl, '{"deadLetterTargetArn":"a"}')).message).toMatch(/mandatory attribute: maxR/);
    expect((await setPolicy(t, QueueUrl, '{"maxReceiveCount":3}')).message).toMatch(/attribute: deadLetterTargetArn/);
    const more = JSON.stringify({ deadLetterTargetArn: arnOf('q'), maxReceiveCount: 3, more: 1 });
    expect((await setPolicy(t, QueueUrl, more)).message).toMatch(/Only following attributes are supported/);
  });

  it('may name the queue itself, also in a circle', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { RedrivePolicy: redrivePolicy('q', 1) });
    await t.queue('other', { RedrivePolicy: redrivePolicy('q', 1) });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { RedrivePolicy: redrivePolicy('other', 1) } });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { RedrivePolicy: redrivePolicy('q', 1) } });
    await t.send(QueueUrl, 'a');
    const ask = { VisibilityTimeout: 0, AttributeNames: ['All'] };
    expect((await t.receiveOne(QueueUrl, ask)).Attributes?.ApproximateReceiveCount).toBe('1');
    await t.clock.advance({ seconds: 1 });
    const again = await t.receiveOne(QueueUrl, ask);
    expect(again.Attributes).toMatchObject({
      ApproximateReceiveCount: '2',
      DeadLetterQueueSourceArn: arnOf('q'),
    });
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
  });

  it('is refused by a queue that lets nobody in, or not this one', async () => {
    const t = await openSqs(protocol);
    const allow = JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: [arnOf('friend')] });
    const dlq = await t.queue('dlq', { RedriveAllowPolicy: allow });
    const RedrivePolicy = redrivePolicy('dlq', 3);
    const stranger = { QueueName: 'stranger', Attributes: { RedrivePolicy } };
    expect((await t.refused('CreateQueue', stranger)).code).toBe('InvalidParameterValue');
    await t.queue('friend', { RedrivePolicy });
    expect(await t.attributes(dlq, 'RedriveAllowPolicy')).toEqual({ RedriveAllowPolicy: allow });
    const deny = { RedriveAllowPolicy: '{"redrivePermission":"denyAll"}' };
    await t.ok('SetQueueAttributes', { QueueUrl: dlq, Attributes: deny });
    expect(await t.attributes(dlq, 'RedriveAllowPolicy')).toEqual(deny);
    const attempt = { QueueName: 'new', Attributes: { RedrivePolicy } };
    expect((await t.refused('CreateQueue', attempt)).code).toBe('InvalidParameterValue');
    await t.ok('SetQueueAttributes', { QueueUrl: dlq, Attributes: { RedriveAllowPolicy: '' } });
    await t.queue('new', { RedrivePolicy });
  });

  it.each([
    '{"redrivePermission":"byQueue"}',
    '{"redrivePermission":"byQueue","sourceQueueArns":[]}',
    '{"redrivePermission":"allowAll","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:q"]}',
    '{"redrivePermission":"nobody"}',
    '{}',
    JSON.stringify({
      redrivePermission: 'byQueue',
      sourceQueueArns: Array.from({ length: 11 }, (_, i) => arnOf(`q${i}`)),
    }),
  ])('is not allowed by %.60s', async (RedriveAllowPolicy) => {
    const t = await openSqs(protocol);
    const ask = { QueueName: 'q', Attributes: { RedriveAllowPolicy } };
    expect((await t.refused('CreateQueue', ask)).code).toBe('InvalidParameterValue');
  });
});

overBoth('a message that is received too often', (protocol) => {
  const trace = 'Root=1-2-3';
  const ask = { VisibilityTimeout: 0, AttributeNames: ['All'], MessageAttributeNames: ['All'] };

  it('is delivered as often as the policy says, and then moves with all it has', async () => {
    const t = await openSqs(protocol);
    const dlq = await t.queue('dlq', { DelaySeconds: '60' });
    const QueueUrl = await t.queue('q', { RedrivePolicy: redrivePolicy('dlq', 1) });
    const sent = await t.send(QueueUrl, 'a', {
      MessageAttributes: { color: textAttribute('blue') },
      MessageSystemAttributes: { AWSTraceHeader: textAttribute(trace) },
      MessageGroupId: 'tenant',
    });
    const first = await t.receiveOne(QueueUrl, ask);
    await t.clock.advance({ seconds: 5 });
    expect(await t.receive(QueueUrl, ask)).toEqual([]);
    const dead = await t.receiveOne(dlq, ask);
    expect(dead.MessageId).toBe(sent.MessageId);
    expect(dead.MessageAttributes).toEqual({ color: textAttribute('blue') });
    expect(dead.Attributes).toEqual({
      ...first.Attributes,
      ApproximateReceiveCount: '2',
      AWSTraceHeader: trace,
      MessageGroupId: 'tenant',
      DeadLetterQueueSourceArn: arnOf('q'),
    });
  });

  it('leaves room for those behind it', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    const QueueUrl = await t.queue('q', { RedrivePolicy: redrivePolicy('dlq', 1) });
    await t.send(QueueUrl, 'bad');
    await t.receiveOne(QueueUrl, { VisibilityTimeout: 0 });
    await t.send(QueueUrl, 'good');
    expect(await t.bodies(QueueUrl)).toEqual(['good']);
  });

  it('is delivered again when there is no dead-letter queue any more', async () => {
    const t = await openSqs(protocol);
    const dlq = await t.queue('dlq');
    const QueueUrl = await t.queue('q', { RedrivePolicy: redrivePolicy('dlq', 1) });
    await t.send(QueueUrl, 'a');
    await t.ok('DeleteQueue', { QueueUrl: dlq });
    for (let i = 0; i < 3; i += 1) expect(await t.bodies(QueueUrl, { VisibilityTimeout: 0 })).toEqual(['a']);
  });

  it('keeps its retention on standard queues and begins it anew on FIFO queues', async () => {
    const t = await openSqs(protocol);
    const fifo = { ContentBasedDeduplication: 'true' };
    const lives = [
      { suffix: '', more: {}, group: {}, isThere: false },
      { suffix: '.fifo', more: fifo, group: { MessageGroupId: 'g' }, isThere: true },
    ];
    for (const { suffix, more, group, isThere } of lives) {
      const dlq = await t.queue(`dlq${suffix}`, { ...more, MessageRetentionPeriod: '100' });
      const policy = { RedrivePolicy: redrivePolicy(`dlq${suffix}`, 1) };
      const QueueUrl = await t.queue(`q${suffix}`, { ...more, ...policy });
      await t.send(QueueUrl, 'a', group);
      await t.receiveOne(QueueUrl, { VisibilityTimeout: 0 });
      await t.clock.advance({ seconds: 90 });
      expect(await t.receive(QueueUrl)).toEqual([]);
      await t.clock.advance({ seconds: 20 });
      expect((await t.receive(dlq)).length === 1).toBe(isThere);
    }
  });

  it('leaves its FIFO group usable, and comes with its message id as deduplication id', async () => {
    const t = await openSqs(protocol);
    const dlq = await t.queue('dlq.fifo', { ContentBasedDeduplication: 'true' });
    const policy = { RedrivePolicy: redrivePolicy('dlq.fifo', 1) };
    const QueueUrl = await t.queue('q.fifo', { ContentBasedDeduplication: 'true', ...policy });
    const { MessageId } = await t.send(QueueUrl, 'a', { MessageGroupId: 'g' });
    await t.send(QueueUrl, 'b', { MessageGroupId: 'g' });
    await t.receiveOne(QueueUrl, { VisibilityTimeout: 0 });
    expect(await t.bodies(QueueUrl)).toEqual(['b']);
    await t.send(QueueUrl, 'c', { MessageGroupId: 'g' });
    expect(await t.bodies(QueueUrl)).toEqual([]);
    const dead = await t.receiveOne(dlq, { AttributeNames: ['All'] });
    expect(dead.Attributes).toMatchObject({ MessageDeduplicationId: MessageId, MessageGroupId: 'g' });
  });
});

describe('a chain of dead-letter queues', () => {
  it('gives each queue its own number of receives', async () => {
    const t = await openSqs('json');
    const last = await t.queue('last');
    const middle = await t.queue('middle', { RedrivePolicy: redrivePolicy('last', 2) });
    const first = await t.queue('first', { RedrivePolicy: redrivePolicy('middle', 2) });
    await t.send(first, 'a');
    for (const QueueUrl of [first, middle]) {
      for (let i = 0; i < 2; i += 1) expect(await t.bodies(QueueUrl, { VisibilityTimeout: 0 })).toEqual(['a']);
      expect(await t.bodies(QueueUrl)).toEqual([]);
    }
    expect(await t.bodies(last)).toEqual(['a']);
  });
});
