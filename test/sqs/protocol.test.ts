/** What belongs to the protocols themselves: bodies, headers, names of errors, addresses. */
import { describe, expect, it } from 'vitest';
import {
  deleteEntries,
  hideEntries,
  nth,
  on,
  openSqs,
  overBoth,
  protocols,
  type Sqs,
  sendEntries,
  textAttribute,
} from '../support/sqs.ts';

type Sent = { readonly MD5OfMessageBody: string; readonly MessageId: string };

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const post = (t: Sqs, url: string, payload: string, headers: Record<string, string>) =>
  t.server.inject({ method: 'POST', url, payload, headers: { host: 'queue.test:9324', ...headers } });
const get = (t: Sqs, url: string, headers: Record<string, string> = {}) =>
  t.server.inject({ method: 'GET', url, headers: { host: 'queue.test:9324', ...headers } });
const json = (t: Sqs, action: string, payload: string | Buffer) =>
  t.server.inject({
    method: 'POST',
    url: '/',
    payload,
    headers: { 'content-type': 'application/x-amz-json-1.0; charset=utf-8', 'x-amz-target': `AmazonSQS.${action}` },
  });

describe('an answer in JSON', () => {
  it('of a void action has no bytes', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const [message] = await t.receive(QueueUrl);
    const calls = [
      ['SetQueueAttributes', { QueueUrl, Attributes: { DelaySeconds: '0' } }],
      ['ChangeMessageVisibility', { QueueUrl, ReceiptHandle: message?.ReceiptHandle, VisibilityTimeout: 5 }],
      ['DeleteMessage', { QueueUrl, ReceiptHandle: message?.ReceiptHandle }],
      ['TagQueue', { QueueUrl, Tags: { a: 'b' } }],
      ['UntagQueue', { QueueUrl, TagKeys: ['a'] }],
      ['AddPermission', { QueueUrl, Label: 'l', AWSAccountIds: ['123456789012'], Actions: ['SendMessage'] }],
      ['RemovePermission', { QueueUrl, Label: 'l' }],
      ['PurgeQueue', { QueueUrl }],
      ['DeleteQueue', { QueueUrl }],
    ] as const;
    for (const [action, members] of calls) {
      const { status, text } = await t.call(action, members);
      expect([action, status, text]).toEqual([action, 200, '']);
    }
  });

  it('of a receive that finds nothing is an empty object', async () => {
    const t = await openSqs('json');
    expect((await t.call('ReceiveMessage', { QueueUrl: await t.queue('q') })).text).toBe('{}');
  });

  it('leaves out lists and maps that are empty', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    for (const [action, members] of [
      ['ListQueues', { QueueNamePrefix: 'none' }],
      ['ListQueueTags', { QueueUrl }],
      ['GetQueueAttributes', { QueueUrl }],
      ['ListDeadLetterSourceQueues', { QueueUrl }],
    ] as const) {
      expect((await t.call(action, members)).text).toBe('{}');
    }
  });

  it('has no MessageAttributes member on a message without attributes', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    await t.send(QueueUrl, 'a');
    const message = await t.receiveOne(QueueUrl, { MessageAttributeNames: ['All'] });
    expect(Object.keys(message)).toEqual(['MessageId', 'ReceiptHandle', 'MD5OfBody', 'Body']);
  });

  it('tells of an error with the shape in __type and the older code in the header', async () => {
    const t = await openSqs('json');
    const { headers, text, status } = await t.call('GetQueueUrl', { QueueName: 'none' });
    expect(status).toBe(400);
    expect(headers['x-amzn-query-error']).toBe('AWS.SimpleQueueService.NonExistentQueue;Sender');
    expect(JSON.parse(text)).toEqual({
      __type: 'com.amazonaws.sqs#QueueDoesNotExist',
      message: 'The specified queue does not exist.',
    });
  });

  it.each([
    ['[]', 'a list'],
    ['"x"', 'a string'],
    ['7', 'a number'],
    ['null', 'null'],
    ['{"QueueName":', 'what is no JSON'],
    ['{"QueueName":1}', 'a number where text belongs'],
    ['{"QueueName":"q","Attributes":[]}', 'a list where a map belongs'],
    ['{"__proto__":{"x":1}}', 'a poisoned prototype'],
    [`{"x":${'['.repeat(100)}${']'.repeat(100)}}`, 'deep nesting'],
  ])('refuses %s as a body (%s)', async (body) => {
    const t = await openSqs('json');
    const { statusCode, headers, payload } = await json(t, 'CreateQueue', body);
    expect(statusCode).toBe(400);
    expect(headers['x-amzn-query-error']).toBe('MalformedInput;Sender');
    expect(JSON.parse(payload).__type).toBe('com.amazon.coral.service#SerializationException');
  });

  it('refuses bytes that are not UTF-8', async () => {
    const t = await openSqs('json');
    const { headers } = await json(t, 'CreateQueue', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    expect(headers['x-amzn-query-error']).toBe('MalformedInput;Sender');
  });

  it('takes null for absent, and passes over members that it does not know', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    const members = { QueueUrl, MessageBody: 'a', MessageGroupId: null, MessageAttributes: null, Later: { a: [1] } };
    await t.ok('SendMessage', members);
    expect(await t.bodies(QueueUrl)).toEqual(['a']);
  });

  it('is the same under an odd content type, to headers in any case, and to a body in no real encoding', async () => {
    const t = await openSqs('json');
    for (const [type, encoding] of [
      ['application/x-amz-json-1.0', 'identity'],
      ['Application/X-Amz-Json-1.0; charset=UTF-8', 'amz-1.0'],
      ['application/x-amz-json-1.1', 'amz-1.0'],
      ['application/json', 'identity'],
    ] as const) {
      const headers = { 'Content-Type': type, 'X-AMZ-TARGET': 'AmazonSQS.ListQueues', 'Content-Encoding': encoding };
      const { statusCode, payload } = await post(t, '/', '{}', { ...headers, 'x-amzn-query-mode': 'true' });
      expect([type, statusCode, payload]).toEqual([type, 200, '{}']);
    }
  });

  it('is a refusal when the body is compressed', async () => {
    const t = await openSqs('json');
    const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ListQueues' };
    for (const encoding of ['gzip', 'br', 'amz-1.0, gzip']) {
      const answer = await post(t, '/', '{}', { ...headers, 'content-encoding': encoding });
      expect([answer.statusCode, answer.headers['x-amzn-query-error']]).toEqual([400, 'MalformedInput;Sender']);
    }
  });

  it('gives an unknown target its own error', async () => {
    const t = await openSqs('json');
    for (const target of ['AmazonSQS.FooBar', 'DynamoDB_20120810.ListTables', 'AmazonSQS.']) {
      const { statusCode, headers, payload } = await post(t, '/', '{}', {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': target,
      });
      expect([statusCode, headers['x-amzn-query-error']]).toEqual([400, 'InvalidAction;Sender']);
      expect(JSON.parse(payload)).toEqual({
        __type: 'com.amazon.coral.service#UnknownOperationException',
        message: `The action ${target.replace('AmazonSQS.', '')} is not valid for this endpoint.`,
      });
    }
  });

  it('comes at the address of a queue as at the root', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    await t.ok('SendMessage', { QueueUrl, MessageBody: 'a' }, { path: '/000000000000/q' });
    await t.ok('ListQueues', {}, { path: '/000000000000/q' });
    expect(await t.bodies(QueueUrl)).toEqual(['a']);
  });

  it('names the queue, not the parameter, when the QueueUrl is missing', async () => {
    const t = await openSqs('json');
    expect(await t.refused('SendMessage', { MessageBody: 'a' })).toMatchObject({
      code: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  });
});

