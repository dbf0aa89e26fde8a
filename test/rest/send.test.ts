import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/domain/errors.ts';
import { limits } from '../../src/domain/limits.ts';
import { type Answer, type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders/messages';
const text = { 'content-type': 'text/plain' };

async function withQueue(settings?: object): Promise<Api> {
  const api = await openApi();
  await api.queue('orders', settings);
  return api;
}

/** The message as a peek shows it. */
const only = async (api: Api) => nth((await api.get(url)).json.items);

describe('a send', () => {
  it('answers 201 with the id of a message that can be received', async () => {
    const api = await withQueue();
    const { status, json } = await api.post(url, { body: 'hello', headers: text });
    expect(status).toBe(201);
    expect(json).toEqual({ messageId: expect.stringMatching(/^[0-9a-f-]{36}$/), isDuplicate: false });
    expect(nth(await api.receive('orders'))).toMatchObject({ messageId: json.messageId, body: 'hello' });
  });

  it.each([
    ['application/json', '{"n":12345678901234567890, "a" : 1}'],
    ['image/png', '\u0089PNG'],
    ['text/csv; header=present', 'a,b'],
    ['application/vnd.acme+json', '[]'],
  ])('keeps bytes and type of %s', async (contentType, body) => {
    const api = await withQueue();
    const bytes = Buffer.from(body, 'latin1');
    await api.post(url, { body: bytes, headers: { 'content-type': contentType } });
    const raw = await api.post(`${url}/next`);
    expect(raw.headers['content-type']).toBe(contentType);
    expect(raw.bytes.equals(bytes)).toBe(true);
  });

  it('records what curl -d says as text, and no type at all as bytes', async () => {
    const api = await withQueue();
    await api.post(url, { body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    await api.post(url, { body: Buffer.from([1, 2, 3]) });
    const [form, bytes] = await api.receive('orders', '?max=2');
    expect(form).toMatchObject({ contentType: 'text/plain', body: 'a=1' });
    expect(bytes).toMatchObject({ contentType: 'application/octet-stream', body: 'AQID', bodyEncoding: 'base64' });
  });

  it('waits for its delay, written as people write it', async () => {
    const api = await withQueue();
    await api.send('orders', 'later', '?delay=1m');
    expect(await api.counts('orders')).toEqual([0, 0, 1]);
    await api.clock.advance({ seconds: 59 });
    expect(await api.receive('orders')).toEqual([]);
    await api.clock.advance({ seconds: 1 });
    expect(await api.receive('orders')).toHaveLength(1);
  });

  it('takes the longest delay, and refuses one second more', async () => {
    const api = await withQueue({ retentionSeconds: limits.retentionSecondsMax });
    expect((await api.post(`${url}?delay=14d`, { body: 'x', headers: text })).status).toBe(201);
    await expectRefusal(api, 'orders', () => api.post(`${url}?delay=1209601`, { body: 'x', headers: text }), [
      400,
      'invalid_argument',
      /^delay: /,
    ]);
  });

  it('refuses a delay beyond the retention', async () => {
    const api = await withQueue({ retentionSeconds: 60 });
    await expectRefusal(api, 'orders', () => api.post(`${url}?delay=61`, { body: 'x', headers: text }), [
      400,
      'delay_too_long',
    ]);
  });

  it.each(['-1', '1.5', '5x', '', '+1', '1 s'])('refuses the delay %j', async (delay) => {
    const api = await withQueue();
    const ask = () => api.post(`${url}?delay=${encodeURIComponent(delay)}`, { body: 'x', headers: text });
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', 'delay: must be a duration']);
  });

  it('refuses an empty body and tells the command', async () => {
    const api = await withQueue();
    for (const ask of [{}, { body: '', headers: text }]) {
      const answer = await expectRefusal(api, 'orders', () => api.post(url, ask), [400, 'empty_body']);
      expect(answer.json.hint).toContain('curl -d');
    }
  });

  it('takes a message of the full size, and refuses one byte more', async () => {
    const api = await withQueue();
    const body = Buffer.alloc(limits.messageBytesMax, 'a');
    expect((await api.post(url, { body, headers: text })).status).toBe(201);
    const larger = Buffer.concat([body, Buffer.from('a')]);
    await expectRefusal(api, 'orders', () => api.post(url, { body: larger, headers: text }), [
      413,
      'message_too_large',
    ]);
  });

  it('counts attributes: name, type and value', async () => {
    const api = await withQueue({ maxMessageBytes: 1_024 });
    const headers = { ...text, 'attr-a': 'x' };
    const fits = 'a'.repeat(1_024 - 'a'.length - 'String'.length - 'x'.length);
    expect((await api.post(url, { body: fits, headers })).status).toBe(201);
    await expectRefusal(api, 'orders', () => api.post(url, { body: `${fits}a`, headers }), [
      413,
      'message_too_large',
      '1025 bytes',
    ]);
  });

  it('refuses what is announced as too large without reading it, and closes the connection', async () => {
    const api = await withQueue();
    const headers = { ...text, 'content-length': '999999999' };
    const answer = await api.post(url, { body: 'x', headers });
    expectProblem(answer, 413, 'body_too_large');
    expect(answer.headers.connection).toBe('close');
  });

  it.each(['text/plain', 'application/json', 'application/xml'])(
    'refuses %s that is not UTF-8',
    async (contentType) => {
      const api = await withQueue();
      const ask = () => api.post(url, { body: Buffer.from([0xff, 0xfe]), headers: { 'content-type': contentType } });
      await expectRefusal(api, 'orders', ask, [400, 'malformed_body', 'not valid UTF-8']);
    },
  );

  it('keeps text of another charset as bytes', async () => {
    const api = await withQueue();
    await api.post(url, { body: Buffer.from([0xe9]), headers: { 'content-type': 'text/plain; charset=latin1' } });
    expect(nth(await api.receive('orders'))).toMatchObject({ body: '6Q==', bodyEncoding: 'base64' });
  });

  it('refuses encoded bodies and unreadable content types', async () => {
    const api = await withQueue();
    const ask = (headers: Record<string, string>) => () => api.post(url, { body: 'x', headers });
    await expectRefusal(api, 'orders', ask({ ...text, 'content-encoding': 'gzip' }), [
      415,
      'unsupported_media_type',
      'gzip',
    ]);
    await expectRefusal(api, 'orders', ask({ 'content-type': 'nonsense' }), [415, 'unsupported_media_type']);
    const long = `text/plain; a=${'b'.repeat(250)}`;
    await expectRefusal(api, 'orders', ask({ 'content-type': long }), [400, 'invalid_argument', 'Content-Type: ']);
    expect((await ask({ ...text, 'content-encoding': 'identity' })()).status).toBe(201);
  });

  it('refuses unknown and repeated parameters by their names', async () => {
    const api = await withQueue();
    const ask = (query: string) => () => api.post(`${url}?${query}`, { body: 'x', headers: text });
    await expectRefusal(api, 'orders', ask('dealy=1'), [
      400,
      'invalid_argument',
      /^dealy: is unknown: there are delay, group, dedup/,
    ]);
    await expectRefusal(api, 'orders', ask('delay=1&delay=2'), [
      400,
      'invalid_argument',
      'delay: is given more than once',
    ]);
    await expectRefusal(api, 'orders', ask('__proto__=1'), [400, 'invalid_argument']);
  });

  it('says how to create a queue that is not there, and which one may be meant', async () => {
    const api = await withQueue();
    const unknown = await api.post('/v1/queues/payments/messages', { body: 'x', headers: text });
    expectProblem(unknown, 404, 'queue_not_found');
    expect(unknown.json.hint).toBe('curl -X PUT http://localhost:80/v1/queues/payments # creates it');
    const close = await api.post('/v1/queues/order/messages', { body: 'x', headers: text });
    expect(close.json.hint).toBe('curl http://localhost:80/v1/queues/orders # did you mean this one?');
  });

  it.each(['a'.repeat(81), 'a b', 'a.b', '.fifo', 'ü', '..', 'a%2fb'])('refuses the queue name %j', async (name) => {
    const api = await openApi();
    const answer = await api.post(`/v1/queues/${encodeURI(name)}/messages`, { body: 'x', headers: text });
    expect([400, 404]).toContain(answer.status);
    expect(['invalid_argument', 'route_not_found']).toContain(answer.json.code);
  });
});

describe('attributes in headers', () => {
  it('are strings with lower-case names', async () => {
    const api = await withQueue();
    await api.post(url, { body: 'x', headers: { ...text, 'Attr-Tenant': 'acme', 'attr-trace.id': 'a b' } });
    expect(nth(await api.receive('orders'))).toMatchObject({
      attributes: { tenant: { type: 'String', value: 'acme' }, 'trace.id': { type: 'String', value: 'a b' } },
    });
  });

  it('carry UTF-8', async () => {
    const api = await withQueue();
    const asSent = Buffer.from('grün').toString('latin1');
    await api.post(url, { body: 'x', headers: { ...text, 'attr-color': asSent } });
    expect(await only(api)).toMatchObject({ attributes: { color: { value: 'grün' } } });
  });

  it('are ten at most', async () => {
    const api = await withQueue();
    const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`attr-a${i}`, 'x']));
    expect((await api.post(url, { body: 'x', headers: { ...text, ...named(10) } })).status).toBe(201);
    const ask = () => api.post(url, { body: 'x', headers: { ...text, ...named(11) } });
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', 'attributes: ']);
  });

  it.each([
    ['attr-', 'x'],
    ['attr-aws.x', 'x'],
    ['attr-amazon.x', 'x'],
    ['attr-a..b', 'x'],
    ['attr-.a', 'x'],
    ['attr-a!', 'x'],
    ['attr-a', ''],
    [`attr-${'n'.repeat(257)}`, 'x'],
  ])('refuses %s: %s', async (name, value) => {
    const api = await withQueue();
    const ask = () => api.post(url, { body: 'x', headers: { ...text, [name]: value } });
    await expectRefusal(api, 'orders', ask, [400, 'invalid_argument', /^Attr-/]);
  });
});

