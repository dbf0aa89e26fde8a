/** Queues: names, attributes, when a queue is the same, deletion, lists, tags, permissions, purge. */
import { describe, expect, it } from 'vitest';
import { arnOf, openSqs, overBoth, redrivePolicy } from '../support/sqs.ts';

overBoth('the name of a queue', (protocol) => {
  it('that ends in .fifo is refused without FifoQueue=true: the type is never inferred', async () => {
    const t = await openSqs(protocol);
    const { code } = await t.refused('CreateQueue', { QueueName: 'q.fifo' });
    expect(code).toBe('InvalidParameterValue');
  });

  it('of a FIFO queue must end in .fifo', async () => {
    const t = await openSqs(protocol);
    const error = await t.refused('CreateQueue', { QueueName: 'q', Attributes: { FifoQueue: 'true' } });
    expect(error.code).toBe('InvalidParameterValue');
  });

  it('takes FifoQueue=True in capitals', async () => {
    const t = await openSqs(protocol);
    const { QueueUrl } = await t.ok('CreateQueue', { QueueName: 'q.fifo', Attributes: { FifoQueue: 'True' } });
    expect(await t.attributes(QueueUrl, 'FifoQueue')).toEqual({ FifoQueue: 'true' });
  });

  it('is 1 to 80 letters, digits, hyphens and underscores, the suffix included', async () => {
    const t = await openSqs(protocol);
    await t.queue('a'.repeat(80));
    await t.queue(`${'a'.repeat(75)}.fifo`);
    for (const QueueName of ['a'.repeat(81), 'a/b', 'a b', 'a.b', 'ä']) {
      expect((await t.refused('CreateQueue', { QueueName })).code).toBe('InvalidParameterValue');
    }
    const long = { QueueName: `${'a'.repeat(76)}.fifo`, Attributes: { FifoQueue: 'true' } };
    expect((await t.refused('CreateQueue', long)).code).toBe('InvalidParameterValue');
    expect((await t.refused('CreateQueue', {})).code).toBe('InvalidParameterValue');
    expect((await t.refused('GetQueueUrl', { QueueName: '' })).code).toBe('InvalidParameterValue');
  });

  it('is case-sensitive', async () => {
    const t = await openSqs(protocol);
    await t.queue('Orders');
    expect((await t.refused('GetQueueUrl', { QueueName: 'orders' })).status).toBe(400);
  });
});

overBoth('creating a queue that exists', (protocol) => {
  it('succeeds without attributes, whatever the queue has', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { DelaySeconds: '7' });
    expect((await t.ok('CreateQueue', { QueueName: 'q' })).QueueUrl).toBe(QueueUrl);
  });

  it('compares only what is given, with what is now', async () => {
    const t = await openSqs(protocol);
    await t.queue('q', { DelaySeconds: '7', VisibilityTimeout: '40' });
    await t.queue('q', { DelaySeconds: '7' });
    await t.queue('q', { VisibilityTimeout: '040' });
    await t.queue('q', { MaximumMessageSize: '1048576' });
    const Attributes = { DelaySeconds: '7', VisibilityTimeout: '41' };
    expect(await t.refused('CreateQueue', { QueueName: 'q', Attributes })).toMatchObject({
      status: 400,
      code: 'QueueAlreadyExists',
      message: 'A queue already exists with the same name and a different value for attribute VisibilityTimeout',
    });
  });

  it('fails with the first values after a change, and succeeds with the new ones', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { VisibilityTimeout: '1' });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { VisibilityTimeout: '2' } });
    const attempt = { QueueName: 'q', Attributes: { VisibilityTimeout: '1' } };
    expect((await t.refused('CreateQueue', attempt)).code).toBe('QueueAlreadyExists');
    expect(await t.queue('q', { VisibilityTimeout: '2' })).toBe(QueueUrl);
  });

  it('does not look at messages and tags', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { DelaySeconds: '0' });
    await t.send(QueueUrl, 'a');
    await t.ok('CreateQueue', { QueueName: 'q', Attributes: { DelaySeconds: '0' }, tags: { a: 'b' } });
    expect((await t.ok('ListQueueTags', { QueueUrl })).Tags).toBeUndefined();
  });

  it('compares policies as JSON', async () => {
    const t = await openSqs(protocol);
    await t.queue('q', { Policy: '{"a":1,"b":[2]}' });
    await t.queue('q', { Policy: '{ "b": [2], "a": 1 }' });
    const other = { QueueName: 'q', Attributes: { Policy: '{"a":2}' } };
    expect((await t.refused('CreateQueue', other)).message).toMatch(/attribute Policy$/);
  });

  it('names RedrivePolicy when that differs', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    await t.queue('q');
    const Attributes = { RedrivePolicy: redrivePolicy('dlq', 3) };
    expect((await t.refused('CreateQueue', { QueueName: 'q', Attributes })).message).toMatch(/RedrivePolicy$/);
  });
});