describe('an answer in XML', () => {
  it('of a void action has no result element', async () => {
    const t = await openSqs('query');
    const { text } = await t.call('PurgeQueue', { QueueUrl: await t.queue('q') });
    expect(text).toMatch(
      /^<\?xml version="1.0"\?><PurgeQueueResponse xmlns="[^"]+"><ResponseMetadata><RequestId>[\w-]+<\/RequestId><\/ResponseMetadata><\/PurgeQueueResponse>$/,
    );
  });

  it('of a receive that finds nothing has a result element without children', async () => {
    const t = await openSqs('query');
    const { text } = await t.call('ReceiveMessage', { QueueUrl: await t.queue('q') });
    expect(text).toContain('<ReceiveMessageResult/>');
  });

  it('tells of a missing queue in its own words and with the older code', async () => {
    const t = await openSqs('query');
    expect(await t.refused('GetQueueUrl', { QueueName: 'none' })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.NonExistentQueue',
      type: '',
      fault: 'Sender',
      message: 'The specified queue does not exist for this wsdl version.',
    });
  });

  it('writes carriage returns so that they survive a parser', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const { MD5OfMessageBody } = await t.send(QueueUrl, 'line\r\nnext\r');
    const { text, result } = await t.call('ReceiveMessage', { QueueUrl });
    expect(text).toContain('line&#xD;\nnext&#xD;');
    expect(nth(result.Messages)).toMatchObject({ Body: 'line\r\nnext\r', MD5OfBody: MD5OfMessageBody });
  });

  it('replaces what XML cannot carry in a sentence that repeats it', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const { message } = await t.refused('SendMessage', { QueueUrl, MessageBody: 'a', MessageGroupId: 'a\u0001<&>' });
    expect(message).toContain('Value a\u{fffd}<&> for parameter MessageGroupId is invalid.');
  });

  it('reads the numbers of lists as numbers, with gaps and without', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const names = [1, 2, 9, 10].map((n) => `SendMessageBatchRequestEntry.${n}`).reverse();
    const body = names.map((name) => `${name}.Id=n${name.split('.')[1]}&${name}.MessageBody=b`).join('&');
    const { payload } = await post(t, '/000000000000/q', `Action=SendMessageBatch&${body}`, form);
    expect([...payload.matchAll(/<Id>(\w+)<\/Id>/g)].map((match) => match[1])).toEqual(['n1', 'n2', 'n9', 'n10']);
    expect(await t.counts(QueueUrl)).toEqual(['4', '0', '0']);
  });

  it.each([
    ['SendMessageBatchRequestEntry.999999999.Id=a', 'a number beyond all lists'],
    ['SendMessageBatchRequestEntry.0.Id=a', 'the number zero'],
    ['SendMessageBatchRequestEntry.-1.Id=a', 'a number below zero'],
    ['SendMessageBatchRequestEntry.x.Id=a', 'what is no number'],
    [`SendMessageBatchRequestEntry.1.${'a.'.repeat(50)}=a`, 'a name of many parts'],
    ['QueueUrl=%zz', 'broken percent-encoding'],
    ['QueueUrl=%ff', 'bytes that are not UTF-8'],
    [Array.from({ length: 5_000 }, (_, i) => `a${i}=`).join('&'), 'thousands of parameters'],
  ])('refuses %.60s (%s)', async (body) => {
    const t = await openSqs('query');
    await t.queue('q');
    const { statusCode, payload } = await post(t, '/000000000000/q', `Action=SendMessageBatch&${body}`, form);
    expect(statusCode).toBe(400);
    expect(payload).toContain('<Code>MalformedInput</Code>');
  });

  it('refuses an attribute map with a name that could poison', async () => {
    const t = await openSqs('query');
    const body = 'Action=CreateQueue&QueueName=q&Tag.1.Key=__proto__&Tag.1.Value=x';
    expect((await post(t, '/', body, form)).statusCode).toBe(400);
    expect(Object.keys({})).toEqual([]);
  });

  it('takes the spellings that some clients used', async () => {
    const t = await openSqs('query');
    const body =
      'Action=CreateQueue&QueueName=q&Attributes.1.Name=DelaySeconds&Attributes.1.Value=7&Tags.1.Key=a&Tags.1.Value=b';
    expect((await post(t, '/', body, form)).statusCode).toBe(200);
    const single = await get(t, '/000000000000/q?Action=GetQueueAttributes&AttributeName=DelaySeconds');
    expect(single.payload).toContain('<Name>DelaySeconds</Name><Value>7</Value>');
    expect((await get(t, '/000000000000/q?Action=ListQueueTags')).payload).toContain('<Key>a</Key><Value>b</Value>');
  });

  it('refuses attributes whose name is given as key', async () => {
    const t = await openSqs('query');
    await t.queue('q');
    const attribute = 'MessageAttribute.1.key=n&MessageAttribute.1.value.DataType=String';
    const { payload } = await post(t, '/000000000000/q', `Action=SendMessage&MessageBody=a&${attribute}`, form);
    expect(payload).toContain('The request must contain non-empty message attribute name.');
  });
});

