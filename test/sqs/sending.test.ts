/** Sending: bodies, sizes, attributes, batches, delays. */
import { describe, expect, it } from 'vitest';
import { md5, md5OfAttributes } from '../../src/sqs/md5.ts';
import { type Members, nth, on, openSqs, overBoth, type Sqs, sendEntries, textAttribute } from '../support/sqs.ts';

const batch = (t: Sqs, QueueUrl: string, list: readonly Members[]) =>
  t.ok('SendMessageBatch', on(QueueUrl, sendEntries(list)));
const refusedBatch = (t: Sqs, QueueUrl: string, list: readonly Members[]) =>
  t.refused('SendMessageBatch', on(QueueUrl, sendEntries(list)));

overBoth('a body', (protocol) => {
  it('that is empty is a missing parameter', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: '' })).toMatchObject({
      status: 400,
      code: 'MissingParameter',
      message: 'The request must contain the parameter MessageBody.',
    });
  });

  it('of one blank is legal, and so are emoji', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const body of [' ', '😀', '\u{d7ff}\u{e000}\u{fffd}\u{10ffff}']) {
      await t.send(QueueUrl, body);
      const message = await t.receiveOne(QueueUrl);
      expect(message.Body).toBe(body);
      await t.delete(QueueUrl, message);
    }
  });

  it.each([
    ['\u0000', '0'],
    ['a\u0008', '8'],
    ['\u001f', '1f'],
    ['\ufffe', 'fffe'],
    ['\uffff', 'ffff'],
  ])('with a forbidden character fails alone, and with its entry in a batch (%j)', async (body, hex) => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: body })).toMatchObject({
      status: 400,
      code: 'InvalidMessageContents',
      message: `Invalid binary character '#x${hex}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].`,
    });
    const { Successful, Failed } = await batch(t, QueueUrl, [
      { Id: 'a', MessageBody: body },
      { Id: 'b', MessageBody: 'b' },
    ]);
    expect(Successful).toHaveLength(1);
    expect(Failed).toMatchObject([{ Id: 'a', Code: 'InvalidMessageContents', SenderFault: true }]);
    expect(await t.bodies(QueueUrl)).toEqual(['b']);
  });

  it('counts with the names, types and values of its attributes', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MaximumMessageSize: '1024' });
    const MessageAttributes = {
      name: textAttribute('ä', 'String.x'),
      blob: { DataType: 'Binary', BinaryValue: Buffer.from([1, 2, 3]).toString('base64') },
    };
    const rest = 1_024 - (4 + 8 + 2) - (4 + 6 + 3);
    await t.send(QueueUrl, 'x'.repeat(rest), { MessageAttributes });
    const tooLong = { QueueUrl, MessageBody: 'x'.repeat(rest + 1), MessageAttributes };
    expect(await t.refused('SendMessage', tooLong)).toMatchObject({
      code: 'InvalidParameterValue',
      message: 'One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.',
    });
  });

  it('does not count the trace header', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MaximumMessageSize: '1024' });
    const MessageSystemAttributes = { AWSTraceHeader: textAttribute('t'.repeat(500)) };
    await t.send(QueueUrl, 'x'.repeat(1_024), { MessageSystemAttributes });
  });
});

describe('a lone surrogate', () => {
  it('in a body is refused', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    const { statusCode, payload } = await t.server.inject({
      method: 'POST',
      url: '/',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' },
      payload: `{"QueueUrl":"${QueueUrl}","MessageBody":"a\\ud800"}`,
    });
    expect(statusCode).toBe(400);
    expect(payload).toContain("'#xd800'");
  });
});

