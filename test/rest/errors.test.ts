import { spawnSync } from 'node:child_process';
import { METHODS } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Fault, type FaultCode, type FaultFacts } from '../../src/domain/errors.ts';
import { retryAfterSeconds } from '../../src/http/retry-after.ts';
import { restFaults, wireCode } from '../../src/rest/errors.ts';
import { problemOf } from '../../src/rest/problems.ts';
import { type Answer, type Api, expectProblem, follow, openApi } from '../support/api.ts';

describe('the table of problems', () => {
  it('has codes that never change', () => {
    const codes = Object.fromEntries(
      Object.entries(restFaults).map(([code, { status }]) => [wireCode(code), status] as const),
    );
    expect(codes).toMatchInlineSnapshot(`
      {
        "access_denied": 403,
        "attempt_id_reused": 409,
        "batch_aborted": 409,
        "body_too_large": 413,
        "credentials_invalid": 401,
        "credentials_missing": 401,
        "credentials_throttled": 429,
        "dead_letter_queue_invalid": 400,
        "dead_letter_queue_missing": 409,
        "deduplication_id_not_allowed": 400,
        "deduplication_id_required": 400,
        "delay_not_allowed": 400,
        "delay_too_long": 400,
        "empty_body": 400,
        "expectation_failed": 417,
        "forbidden_host": 403,
        "group_required": 400,
        "idempotency_key_reused": 422,
        "invalid_argument": 400,
        "key_declared": 409,
        "key_exists": 409,
        "key_needed": 409,
        "key_not_found": 404,
        "malformed_body": 400,
        "message_not_found": 404,
        "message_too_large": 413,
        "method_not_allowed": 405,
        "overloaded": 503,
        "purge_in_progress": 409,
        "queue_changed": 412,
        "queue_deleted_recently": 409,
        "queue_exists": 409,
        "queue_full": 429,
        "queue_not_found": 404,
        "receipt_expired": 410,
        "receipt_foreign": 400,
        "receipt_invalid": 400,
        "redrive_invalid": 400,
        "redrive_running": 409,
        "redrive_source_unknown": 409,
        "request_timeout": 408,
        "route_not_found": 404,
        "setting_invalid": 400,
        "setting_not_for_kind": 400,
        "shutting_down": 503,
        "storage_failed": 500,
        "storage_full": 507,
        "task_not_active": 409,
        "task_not_found": 404,
        "too_many_in_flight": 429,
        "too_many_keys": 409,
        "too_many_queues": 409,
        "too_many_waiters": 429,
        "unsupported_media_type": 415,
        "visibility_too_long": 400,
      }
    `);
  });

  it('tells when to come again wherever coming again helps', () => {
    const again = Object.entries(restFaults).filter(([, { status }]) => [429, 503, 507].includes(status));
    expect(Object.keys(retryAfterSeconds).toSorted()).toEqual(again.map(([code]) => code).toSorted());
  });
});