describe('an answer in the JSON form of Query', () => {
  const accept = { accept: 'application/json' };
  const asked = async (t: Sqs, query: string) => {
    const { statusCode, headers, payload } = await get(t, `/000000000000/q?${query}`, accept);
    expect(headers['content-type']).toBe('application/json');
    const answer = JSON.parse(payload) as Record<string, { ResponseMetadata?: object }>;
    const requestId = { RequestId: headers['x-amzn-requestid'] };
    if (statusCode === 200) expect(Object.values(answer)[0]?.ResponseMetadata).toEqual(requestId);
    else expect(answer).toMatchObject(requestId);
    return answer;
  };

  it('is given when Accept asks for JSON, with maps as lists of pairs', async () => {
    const t = await openSqs('query');
    await t.queue('q');
    const answer = await asked(t, 'Action=GetQueueAttributes&AttributeName.1=DelaySeconds&AttributeName.2=QueueArn');
    expect(answer).toMatchObject({
      GetQueueAttributesResponse: {
        GetQueueAttributesResult: {
          Attributes: [
            { Name: 'DelaySeconds', Value: '0' },
            { Name: 'QueueArn', Value: 'arn:aws:sqs:us-east-1:000000000000:q' },
          ],
        },
      },
    });
  });

  it('has messages in lower case, and null for what is absent', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const sent = await asked(t, 'Action=SendMessage&MessageBody=a%0Db%26quot%3B');
    const { MD5OfMessageBody, MessageId } = (sent.SendMessageResponse as unknown as Record<string, Sent>)
      .SendMessageResult as Sent;
    const message = await asked(t, 'Action=ReceiveMessage&VisibilityTimeout=0');
    expect(message).toMatchObject({
      ReceiveMessageResponse: {
        ReceiveMessageResult: {
          messages: [
            {
              MessageId,
              Body: 'a\rb&quot;',
              MD5OfBody: MD5OfMessageBody,
              Attributes: null,
              MD5OfMessageAttributes: null,
              MessageAttributes: null,
            },
          ],
        },
      },
    });
    await t.delete(QueueUrl, await t.receiveOne(QueueUrl));
    const none = { ReceiveMessageResponse: { ReceiveMessageResult: { messages: null } } };
    expect(await asked(t, 'Action=ReceiveMessage')).toMatchObject(none);
  });

  it('has no result where there is none, and tells of errors in their own form', async () => {
    const t = await openSqs('query');
    await t.queue('q');
    const { PurgeQueueResponse } = await asked(t, 'Action=PurgeQueue');
    expect(Object.keys(PurgeQueueResponse ?? {})).toEqual(['ResponseMetadata']);
    expect(await asked(t, 'Action=ListQueues')).toMatchObject({
      Error: {
        Type: 'Sender',
        Code: 'InvalidAction',
        Message: 'The action ListQueues is not valid for this endpoint.',
      },
    });
  });

  it('is not given to who takes anything, or XML as well', async () => {
    const t = await openSqs('query');
    await t.queue('q');
    for (const range of ['*/*', 'text/xml', 'application/json, text/plain, */*', 'application/json, text/xml']) {
      const { headers } = await get(t, '/000000000000/q?Action=PurgeQueue', { accept: range });
      expect(headers['content-type']).toBe('text/xml');
    }
  });
});

