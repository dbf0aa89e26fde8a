import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders';

const plain = {
  name: 'orders',
  type: 'standard',
  visibilityTimeoutSeconds: 30,
  delaySeconds: 0,
  retentionSeconds: 345_600,
  maxMessageBytes: 1_048_576,
  waitSeconds: 0,
  retryDelaySeconds: [],
  tags: {},
  counts: { available: 0, inFlight: 0, delayed: 0, bytes: 0 },
  createdAt: '2026-01-01T00:00:00.000Z',
  modifiedAt: '2026-01-01T00:00:00.000Z',
  version: 1,
};

const full = {
  type: 'fifo',
  visibilityTimeoutSeconds: 60,
  delaySeconds: 1,
  retentionSeconds: 60,
  maxMessageBytes: 1_024,
  waitSeconds: 20,
  deadLetter: { queue: 'dead.fifo', maxReceiveCount: 1 },
  redriveAllow: { permission: 'byQueue', queues: ['a.fifo'] },
  contentBasedDeduplication: true,
  deduplicationScope: 'messageGroup',
  fifoThroughputLimit: 'perMessageGroupId',
  retryDelaySeconds: [1, 2],
  maxMessages: 10,
  maxBytes: 9_007_199_254_740_991,
  tags: { team: 'billing' },
};

async function withQueue(settings?: object): Promise<Api> {
  const api = await openApi();
  await api.queue('dead');
  await api.queue('orders', settings);
  return api;
}