overBoth('a batch', (protocol) => {
  it('fails as a whole when an entry would be longer than any message', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const list = [{ Id: 'a', MessageBody: 'x'.repeat(1_048_577) }];
    expect(await refusedBatch(t, QueueUrl, list)).toMatchObject({
      status: 400,
      code: 'AWS.SimpleQueueService.BatchRequestTooLong',
      message: 'Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.',
    });
    const two = ['a', 'b'].map((Id) => ({ Id, MessageBody: 'x'.repeat(524_288) }));
    expect((await batch(t, QueueUrl, two)).Successful).toHaveLength(2);
  });

  it('fails by entry at the limit of the queue', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MaximumMessageSize: '1024' });
    const { Successful, Failed } = await batch(t, QueueUrl, [
      { Id: 'long', MessageBody: 'x'.repeat(2_000) },
      { Id: 'fits', MessageBody: 'x'.repeat(1_024) },
    ]);
    expect(Successful?.map(({ Id }) => Id)).toEqual(['fits']);
    expect(Failed).toEqual([
      {
        Id: 'long',
        Code: 'InvalidParameterValue',
        SenderFault: true,
        Message: 'One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.',
      },
    ]);
  });

  it('of ten entries at the limit of the queue is taken', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { MaximumMessageSize: '1024' });
    const list = Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: 'x'.repeat(1_024) }));
    expect((await batch(t, QueueUrl, list)).Successful).toHaveLength(10);
  });

  it('names the first id that is there twice', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const list = ['a', 'b', 'c', 'b', 'a'].map((Id) => ({ Id, MessageBody: 'x' }));
    expect(await refusedBatch(t, QueueUrl, list)).toMatchObject({
      code: 'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
      message: 'Id b repeated.',
    });
  });

  it('reports attributes and their checksums by entry', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const MessageAttributes = { k: textAttribute('x') };
    const { Successful } = await batch(t, QueueUrl, [
      { Id: 'a', MessageBody: 'message', MessageAttributes },
      { Id: 'b', MessageBody: 'test' },
    ]);
    expect(nth(Successful, 0)).toMatchObject({
      MD5OfMessageBody: '78e731027d8fd50ed642340b7c9a63b3',
      MD5OfMessageAttributes: 'a45daa70926828a2f0a1db3418e6feb4',
    });
    expect(nth(Successful, 1)).not.toHaveProperty('MD5OfMessageAttributes');
  });

  it('fails by entry for what is wrong with one message', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const { Failed } = await batch(t, QueueUrl, [
      { Id: 'empty', MessageBody: '' },
      { Id: 'attribute', MessageBody: 'a', MessageAttributes: { a: textAttribute('x', 'string') } },
      { Id: 'delay', MessageBody: 'a', DelaySeconds: 901 },
      { Id: 'dedup', MessageBody: 'a', MessageDeduplicationId: 'd' },
    ]);
    expect(Failed?.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault])).toEqual([
      ['empty', 'MissingParameter', true],
      ['attribute', 'InvalidParameterValue', true],
      ['delay', 'InvalidParameterValue', true],
      ['dedup', 'InvalidParameterValue', true],
    ]);
    expect(nth(Failed).Message).toBe(
      'The request must contain the parameter SendMessageBatchRequestEntry.1.MessageBody.',
    );
  });
});

const refusedAttribute = async (t: Sqs, QueueUrl: string, MessageAttributes: Members) =>
  t.refused('SendMessage', { QueueUrl, MessageBody: 'a', MessageAttributes });

