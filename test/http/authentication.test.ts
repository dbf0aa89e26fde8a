/** Who is let in. */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker/broker.ts';
import { createGate } from '../../src/http/authentication.ts';
import type { Answer } from '../support/api.ts';
import { expectProblem, openApi } from '../support/api.ts';
import { countingIds } from '../support/ids.ts';
import { basic, guarded, openKeyedApi } from '../support/keys.ts';

const withKey = (authorization: string) => ({ headers: { authorization } });
/** What two answers may differ in. */
const comparable = ({ status, json, headers }: Answer) => ({
  status,
  problem: { ...json, requestId: '' },
  headers: Object.keys(headers),
});

describe('a server with access keys', () => {
  it('answers nobody without one, but for its own health', async () => {
    const { get, post, put, delete: remove } = await openKeyedApi();
    expect((await get('/livez')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    for (const path of [
      '/',
      '/v1/queues',
      '/v1/keys',
      '/metrics',
      '/version',
      '/openapi.json',
      '/docs',
      '/nowhere',
      '/v1/queues/q/stats',
    ]) {
      const answer = await get(path);
      expect([path, answer.status]).toEqual([path, 401]);
      expect(answer.headers['www-authenticate']).toContain('Basic');
    }
    for (const answer of [
      await post('/v1/queues/q/messages', { body: 'x' }),
      await put('/v1/queues/q'),
      await remove('/v1/keys/SLUICEX3MPLK7Q2WV5AB'),
    ]) {
      expectProblem(answer, 401, 'credentials_missing');
    }
  });

  it('leaves exactly these routes open', async () => {
    const { server } = await openKeyedApi();
    const { paths } = server.documents.openapi31() as { paths: Record<string, Record<string, { security?: unknown }>> };
    const open = Object.entries(paths).filter(([, methods]) =>
      Object.values(methods).some(({ security }) => security !== undefined),
    );
    expect(open.map(([path]) => path).sort()).toEqual(['/livez', '/readyz']);
  });

  it('lets in who has a key, as bearer and as basic authentication', async () => {
    const { get, admin } = await openKeyedApi();
    expect((await get('/v1/queues', withKey(`Bearer ${admin.bearer}`))).status).toBe(200);
    expect((await get('/v1/queues', withKey(basic(admin.keyId, admin.secret)))).status).toBe(200);
    expect((await get('/nowhere', withKey(`Bearer ${admin.bearer}`))).status).toBe(404);
  });

  it('takes an empty header for none', async () => {
    const { get } = await openKeyedApi();
    expectProblem(await get('/v1/queues', withKey('')), 401, 'credentials_missing');
  });

  it('refuses two headers', async () => {
    const { server, admin } = await openKeyedApi();
    const header = `Authorization: Bearer ${admin.bearer}\r\n`;
    expect(
      await raw(server, `GET /v1/queues HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}${header}\r\n`),
    ).toContain('HTTP/1.1 400');
    expect(await raw(server, `GET /v1/queues HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}\r\n`)).toContain(
      'HTTP/1.1 200',
    );
  });

  it('refuses a key with any one character changed', async () => {
    const { server, admin } = await openKeyedApi();
    for (let at = 0; at < admin.bearer.length; at += 1) {
      const other = admin.bearer[at] === 'A' ? 'B' : 'A';
      const changed = admin.bearer.slice(0, at) + other + admin.bearer.slice(at + 1);
      const headers = { authorization: `Bearer ${changed}` };
      // From one address after the other, or the first twenty alone would be looked at.
      const { statusCode } = await server.inject({ url: '/v1/queues', headers, remoteAddress: `10.2.0.${at}` });
      expect(statusCode, `character ${at}`).toBe(401);
    }
  });

  it('tells a wrong secret from an unknown id in nothing', async () => {
    const { get, admin } = await openKeyedApi();
    const wrongSecret = await get('/v1/queues', withKey(`Bearer ${admin.keyId}.slk_${'x'.repeat(49)}`));
    const unknownId = await get('/v1/queues', withKey(`Bearer SLUICENOBODYSKEY7777.${admin.secret}`));
    const malformed = await get('/v1/queues', withKey('Bearer x'));
    expectProblem(wrongSecret, 401, 'credentials_invalid');
    expect(comparable(unknownId)).toEqual(comparable(wrongSecret));
    expect(comparable(malformed)).toEqual(comparable(wrongSecret));
  });

  it('refuses a key in the query string', async () => {
    const { get, admin } = await openKeyedApi();
    const answer = await get(`/v1/queues?key=${admin.bearer}`);
    expectProblem(answer, 400, 'invalid_argument');
    expect(answer.text).not.toContain(admin.secret);
    const withBoth = await get(`/v1/queues?key=${admin.bearer}`, withKey(`Bearer ${admin.bearer}`));
    expectProblem(withBoth, 400, 'invalid_argument');
    expect(withBoth.text).not.toContain(admin.secret);
  });

  it('refuses a deleted key at once, also where it waits', async () => {
    const { admin, holder, broker } = await openKeyedApi();
    await admin.call('PUT', '/v1/queues/orders');
    const worker = await holder([{ actions: ['receive'], queues: ['orders'] }]);
    const poll = worker.call('POST', '/v1/queues/orders/messages/receive?wait=20s');
    while (broker.waiters.count() === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await admin.status('DELETE', `/v1/keys/${worker.keyId}`)).toBe(204);
    expectProblem(await poll, 401, 'credentials_invalid');
    expectProblem(await worker.call('POST', '/v1/queues/orders/messages/receive'), 401, 'credentials_invalid');
    expect(broker.waiters.count()).toBe(0);
  });

  it('refuses an expired key, and ends its long polls at that instant', async () => {
    const { admin, holder, clock, broker } = await openKeyedApi();
    await admin.call('PUT', '/v1/queues/orders');
    const worker = await holder([{ actions: ['receive'], queues: ['orders'] }]);
    const expiresAt = new Date(clock.now() + 5_000).toISOString();
    expect(await admin.status('PATCH', `/v1/keys/${worker.keyId}`, { json: { expiresAt } })).toBe(200);
    const poll = worker.call('POST', '/v1/queues/orders/messages/receive?wait=20s');
    while (broker.waiters.count() === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance({ ms: 4_999 });
    expect(broker.waiters.count()).toBe(1);
    await clock.advance({ ms: 1 });
    expectProblem(await poll, 401, 'credentials_invalid');
    expectProblem(await worker.call('POST', '/v1/queues/orders/messages/receive'), 401, 'credentials_invalid');
  });

  it('ends the long polls of a key whose scopes change with what they have', async () => {
    const { admin, holder, broker } = await openKeyedApi();
    await admin.call('PUT', '/v1/queues/orders');
    const worker = await holder([{ actions: ['receive'], queues: ['orders'] }]);
    const poll = worker.call('POST', '/v1/queues/orders/messages/receive?wait=20s');
    while (broker.waiters.count() === 0) await new Promise((resolve) => setImmediate(resolve));
    await admin.call('PATCH', `/v1/keys/${worker.keyId}`, { json: { scopes: [{ actions: ['send'], queues: ['*'] }] } });
    expect((await poll).json).toEqual({ messages: [] });
    expectProblem(await worker.call('POST', '/v1/queues/orders/messages/receive'), 403, 'access_denied');
  });

  it.each(['\n', ' ', '\0', '\r\n'])('refuses a key with %j at its end', async (end) => {
    const { get, admin } = await openKeyedApi();
    expectProblem(await get('/v1/queues', withKey(basic(admin.keyId, admin.secret + end))), 401, 'credentials_invalid');
    expectProblem(await get('/v1/queues', withKey(`Bearer ${admin.bearer}${end}x`)), 401, 'credentials_invalid');
  });

  it('refuses a header of 1 MiB', async () => {
    const { server } = await openKeyedApi();
    const answer = await raw(
      server,
      `GET /v1/queues HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${'x'.repeat(1_048_576)}\r\n\r\n`,
    );
    expect(answer).toContain('HTTP/1.1 431');
  });

  it('refuses a whole key as password', async () => {
    const { get, admin } = await openKeyedApi();
    for (const user of ['', 'admin', admin.keyId]) {
      expect((await get('/v1/queues', withKey(basic(user, admin.bearer)))).status).toBe(401);
    }
  });

  it('refuses an address after 20 wrong keys in a minute, and no other', async () => {
    const { server, admin, clock } = await openKeyedApi();
    const ask = async (authorization: string, remoteAddress = '10.1.1.1') =>
      (await server.inject({ url: '/v1/queues', headers: { authorization }, remoteAddress })).statusCode;
    const statuses: number[] = [];
    for (let i = 0; i < 200; i += 1)
      statuses.push(await ask(`Bearer SLUICENOBODYSKEY7777.slk_${String(i).padStart(49, 'x')}`));
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
    expect(statuses.slice(20)).toEqual(Array(180).fill(429));
    expect(await ask('Bearer SLUICENOBODYSKEY7777.slk_x', '10.1.1.2')).toBe(401);
    // Behind the same proxy, a worker with a right key goes on.
    expect(await ask(`Bearer ${admin.bearer}`)).toBe(200);
    await clock.advance({ seconds: 60 });
    expect(await ask('Bearer SLUICENOBODYSKEY7777.slk_x')).toBe(401);
  });

  it('refuses even the right secret of a key that was guessed at from this address', async () => {
    const { server, admin } = await openKeyedApi();
    const ask = async (secret: string, remoteAddress: string) =>
      (
        await server.inject({
          url: '/v1/queues',
          headers: { authorization: basic(admin.keyId, secret) },
          remoteAddress,
        })
      ).statusCode;
    for (let i = 0; i < 20; i += 1) expect(await ask(`slk_${i}`, '2001:db8:0:1::1')).toBe(401);
    expect(await ask(admin.secret, '2001:db8:0:1::2')).toBe(429);
    expect(await ask(admin.secret, '2001:db8:0:2::1')).toBe(200);
  });

  it('takes the names of schemes in any case, and no other schemes', async () => {
    const { get, admin } = await openKeyedApi();
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
      expect((await get('/v1/queues', withKey(`${scheme} ${admin.bearer}`))).status).toBe(200);
    }
    for (const header of [admin.bearer, `Token ${admin.bearer}`, `Digest ${admin.bearer}`, 'Bearer', 'Bearer ']) {
      expect((await get('/v1/queues', withKey(header))).status, header.slice(0, 8)).toBe(401);
    }
  });

  it('refuses basic credentials that a browser adds to the requests of another site', async () => {
    const { get, admin } = await openKeyedApi();
    const authorization = basic(admin.keyId, admin.secret);
    const from = (origin: string) => get('/v1/queues', { headers: { authorization, origin, host: 'queue.test' } });
    expect((await from('http://queue.test')).status).toBe(200);
    expect((await from('https://queue.test')).status).toBe(200);
    expect((await from('https://evil.test')).status).toBe(401);
    expect((await from('null')).status).toBe(401);
  });

  it('counts the address of the socket, whatever a proxy is said to have seen', async () => {
    const { server } = await openKeyedApi();
    const statuses = [];
    for (let i = 0; i < 21; i += 1) {
      const headers = { authorization: 'Bearer SLUICENOBODYSKEY7777.slk_x', 'x-forwarded-for': `10.0.0.${i}` };
      statuses.push((await server.inject({ url: '/v1/queues', headers })).statusCode);
    }
    expect(statuses.at(-1)).toBe(429);
  });

  it('never logs a secret, a key or the header', async () => {
    const { get, admin, log } = await openKeyedApi();
    await admin.call('POST', '/v1/keys', { json: { name: 'second' } });
    await get('/v1/queues', withKey(`Bearer ${admin.keyId}.slk_wrong-secret-of-somebody`));
    await get(`/v1/queues?key=${admin.bearer}`);
    expect(log.lines.length).toBeGreaterThan(2);
    expect(JSON.stringify(log.lines)).not.toMatch(/slk_|Bearer|authorization/i);
  });
});

describe('a server without keys', () => {
  it('is open on loopback until there is the first key', async () => {
    const api = await openApi({ access: { ...guarded, isLoopback: true } });
    expect((await api.get('/v1/queues')).status).toBe(200);
    expect((await api.get('/v1/queues', { headers: { host: 'evil.test' } })).status).toBe(403);
    const made = await api.post('/v1/keys', { json: { name: 'admin' } });
    const bearer = (JSON.parse(made.text) as { bearer: string }).bearer;
    expectProblem(await api.get('/v1/queues'), 401, 'credentials_missing');
    expect((await api.get('/v1/queues', withKey(`Bearer ${bearer}`))).status).toBe(200);
    // With a key, the name of the host is nobody's protection any more.
    expect(
      (await api.get('/v1/queues', { headers: { authorization: `Bearer ${bearer}`, host: 'queue.test' } })).status,
    ).toBe(200);
  });

  it('lets nobody in where others can reach it', async () => {
    const api = await openApi({ access: guarded });
    expectProblem(await api.get('/v1/queues'), 401, 'credentials_missing');
    expectProblem(await api.post('/v1/keys', { json: { name: 'mine' } }), 401, 'credentials_missing');
  });

  it('answers nobody before its keys are read, rather than take them for none', async () => {
    const { storage, clock, log } = await openApi();
    const { keys } = createBroker({ storage, clock, ids: countingIds(), log });
    const gate = createGate({ ...guarded, isLoopback: true }, keys, clock);
    expect(gate.isOpen).toThrow('have not been loaded');
  });

  it('is open to all when it runs without', async () => {
    const api = await openApi({ access: { ...guarded, auth: 'open' } });
    expect((await api.get('/v1/queues', withKey('Bearer whatever'))).status).toBe(200);
  });
});

/** What the server answers to these bytes. */
async function raw(
  server: { listen: (options: { port: number; host: string }) => Promise<string> },
  bytes: string,
): Promise<string> {
  addresses.set(server, addresses.get(server) ?? server.listen({ port: 0, host: '127.0.0.1' }));
  const { port } = new URL((await addresses.get(server)) ?? '');
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(bytes));
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    socket.on('close', () => resolve(text));
    // A server that has refused may reset the connection while the rest is still being sent.
    socket.on('error', (error) => (text === '' ? reject(error) : resolve(text)));
  });
}
const addresses = new WeakMap<object, Promise<string>>();