overBoth('deleting a queue', (protocol) => {
  it('keeps its name for 60 seconds', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('DeleteQueue', { QueueUrl });
    await t.clock.advance({ ms: 59_999 });
    expect(await t.refused('CreateQueue', { QueueName: 'q' })).toMatchObject({
      status: 400,
      code: 'AWS.SimpleQueueService.QueueDeletedRecently',
      message: 'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
    });
    await t.clock.advance({ ms: 1 });
    await t.queue('q');
  });

  it('can be told to free the name at once', async () => {
    const t = await openSqs(protocol, { sqs: { recreateSeconds: 0 } });
    await t.ok('DeleteQueue', { QueueUrl: await t.queue('q') });
    await t.queue('q');
  });

  it('that does not exist is an error', async () => {
    const t = await openSqs(protocol);
    const { code } = await t.refused('DeleteQueue', { QueueUrl: 'http://x/000000000000/none' });
    expect(code).toBe('AWS.SimpleQueueService.NonExistentQueue');
  });

  it('ends a long poll with the error', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const waiting = t.refused('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
    await t.clock.advance({});
    await t.ok('DeleteQueue', { QueueUrl });
    expect((await waiting).code).toBe('AWS.SimpleQueueService.NonExistentQueue');
  });

  it('begins anew with the next queue of its name', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { DelaySeconds: '3' });
    await t.send(QueueUrl, 'a');
    await t.ok('DeleteQueue', { QueueUrl });
    await t.clock.advance({ seconds: 60 });
    expect(await t.queue('q', { DelaySeconds: '0' })).toBe(QueueUrl);
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
  });
});

const standardNames = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
  'CreatedTimestamp',
  'DelaySeconds',
  'LastModifiedTimestamp',
  'MaximumMessageSize',
  'MessageRetentionPeriod',
  'QueueArn',
  'ReceiveMessageWaitTimeSeconds',
  'SqsManagedSseEnabled',
  'VisibilityTimeout',
];

