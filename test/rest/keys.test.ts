import { describe, expect, it } from 'vitest';
import { isPlausible } from '../../src/domain/access-key.ts';
import { type Answer, expectProblem, openApi } from '../support/api.ts';
import { basic, openKeyedApi } from '../support/keys.ts';

type Made = { readonly keyId: string; readonly secret: string; readonly bearer: string };
const madeBy = (answer: Answer): Made => {
  expect(answer.status, answer.text).toBeLessThan(300);
  return JSON.parse(answer.text) as Made;
};
const sendOrders = [{ actions: ['send'], queues: ['orders-*'] }];

describe('an access key', () => {
  it('is made with a secret that is told once', async () => {
    const { admin, clock } = await openKeyedApi();
    const answer = await admin.call('POST', '/v1/keys', { json: { name: 'orders', scopes: sendOrders } });
    expect(answer.status).toBe(201);
    const { keyId, secret, bearer } = madeBy(answer);
    expect(keyId).toMatch(/^SLUICE[A-Z2-7]{14}$/);
    expect(secret).toMatch(/^slk_[\w-]{49}$/);
    expect(bearer).toBe(`${keyId}.${secret}`);
    expect(answer.headers.location).toBe(`/v1/keys/${keyId}`);
    const seen = await admin.call('GET', `/v1/keys/${keyId}`);
    expect(JSON.parse(seen.text)).toEqual({
      keyId,
      name: 'orders',
      account: '000000000000',
      scopes: sendOrders,
      isDeclared: false,
      isExpired: false,
      secretCount: 1,
      createdAt: new Date(clock.now()).toISOString(),
      createdBy: admin.keyId,
    });
    const list = await admin.call('GET', '/v1/keys');
    expect(list.text).toContain(keyId);
    expect(list.text).not.toContain('slk_');
  });

  it('may do everything unless scopes are given', async () => {
    const { admin } = await openKeyedApi();
    const answer = await admin.call('POST', '/v1/keys', { json: { name: 'all' } });
    expect(answer.text).toContain('"scopes":[{"actions":["*"],"queues":["*"]}]');
  });

  it('has a secret whose mistyping can be seen without asking', async () => {
    const { admin } = await openKeyedApi();
    const { keyId, secret } = madeBy(await admin.call('POST', '/v1/keys', { json: { name: 'a' } }));
    expect(isPlausible(keyId, secret)).toBe(true);
    for (let at = 0; at < secret.length; at += 1) {
      const other = secret[at] === 'x' ? 'y' : 'x';
      const changed = secret.slice(0, at) + other + secret.slice(at + 1);
      // A changed prefix makes it another kind of secret, of which nothing is known.
      if (at >= 4) expect(isPlausible(keyId, changed), `character ${at}`).toBe(false);
    }
    expect(isPlausible(`${keyId.slice(0, -1)}${keyId.endsWith('A') ? 'B' : 'A'}`, secret)).toBe(false);
  });

  it.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x'.repeat(81) }, 'name'],
    [{ name: 'a\nb' }, 'name'],
    [{ name: 'a', scopes: [] }, 'scopes'],
    [{ name: 'a', scopes: [{ actions: ['fly'], queues: ['*'] }] }, 'scopes[0].actions[0]'],
    [{ name: 'a', scopes: [{ actions: ['look'], queues: ['*'] }] }, 'scopes[0].actions[0]'],
    [{ name: 'a', scopes: [{ actions: ['send'], queues: ['a*b'] }] }, 'scopes[0].queues[0]'],
    [{ name: 'a', scopes: [{ actions: ['send'], queues: ['**'] }] }, 'scopes[0].queues[0]'],
    [{ name: 'a', scopes: [{ actions: ['send'], queues: [''] }] }, 'scopes[0].queues[0]'],
    [{ name: 'a', scopes: [{ actions: ['send'], queues: ['*'], more: 1 }] }, 'scopes[0].more'],
    [
      { name: 'a', scopes: [{ actions: ['send', 'readMetrics'], queues: ['orders', 'a*'] }] },
      'scopes[0].queues: must hold "*", or the scope must leave out readMetrics, which is not done on queues',
    ],
    [{ name: 'a', scopes: [{ actions: ['manageKeys'], queues: ['a*'] }] }, 'scopes[0].queues: must hold "*"'],
    [{ name: 'a', expiresAt: 'tomorrow' }, 'expiresAt: must be an instant such as "2027-01-31T12:00:00Z"'],
    [{ name: 'a', expiresAt: '2027-02-30T00:00:00Z' }, 'expiresAt: must be an instant such as'],
    [{ name: 'a', expiresAt: 5 }, 'expiresAt: must be a string'],
    [{ name: 'a', expiresAt: '2020-01-01T00:00:00Z' }, 'expiresAt'],
    [{ name: 'a', account: '111111111111' }, 'account'],
    [{ name: 'a', keyId: 'SLUICEX3MPLK7Q2WV5AB' }, 'keyId'],
    [{ name: 'a', createdAt: '2026-01-01T00:00:00Z' }, 'createdAt'],
    [{ name: 'a', secret: 'slk_mine' }, 'secret'],
  ])('is not made from %j', async (json, name) => {
    const { admin } = await openKeyedApi();
    expectProblem(
      await admin.call('POST', '/v1/keys', { json }),
      400,
      'invalid_argument',
      new RegExp(`^${name.replace(/[[\].*]/g, '\\$&')}${name.includes(': ') ? '' : ': '}`),
    );
    expect((await admin.call('GET', '/v1/keys')).json.items).toHaveLength(1);
  });

  it('is found by pages, by id', async () => {
    const { admin } = await openKeyedApi();
    for (let i = 0; i < 4; i += 1) await admin.call('POST', '/v1/keys', { json: { name: `key ${i}` } });
    const all = JSON.parse((await admin.call('GET', '/v1/keys')).text) as { items: Made[] };
    const first = JSON.parse((await admin.call('GET', '/v1/keys?limit=3')).text) as {
      items: Made[];
      nextCursor: string;
    };
    const second = JSON.parse((await admin.call('GET', `/v1/keys?limit=3&cursor=${first.nextCursor}`)).text) as {
      items: Made[];
    };
    const ids = [...first.items, ...second.items].map(({ keyId }) => keyId);
    expect(ids).toEqual(all.items.map(({ keyId }) => keyId));
    expect(ids).toEqual([...ids].sort());
    expect(second).not.toHaveProperty('nextCursor');
  });

  it('changes its name, its scopes and its end, at once', async () => {
    const { admin, holder, clock } = await openKeyedApi();
    const some = await holder([{ actions: ['readQueue'], queues: ['a'] }]);
    expect(await some.status('GET', '/v1/queues/b')).toBe(403);
    const url = `/v1/keys/${some.keyId}`;
    await admin.call('PATCH', url, { json: { scopes: [{ actions: ['readQueue'], queues: ['b'] }] } });
    expect(await some.status('GET', '/v1/queues/b')).toBe(404);
    expect(await some.status('GET', '/v1/queues/a')).toBe(403);
    const changed = await admin.call('PATCH', url, { json: { name: 'other', expiresAt: '2026-01-01T00:01:00+00:00' } });
    expect(changed.text).toContain('"expiresAt":"2026-01-01T00:01:00.000Z"');
    expect(changed.text).toContain('"name":"other"');
    await clock.advance({ seconds: 60 });
    expect(await some.status('GET', '/v1/queues/b')).toBe(401);
    expect((await admin.call('GET', url)).text).toContain('"isExpired":true');
    await admin.call('PATCH', url, { json: { expiresAt: null } });
    expect(await some.status('GET', '/v1/queues/b')).toBe(404);
  });

  it('is unknown once it is deleted', async () => {
    const { admin, holder } = await openKeyedApi();
    const some = await holder([{ actions: ['send'], queues: ['*'] }]);
    expect(await admin.status('DELETE', `/v1/keys/${some.keyId}`)).toBe(204);
    expectProblem(await admin.call('DELETE', `/v1/keys/${some.keyId}`), 404, 'key_not_found');
    expectProblem(await admin.call('GET', `/v1/keys/${some.keyId}`), 404, 'key_not_found');
    expectProblem(await admin.call('GET', '/v1/keys/..'), 404, 'route_not_found');
    expectProblem(await admin.call('GET', '/v1/keys/a'), 400, 'invalid_argument');
  });
});