describe('an address', () => {
  const visit = async (url: string, headers: Record<string, string> = {}) => {
    const t = await openSqs('query');
    await t.queue('q');
    return get(t, url, headers);
  };

  it('of a queue answers a visit without an action with 404, whatever is accepted', async () => {
    for (const headers of [{}, { accept: 'application/json' }]) {
      const { statusCode, payload } = await visit('/000000000000/q', headers);
      expect([statusCode, payload]).toEqual([404, '<UnknownOperationException/>']);
    }
  });

  it('takes Query by GET and POST, at the root and at a queue', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    const members = { QueueUrl, AttributeNames: ['QueueArn'] };
    for (const path of ['/', '/000000000000/q']) {
      for (const isGet of [true, false]) {
        const { Attributes } = await t.ok('GetQueueAttributes', members, { path, get: isGet });
        expect(Attributes).toEqual({ QueueArn: 'arn:aws:sqs:us-east-1:000000000000:q' });
      }
    }
  });

  it('of a queue is the QueueUrl unless one is given', async () => {
    const t = await openSqs('query');
    const other = await t.queue('other');
    await t.queue('q');
    const path = '/000000000000/q';
    const names = { AttributeNames: ['QueueArn'] };
    expect((await t.ok('GetQueueAttributes', names, { path })).Attributes?.QueueArn).toMatch(/:q$/);
    const given = await t.ok('GetQueueAttributes', { QueueUrl: other, ...names }, { path });
    expect(given.Attributes?.QueueArn).toMatch(/:other$/);
    expect((await t.ok('GetQueueUrl', { QueueName: 'other' }, { path })).QueueUrl).toBe(other);
  });

  it('of a queue is no place for ListQueues and CreateQueue', async () => {
    const t = await openSqs('query');
    await t.queue('q');
    for (const action of ['ListQueues', 'CreateQueue']) {
      const error = await t.refused(action, { QueueName: 'x' }, { path: '/000000000000/q' });
      expect(error).toMatchObject({
        status: 400,
        code: 'InvalidAction',
        fault: 'Sender',
        message: `The action ${action} is not valid for this endpoint.`,
      });
    }
  });

  it('gives an unknown action its own error', async () => {
    const t = await openSqs('query');
    expect(await t.refused('FooBar')).toMatchObject({
      status: 400,
      code: 'InvalidAction',
      message: 'The action FooBar is not valid for this endpoint.',
    });
  });

  it('of a queue that is gone says so', async () => {
    const t = await openSqs('query');
    expect(await t.refused('ReceiveMessage', {}, { path: '/000000000000/gone' })).toMatchObject({
      code: 'AWS.SimpleQueueService.NonExistentQueue',
    });
  });

  it('that is no address of a queue is refused', async () => {
    const { statusCode, payload } = await visit('/foobar?Action=ReceiveMessage');
    expect(statusCode).toBe(404);
    expect(payload).toContain('<Code>InvalidAddress</Code><Message>The address foobar is not valid for this endpoint.');
  });

  it('in the forms of other emulators and with a trailing slash is one, too', async () => {
    for (const path of ['/queue/us-east-1/000000000000/q', '/queue/q', '/queue/q/', '/000000000000/q/']) {
      const { payload } = await visit(`${path}?Action=GetQueueAttributes&AttributeName.1=QueueArn`);
      expect(payload).toContain('arn:aws:sqs:us-east-1:000000000000:q');
    }
  });

  it('of two slashes is the root: some endpoints end in one', async () => {
    const t = await openSqs('query');
    const QueueUrl = await t.queue('q');
    for (const get of [true, false]) {
      expect((await t.ok('ListQueues', {}, { path: '//', get })).QueueUrls).toEqual([QueueUrl]);
    }
  });

  it('at the root stays the cheat sheet for visitors', async () => {
    const { statusCode, payload } = await visit('/');
    expect(statusCode).toBe(200);
    expect(payload).toContain('Sluice');
    expect((await visit('/?Action=ListQueues')).payload).toContain('<QueueUrl>');
  });
});

