import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/domain/errors.ts';
import { limits } from '../../src/domain/limits.ts';
import { SendBatchAnswer } from '../../src/rest/batch.ts';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders/messages/batch';
const headers = { 'content-type': 'application/x-ndjson' };

async function withQueue(): Promise<Api> {
  const api = await openApi();
  await api.queue('orders');
  return api;
}
const post = (api: Api, body: string | Buffer, query = '') => api.post(url + query, { body, headers });

describe('lines of JSON', () => {
  it.each(['application/x-ndjson', 'application/jsonl', 'application/x-jsonlines'])(
    'are messages, as %s',
    async (type) => {
      const api = await withQueue();
      const answer = await api.post(url, {
        body: '{"n":12345678901234567890}\n"b"\r\n\n  \n3',
        headers: { 'content-type': type },
      });
      expect(answer.json).toMatchObject({ sentCount: 3, failedCount: 0 });
      const peeked = await api.get('/v1/queues/orders/messages');
      expect(peeked.text).toContain('"body":{"n":12345678901234567890}');
      expect(peeked.json.items.map(({ body }) => body)).toEqual([expect.anything(), 'b', 3]);
    },
  );

  it('are stored as soon as they are 2 MiB together, and those after them anew', async () => {
    const sent: number[] = [];
    const api = await openApi({
      wrapStorage: (storage) => ({
        ...storage,
        send(ask) {
          sent.push(ask.drafts.length);
          return storage.send(ask);
        },
      }),
    });
    await api.queue('orders');
    const line = `"${'x'.repeat(700_000)}"\n`;
    expect((await post(api, line.repeat(5))).json).toMatchObject({ sentCount: 5 });
    expect(sent).toEqual([3, 2]);
  });

  it('fail one by one, in order', async () => {
    const api = await withQueue();
    const bad = Buffer.concat([Buffer.from('1\n{"a":\n'), Buffer.from([0x22, 0xff, 0x22, 0x0a]), Buffer.from('2\n')]);
    const { json } = await post(api, bad);
    expect(json).toMatchObject({ sentCount: 2, failedCount: 2 });
    expect(json.results.map(({ error }) => error?.detail)).toEqual([
      undefined,
      'Line 2 is not valid JSON.',
      'Line 3 is not valid UTF-8.',
      undefined,
    ]);
  });

  it('are numbered as an editor does, blank ones too', async () => {
    const api = await withQueue();
    const { json } = await post(api, '\n1\n\r\n  \n{\n\n[');
    expect(json.results.map(({ error }) => error?.detail)).toEqual([
      undefined,
      'Line 5 is not valid JSON.',
      'Line 7 is not valid JSON.',
    ]);
  });

  it('take delay and group from the query', async () => {
    const api = await withQueue();
    await post(api, '1\n2\n', '?delay=1m&group=g');
    expect(await api.counts('orders')).toEqual([0, 0, 2]);
    expect(nth((await api.get('/v1/queues/orders/messages')).json.items)).toMatchObject({ groupId: 'g' });
  });

  it('are entries with envelope=true', async () => {
    const api = await withQueue();
    const { json } = await post(
      api,
      '{"body":{"b":1, "a":2},"attributes":{"t":"x"}}\n{"bogus":1}\n{"body":"x","body":"y"}\n',
      '?envelope=true',
    );
    expect(json).toMatchObject({ sentCount: 1, failedCount: 2 });
    expect(nth(json.results, 1).error.detail).toMatch(/^line 2\.bod/);
    expect((await api.get('/v1/queues/orders/messages')).text).toContain('"body":{"b":1, "a":2}');
  });

  it('come in pieces that end anywhere', async () => {
    const api = await withQueue();
    const pieces = ['{"a', '":1}', '\n{"b":2}\n{"c"', ':3}'].map((text) => Buffer.from(text));
    const { payload } = await api.server.inject({ method: 'POST', url, headers, payload: Readable.from(pieces) });
    expect(JSON.parse(payload)).toMatchObject({ sentCount: 3 });
    expect((await api.get('/v1/queues/orders/messages')).json.items.map(({ body }) => body)).toEqual([
      { a: 1 },
      { b: 2 },
      { c: 3 },
    ]);
  });

  it('may be as many as there are', async () => {
    const api = await withQueue();
    const count = 5 * limits.batchEntriesMax;
    const lines = Array.from({ length: count }, (_, i) => (i === 3_210 ? '{' : i));
    const { status, headers, text } = await post(api, `${lines.join('\n')}\n`);
    expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    const answer = SendBatchAnswer.parse(JSON.parse(text));
    expect(answer).toMatchObject({ sentCount: count - 1, failedCount: 1, results: { length: count } });
    expect(answer.results.map(({ error }) => error?.detail).filter((detail) => detail !== undefined)).toEqual([
      'Line 3211 is not valid JSON.',
    ]);
    expect(new Set(answer.results.map(({ messageId }) => messageId)).size).toBe(count);
    expect(await api.counts('orders')).toEqual([count - 1, 0, 0]);
  });

  it('are refused as a whole when none is stored, with the problem of the first and all results', async () => {
    const api = await withQueue();
    const { json } = await expectRefusal(api, 'orders', () => post(api, '{\n[\n'), [400, 'malformed_body', 'Line 1']);
    expect(json.results.map(({ error }) => error.detail)).toEqual([
      'Line 1 is not valid JSON.',
      'Line 2 is not valid JSON.',
    ]);
    const long = () => post(api, `"${'a'.repeat(limits.batchLineBytesMax)}"\n{\n`);
    await expectRefusal(api, 'orders', long, [413, 'body_too_large']);
  });

  it('end when the first thousand are refused: what is no list of messages is not read to its end', async () => {
    const api = await withQueue();
    const many = () => post(api, `${'no,json\n'.repeat(limits.batchEntriesMax)}1\n`);
    const { json } = await expectRefusal(api, 'orders', many, [400, 'malformed_body']);
    expect(json.results).toHaveLength(limits.batchEntriesMax);
    const late = await post(api, `${'no,json\n'.repeat(limits.batchEntriesMax - 1)}1\n`);
    expect(late.json).toMatchObject({ sentCount: 1, failedCount: limits.batchEntriesMax - 1 });
  });

  it.each([
    ['nests deeper than 32 levels', `${'['.repeat(33)}${']'.repeat(33)}`],
    ['names the member "a" twice', '{"a":1,"a":2}'],
    ['holds an object of more than 256 members', JSON.stringify({ ...Array.from({ length: 257 }, () => 1) })],
    ['holds a member named "__proto__"', '{"__proto__":{}}'],
  ])('are read as bodies of a JSON batch are: refused when one %s', async (problem, line) => {
    const api = await withQueue();
    const { json } = await post(api, `1\n${line}\n`);
    expect(nth(json.results, 1).error.detail).toContain(`Line 2 ${problem}`);
    const batch = () =>
      api.post(url, { body: `{"messages":[{"body":${line}}]}`, headers: { 'content-type': 'application/json' } });
    await expectRefusal(api, 'orders', batch, [400, 'malformed_body', `The body ${problem}`]);
  });

  it('may nest as deep as bodies of a JSON batch may', async () => {
    const api = await withQueue();
    const deep = '['.repeat(limits.jsonDepthMax) + ']'.repeat(limits.jsonDepthMax);
    expect((await post(api, deep)).json).toMatchObject({ sentCount: 1 });
    expect((await post(api, `{"body":${deep}}`, '?envelope=true')).json).toMatchObject({ sentCount: 1 });
    const batch = `{"messages":[{"body":${deep}}]}`;
    expect((await api.post(url, { body: batch, headers: { 'content-type': 'application/json' } })).json).toMatchObject({
      sentCount: 1,
    });
    const tooDeep = await post(api, `{"body":[${deep}]}`, '?envelope=true');
    expectProblem(tooDeep, 400, 'malformed_body', 'Line 1 nests deeper than 32 levels');
  });

  it('may be long; one that is longer than the limit fails alone', async () => {
    const api = await withQueue();
    const line = (bytes: number) => `"${'a'.repeat(bytes - 2)}"`;
    const long = `${line(limits.batchLineBytesMax + 1)}\n${line(1_000)}\n${line(limits.batchLineBytesMax)}\n`;
    const { json } = await post(api, long);
    expect(json.results.map(({ error }) => error?.code)).toEqual(['body_too_large', undefined, 'message_too_large']);
  });

  it('are stored in slices while the upload goes on', async () => {
    const sizes: number[] = [];
    const api = await openApi({
      wrapStorage: (storage) => ({
        ...storage,
        send(ask) {
          sizes.push(ask.drafts.length);
          return storage.send(ask);
        },
      }),
    });
    await api.queue('orders');
    await post(api, '1\n'.repeat(limits.batchSliceEntriesMax + 1));
    await post(api, `"${'a'.repeat(1_000_000)}"\n`.repeat(3));
    expect(sizes).toEqual([limits.batchSliceEntriesMax, 1, 3]);
  });

  it('keep what is stored when a later slice fails, and say so', async () => {
    let slices = 0;
    const api = await openApi({
      wrapStorage: (storage) => ({
        ...storage,
        send: (ask) => (slices++ === 1 ? Promise.reject(Fault.of('overloaded', {})) : storage.send(ask)),
      }),
    });
    await api.queue('orders');
    const { status, json } = await post(api, '1\n'.repeat(limits.batchSliceEntriesMax * 3));
    expect(status).toBe(200);
    expect(json).toMatchObject({ sentCount: limits.batchSliceEntriesMax, failedCount: limits.batchSliceEntriesMax });
    expect(nth(json.results, limits.batchSliceEntriesMax).error.code).toBe('overloaded');
    expect(await api.counts('orders')).toEqual([limits.batchSliceEntriesMax, 0, 0]);
  });

  it('are refused whole when the first slice is', async () => {
    const api = await openApi();
    expectProblem(await post(api, '1\n'), 404, 'queue_not_found');
  });

  it('need one line at least, and have no Idempotency-Key', async () => {
    const api = await withQueue();
    await expectRefusal(api, 'orders', () => post(api, '\n \n'), [400, 'empty_body']);
    const keyed = () => api.post(url, { body: '1\n', headers: { ...headers, 'idempotency-key': 'k' } });
    await expectRefusal(api, 'orders', keyed, [400, 'invalid_argument', 'Idempotency-Key']);
    const encoded = () => api.post(url, { body: '1\n', headers: { ...headers, 'content-encoding': 'gzip' } });
    await expectRefusal(api, 'orders', encoded, [415, 'unsupported_media_type']);
  });

  it('stop when the upload does, with what came before stored', async () => {
    const api = await withQueue();
    const upload = new Readable({ read: () => undefined });
    upload.push('1\n2\n"cut');
    const answer = api.server.inject({ method: 'POST', url, headers, payload: upload });
    await api.clock.advance({ seconds: 29 });
    upload.push('x'.repeat(2_000));
    await api.clock.advance({ seconds: 2 });
    // It moved in the first half minute, and no more in the second.
    await api.clock.advance({ seconds: 30 });
    const { statusCode, payload, headers: answered } = await answer;
    expect(statusCode).toBe(200);
    expect(JSON.parse(payload)).toMatchObject({
      sentCount: 2,
      failedCount: 1,
      results: [{}, {}, { error: { code: 'request_timeout' } }],
    });
    expect(answered.connection).toBe('close');
  });
});

describe('atomic lines', () => {
  it('store all or none', async () => {
    const api = await withQueue();
    expect((await post(api, '1\n2\n', '?atomic=true')).json).toMatchObject({ sentCount: 2 });
    const { json } = await expectRefusal(api, 'orders', () => post(api, '1\n{\n3\n', '?atomic=true'), [
      400,
      'malformed_body',
      'Line 2',
    ]);
    expect(json.results.map(({ error }) => error.code)).toEqual(['batch_aborted', 'malformed_body', 'batch_aborted']);
  });

  it('may be as large as a JSON batch', async () => {
    const api = await withQueue();
    const line = `"${'a'.repeat(1_000_000)}"\n`;
    await expectRefusal(api, 'orders', () => post(api, line.repeat(17), '?atomic=true'), [413, 'body_too_large']);
    const many = () => post(api, '1\n'.repeat(limits.batchEntriesMax + 1), '?atomic=true');
    await expectRefusal(api, 'orders', many, [413, 'body_too_large', '1000 messages']);
    expect((await post(api, '1\n'.repeat(limits.batchEntriesMax), '?atomic=true')).json).toMatchObject({
      sentCount: 1_000,
    });
  });
});