describe('creating a queue', () => {
  it('answers 201 with all its settings, where it is, and its ETag', async () => {
    const api = await openApi();
    const { status, headers, json } = await api.call('PUT', url);
    expect(status).toBe(201);
    expect(headers).toMatchObject({ location: url, etag: '"1"' });
    expect(json).toEqual(plain);
  });

  it('takes every setting', async () => {
    const api = await openApi();
    await api.queue('dead.fifo');
    const { status, json } = await api.put('/v1/queues/all.fifo', full);
    expect(status).toBe(201);
    expect(json).toMatchObject({ ...full, name: 'all.fifo' });
  });

  it('confirms with 200 what is so already, and names what differs', async () => {
    const api = await withQueue({ visibilityTimeoutSeconds: 60 });
    expect((await api.put(url, { visibilityTimeoutSeconds: 60, deadLetter: null })).status).toBe(200);
    expect((await api.put(url)).status).toBe(200);
    const differs = () => api.put(url, { visibilityTimeoutSeconds: 1, waitSeconds: 2, delaySeconds: 0 });
    await expectRefusal(api, 'orders', differs, [409, 'queue_exists', 'visibilityTimeoutSeconds, waitSeconds']);
  });

  it('takes the type from the name, and refuses another', async () => {
    const api = await openApi();
    expect((await api.put('/v1/queues/a.fifo')).json).toMatchObject({ type: 'fifo', contentBasedDeduplication: false });
    expectProblem(await api.put('/v1/queues/b', { type: 'fifo' }), 400, 'invalid_argument', /^type: /);
    expectProblem(await api.put('/v1/queues/b.fifo', { type: 'standard' }), 400, 'invalid_argument', /^type: /);
    expect((await api.get('/v1/queues')).json.items).toHaveLength(1);
  });

  it('takes names of 80 letters', async () => {
    const api = await openApi();
    for (const name of ['a'.repeat(80), `${'a'.repeat(75)}.fifo`, '-', '_9'])
      expect((await api.put(`/v1/queues/${name}`)).status).toBe(201);
    for (const name of ['a'.repeat(81), `${'a'.repeat(76)}.fifo`]) {
      expectProblem(await api.put(`/v1/queues/${name}`), 400, 'invalid_argument', /^queue: must be 1 to 80/);
    }
  });

  it.each([
    [{ visibilityTimeoutSeconds: 43_201 }, 'visibilityTimeoutSeconds: must be at most 43200'],
    [{ visibilityTimeoutSeconds: '30' }, 'visibilityTimeoutSeconds: must be a number'],
    [{ visibilityTimeoutSeconds: 1.5 }, 'visibilityTimeoutSeconds: must be a whole number'],
    [{ visibilityTimeoutSeconds: null }, 'visibilityTimeoutSeconds: must be a number'],
    [{ retentionSeconds: 59 }, 'retentionSeconds: must be at least 60'],
    [{ retentionSeconds: 1_209_601 }, 'retentionSeconds: must be at most'],
    [{ maxMessageBytes: 1_023 }, 'maxMessageBytes: must be at least'],
    [{ maxMessageBytes: 1_048_577 }, 'maxMessageBytes: must be at most'],
    [{ waitSeconds: 21 }, 'waitSeconds: must be at most 20'],
    [{ deadLetter: {} }, 'deadLetter.queue: is missing'],
    [{ deadLetter: { queue: 'dead', maxReceiveCount: 0 } }, 'deadLetter.maxReceiveCount: must be at least 1'],
    [{ deadLetter: { queue: 'dead', maxReceiveCount: 1_001 } }, 'deadLetter.maxReceiveCount: must be at most 1000'],
    [{ deadLetter: { queue: 'dead', maxReceiveCount: 'abc' } }, 'deadLetter.maxReceiveCount: must be a number'],
    [{ redriveAllow: { permission: 'byQueue' } }, 'redriveAllow'],
    [{ tags: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, 'v'])) }, 'tags: at most 50 tags'],
    [{ tags: { ['k'.repeat(129)]: 'v' } }, 'tags'],
    [{ tags: { k: 'v'.repeat(257) } }, 'tags.k: must be at most 256 characters'],
    [{ tags: { k: 'a\r\nb\u0000' } }, 'tags.k'],
    [{ tags: { 'aws:k': 'v' } }, 'tags'],
    [{ retryDelaySeconds: [-1] }, 'retryDelaySeconds[0]: must be at least 0'],
    [{ visibilityTimeoutSecond: 30 }, 'visibilityTimeoutSecond: is not a member that is known here'],
    [{ version: 3, createdAt: 'x', account: '1' }, 'version: is not a member'],
    [[], 'body: must be an object'],
    ['x', 'body: must be an object'],
  ])('refuses %j', async (json, detail) => {
    const api = await withQueue();
    const answer = await api.put('/v1/queues/other', json);
    expectProblem(answer, 400, 'invalid_argument');
    expect(answer.json.detail).toContain(detail);
    expectProblem(await api.get('/v1/queues/other'), 404, 'queue_not_found');
  });

  it.each([
    ['settings of FIFO queues', { contentBasedDeduplication: true }, 'setting_not_for_kind'],
    ['a delay beyond the retention', { delaySeconds: 61, retentionSeconds: 60 }, 'setting_invalid'],
    [
      'a dead-letter queue that is not there',
      { deadLetter: { queue: 'nope', maxReceiveCount: 1 } },
      'dead_letter_queue_invalid',
    ],
    [
      'itself as dead-letter queue',
      { deadLetter: { queue: 'other', maxReceiveCount: 1 } },
      'dead_letter_queue_invalid',
    ],
    ['one of another type', { deadLetter: { queue: 'dead.fifo', maxReceiveCount: 1 } }, 'dead_letter_queue_invalid'],
  ])('refuses %s', async (_what, json, code) => {
    const api = await withQueue();
    await api.queue('dead.fifo');
    expectProblem(await api.put('/v1/queues/other', json), 400, code);
    expectProblem(await api.get('/v1/queues/other'), 404, 'queue_not_found');
  });

  it.each([
    ['{"a":1', 'malformed_body', 'not valid JSON'],
    ['{"waitSeconds":1,"waitSeconds":2}', 'malformed_body', '"waitSeconds" twice'],
    [String.raw`{"waitSeconds":1,"\u0077aitSeconds":2}`, 'malformed_body', '"waitSeconds" twice'],
    ['{"__proto__":{"x":1}}', 'malformed_body', '__proto__'],
    [String.raw`{"__\u0070roto__":{"x":1}}`, 'malformed_body', '__proto__'],
    ['{"constructor":{"prototype":{"x":1}}}', 'malformed_body', 'constructor'],
    ['{"waitSeconds":-0}', 'malformed_body', '-0'],
    ['{"waitSeconds":1e400}', 'invalid_argument', 'waitSeconds'],
    ['{"maxBytes":9007199254740993}', 'invalid_argument', 'maxBytes'],
    ['{"waitSeconds":NaN}', 'malformed_body', 'not valid JSON'],
    [`{"tags":${'{"a":'.repeat(31)}1${'}'.repeat(32)}`, 'invalid_argument', 'tags'],
    [`{"tags":${'{"a":'.repeat(32)}1${'}'.repeat(33)}`, 'malformed_body', 'deeper than 32'],
    ['['.repeat(200_000), 'malformed_body', 'deeper than 32'],
    [Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'malformed_body', 'not valid UTF-8'],
  ])('refuses the document %.60s', async (body, code, detail) => {
    const api = await openApi();
    for (const [method, type] of [
      ['PUT', 'application/json'],
      ['PATCH', 'application/merge-patch+json'],
    ] as const) {
      const answer = await api.call(method, url, { body, headers: { 'content-type': type } });
      expectProblem(answer, 400, code);
      expect(answer.json.detail).toContain(detail);
    }
    expect((await api.get('/v1/queues')).json.items).toEqual([]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('takes a byte order mark', async () => {
    const api = await openApi();
    const answer = await api.call('PUT', url, {
      body: '\ufeff{"waitSeconds":1}',
      headers: { 'content-type': 'application/json' },
    });
    expect(answer.json).toMatchObject({ waitSeconds: 1 });
  });

  it.each(['application/json; charset=utf-7', 'text/json', 'application/x-www-form-urlencoded', ''])(
    'reads no document under the content type %j',
    async (type) => {
      const api = await openApi();
      const headers = type === '' ? {} : { 'content-type': type };
      expectProblem(await api.call('PUT', url, { body: '{"waitSeconds":1}', headers }), 415, 'unsupported_media_type');
      expect((await api.get('/v1/queues')).json.items).toEqual([]);
    },
  );

  it('checks a document whatever its content type looks like', async () => {
    const api = await openApi();
    for (const type of [
      'application/json\tx',
      ' application/json',
      'application/json garbage',
      'APPLICATION/JSON',
      'application/json;x',
    ]) {
      const answer = await api.call('PUT', url, { body: '{"bogus":1}', headers: { 'content-type': type } });
      expect([400, 415]).toContain(answer.status);
    }
    expect((await api.get('/v1/queues')).json.items).toEqual([]);
  });

  it('refuses a document that is too large', async () => {
    const api = await openApi();
    expectProblem(await api.put(url, { tags: { a: 'x'.repeat(1_048_577) } }), 413, 'body_too_large');
  });
});

describe('a queue', () => {
  it('is shown with counts and its age', async () => {
    const api = await withQueue();
    await api.send('orders', 'held');
    await api.receive('orders');
    await api.send('orders', 'free');
    await api.send('orders', 'later', '?delay=1h');
    await api.clock.advance({ seconds: 5 });
    const { json, headers } = await api.get(url);
    expect(json).toMatchObject({ counts: { available: 1, inFlight: 1, delayed: 1, oldestAgeSeconds: 5 } });
    expect(headers.etag).toBe('"1"');
  });

  it('has totals that never fall', async () => {
    const api = await withQueue();
    await api.send('orders', 'x');
    const { receiptHandle } = nth(await api.receive('orders', '?visibility=0'));
    const { receiptHandle: second } = nth(await api.receive('orders'));
    expect(second).not.toBe(receiptHandle);
    await api.delete(`${url}/receipts/${second}`);
    expect((await api.get(`${url}/stats`)).json).toEqual({
      available: 0,
      inFlight: 0,
      delayed: 0,
      bytes: 0,
      sent: 1,
      received: 2,
      deleted: 1,
      redelivered: 1,
      deadLettered: 0,
      expired: 0,
      purged: 0,
      redriven: 0,
      quarantined: 0,
    });
  });

  it('is purged', async () => {
    const api = await withQueue();
    await api.send('orders', 'x');
    await api.receive('orders');
    await api.send('orders', 'y');
    expect((await api.post(`${url}/purge`)).json).toEqual({ purgedCount: 2 });
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is deleted', async () => {
    const api = await withQueue();
    expect((await api.delete(url)).status).toBe(204);
    for (const answer of [
      await api.get(url),
      await api.delete(url),
      await api.post(`${url}/purge`),
      await api.get(`${url}/stats`),
    ]) {
      expectProblem(answer, 404, 'queue_not_found');
    }
  });

  it('is listed by name, page by page, by prefix', async () => {
    const api = await openApi();
    for (const name of ['b', 'a', 'ab', 'a.fifo']) await api.queue(name);
    const names: string[] = [];
    for (let cursor = ''; ; ) {
      const { json } = await api.get(`/v1/queues?prefix=a&limit=1${cursor}`);
      names.push(...json.items.map(({ name }) => name));
      if (json.nextCursor === undefined) break;
      cursor = `&cursor=${json.nextCursor}`;
    }
    expect(names).toEqual(['a', 'a.fifo', 'ab']);
    expect((await api.get('/v1/queues?limit=1000')).json.items).toHaveLength(4);
  });

  it.each(['limit=0', 'limit=1001', 'limit=x', 'cursor=nonsense', `prefix=${'a'.repeat(81)}`, 'page=2'])(
    'is not listed with %s',
    async (query) => {
      const api = await openApi();
      expectProblem(await api.get(`/v1/queues?${query}`), 400, 'invalid_argument', nth(query.split('=')));
    },
  );

  it('takes a document of the largest size, and not a byte more', async () => {
    const api = await openApi();
    const put = (bytes: number) =>
      api.call('PUT', '/v1/queues/orders', {
        body: '{}'.padEnd(bytes),
        headers: { 'content-type': 'application/json' },
      });
    expectProblem(await put(limits.documentBytesMax + 1), 413, 'body_too_large');
    expect((await put(limits.documentBytesMax)).status).toBe(201);
  });

  it('tells who dead-letters to it', async () => {
    const api = await withQueue({ deadLetter: { queue: 'dead', maxReceiveCount: 1 } });
    expect((await api.get('/v1/queues/dead/dead-letter-sources')).json).toEqual({ items: ['orders'] });
    for (const name of ['a', 'b']) await api.queue(name, { deadLetter: { queue: 'dead', maxReceiveCount: 3 } });
    const shown: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const page = `?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`;
      const { json } = await api.get(`/v1/queues/dead/dead-letter-sources${page}`);
      shown.push(...json.items.map(String));
      cursor = json.nextCursor;
    }
    expect(shown).toEqual(['a', 'b', 'orders']);
    expectProblem(await api.get('/v1/queues/nope/dead-letter-sources'), 404, 'queue_not_found');
  });

  it('tells its message groups and who blocks them', async () => {
    const api = await openApi();
    await api.queue('orders.fifo');
    const messageId = await api.send('orders.fifo', 'x', '?group=a%26b&dedup=1');
    await api.send('orders.fifo', 'y', '?group=a%26b&dedup=2');
    await api.send('orders.fifo', 'z', '?group=c&dedup=3');
    await api.receive('orders.fifo');
    const groups = '/v1/queues/orders.fifo/groups';
    const first = await api.get(`${groups}?limit=1`);
    expect(first.json.items).toEqual([
      {
        groupId: 'a&b',
        messageCount: 2,
        headMessageId: messageId,
        headState: 'inFlight',
        availableAt: '2026-01-01T00:00:30.000Z',
      },
    ]);
    expect((await api.get(`${groups}?cursor=${first.json.nextCursor}`)).json.items).toMatchObject([{ groupId: 'c' }]);
    await api.queue('orders');
    expectProblem(await api.get(`${url}/groups`), 400, 'setting_not_for_kind');
  });
});