describe('an Idempotency-Key', () => {
  const keyed = (key: string, extra: object = {}) => ({
    body: 'x',
    headers: { ...text, 'idempotency-key': key, ...extra },
  });

  it('stores once and answers the first again, for a day', async () => {
    const api = await withQueue();
    const first = await api.post(url, keyed('k1'));
    const again = await api.post(url, keyed('k1'));
    expect(again.json).toEqual({ messageId: first.json.messageId, isDuplicate: true });
    expect(await api.counts('orders')).toEqual([1, 0, 0]);
    await api.clock.advance({ seconds: limits.idempotencySeconds });
    expect((await api.post(url, keyed('k1'))).json).toMatchObject({ isDuplicate: false });
  });

  it.each([
    ['another body', '', { body: 'y' }, {}],
    ['another delay', '?delay=1', {}, {}],
    ['another group', '?group=g', {}, {}],
    ['another type', '', {}, { 'content-type': 'text/html' }],
    ['another attribute', '', {}, { 'attr-a': '1' }],
  ])('refuses %s under the same key', async (_what, query, change, headers) => {
    const api = await withQueue();
    await api.post(url, keyed('k1'));
    const ask = () => api.post(url + query, { ...keyed('k1', headers), ...change });
    await expectRefusal(api, 'orders', ask, [422, 'idempotency_key_reused']);
  });

  it('has 1 to 255 printable characters', async () => {
    const api = await withQueue();
    expect((await api.post(url, keyed('k'.repeat(255)))).status).toBe(201);
    for (const key of ['k'.repeat(256), '', 'a b', 'ü']) {
      await expectRefusal(api, 'orders', () => api.post(url, keyed(key)), [
        400,
        'invalid_argument',
        /^Idempotency-Key: /,
      ]);
    }
  });

  it('is for standard queues', async () => {
    const api = await openApi();
    await api.queue('orders.fifo');
    const ask = () => api.post('/v1/queues/orders.fifo/messages?group=g&dedup=d', keyed('k1'));
    await expectRefusal(api, 'orders.fifo', ask, [400, 'invalid_argument', 'dedup']);
  });
});