overBoth('attributes of a queue', (protocol) => {
  it('are none when none are asked for', async () => {
    const t = await openSqs(protocol);
    const { Attributes } = await t.ok('GetQueueAttributes', { QueueUrl: await t.queue('q') });
    expect(Attributes).toBeUndefined();
  });

  it('are exactly twelve on a fresh standard queue, sixteen on a FIFO queue', async () => {
    const t = await openSqs(protocol);
    const standard = await t.attributes(await t.queue('q'), 'All');
    expect(Object.keys(standard).sort()).toEqual(standardNames);
    const fifo = await t.attributes(await t.queue('q.fifo'), 'All');
    const fifoNames = ['ContentBasedDeduplication', 'DeduplicationScope', 'FifoQueue', 'FifoThroughputLimit'];
    expect(Object.keys(fifo).sort()).toEqual([...standardNames, ...fifoNames].sort());
    expect(fifo).toMatchObject({
      ContentBasedDeduplication: 'false',
      DeduplicationScope: 'queue',
      FifoQueue: 'true',
      FifoThroughputLimit: 'perQueue',
    });
  });

  it('have the defaults of AWS', async () => {
    const t = await openSqs(protocol);
    expect(await t.attributes(await t.queue('q'), 'All')).toMatchObject({
      DelaySeconds: '0',
      MaximumMessageSize: '1048576',
      MessageRetentionPeriod: '345600',
      QueueArn: arnOf('q'),
      ReceiveMessageWaitTimeSeconds: '0',
      SqsManagedSseEnabled: 'true',
      VisibilityTimeout: '30',
    });
  });

  it('that are not set are absent, not empty', async () => {
    const t = await openSqs(protocol);
    const names = ['Policy', 'RedrivePolicy', 'RedriveAllowPolicy', 'KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds'];
    expect(await t.attributes(await t.queue('q'), ...names, 'FifoQueue', 'DelaySeconds')).toEqual({
      DelaySeconds: '0',
    });
  });

  it('tell times in seconds', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const created = String(t.clock.now() / 1000);
    await t.clock.advance({ seconds: 5 });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { DelaySeconds: '1' } });
    expect(await t.attributes(QueueUrl, 'CreatedTimestamp', 'LastModifiedTimestamp')).toEqual({
      CreatedTimestamp: created,
      LastModifiedTimestamp: String(t.clock.now() / 1000),
    });
  });

  it('that nobody knows are refused in Get, Set and Create', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const error = { status: 400, code: 'InvalidAttributeName', message: 'Unknown Attribute Foobar.' };
    const Attributes = { Foobar: '1' };
    expect(await t.refused('GetQueueAttributes', { QueueUrl, AttributeNames: ['All', 'Foobar'] })).toMatchObject(error);
    expect(await t.refused('SetQueueAttributes', { QueueUrl, Attributes })).toMatchObject(error);
    expect(await t.refused('CreateQueue', { QueueName: 'new', Attributes })).toMatchObject(error);
    for (const name of ['QueueArn', 'CreatedTimestamp', 'ApproximateNumberOfMessages', 'constructor']) {
      const { code } = await t.refused('SetQueueAttributes', { QueueUrl, Attributes: { [name]: '1' } });
      expect(code).toBe('InvalidAttributeName');
    }
  });

  const bounds = [
    ['DelaySeconds', '0', '900', '-1', '901'],
    ['MaximumMessageSize', '1024', '1048576', '1023', '1048577'],
    ['MessageRetentionPeriod', '60', '1209600', '59', '1209601'],
    ['ReceiveMessageWaitTimeSeconds', '0', '20', '-1', '21'],
    ['VisibilityTimeout', '0', '43200', '-1', '43201'],
    ['KmsDataKeyReusePeriodSeconds', '60', '86400', '59', '86401'],
  ] as const;

  it.each(bounds)('%s is bounded, in Create and in Set', async (name, min, max, below, above) => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const value of [min, max]) {
      await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { [name]: value } });
      await t.queue(`with-${value}`, { [name]: value });
    }
    for (const value of [below, above, '', ' ', '1.5', 'x', '0x10', '1e2']) {
      const error = {
        status: 400,
        code: 'InvalidAttributeValue',
        message: `Invalid value for the parameter ${name}.`,
      };
      const Attributes = { [name]: value };
      expect(await t.refused('SetQueueAttributes', { QueueUrl, Attributes })).toMatchObject(error);
      expect(await t.refused('CreateQueue', { QueueName: 'new', Attributes })).toMatchObject(error);
    }
  });

  it('can all be at their ends at once, also with a delay longer than the retention', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const lowest = Object.fromEntries(bounds.map(([name, min]) => [name, min]));
    const highest = Object.fromEntries(bounds.map(([name, , max]) => [name, max]));
    for (const Attributes of [highest, lowest, { DelaySeconds: '900' }]) {
      await t.ok('SetQueueAttributes', { QueueUrl, Attributes });
    }
    await t.queue('other', { DelaySeconds: '61', MessageRetentionPeriod: '60' });
    expect((await t.refused('SendMessage', { QueueUrl, MessageBody: 'a' })).message).toBe(
      'Value 900 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 60.',
    );
    await t.send(QueueUrl, 'a', { DelaySeconds: 60 });
  });

  it('are set all or none', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.refused('SetQueueAttributes', { QueueUrl, Attributes: { DelaySeconds: '5', VisibilityTimeout: 'x' } });
    expect(await t.attributes(QueueUrl, 'DelaySeconds')).toEqual({ DelaySeconds: '0' });
  });

  it('Policy and RedrivePolicy go when they are set to nothing', async () => {
    const t = await openSqs(protocol);
    await t.queue('dlq');
    const policy = '{"Version":"2012-10-17", "Statement":[]}';
    const QueueUrl = await t.queue('q', { Policy: policy, RedrivePolicy: redrivePolicy('dlq', 3) });
    expect(await t.attributes(QueueUrl, 'Policy')).toEqual({ Policy: policy });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { Policy: '', RedrivePolicy: '' } });
    expect(await t.attributes(QueueUrl, 'Policy', 'RedrivePolicy')).toEqual({});
  });

  it('Policy must be JSON', async () => {
    const t = await openSqs(protocol);
    for (const Policy of ['{', '[]', '"x"', `{"a":"${'x'.repeat(8_192)}"}`]) {
      expect(await t.refused('CreateQueue', { QueueName: 'q', Attributes: { Policy } })).toMatchObject({
        code: 'InvalidAttributeValue',
        message: 'Invalid value for the parameter Policy.',
      });
    }
  });

  it('FifoQueue cannot be false, and cannot be changed', async () => {
    const t = await openSqs(protocol);
    const unknown = { code: 'InvalidAttributeName', message: 'Unknown Attribute FifoQueue.' };
    const no = { FifoQueue: 'false' };
    expect(await t.refused('CreateQueue', { QueueName: 'q', Attributes: no })).toMatchObject(unknown);
    const standard = await t.queue('q');
    for (const FifoQueue of ['true', 'false']) {
      const ask = { QueueUrl: standard, Attributes: { FifoQueue } };
      expect(await t.refused('SetQueueAttributes', ask)).toMatchObject(unknown);
    }
    const fifo = await t.queue('q.fifo');
    await t.ok('SetQueueAttributes', { QueueUrl: fifo, Attributes: { FifoQueue: 'true' } });
    expect(await t.refused('SetQueueAttributes', { QueueUrl: fifo, Attributes: no })).toMatchObject({
      code: 'InvalidAttributeValue',
      message: 'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.',
    });
  });

  it('of FIFO queues are refused on standard ones, each in its own words', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const message = async (name: string, value: string) =>
      (await t.refused('SetQueueAttributes', { QueueUrl, Attributes: { [name]: value } })).message;
    expect(await message('ContentBasedDeduplication', 'true')).toBe('Unknown Attribute ContentBasedDeduplication.');
    for (const [name, value] of [
      ['DeduplicationScope', 'queue'],
      ['FifoThroughputLimit', 'perQueue'],
    ] as const) {
      expect(await message(name, value)).toBe(`You can specify the ${name} only when FifoQueue is set to true.`);
    }
  });

  it('FifoThroughputLimit per group needs the scope of the group', async () => {
    const t = await openSqs(protocol);
    const limit = { FifoQueue: 'true', FifoThroughputLimit: 'perMessageGroupId' };
    expect(await t.refused('CreateQueue', { QueueName: 'q.fifo', Attributes: limit })).toMatchObject({
      code: 'InvalidAttributeValue',
      message: 'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup',
    });
    await t.queue('q.fifo', { ...limit, DeduplicationScope: 'messageGroup' });
  });

  it('KMS: a key turns the other encryption off, and clearing it does not turn it on again', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const names = ['KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'SqsManagedSseEnabled'];
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { KmsMasterKeyId: 'alias/mine' } });
    expect(await t.attributes(QueueUrl, ...names)).toEqual({
      KmsMasterKeyId: 'alias/mine',
      KmsDataKeyReusePeriodSeconds: '300',
      SqsManagedSseEnabled: 'false',
    });
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { KmsMasterKeyId: '' } });
    expect(await t.attributes(QueueUrl, ...names)).toEqual({ SqsManagedSseEnabled: 'false' });
    const both = { KmsMasterKeyId: 'k', SqsManagedSseEnabled: 'true' };
    expect(await t.refused('SetQueueAttributes', { QueueUrl, Attributes: both })).toMatchObject({
      code: 'InvalidAttributeName',
      message:
        'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    });
  });
});