describe('changing a queue', () => {
  it('changes what is named, and resets with null', async () => {
    const api = await withQueue({ visibilityTimeoutSeconds: 60, deadLetter: { queue: 'dead', maxReceiveCount: 1 } });
    await api.clock.advance({ seconds: 1 });
    const { json, headers } = await api.patch(url, {
      visibilityTimeoutSeconds: null,
      deadLetter: null,
      waitSeconds: 5,
    });
    expect(json).toEqual({ ...plain, waitSeconds: 5, version: 2, modifiedAt: '2026-01-01T00:00:01.000Z' });
    expect(headers.etag).toBe('"2"');
  });

  it('takes merge patches', async () => {
    const api = await withQueue();
    const answer = await api.patch(url, { waitSeconds: 5 }, { 'content-type': 'application/merge-patch+json' });
    expect(answer.json).toMatchObject({ waitSeconds: 5 });
  });

  it('happens only with the ETag it is told', async () => {
    const api = await withQueue();
    const ask = (etag: string) => () => api.patch(url, { waitSeconds: 5 }, { 'if-match': etag });
    await expectRefusal(api, 'orders', ask('"2"'), [412, 'queue_changed', '"1"']);
    await expectRefusal(api, 'orders', ask('1'), [400, 'invalid_argument', 'If-Match']);
    expect((await ask('"1"')()).status).toBe(200);
    expect((await ask('*')()).status).toBe(200);
  });

  it.each([
    [{ type: 'fifo' }, 'invalid_argument'],
    [{ name: 'x' }, 'invalid_argument'],
    [{ waitSeconds: 21 }, 'invalid_argument'],
    [{ contentBasedDeduplication: true }, 'setting_not_for_kind'],
    [{ delaySeconds: 345_601 }, 'setting_invalid'],
    [{ deadLetter: { queue: 'orders', maxReceiveCount: 1 } }, 'dead_letter_queue_invalid'],
  ])('is refused as %j', async (json, code) => {
    const api = await withQueue();
    await expectRefusal(api, 'orders', () => api.patch(url, json), [400, code]);
  });

  it('needs a document, though an empty one does nothing', async () => {
    const api = await openApi();
    await api.queue('orders');
    await expectRefusal(api, 'orders', () => api.call('PATCH', url), [400, 'malformed_body', 'missing']);
    expect((await api.patch(url, {})).status).toBe(200);
  });

  it('needs a queue', async () => {
    const api = await openApi();
    expectProblem(await api.patch(url, {}), 404, 'queue_not_found');
  });
});