describe('a send to a FIFO queue', () => {
  const fifo = '/v1/queues/orders.fifo/messages';
  const send = (api: Api, query: string, body = 'x'): Promise<Answer> =>
    api.post(fifo + query, { body, headers: text });

  it('has a sequence number, and tells the first message of a deduplication id', async () => {
    const api = await openApi();
    await api.queue('orders.fifo');
    const first = await send(api, '?group=42&dedup=a1');
    expect(first.json.sequenceNumber).toMatch(/^\d{20}$/);
    expect((await send(api, '?group=42&dedup=a1', 'other')).json).toEqual({ ...first.json, isDuplicate: true });
    await api.clock.advance({ seconds: 301 });
    expect((await send(api, '?group=42&dedup=a1')).json).toMatchObject({ isDuplicate: false });
  });

  it.each([
    ['?dedup=a', 'group_required'],
    ['?group=a', 'deduplication_id_required'],
    ['?group=a&dedup=a&delay=1', 'delay_not_allowed'],
    [`?dedup=a&group=${'g'.repeat(129)}`, 'invalid_argument'],
    ['?dedup=a&group=a%20b', 'invalid_argument'],
    ['?group=a&dedup=%C3%BC', 'invalid_argument'],
    ['?group=&dedup=a', 'invalid_argument'],
  ])('refuses %s with %s', async (query, code) => {
    const api = await openApi();
    await api.queue('orders.fifo');
    await expectRefusal(api, 'orders.fifo', () => send(api, query), [400, code]);
  });

  it('needs no deduplication id where the content is one', async () => {
    const api = await openApi();
    await api.queue('orders.fifo', { contentBasedDeduplication: true });
    await send(api, '?group=g', 'same');
    expect((await send(api, '?group=g', 'same')).json).toMatchObject({ isDuplicate: true });
  });

  it('is the only one with deduplication ids', async () => {
    const api = await withQueue();
    const ask = () => api.post(`${url}?dedup=a`, { body: 'x', headers: text });
    await expectRefusal(api, 'orders', ask, [400, 'deduplication_id_not_allowed']);
  });
});

describe('a full queue', () => {
  it('refuses with 429 and tells when to come again', async () => {
    const api = await withQueue({ maxMessages: 1 });
    await api.send('orders', 'x');
    const answer = await expectRefusal(api, 'orders', () => api.post(url, { body: 'y', headers: text }), [
      429,
      'queue_full',
      'maxMessages of 1',
    ]);
    expect(answer.headers['retry-after']).toBe('1');
  });

  it('refuses with 507 when the disk is full', async () => {
    const send = () => Promise.reject(Fault.of('storageFull', {}));
    const api = await openApi({ wrapStorage: (storage) => ({ ...storage, send }) });
    await api.queue('orders');
    const answer = await expectRefusal(api, 'orders', () => api.post(url, { body: 'y', headers: text }), [
      507,
      'storage_full',
    ]);
    expect(answer.headers['retry-after']).toBe('5');
  });
});