overBoth('message attributes', (protocol) => {
  it('are at most ten', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}`, textAttribute('x')]));
    await t.send(QueueUrl, 'a', { MessageAttributes: many(10) });
    expect(await refusedAttribute(t, QueueUrl, many(11))).toMatchObject({
      code: 'InvalidParameterValue',
      message: 'Number of message attributes [11] exceeds the allowed maximum [10].',
    });
  });

  it.each([
    ['String', { DataType: 'String', StringValue: '' }],
    ['Number', { DataType: 'Number' }],
    ['Binary', { DataType: 'Binary', BinaryValue: '' }],
  ])('of the type %s have a value', async (type, attribute) => {
    const t = await openSqs(protocol);
    expect(await refusedAttribute(t, await t.queue('q'), { n: attribute })).toMatchObject({
      code: 'InvalidParameterValue',
      message: `Message (user) attribute 'n' must contain a non-empty value of type '${type}'.`,
    });
  });

  it.each(['string', 'Strings', '', 'Text', 'Number.', `String.${'x'.repeat(250)}`])(
    'are String, Number or Binary, not %.20j',
    async (DataType) => {
      const t = await openSqs(protocol);
      expect(await refusedAttribute(t, await t.queue('q'), { n: textAttribute('1', DataType) })).toMatchObject({
        code: 'InvalidParameterValue',
        message:
          "The type of message (user) attribute 'n' is invalid. You must use only the following supported type prefixes: Binary, Number, String.",
      });
    },
  );

  it.each([
    ['', /non-empty message attribute name/],
    ['.a', /must not begin with character '\.'/],
    ['a.', /must not end with character '\.'/],
    ['a..b', /must not have successive/],
    ['AWS.x', /reserved for internal use/],
    ['amazon.x', /reserved for internal use/],
    ['a b', /can only include/],
    ['a'.repeat(257), /shorter than/],
  ])('are not called %.20j', async (name, message) => {
    const t = await openSqs(protocol);
    const error = await refusedAttribute(t, await t.queue('q'), { [name]: textAttribute('x') });
    expect(error.code).toBe('InvalidParameterValue');
    expect(error.message).toMatch(message);
  });

  it('may be called with letters and digits of any script', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const names = ['attr.1øßä', 'a'.repeat(256), '_-.x', '7'];
    const MessageAttributes = Object.fromEntries(names.map((name) => [name, textAttribute('x')]));
    await t.send(QueueUrl, 'a', { MessageAttributes });
    const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
    expect(Object.keys(message.MessageAttributes ?? {}).sort()).toEqual(names.sort());
  });

  it('of the type Number are numbers, given back as they were sent', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const value of ['0230.01', '-1', '+1e10', '.5', '12345678901234567890123456789012345678']) {
      await t.send(QueueUrl, 'a', { MessageAttributes: { n: textAttribute(value, 'Number') } });
      const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['n'] });
      expect(message.MessageAttributes).toEqual({ n: { StringValue: value, DataType: 'Number' } });
      await t.delete(QueueUrl, message);
    }
    for (const value of ['x', '1,5', '0x10', 'Infinity', ' 1']) {
      expect(await refusedAttribute(t, QueueUrl, { n: textAttribute(value, 'Number.int') })).toMatchObject({
        message: "Can't cast the value of message (user) attribute 'n' to a number.",
      });
    }
  });

  it('keep their labels', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const attribute = textAttribute('1493147359900', 'Number.java.lang.Long');
    const { MD5OfMessageAttributes } = await t.send(QueueUrl, 'a', { MessageAttributes: { timestamp: attribute } });
    expect(MD5OfMessageAttributes).toBe('2e2e4876d8e0bd6b8c2c8f556831c349');
    const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
    expect(message.MessageAttributes?.timestamp).toEqual(attribute);
  });

  it('have no lists', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const lists of [{ StringListValues: ['a'] }, { BinaryListValues: ['YQ=='] }]) {
      expect(await refusedAttribute(t, QueueUrl, { n: { DataType: 'String', ...lists } })).toMatchObject({
        status: 400,
        code: 'AWS.SimpleQueueService.UnsupportedOperation',
      });
    }
  });

  it('have their value where their type says', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const wrong = { n: { DataType: 'Binary', StringValue: 'x' } };
    expect((await refusedAttribute(t, QueueUrl, wrong)).message).toMatch(/must use field 'Binary'/);
    const both = { n: { DataType: 'String', StringValue: 'x', BinaryValue: 'YQ==' } };
    expect((await refusedAttribute(t, QueueUrl, both)).code).toBe('InvalidParameterValue');
    const broken = { n: { DataType: 'Binary', BinaryValue: '*' } };
    expect((await refusedAttribute(t, QueueUrl, broken)).code).toBe('MalformedInput');
    const forbidden = { n: textAttribute('a\u0001') };
    expect((await refusedAttribute(t, QueueUrl, forbidden)).code).toBe('InvalidParameterValue');
  });

  it('have no checksum when there are none', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.send(QueueUrl, 'a')).not.toHaveProperty('MD5OfMessageAttributes');
    expect(await t.send(QueueUrl, 'a', { MessageAttributes: {} })).not.toHaveProperty('MD5OfMessageAttributes');
  });
});

const trace = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';

overBoth('the trace header', (protocol) => {
  it('has a checksum of its own and leaves that of the attributes alone', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const sent = await t.send(QueueUrl, 'a', {
      MessageAttributes: { k: textAttribute('x') },
      MessageSystemAttributes: { AWSTraceHeader: textAttribute(trace) },
    });
    expect(sent.MD5OfMessageSystemAttributes).toBe('5ae4d5d7636402d80f4eb6d213245a88');
    expect(sent.MD5OfMessageAttributes).toBe('a45daa70926828a2f0a1db3418e6feb4');
    const message = await t.receiveOne(QueueUrl, {
      AttributeNames: ['AWSTraceHeader'],
      MessageAttributeNames: ['All'],
    });
    expect(message.Attributes).toEqual({ AWSTraceHeader: trace });
    expect(message.MD5OfMessageAttributes).toBe('a45daa70926828a2f0a1db3418e6feb4');
  });

  it('comes from the header of the request, too, when the message brings none', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const options = { headers: { 'X-Amzn-Trace-Id': trace } };
    await t.ok('SendMessage', { QueueUrl, MessageBody: 'a' }, options);
    const own = { AWSTraceHeader: textAttribute('own') };
    await t.ok('SendMessage', { QueueUrl, MessageBody: 'b', MessageSystemAttributes: own }, options);
    const list = sendEntries([{ Id: 'c', MessageBody: 'c' }]);
    await t.ok('SendMessageBatch', on(QueueUrl, list), options);
    const messages = await t.receive(QueueUrl, { MaxNumberOfMessages: 10, AttributeNames: ['All'] });
    expect(messages.map(({ Attributes }) => Attributes?.AWSTraceHeader)).toEqual([trace, 'own', trace]);
  });

  it('is the only system attribute that can be sent', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const refused = async (MessageSystemAttributes: Members) =>
      (await t.refused('SendMessage', { QueueUrl, MessageBody: 'a', MessageSystemAttributes })).message;
    expect(await refused({ SenderId: textAttribute('me') })).toBe(
      "Message system attribute name 'SenderId' is invalid.",
    );
    expect(await refused({ AWSTraceHeader: textAttribute('1', 'Number') })).toMatch(/must be of type 'String'/);
  });
});

overBoth('an option of a message', (protocol) => {
  it('MessageGroupId is taken on standard queues and given back', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const sent = await t.send(QueueUrl, 'a', { MessageGroupId: 'tenant' });
    expect(sent).not.toHaveProperty('SequenceNumber');
    expect(await batch(t, QueueUrl, [{ Id: 'b', MessageBody: 'b', MessageGroupId: 'tenant' }])).toHaveProperty(
      'Successful',
    );
    const messages = await t.receive(QueueUrl, { MaxNumberOfMessages: 10, AttributeNames: ['All'] });
    expect(messages.map(({ Attributes }) => Attributes?.MessageGroupId)).toEqual(['tenant', 'tenant']);
    expect(nth(messages).Attributes).not.toHaveProperty('SequenceNumber');
  });

  it('MessageDeduplicationId is refused on standard queues', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'a', MessageDeduplicationId: 'd' })).toMatchObject({
      code: 'InvalidParameterValue',
      message:
        'Value d for parameter MessageDeduplicationId is invalid. Reason: The request include parameter that is not valid for this queue type.',
    });
  });

  it.each(['a b', '', 'a'.repeat(129), 'ä'])('that is an id is not %.20j', async (id) => {
    const t = await openSqs(protocol);
    const fifo = await t.queue('q.fifo');
    const standard = await t.queue('q');
    for (const [QueueUrl, member] of [
      [standard, 'MessageGroupId'],
      [fifo, 'MessageGroupId'],
      [fifo, 'MessageDeduplicationId'],
    ] as const) {
      const ids = { MessageGroupId: 'g', MessageDeduplicationId: 'd', [member]: id };
      const members = QueueUrl === standard ? { MessageGroupId: id } : ids;
      expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'a', ...members })).toMatchObject({
        code: 'InvalidParameterValue',
        message: `Value ${id} for parameter ${member} is invalid. Reason: ${member} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
      });
    }
  });

  it('is looked at before the queue, the queue before its type, and its type before the content', async () => {
    const t = await openSqs(protocol);
    const fifo = await t.queue('q.fifo', { MaximumMessageSize: '1024' });
    const missing = 'http://queue.test/000000000000/missing';
    const codeOf = async (QueueUrl: string, members: Members) => {
      const { code, message } = await t.refused('SendMessage', { QueueUrl, ...members });
      return code === 'InvalidParameterValue' || code === 'MissingParameter' ? message : code;
    };
    const forbidden = { MessageBody: 'a\u0001' };
    expect(await codeOf(missing, { DelaySeconds: 901 })).toMatch(/parameter MessageBody\.$/);
    expect(await codeOf(missing, { ...forbidden, DelaySeconds: 901 })).toMatch(/parameter DelaySeconds is invalid/);
    expect(await codeOf(missing, forbidden)).toBe('AWS.SimpleQueueService.NonExistentQueue');
    for (const body of [forbidden, { MessageBody: 'x'.repeat(1_025) }]) {
      expect(await codeOf(fifo, body)).toMatch(/parameter MessageGroupId\.$/);
      expect(await codeOf(fifo, { ...body, MessageGroupId: 'g' })).toMatch(/^The queue should either/);
    }
    expect(await codeOf(fifo, { ...forbidden, MessageGroupId: 'g', MessageDeduplicationId: 'd' })).toBe(
      'InvalidMessageContents',
    );
  });

  it('DelaySeconds beats the delay of the queue, also with 0', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { DelaySeconds: '60' });
    await t.send(QueueUrl, 'now', { DelaySeconds: 0 });
    await t.send(QueueUrl, 'later');
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 10 })).toEqual(['now']);
    expect(await t.counts(QueueUrl)).toEqual(['0', '1', '1']);
    await t.clock.advance({ seconds: 60 });
    expect(await t.bodies(QueueUrl, { MaxNumberOfMessages: 10 })).toContain('later');
  });

  it('DelaySeconds is at most 900', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a', { DelaySeconds: 900 });
    for (const DelaySeconds of [-1, 901]) {
      expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'a', DelaySeconds })).toMatchObject({
        code: 'InvalidParameterValue',
        message: `Value ${DelaySeconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.`,
      });
    }
  });

  it('DelaySeconds is no option on FIFO queues; 0 leaves the delay of the queue', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q.fifo', { DelaySeconds: '10', ContentBasedDeduplication: 'true' });
    const group = { MessageGroupId: 'g' };
    await t.send(QueueUrl, 'a', { ...group, DelaySeconds: 0 });
    expect(await t.bodies(QueueUrl)).toEqual([]);
    await t.clock.advance({ seconds: 10 });
    expect(await t.bodies(QueueUrl)).toEqual(['a']);
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'b', ...group, DelaySeconds: 1 })).toMatchObject({
      code: 'InvalidParameterValue',
      message:
        'Value 1 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.',
    });
  });
});