overBoth('a list of queues', (protocol) => {
  it('has no token without MaxResults', async () => {
    const t = await openSqs(protocol);
    for (let i = 0; i < 5; i += 1) await t.queue(`q${i}`);
    const { QueueUrls, NextToken } = await t.ok('ListQueues');
    expect(QueueUrls).toHaveLength(5);
    expect(NextToken).toBeUndefined();
  });

  it('goes on where the page before ended', async () => {
    const t = await openSqs(protocol);
    for (let i = 0; i < 10; i += 1) await t.queue(`q${i}`);
    const first = await t.ok('ListQueues', { MaxResults: 2 });
    expect(first.QueueUrls?.map((url) => url.at(-1))).toEqual(['0', '1']);
    const rest = await t.ok('ListQueues', { MaxResults: 10, NextToken: first.NextToken });
    expect(rest.QueueUrls).toHaveLength(8);
    expect(rest.NextToken).toBeUndefined();
  });

  it('takes a prefix as it is', async () => {
    const t = await openSqs(protocol);
    for (const name of ['a_1', 'ab1', 'A_1']) await t.queue(name);
    expect((await t.ok('ListQueues', { QueueNamePrefix: 'a_' })).QueueUrls).toEqual([
      'http://queue.test:9324/000000000000/a_1',
    ]);
    expect((await t.ok('ListQueues', { QueueNamePrefix: 'none' })).QueueUrls).toBeUndefined();
  });

  it('refuses bounds and tokens that are not its own', async () => {
    const t = await openSqs(protocol);
    for (const members of [{ MaxResults: 0 }, { MaxResults: 1_001 }, { NextToken: 'x' }]) {
      expect((await t.refused('ListQueues', members)).code).toBe('InvalidParameterValue');
    }
    expect((await t.refused('ListQueues', { MaxResults: 2, NextToken: '!' })).message).toMatch(/^Invalid NextToken/);
  });

  it('refuses the token of another list, and of another prefix', async () => {
    const t = await openSqs(protocol);
    const dlq = await t.queue('dlq');
    const other = await t.queue('other-dlq');
    for (const name of ['a1', 'a2', 'b1']) await t.queue(name, { RedrivePolicy: redrivePolicy('dlq', 3) });
    const { NextToken } = await t.ok('ListQueues', { QueueNamePrefix: 'a', MaxResults: 1 });
    const sources = await t.ok('ListDeadLetterSourceQueues', { QueueUrl: dlq, MaxResults: 1 });
    for (const [action, members] of [
      ['ListQueues', { QueueNamePrefix: 'b', NextToken }],
      ['ListQueues', { NextToken }],
      ['ListQueues', { NextToken: sources.NextToken }],
      ['ListDeadLetterSourceQueues', { QueueUrl: dlq, NextToken }],
      ['ListDeadLetterSourceQueues', { QueueUrl: other, NextToken: sources.NextToken }],
    ] as const) {
      const { code, message } = await t.refused(action, { MaxResults: 1, ...members });
      expect(code).toBe('InvalidParameterValue');
      expect(message).toMatch(/you must not change the other request parameters\.$/);
    }
    expect((await t.ok('ListQueues', { QueueNamePrefix: 'a', MaxResults: 5, NextToken })).QueueUrls).toHaveLength(1);
  });

  it('that die into another is called queueUrls and pages, too', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('dlq');
    for (const name of ['a', 'b', 'c']) await t.queue(name, { RedrivePolicy: redrivePolicy('dlq', 3) });
    const { queueUrls } = await t.ok('ListDeadLetterSourceQueues', { QueueUrl });
    expect(queueUrls?.map((url) => url.at(-1))).toEqual(['a', 'b', 'c']);
    const page = await t.ok('ListDeadLetterSourceQueues', { QueueUrl, MaxResults: 2 });
    expect(page.queueUrls).toHaveLength(2);
    const rest = await t.ok('ListDeadLetterSourceQueues', { QueueUrl, MaxResults: 2, NextToken: page.NextToken });
    expect(rest.queueUrls).toHaveLength(1);
  });
});

