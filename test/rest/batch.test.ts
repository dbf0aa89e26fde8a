import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { openPrincipal } from '../../src/domain/principal.ts';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders/messages/batch';

async function withQueue(name = 'orders', settings?: object): Promise<Api> {
  const api = await openApi();
  await api.queue(name, settings);
  return api;
}
const post = (api: Api, messages: unknown, query = '', headers: Record<string, string> = {}) =>
  api.post(url + query, { json: { messages }, headers });

/** The bytes and the type of every message, oldest first. */
async function stored(api: Api, queue = 'orders'): Promise<readonly (readonly [string, string])[]> {
  const received = await api.broker.messages.receive(openPrincipal('000000000000'), queue as never, { max: 100 });
  return received.map(({ contentType, body }) => [contentType, Buffer.from(body).toString('latin1')]);
}

describe('a JSON batch', () => {
  it('answers one result per entry, in order', async () => {
    const api = await withQueue();
    const { status, json } = await post(api, [{ body: 'a' }, { body: 'b' }]);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      sentCount: 2,
      failedCount: 0,
      results: [{ isDuplicate: false }, { isDuplicate: false }],
    });
    const received = await api.receive('orders', '?max=2');
    expect(received.map(({ messageId }) => messageId)).toEqual(json.results.map(({ messageId }) => messageId));
  });

  it.each([
    ['a string as text', { body: 'hi' }, 'text/plain', 'hi'],
    ['anything else as JSON', { body: { a: [1, null] } }, 'application/json', '{"a":[1,null]}'],
    ['a null', { body: null }, 'application/json', 'null'],
    ['a JSON string under a JSON type', { body: 'hi', contentType: 'application/json' }, 'application/json', '"hi"'],
    [
      'text under a JSON type',
      { body: '{"a":', bodyEncoding: 'text', contentType: 'application/json' },
      'application/json',
      '{"a":',
    ],
    ['text under another type', { body: '<a/>', contentType: 'application/xml' }, 'application/xml', '<a/>'],
    ['base64', { body: '/w==', bodyEncoding: 'base64' }, 'application/octet-stream', '\u00ff'],
    ['base64 under a type', { body: '/w==', bodyEncoding: 'base64', contentType: 'image/png' }, 'image/png', '\u00ff'],
  ])('stores %s', async (_what, entry, contentType, bytes) => {
    const api = await withQueue();
    expect((await post(api, [entry])).json).toMatchObject({ sentCount: 1 });
    expect(await stored(api)).toEqual([[contentType, bytes]]);
  });

  it('stores JSON as it was written: large numbers, order, spelling', async () => {
    const api = await withQueue();
    const body = String.raw`{"b":12345678901234567890, "a":1.0,"\u0062c":"\u0041", "1":[ -0 ]}`;
    const text = `{"messages":[{"contentType":"application/json","body":${body}},{"body" : 1e2 }]}`;
    await api.post(url, { body: text, headers: { 'content-type': 'application/json' } });
    expect((await stored(api)).map(([, bytes]) => bytes)).toEqual([body, '1e2']);
  });

  it('takes received messages again as they are', async () => {
    const api = await withQueue();
    const bodies = [{ body: 'hi' }, { body: { n: 1 } }, { body: '/w==', bodyEncoding: 'base64' }];
    await post(
      api,
      bodies.map((entry) => ({ ...entry, attributes: { a: { type: 'Number', value: '1' } } })),
    );
    const before = await api.receive('orders', '?max=10');
    const again = before.map((message) => {
      const { body, bodyEncoding, contentType, attributes } = message as typeof message & Record<string, unknown>;
      return { body, bodyEncoding, contentType, attributes };
    });
    await post(api, again);
    const after = await api.receive('orders', '?max=10');
    const facts = (messages: readonly object[]) =>
      messages.map((message) => ({ ...message, messageId: '', receiptHandle: '', sentAt: '' }));
    expect(facts(after)).toEqual(facts(before));
  });

  it('has attributes in short and in full, case and type exact', async () => {
    const api = await withQueue();
    await post(api, [{ body: 'x', attributes: { Tenant: 'acme', n: { type: 'Number.int', value: '1' } } }]);
    expect(nth(await api.receive('orders'))).toMatchObject({
      attributes: { Tenant: { type: 'String', value: 'acme' }, n: { type: 'Number.int', value: '1' } },
    });
  });

  it.each([
    [{ body: 'x', bogus: 1 }, /^messages\[1\]\.bogus: /],
    [{}, /^messages\[1\]\.body: is missing/],
    ['text', /^messages\[1\]: must be an object/],
    [{ body: 'x', delaySeconds: '10' }, /delaySeconds: must be a number/],
    [{ body: 'x', delaySeconds: 10.5 }, /delaySeconds: must be a whole number/],
    [{ body: 'x', delaySeconds: -1 }, /delaySeconds: must be at least 0/],
    [{ body: 'x', delaySeconds: limits.delaySecondsMax + 1 }, /delaySeconds: must be at most/],
    [{ body: 'x', bodyEncoding: 'hex' }, /bodyEncoding: must be one of "text", "base64"/],
    [{ body: 'x?', bodyEncoding: 'base64' }, /body: must be base64/],
    [{ body: 1, bodyEncoding: 'text' }, /body: must be a string/],
    [{ body: 1, contentType: 'text/plain' }, /body: must be a string/],
    [{ body: 'x', contentType: 'x' }, /contentType: must be a content type/],
    [{ body: 'x', contentType: 'a/b\r\nx: y' }, /contentType: must be a content type/],
    [{ body: 'x', attributes: { 'a b': 'x' } }, /attributes/],
    [{ body: 'x', attributes: { a: { type: 'Number', value: 'NaN' } } }, /attributes/],
    [{ body: 'x', attributes: { a: { type: 'Binary', value: '?' } } }, /attributes/],
    [{ body: 'x', attributes: { a: '\u0000' } }, /attributes/],
    [{ body: 'x', groupId: 'a b' }, /groupId/],
    [{ body: '\ud800' }, /body: holds a lone surrogate/],
  ])('lets %j fail alone', async (entry, detail) => {
    const api = await withQueue();
    const { status, json } = await post(api, [{ body: 'a' }, entry, { body: 'b' }]);
    expect(status).toBe(200);
    expect(json).toMatchObject({ sentCount: 2, failedCount: 1 });
    expect(nth(json.results, 1).error).toMatchObject({ code: 'invalid_argument', status: 400 });
    expect(nth(json.results, 1).error.detail).toMatch(detail);
    expect(await api.counts('orders')).toEqual([2, 0, 0]);
  });

  it('is refused as a whole when no entry is stored, with the problem of the first and all results', async () => {
    const api = await withQueue('orders', { maxMessageBytes: 1_024 });
    const ask = () => post(api, [{ body: 'x'.repeat(2_000) }, { bogus: 1 }]);
    const { json } = await expectRefusal(api, 'orders', ask, [413, 'message_too_large']);
    expect(json.results.map(({ error }) => error.code)).toEqual(['message_too_large', 'invalid_argument']);
  });

  it('takes the query for entries that say nothing of their own', async () => {
    const api = await withQueue();
    await post(api, [{ body: 'a' }, { body: 'b', delaySeconds: 0 }], '?delay=1m&group=g');
    expect(await api.counts('orders')).toEqual([1, 0, 1]);
    expect(nth(await api.receive('orders'))).toMatchObject({ groupId: 'g', body: 'b' });
  });

  it('takes a thousand entries, and refuses one more, none and no list', async () => {
    const api = await withQueue();
    const entries = (count: number) => Array.from({ length: count }, () => ({ body: 'x' }));
    expect((await post(api, entries(limits.batchEntriesMax))).json).toMatchObject({ sentCount: 1_000 });
    for (const messages of [entries(limits.batchEntriesMax + 1), [], 'x', undefined]) {
      await expectRefusal(api, 'orders', () => post(api, messages), [400, 'invalid_argument', '1 to 1000 entries']);
    }
  });

  it.each([
    ['{"messages":[{"body":1}],"x":1}', 'invalid_argument', 'x: is not a member'],
    ['{"message":[{"body":1}]}', 'invalid_argument', 'message: is not a member'],
    ['{"messages":[{"body":1,"body":2}]}', 'malformed_body'],
    ['{"messages":[{"body":{"__proto__":{"polluted":1}}}]}', 'malformed_body'],
    ['{"messages":[{"body":{"constructor":{"prototype":{"polluted":1}}}}]}', 'malformed_body'],
    ['{"messages":[', 'malformed_body'],
    [`{"messages":[{"body":${'['.repeat(33)}${']'.repeat(33)}}]}`, 'malformed_body', 'deeper than 32'],
    [`{"messages":[{"body":${'['.repeat(200_000)}`, 'malformed_body'],
  ])('refuses the document %.60s whole', async (body, code, detail = '') => {
    const api = await withQueue();
    const ask = () => api.post(url, { body, headers: { 'content-type': 'application/json' } });
    await expectRefusal(api, 'orders', ask, [400, code, detail]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('takes 256 members in an object, and tells another way for more', async () => {
    const api = await withQueue();
    const object = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1]));
    expect((await post(api, [{ body: object(256) }])).json).toMatchObject({ sentCount: 1 });
    await expectRefusal(api, 'orders', () => post(api, [{ body: object(257) }]), [
      400,
      'malformed_body',
      'bodyEncoding',
    ]);
  });

  it('tells what an empty request lacks', async () => {
    const api = await withQueue();
    await expectRefusal(api, 'orders', () => api.post(url), [400, 'invalid_argument', '1 to 1000 entries']);
  });

  it('refuses other content types and names those it takes', async () => {
    const api = await withQueue();
    const ask = () => api.post(url, { body: '{}', headers: { 'content-type': 'text/plain' } });
    await expectRefusal(api, 'orders', ask, [
      415,
      'unsupported_media_type',
      'application/json or application/x-ndjson',
    ]);
    const form = () => api.post(url, { body: '{}', headers: { 'content-type': 'application/json; charset=utf-7' } });
    await expectRefusal(api, 'orders', form, [415, 'unsupported_media_type']);
  });

  it('tells the queue that is not there', async () => {
    const api = await openApi();
    expectProblem(await post(api, [{ body: 'x' }]), 404, 'queue_not_found');
    expectProblem(await post(api, [{ bogus: 'x' }]), 404, 'queue_not_found');
  });

  it('is stored once under an Idempotency-Key', async () => {
    const api = await withQueue();
    const ask = () => post(api, [{ body: 'a' }, { body: 'b' }], '', { 'idempotency-key': 'k' });
    const first = await ask();
    const again = await ask();
    expect(again.json.results.map(({ messageId }) => messageId)).toEqual(
      first.json.results.map(({ messageId }) => messageId),
    );
    expect(await api.counts('orders')).toEqual([2, 0, 0]);
    const other = () => post(api, [{ body: 'a' }], '', { 'idempotency-key': 'k' });
    await expectRefusal(api, 'orders', other, [422, 'idempotency_key_reused']);
  });
});

describe('an atomic batch', () => {
  it('stores all', async () => {
    const api = await withQueue();
    expect((await post(api, [{ body: 'a' }, { body: 'b' }], '?atomic')).json).toMatchObject({ sentCount: 2 });
  });

  it.each([
    ['an entry that is wrong', { body: 'x', bogus: 1 }, 'invalid_argument', 400],
    ['an entry that the queue refuses', { body: 'x'.repeat(2_000) }, 'message_too_large', 413],
  ])('stores none with %s, and tells why', async (_what, entry, code, status) => {
    const api = await withQueue('orders', { maxMessageBytes: 1_024 });
    const ask = () => post(api, [{ body: 'a' }, entry], '?atomic=true');
    const { json } = await expectRefusal(api, 'orders', ask, [status, code]);
    expect(json.results.map(({ error }) => error.code)).toEqual(['batch_aborted', code]);
  });
});
