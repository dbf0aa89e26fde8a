import { fastify } from 'fastify';
import { describe, expect, it } from 'vitest';
import { openPrincipal } from '../../src/domain/principal.ts';
import { createGate } from '../../src/http/authentication.ts';
import { authorize } from '../../src/http/authorization.ts';
import { expectProblem, openApi } from '../support/api.ts';
import { manualClock } from '../support/clock.ts';

const account = '000000000000';
const noKeys = { isEmpty: () => true, isKnown: () => false, check: () => undefined };
const access = (more: object) => ({
  access: { account, auth: 'open', isLoopback: true, allowedHosts: [], ...more } as const,
});

describe('a server that is open on loopback', () => {
  it.each(['localhost', 'localhost:8080', 'LOCALHOST', '127.0.0.1:1', '[::1]', '[::1]:8080'])(
    'answers for %s',
    async (host) => {
      const api = await openApi();
      expect((await api.get('/v1/queues', { headers: { host } })).status).toBe(200);
    },
  );

  it.each([
    'evil.example',
    'localhost.evil.example',
    'localhost:8080.evil.example',
    '127.0.0.1.nip.io',
    '127.0.0.2',
    '[::2]',
    '0.0.0.0',
    'localhost:',
  ])('refuses the host %j, so that no other name can be rebound to it', async (host) => {
    const api = await openApi();
    const answer = await api.put('/v1/queues/orders');
    expect(answer.status).toBe(201);
    for (const path of ['/v1/queues', '/', '/metrics', '/livez', '/nope', '/docs/']) {
      expectProblem(await api.get(path, { headers: { host } }), 403, 'forbidden_host');
    }
    const forged = { host, 'x-forwarded-host': 'localhost' };
    expectProblem(await api.call('DELETE', '/v1/queues/orders', { headers: forged }), 403, 'forbidden_host');
    expect((await api.get('/v1/queues/orders')).status).toBe(200);
  });

  it('remembers no good host beyond its own request', async () => {
    const api = await openApi();
    await api.get('/livez', { headers: { host: 'localhost' } });
    expectProblem(await api.get('/livez', { headers: { host: 'evil.example' } }), 403, 'forbidden_host');
    expectProblem(await api.get('/livez', { headers: { host: 'evil.example' } }), 403, 'forbidden_host');
  });

  it.each(['http://evil.example', 'null', 'https://localhost:8080', 'http://localhost:3000'])(
    'refuses pages of the origin %s',
    async (origin) => {
      const api = await openApi();
      const headers = { host: 'localhost:8080', origin };
      expectProblem(await api.call('PUT', '/v1/queues/orders', { headers }), 403, 'forbidden_host');
      expect((await api.get('/v1/queues')).json.items).toEqual([]);
    },
  );

  it('answers its own pages, and tells nobody that others may ask', async () => {
    const api = await openApi();
    const own = await api.get('/v1/queues', { headers: { host: 'localhost:8080', origin: 'http://localhost:8080' } });
    expect(own.status).toBe(200);
    expect(Object.keys(own.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('answers for hosts that it is told, with and without a port', async () => {
    const api = await openApi(access({ allowedHosts: ['Queue.internal', 'other:81'] }));
    for (const host of ['queue.internal', 'queue.internal:8080', 'other:81']) {
      expect((await api.get('/livez', { headers: { host } })).status).toBe(200);
    }
    expectProblem(await api.get('/livez', { headers: { host: 'other:82' } }), 403, 'forbidden_host');
  });
});

describe('a server that is open to a network', () => {
  it('answers for every host, and its own pages', async () => {
    const api = await openApi(access({ isLoopback: false }));
    for (const origin of ['http://queue.internal', 'https://queue.internal']) {
      expect((await api.get('/v1/queues', { headers: { host: 'queue.internal', origin } })).status).toBe(200);
    }
  });

  it('refuses pages of other origins, which a browser in that network may show', async () => {
    const api = await openApi(access({ isLoopback: false }));
    const headers = { host: 'queue.internal', origin: 'http://elsewhere.example' };
    expectProblem(await api.call('PUT', '/v1/queues/orders', { headers }), 403, 'forbidden_host');
    expect((await api.get('/v1/queues', { headers: { host: 'queue.internal' } })).json.items).toEqual([]);
  });

  it('answers only for the hosts that it is told, if any', async () => {
    const api = await openApi(access({ isLoopback: false, allowedHosts: ['sluice'] }));
    for (const host of ['sluice:8080', 'localhost:8080', '127.0.0.1']) {
      expect((await api.get('/livez', { headers: { host } })).status).toBe(200);
    }
    expectProblem(await api.get('/livez', { headers: { host: 'evil.example' } }), 403, 'forbidden_host');
  });
});

describe('an account', () => {
  it('sees its own queues only', async () => {
    const api = await openApi(access({ account: '111111111111' }));
    await api.queue('mine');
    await api.broker.queues.put(openPrincipal('222222222222'), 'theirs' as never, { kind: 'standard', settings: {} });
    expect((await api.get('/v1/queues')).json.items.map(({ name }) => name)).toEqual(['mine']);
    expectProblem(await api.get('/v1/queues/theirs'), 404, 'queue_not_found');
  });
});

describe('a route that declares no action', () => {
  it('stops the start, by its name', async () => {
    const app = fastify();
    authorize(app, createGate(access({}).access, noKeys, manualClock()));
    app.get('/forgotten', () => 'x');
    app.get('/known', { config: { action: 'look' } }, () => 'x');
    await expect(app.ready()).rejects.toThrow('GET /forgotten');
  });
});