overBoth('tags', (protocol) => {
  it('keeps the tags that several clients set at once', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const names = ['a', 'b', 'c', 'd', 'e'];
    await Promise.all(names.map((name) => t.ok('TagQueue', { QueueUrl, Tags: { [name]: 'x' } })));
    const { Tags } = await t.ok('ListQueueTags', { QueueUrl });
    expect(Object.keys(Tags as object).sort()).toEqual(names);
  });

  it('are case-sensitive, overwritten, and may be empty; a key that is not there can be taken away', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('TagQueue', { QueueUrl, Tags: { tag: 'a', Tag: 'b', empty: '' } });
    await t.ok('TagQueue', { QueueUrl, Tags: { tag: 'c' } });
    await t.ok('UntagQueue', { QueueUrl, TagKeys: ['Tag', 'none'] });
    expect((await t.ok('ListQueueTags', { QueueUrl })).Tags).toEqual({ tag: 'c', empty: '' });
  });

  it('are at most 50, of sane keys and values', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const fifty = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'v']));
    await t.ok('TagQueue', { QueueUrl, Tags: fifty });
    expect((await t.refused('TagQueue', { QueueUrl, Tags: { more: 'v' } })).message).toBe(
      'Too many tags added for queue q.',
    );
    for (const Tags of [{ 'aws:x': 'v' }, { ['k'.repeat(129)]: 'v' }, { k0: 'v'.repeat(257) }, { 'a<b': 'v' }]) {
      expect((await t.refused('TagQueue', { QueueUrl, Tags })).code).toBe('InvalidParameterValue');
    }
    expect((await t.refused('UntagQueue', { QueueUrl, TagKeys: [] })).code).toBe('InvalidParameterValue');
  });
});