overBoth('a request', (protocol) => {
  it('is known by its id, on success and on error', async () => {
    const t = await openSqs(protocol);
    const good = await t.call('ListQueues');
    const bad = await t.call('GetQueueUrl', { QueueName: 'none' });
    expect(good.headers['x-amzn-requestid']).not.toBe(bad.headers['x-amzn-requestid']);
    if (protocol === 'query') expect(bad.text).toContain(`<RequestId>${bad.headers['x-amzn-requestid']}</RequestId>`);
  });

  it('takes tags at creation', async () => {
    const t = await openSqs(protocol);
    const { QueueUrl } = await t.ok('CreateQueue', { QueueName: 'q', tags: { team: 'a', empty: '' } });
    expect((await t.ok('ListQueueTags', { QueueUrl })).Tags).toEqual({ team: 'a', empty: '' });
  });

  it('of one mebibyte passes, though its encoding is larger', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const body = '"'.repeat(1_048_576);
    await t.send(QueueUrl, body);
    expect((await t.receiveOne(QueueUrl)).Body === body).toBe(true);
  });

  it('larger than any message is refused without 5xx', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const { status } = await t.call('SendMessage', { QueueUrl, MessageBody: 'a'.repeat(11 * 1_048_576) });
    expect(status).toBe(400);
  });

  it('brings quotes and entities through untouched', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    for (const body of ['"&quot;&quot;\r', '<a b="c">&amp;</a>', '\t\n\r ', '\u{7f}\u{9f}', '😀']) {
      await t.send(QueueUrl, body);
      const message = await t.receiveOne(QueueUrl);
      expect(message.Body).toBe(body);
      await t.delete(QueueUrl, message);
    }
  });

  it('lists in a batch result only what there is', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const good = { Id: 'a', MessageBody: 'x' };
    const bad = { Id: 'b', MessageBody: 'x\u0001' };
    const send = (list: readonly object[]) => t.ok('SendMessageBatch', on(QueueUrl, sendEntries(list as [])));
    expect(Object.keys(await send([good]))).toEqual(['Successful']);
    expect(Object.keys(await send([bad]))).toEqual(['Failed']);
    const both = await send([bad, good]);
    expect(both.Successful?.map(({ Id }) => Id)).toEqual(['a']);
    expect(both.Failed).toMatchObject([{ Id: 'b', SenderFault: true, Code: 'InvalidMessageContents' }]);
  });

  it('names a missing member', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const cases = [
      ['SendMessage', {}, 'MessageBody'],
      ['DeleteMessage', {}, 'ReceiptHandle'],
      ['ChangeMessageVisibility', { ReceiptHandle: 'x' }, 'VisibilityTimeout'],
      ['TagQueue', {}, 'Tags'],
      ['SetQueueAttributes', {}, 'Attributes'],
      ['RemovePermission', {}, 'Label'],
      ['AddPermission', { Label: 'l', AWSAccountIds: ['123456789012'] }, 'Actions'],
      ['StartMessageMoveTask', {}, 'SourceArn'],
      ['CancelMessageMoveTask', {}, 'TaskHandle'],
    ] as const;
    for (const [action, members, name] of cases) {
      expect(await t.refused(action, { QueueUrl, ...members })).toMatchObject({
        status: 400,
        code: 'MissingParameter',
        message: `The request must contain the parameter ${name}.`,
      });
    }
  });

  it('with text where a number belongs is refused', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const { code } = await t.refused('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 'many' });
    expect(code).toBe('MalformedInput');
  });

  it('to a queue that does not exist says so for every action on a queue', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = 'http://whatever/000000000000/none';
    const cases = [
      ['GetQueueAttributes', {}],
      ['SetQueueAttributes', { Attributes: { DelaySeconds: '1' } }],
      ['DeleteQueue', {}],
      ['PurgeQueue', {}],
      ['TagQueue', { Tags: { a: 'b' } }],
      ['UntagQueue', { TagKeys: ['a'] }],
      ['ListQueueTags', {}],
      ['AddPermission', { Label: 'l', AWSAccountIds: ['123456789012'], Actions: ['*'] }],
      ['RemovePermission', { Label: 'l' }],
      ['SendMessage', { MessageBody: 'a', MessageAttributes: { '': textAttribute('x') } }],
      ['ReceiveMessage', {}],
      ['DeleteMessage', { ReceiptHandle: 'x' }],
      ['ChangeMessageVisibility', { ReceiptHandle: 'x', VisibilityTimeout: 1 }],
      ['ListDeadLetterSourceQueues', {}],
    ] as const;
    for (const [action, members] of cases) {
      const { code } = await t.refused(action, { QueueUrl, ...members });
      expect([action, code]).toEqual([action, 'AWS.SimpleQueueService.NonExistentQueue']);
    }
    for (const [action, list] of [
      ['SendMessageBatch', sendEntries([])],
      ['DeleteMessageBatch', deleteEntries([{ Id: '.', ReceiptHandle: 'x' }])],
      ['ChangeMessageVisibilityBatch', hideEntries([{ Id: '.', ReceiptHandle: 'x' }])],
    ] as const) {
      const { code } = await t.refused(action, on(QueueUrl, list));
      expect([action, code]).toEqual([action, 'AWS.SimpleQueueService.NonExistentQueue']);
    }
  });
});