describe('rotating a key', () => {
  const status = async (api: Awaited<ReturnType<typeof openKeyedApi>>, keyId: string, secret: string) =>
    (await api.get('/v1/queues', { headers: { authorization: basic(keyId, secret) } })).status;

  it('gives a new secret, beside which the old one stays good for the overlap', async () => {
    const api = await openKeyedApi();
    const { admin, clock } = api;
    const old = madeBy(await admin.call('POST', '/v1/keys', { json: { name: 'a' } }));
    const rotated = madeBy(await admin.call('POST', `/v1/keys/${old.keyId}/rotate?overlap=1h`));
    expect(rotated.keyId).toBe(old.keyId);
    expect(await status(api, old.keyId, old.secret)).toBe(200);
    expect(await status(api, old.keyId, rotated.secret)).toBe(200);
    expect((await admin.call('GET', `/v1/keys/${old.keyId}`)).text).toContain('"secretCount":2');
    await clock.advance({ seconds: 3_600 });
    expect(await status(api, old.keyId, old.secret)).toBe(401);
    expect(await status(api, old.keyId, rotated.secret)).toBe(200);
    expect((await admin.call('GET', `/v1/keys/${old.keyId}`)).text).toContain('"secretCount":1');
  });

  it('ends the old secret at once with an overlap of 0, and one of an earlier rotation in any case', async () => {
    const api = await openKeyedApi();
    const { admin } = api;
    const first = madeBy(await admin.call('POST', '/v1/keys', { json: { name: 'a' } }));
    const second = madeBy(await admin.call('POST', `/v1/keys/${first.keyId}/rotate`));
    const third = madeBy(await admin.call('POST', `/v1/keys/${first.keyId}/rotate`));
    expect(await status(api, first.keyId, first.secret)).toBe(401);
    expect(await status(api, first.keyId, second.secret)).toBe(200);
    const fourth = madeBy(await admin.call('POST', `/v1/keys/${first.keyId}/rotate?overlap=0`));
    expect(await status(api, first.keyId, second.secret)).toBe(401);
    expect(await status(api, first.keyId, third.secret)).toBe(401);
    expect(await status(api, first.keyId, fourth.secret)).toBe(200);
  });

  it('is refused for longer than a month', async () => {
    const { admin } = await openKeyedApi();
    expectProblem(await admin.call('POST', `/v1/keys/${admin.keyId}/rotate?overlap=31d`), 400, 'invalid_argument');
  });
});