overBoth('permissions', (protocol) => {
  const account = '123456789012';
  const add = { Label: 'mine', AWSAccountIds: [account], Actions: ['ReceiveMessage'] };

  it('are statements of the policy, which goes with the last of them', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('AddPermission', { QueueUrl, ...add });
    const several = { Label: 'two', AWSAccountIds: [account, '210987654321'], Actions: ['SendMessage', '*'] };
    await t.ok('AddPermission', { QueueUrl, ...several });
    expect(JSON.parse((await t.attributes(QueueUrl, 'Policy')).Policy ?? '')).toEqual({
      Version: '2008-10-17',
      Id: `${arnOf('q')}/SQSDefaultPolicy`,
      Statement: [
        {
          Sid: 'mine',
          Effect: 'Allow',
          Principal: { AWS: `arn:aws:iam::${account}:root` },
          Action: 'SQS:ReceiveMessage',
          Resource: arnOf('q'),
        },
        {
          Sid: 'two',
          Effect: 'Allow',
          Principal: { AWS: [`arn:aws:iam::${account}:root`, 'arn:aws:iam::210987654321:root'] },
          Action: ['SQS:SendMessage', 'SQS:*'],
          Resource: arnOf('q'),
        },
      ],
    });
    for (const Label of ['mine', 'two']) await t.ok('RemovePermission', { QueueUrl, Label });
    expect(await t.attributes(QueueUrl, 'Policy')).toEqual({});
  });

  it('have labels of their own', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('AddPermission', { QueueUrl, ...add });
    expect(await t.refused('AddPermission', { QueueUrl, ...add, AWSAccountIds: ['210987654321'] })).toMatchObject({
      code: 'InvalidParameterValue',
      message: 'Value mine for parameter Label is invalid. Reason: Already exists.',
    });
    expect(await t.refused('RemovePermission', { QueueUrl, Label: 'none' })).toMatchObject({
      code: 'InvalidParameterValue',
      message: "Value none for parameter Label is invalid. Reason: can't find label.",
    });
  });

  it('are for some actions and accounts only', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const refused = (members: object) => t.refused('AddPermission', { QueueUrl, ...add, ...members });
    expect((await refused({ Actions: ['CreateQueue'] })).message).toMatch(
      /^Value SQS:CreateQueue .*Only the queue owner/,
    );
    expect((await refused({ Actions: ['SendMessageBatch'] })).message).toMatch(/appropriate WSDL/);
    expect((await refused({ AWSAccountIds: [] })).message).toBe(
      'Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.',
    );
    expect((await refused({ Label: 'a b' })).code).toBe('InvalidParameterValue');
    expect(await refused({ Actions: Array.from({ length: 8 }, () => 'SendMessage') })).toMatchObject({
      status: 403,
      code: 'OverLimit',
      message: '8 Actions were found, maximum allowed is 7.',
    });
  });

  it('are at most twenty', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (let i = 0; i < 20; i += 1) await t.ok('AddPermission', { QueueUrl, ...add, Label: `l${i}` });
    expect(await t.refused('AddPermission', { QueueUrl, ...add })).toMatchObject({
      status: 403,
      message: '21 Statements were found, maximum allowed is 20.',
    });
  });
});