describe('codes', () => {
  it.each(protocols)('carry their prefix by the table alone, over %s', async (protocol) => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    const code = async (action: string, members: object) =>
      (await t.refused(action, { QueueUrl, ...members } as Record<string, unknown>)).code;
    expect(await code('ReceiveMessage', { MaxNumberOfMessages: 0 })).toBe('InvalidParameterValue');
    expect(await code('SendMessage', {})).toBe('MissingParameter');
    expect(await code('GetQueueAttributes', { AttributeNames: ['x'] })).toBe('InvalidAttributeName');
    expect(await code('SetQueueAttributes', { Attributes: { DelaySeconds: '901' } })).toBe('InvalidAttributeValue');
    expect(await code('SendMessage', { MessageBody: '\u0001' })).toBe('InvalidMessageContents');
    expect(await code('DeleteMessage', { ReceiptHandle: 'x' })).toBe('ReceiptHandleIsInvalid');
    expect(await code('CreateQueue', { QueueName: 'q', Attributes: { DelaySeconds: '9' } })).toBe('QueueAlreadyExists');
    const eight = Array.from({ length: 8 }, () => 'SendMessage');
    const permission = { Label: 'l', AWSAccountIds: ['123456789012'], Actions: eight };
    expect(await code('AddPermission', permission)).toBe('OverLimit');
    expect(await code('GetQueueUrl', { QueueName: 'none' })).toBe('AWS.SimpleQueueService.NonExistentQueue');
  });

  it('of generic errors have another namespace', async () => {
    const t = await openSqs('json');
    const QueueUrl = await t.queue('q');
    const type = async (members: object) =>
      (await t.refused('SendMessage', { QueueUrl, ...members } as Record<string, unknown>)).type;
    expect(await type({})).toBe('com.amazon.coral.service#MissingRequiredParameterException');
    expect(await type({ MessageBody: 'a', DelaySeconds: 901 })).toBe(
      'com.amazon.coral.service#InvalidParameterValueException',
    );
    expect(await type({ MessageBody: '\u0001' })).toBe('com.amazonaws.sqs#InvalidMessageContents');
  });
});