describe('checksums', () => {
  it('of bodies', () => {
    expect(md5('test')).toBe('098f6bcd4621d373cade4e832627b4f6');
    expect(md5('message')).toBe('78e731027d8fd50ed642340b7c9a63b3');
  });

  const base64 = (...bytes: number[]) => Buffer.from(bytes).toString('base64');
  const binary = { type: 'Binary', value: base64(2, 3, 4) };
  const mixed = (label: string) => ({
    ccc: { type: `String${label}`, value: 'test' },
    aaa: { ...binary, type: `Binary${label}` },
    zzz: { type: `Number${label}`, value: '0230.01' },
    öther_encodings: { type: `String${label}`, value: 'Tüst' },
  });
  const string = (value: string) => ({ type: 'String', value });
  const trio = { 'Help.Me': string('Me'), Hello: string('There'), General: string('Kenobi') };

  it.each([
    ['235c5c510d26fb653d073faed50ae77c', { timestamp: { type: 'Number', value: '1493147359900' } }],
    ['2e2e4876d8e0bd6b8c2c8f556831c349', { timestamp: { type: 'Number.java.lang.Long', value: '1493147359900' } }],
    ['36655e7e9d7c0e8479fa3f3f42247ae7', { 'SOME_Valid.attribute-Name': { type: 'Number', value: '1493147359900' } }],
    ['a45daa70926828a2f0a1db3418e6feb4', { k: string('x') }],
    ['adb59cd4678ea5a855436b949cd07ab6', { MyAttribute: string('foobar') }],
    ['ae7155c6026991b6d54b11589678bf9c', { Foo: string('Bar') }],
    ['4c360f3fdafd970e05fae2f149d997f5', trio],
    ['fca026605781cb4126a1e9044df24232', { General: trio.General, Hello: trio.Hello }],
    ['a311262e065454b75da111d535b8dacd', { Hello: trio.Hello }],
    ['83fee93c1bcd8b9a5a923ffacdc636c7', { Hello: trio.Hello, 'Help.Me': trio['Help.Me'] }],
    [
      'd838729972a4b70e2d2acd9d59ac847c',
      {
        color: string('blue'),
        count: { type: 'Number', value: '3' },
        blob: { type: 'Binary', value: base64(1, 2, 3) },
      },
    ],
    [
      '4969dd151b0a6c8b619ebb802f76e035',
      { testname: { type: 'Binary', value: Buffer.from('123').toString('base64') } },
    ],
    ['756d7f4338696745d063b420a2f7e502', mixed('')],
    ['5b7ef6c8a8d46001c7cdadaeea917aa4', mixed('.test')],
    ['5ae4d5d7636402d80f4eb6d213245a88', { AWSTraceHeader: string(trace) }],
  ])('of attributes: %s', (expected, attributes) => {
    expect(md5OfAttributes(new Map(Object.entries(attributes)))).toBe(expected);
  });

  it('of no attributes is none', () => {
    expect(md5OfAttributes(new Map())).toBeUndefined();
  });
});