overBoth('a purge', (protocol) => {
  it('removes visible, hidden and delayed messages', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const [body, DelaySeconds] of [
      ['a', 0],
      ['b', 0],
      ['c', 60],
    ] as const) {
      await t.send(QueueUrl, body, { DelaySeconds });
    }
    await t.receiveOne(QueueUrl);
    expect(await t.counts(QueueUrl)).toEqual(['1', '1', '1']);
    await t.ok('PurgeQueue', { QueueUrl });
    expect(await t.counts(QueueUrl)).toEqual(['0', '0', '0']);
    await t.send(QueueUrl, 'later');
    expect(await t.bodies(QueueUrl)).toEqual(['later']);
  });

  it('is possible once in 60 seconds', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.ok('PurgeQueue', { QueueUrl });
    await t.clock.advance({ ms: 59_999 });
    expect(await t.refused('PurgeQueue', { QueueUrl })).toMatchObject({
      status: 403,
      code: 'AWS.SimpleQueueService.PurgeQueueInProgress',
      message: 'Only one PurgeQueue operation on q is allowed every 60 seconds.',
    });
    await t.clock.advance({ ms: 1 });
    await t.ok('PurgeQueue', { QueueUrl });
  });
});

overBoth('a queue URL', (protocol) => {
  it('follows the Host header of the request', async () => {
    const t = await openSqs(protocol);
    const { QueueUrl } = await t.ok('CreateQueue', { QueueName: 'q' }, { headers: { host: 'other.example:1234' } });
    expect(QueueUrl).toBe('http://other.example:1234/000000000000/q');
  });

  it('begins as the operator says, when he says so', async () => {
    const t = await openSqs(protocol, { sqs: { publicUrl: 'https://queues.example.com/', region: 'eu-north-1' } });
    const QueueUrl = await t.queue('q');
    expect(QueueUrl).toBe('https://queues.example.com/000000000000/q');
    expect((await t.attributes(QueueUrl, 'QueueArn')).QueueArn).toBe('arn:aws:sqs:eu-north-1:000000000000:q');
  });

  it('is known by its path alone, and a name alone is one', async () => {
    const t = await openSqs(protocol);
    await t.queue('q');
    for (const QueueUrl of [
      'q',
      '/000000000000/q',
      'https://sqs.eu-west-1.amazonaws.com/000000000000/q',
      'https://eu-west-1.queue.amazonaws.com/000000000000/q/',
      'http://localhost:4566/queue/us-east-1/000000000000/q',
      'http://localhost:9324/queue/q',
    ]) {
      expect(Object.keys(await t.attributes(QueueUrl, 'QueueArn'))).toEqual(['QueueArn']);
    }
  });

  it.each([
    'http://whatever-incorrect-queue-address',
    'nonsense with blanks',
    'http://x/000000000000/none',
    'http://x/123456789012/q',
    '////',
    'http://x/000000000000/q?x=y',
    `http://x/${'a/'.repeat(1_000)}`,
  ])('that leads nowhere (%.50s) is a queue that does not exist', async (QueueUrl) => {
    const t = await openSqs(protocol);
    await t.queue('q');
    expect(await t.refused('ReceiveMessage', { QueueUrl })).toMatchObject({
      status: 400,
      code: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  });

  it('of another account shows nothing', async () => {
    const t = await openSqs(protocol);
    await t.queue('q');
    const owner = { QueueName: 'q', QueueOwnerAWSAccountId: '123456789012' };
    expect((await t.refused('GetQueueUrl', owner)).code).toBe('AWS.SimpleQueueService.NonExistentQueue');
    await t.ok('GetQueueUrl', { ...owner, QueueOwnerAWSAccountId: '000000000000' });
  });
});

describe('the counters of a queue', () => {
  it('follow its messages, and never decide whether it is the same', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q', { VisibilityTimeout: '30' });
    await t.send(QueueUrl, 'a');
    expect(await t.counts(QueueUrl)).toEqual(['1', '0', '0']);
    await t.receiveOne(QueueUrl);
    expect(await t.counts(QueueUrl)).toEqual(['0', '1', '0']);
    await t.queue('q', { VisibilityTimeout: '30' });
  });
});