describe('who manages keys', () => {
  it('must be allowed to', async () => {
    const { admin, holder } = await openKeyedApi();
    const worker = await holder([{ actions: ['send', 'receive', 'readQueue'], queues: ['*'] }]);
    for (const [method, url] of [
      ['GET', '/v1/keys'],
      ['POST', '/v1/keys'],
      ['GET', `/v1/keys/${admin.keyId}`],
      ['PATCH', `/v1/keys/${worker.keyId}`],
      ['DELETE', `/v1/keys/${admin.keyId}`],
      ['POST', `/v1/keys/${worker.keyId}/rotate`],
    ] as const) {
      expectProblem(await worker.call(method, url), 403, 'access_denied', /manageKeys/);
    }
  });

  it('needs it for the server as a whole, not for some queues', async () => {
    const { holder } = await openKeyedApi();
    const some = await holder([{ actions: ['*'], queues: ['orders-*'] }]);
    expect(await some.status('GET', '/v1/keys')).toBe(403);
    expect(await some.status('GET', '/metrics')).toBe(403);
  });

  it('gives no more than they have, and touches no key that has more', async () => {
    const { admin, holder } = await openKeyedApi();
    const lead = await holder([
      { actions: ['manageKeys'], queues: ['*'] },
      { actions: ['send', 'receive'], queues: ['orders-*'] },
    ]);
    const give = (scopes: unknown) => lead.status('POST', '/v1/keys', { json: { name: 'a', scopes } });
    expect(await give([{ actions: ['send'], queues: ['orders-*'] }])).toBe(201);
    expect(await give([{ actions: ['send', 'receive'], queues: ['orders-a', 'orders-b*'] }])).toBe(201);
    expect(await give([{ actions: ['send'], queues: ['orders*'] }])).toBe(403);
    expect(await give([{ actions: ['send'], queues: ['*'] }])).toBe(403);
    expect(await give([{ actions: ['settle'], queues: ['orders-a'] }])).toBe(403);
    expect(await give([{ actions: ['*'], queues: ['orders-a'] }])).toBe(403);
    expect(await give(undefined)).toBe(403);
    const own = madeBy(
      await lead.call('POST', '/v1/keys', {
        json: { name: 'a', scopes: [{ actions: ['send'], queues: ['orders-a'] }] },
      }),
    );
    const wider = { json: { scopes: [{ actions: ['purge'], queues: ['orders-a'] }] } };
    expectProblem(await lead.call('PATCH', `/v1/keys/${own.keyId}`, wider), 403, 'access_denied');
    // A rotation would tell the secret of one who may do more.
    expectProblem(await lead.call('POST', `/v1/keys/${admin.keyId}/rotate`), 403, 'access_denied');
    expectProblem(await lead.call('PATCH', `/v1/keys/${admin.keyId}`, { json: { name: 'b' } }), 403, 'access_denied');
    expectProblem(await lead.call('DELETE', `/v1/keys/${admin.keyId}`), 403, 'access_denied');
  });

  it('cannot take away the last key that may', async () => {
    const { admin, holder } = await openKeyedApi();
    await holder([{ actions: ['send'], queues: ['*'] }]);
    const url = `/v1/keys/${admin.keyId}`;
    expectProblem(await admin.call('DELETE', url), 409, 'key_needed');
    expectProblem(
      await admin.call('PATCH', url, { json: { scopes: [{ actions: ['send'], queues: ['*'] }] } }),
      409,
      'key_needed',
    );
    const other = await holder([{ actions: ['*'], queues: ['*'] }]);
    const [mine, theirs] = await Promise.all([
      admin.status('DELETE', url),
      other.status('DELETE', `/v1/keys/${other.keyId}`),
    ]);
    expect([mine, theirs].sort()).toEqual([204, 409]);
  });

  it('is not saved by a key that has ended, or that manages those of another account', async () => {
    const { admin, holder, clock } = await openKeyedApi();
    await holder([{ actions: ['*'], queues: ['*'] }], '111111111111');
    const expiresAt = new Date(clock.now() + 1_000).toISOString();
    madeBy(await admin.call('POST', '/v1/keys', { json: { name: 'ended', expiresAt } }));
    await clock.advance({ seconds: 1 });
    expectProblem(await admin.call('DELETE', `/v1/keys/${admin.keyId}`), 409, 'key_needed');
  });

  it('sees the keys of their own account only', async () => {
    const { admin, holder } = await openKeyedApi();
    const foreign = await holder([{ actions: ['*'], queues: ['*'] }], '111111111111');
    expect((await foreign.call('GET', '/v1/keys')).json.items).toHaveLength(1);
    expectProblem(await foreign.call('GET', `/v1/keys/${admin.keyId}`), 404, 'key_not_found');
    expectProblem(await foreign.call('DELETE', `/v1/keys/${admin.keyId}`), 404, 'key_not_found');
  });
});

describe('the first key', () => {
  it('must be able to manage keys', async () => {
    const api = await openApi();
    expectProblem(await api.post('/v1/keys', { json: { name: 'a', scopes: sendOrders } }), 409, 'key_needed');
    expect((await api.post('/v1/keys', { json: { name: 'a' } })).status).toBe(201);
  });
});