describe('hints', () => {
  const asked = { origin: 'http://localhost:8080', queue: 'orders', route: '/v1/queues/:queue/messages' };
  const routes = [asked.route, '/v1/queues/:queue/messages/batch', ''];
  const facts: FaultFacts = {
    invalidArgument: { name: 'messageId', problem: 'must be one' },
    malformedBody: { problem: 'The body is not valid JSON.' },
    unsupportedMediaType: { contentType: 'a/b', accepted: 'application/json' },
    bodyTooLarge: { bytesMax: 1 },
    routeNotFound: { method: 'GET', path: '/nope' },
    methodNotAllowed: { method: 'GET', path: "/v1/$(reboot)'&;`x`", allowed: 'DELETE, POST' },
    requestTimeout: {},
    expectationFailed: { expectation: '200-ok' },
    forbiddenHost: { host: 'evil.example' },
    credentialsMissing: {},
    credentialsInvalid: {},
    credentialsThrottled: { seconds: 60 },
    accessDenied: { action: 'send', queue: 'orders' },
    keyNotFound: { key: 'SLUICEX3MPLK7Q2WV5AB' },
    keyExists: { key: 'SLUICEX3MPLK7Q2WV5AB' },
    keyDeclared: { key: 'SLUICEX3MPLK7Q2WV5AB' },
    keyNeeded: { problem: 'It is the last one' },
    tooManyKeys: { countMax: 1 },
    queueNotFound: { queue: 'orders' },
    queueExists: { queue: 'orders', differing: ['delaySeconds'] },
    queueDeletedRecently: { queue: 'orders', seconds: 60 },
    purgeInProgress: { queue: 'orders', seconds: 60 },
    queueChanged: { queue: 'orders', version: 2 },
    queueFull: { queue: 'orders', limit: 'maxMessages', value: 5 },
    tooManyQueues: { countMax: 1 },
    settingNotForKind: { setting: 'groups', kind: 'standard' },
    settingInvalid: { setting: 'delaySeconds', problem: 'is longer than the retention' },
    deadLetterQueueInvalid: { queue: 'dead', problem: 'it does not exist', reason: 'missing' },
    deadLetterQueueMissing: { queue: 'orders.fifo' },
    emptyBody: {},
    messageTooLarge: { bytes: 2_000, bytesMax: 1_024 },
    messageNotFound: { messageId: 'm', queue: 'orders' },
    delayTooLong: { delaySeconds: 100, delaySecondsMax: 60 },
    delayNotAllowed: {},
    groupRequired: { queue: 'orders.fifo' },
    deduplicationIdRequired: { queue: 'orders.fifo' },
    deduplicationIdNotAllowed: { queue: 'orders' },
    batchAborted: {},
    idempotencyKeyReused: {},
    attemptIdReused: {},
    tooManyInFlight: { queue: 'orders', countMax: 1 },
    tooManyWaiters: { countMax: 1 },
    receiptInvalid: {},
    receiptForeign: { queue: 'orders' },
    receiptExpired: {},
    visibilityTooLong: { secondsMax: 43_200, secondsLeft: 7 },
    redriveSourceUnknown: { queue: 'orders', messageId: 'm' },
    redriveRunning: { queue: 'orders', task: 't' },
    redriveInvalid: { problem: 'it ran too long' },
    taskNotFound: { task: 't' },
    taskNotActive: { task: 't', status: 'completed' },
    overloaded: {},
    storageFull: {},
    storageFailed: {},
    shuttingDown: {},
  };
  const all = Object.entries(facts).flatMap(([code, given]) =>
    routes.map((route) => problemOf({ fault: code, facts: given } as never, { ...asked, route }).hint),
  );
  const commands = all.filter((hint) => hint.startsWith('curl'));

  it('are sentences, or commands', () => {
    expect(all.filter((hint) => !/^curl |^[A-Z].*\.$/.test(hint))).toEqual([]);
  });

  it('can be pasted into a shell as they are', () => {
    // A curl that prints where it is sent, one address per command.
    const shell = [
      'set -eu; KEY_ID=i KEY_SECRET=s',
      'curl() { for word; do case $word in http:*) printf "%s\\n" "$word";; esac; done; }',
      ...commands,
    ];
    const { status, stdout, stderr } = spawnSync('bash', ['-c', shell.join('\n')], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const addresses = stdout.trimEnd().split('\n');
    expect(addresses.length).toBeGreaterThanOrEqual(commands.length);
    expect(addresses).toContain("http://localhost:8080/v1/$(reboot)'&;`x`");
    expect(addresses.filter((address) => !address.startsWith('http://localhost:8080/'))).toEqual([]);
    expect(commands.filter((command) => /[<>…]|-X GET/.test(command))).toEqual([]);
  });
});

describe('a hint', () => {
  type Story = readonly [string, readonly (readonly [string, object?])[], (api: Api) => Promise<Answer>];
  const text = { 'content-type': 'text/plain' };
  const send =
    (query: string, body = 'x') =>
    (api: Api) =>
      api.post(`/v1/queues/${query}`, { body, headers: text });

  it.each<Story>([
    ['a queue that is missing', [], send('orders/messages')],
    ['an empty body', [['orders']], send('orders/messages', '')],
    ['no group', [['o.fifo']], send('o.fifo/messages')],
    ['no deduplication id', [['o.fifo']], send('o.fifo/messages?group=g')],
    ['a long delay', [['orders', { retentionSeconds: 60 }]], send('orders/messages?delay=61')],
    ['a large message', [['orders', { maxMessageBytes: 1_024 }]], send('orders/messages', 'x'.repeat(1_025))],
    ['a full queue', [['orders', { maxBytes: 1 }]], send('orders/messages', 'xx')],
    [
      'a dead-letter queue that is missing',
      [],
      (api) => api.put('/v1/queues/orders', { deadLetter: { queue: 'd', maxReceiveCount: 1 } }),
    ],
    [
      'a dead-letter queue that does not allow it',
      [['d', { redriveAllow: { permission: 'denyAll' } }]],
      (api) => api.put('/v1/queues/orders', { deadLetter: { queue: 'd', maxReceiveCount: 1 } }),
    ],
    ['a redrive to nowhere', [['orders']], (api) => api.post('/v1/queues/orders/redrive?to=nowhere')],
    ['a receive by GET', [['orders']], (api) => api.get('/v1/queues/orders/messages/receive?wait=5s')],
    ['a way that nobody knows', [], (api) => api.get('/nope')],
  ])('about %s does what it says', async (_what, queues, ask) => {
    const api = await openApi();
    for (const [name, settings] of queues) await api.queue(name, settings);
    const refused = await ask(api);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    // As a program reads it, and as it stands in the JSON of the answer.
    for (const hint of [refused.json.hint, JSON.stringify(refused.json.hint).slice(1, -1)]) {
      const done = await follow(api, hint);
      expect(done.status, `${hint} → ${done.text}`).toBeLessThan(300);
    }
  });
});

describe('what is not there', () => {
  it.each(['/nope', '/v1', '/v1/queue', '/v1/queues/orders/nope', '///', '/v1/queues/a/receipts/b/c/d', '/v1/key'])(
    'is 404 at %s, with a way on',
    async (path) => {
      const api = await openApi();
      const answer = await api.get(path);
      expectProblem(answer, 404, 'route_not_found');
      expect(answer.json.hint).toContain('http://localhost:80/docs');
    },
  );

  it.each([
    ['GET', '//', 'POST'],
    ['POST', '/v1/queues', 'GET'],
    ['DELETE', '/v1/queues', 'GET'],
    ['POST', '/v1/queues/orders', 'DELETE, GET, PATCH, PUT'],
    ['PUT', '/v1/queues/orders/messages', 'GET, POST'],
    ['GET', '/v1/queues/orders/receipts/x', 'DELETE, PATCH'],
    ['GET', '/v1/queues/orders/messages/receive', 'POST'],
    ['GET', '/v1/queues/orders/messages/next?wait=5s', 'POST'],
    ['DELETE', '/v1/queues/orders/messages/batch', 'POST'],
    ['PUT', '/v1/queues/orders/messages/receive', 'POST'],
    ['DELETE', '/v1/queues/orders/receipts/batch', 'POST'],
    ['PATCH', '/v1/queues/orders/receipts/batch', 'POST'],
    ['POST', '/livez', 'GET, HEAD'],
    ['HEAD', '/v1/queues', 'GET'],
    ['OPTIONS', '/v1/queues', 'GET'],
  ] as const)('is 405 for %s %s, with what is possible', async (method, path, allowed) => {
    const api = await openApi();
    const answer = await api.call(method, path);
    expect(answer.status).toBe(405);
    expect(answer.headers.allow).toBe(allowed);
    if (method !== 'HEAD') expectProblem(answer, 405, 'method_not_allowed');
  });

  // CONNECT never becomes a request.
  it.each(METHODS.filter((method) => !['CONNECT', 'GET', 'HEAD'].includes(method)))(
    'is 405 for the method %s, with a body and without, where only GET is possible',
    async (method) => {
      const api = await openApi();
      for (const body of ['', '{}']) {
        const answer = await api.call(method as 'POST', '/v1/queues', { body });
        expectProblem(answer, 405, 'method_not_allowed');
        expect(answer.headers.allow).toBe('GET');
      }
    },
  );

  it.each(['application/json', 'text/plain', 'nonsense', 'application/x-www-form-urlencoded'])(
    'is so whatever the body, as %s',
    async (type) => {
      const api = await openApi();
      const ask = (path: string) => api.post(path, { body: '{"a":', headers: { 'content-type': type } });
      expect([404, 415]).toContain((await ask('/nope')).status);
      expect([405, 415]).toContain((await ask('/livez')).status);
    },
  );

  it('ignores headers that override the method', async () => {
    const api = await openApi();
    await api.queue('orders');
    await api.post('/v1/queues/orders/purge', { headers: { 'x-http-method-override': 'DELETE' } });
    expect((await api.get('/v1/queues/orders')).status).toBe(200);
  });
});

describe('a path', () => {
  it.each([
    '/v1/queues/%',
    '/v1/queues/%c0%af',
    '/v1/queues/%ff',
    '/v1/queues/a%00b',
    '/v1/queues/%2e%2e%2fadmin',
    `/v1/queues/${'a'.repeat(10_000)}`,
  ])('like %.40s is refused without harm', async (path) => {
    const api = await openApi();
    const answer = await api.get(path);
    expectProblem(answer, 400, 'invalid_argument');
    expect((await api.get('/v1/queues')).status).toBe(200);
  });
});

describe('an unexpected error', () => {
  it('is logged whole and answered with a fixed sentence', async () => {
    const broken = () => Promise.reject(new Error('select secret from table; /srv/data/sluice.db'));
    const api = await openApi({ wrapStorage: (storage) => ({ ...storage, listQueues: broken }) });
    const answer = await api.get('/v1/queues');
    expectProblem(answer, 500, 'internal_error');
    expect(answer.text).not.toMatch(/secret|srv|stack|at /);
    expect(api.log.lines.find(({ msg }) => msg === 'request failed')).toMatchObject({
      level: 50,
      err: { message: expect.stringContaining('secret') },
    });
  });

  it.each([
    ['storageFailed', 500, undefined],
    ['overloaded', 503, '1'],
    ['shuttingDown', 503, '1'],
    ['storageFull', 507, '5'],
  ] as const)('of the storage, %s, has status %i and tells what to do', async (code, status, retryAfter) => {
    const send = () => Promise.reject(Fault.of(code, {}));
    const api = await openApi({ wrapStorage: (storage) => ({ ...storage, send }) });
    await api.queue('orders');
    const answer = await api.post('/v1/queues/orders/messages', { body: 'x' });
    expectProblem(answer, status, wireCode(code satisfies FaultCode));
    expect(answer.headers['retry-after']).toBe(retryAfter);
  });
});
