import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { openApi } from '../support/api.ts';
import { basic, openKeyedApi } from '../support/keys.ts';

describe('the first page', () => {
  it('is a cheat sheet with this server and its first queues', async () => {
    const api = await openApi();
    await api.queue('payments');
    await api.send('payments', 'x');
    const { headers, text } = await api.get('/', { headers: { host: 'localhost:8080', accept: '*/*' } });
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(text).toContain('Q=http://localhost:8080/v1/queues');
    expect(text).toMatch(/payments +1 available, 0 in flight, 0 delayed/);
  });

  it('shows what to do when there is no queue, and few of many', async () => {
    const api = await openApi();
    expect((await api.get('/')).text).toContain('curl -X PUT $Q/orders');
    for (let i = 0; i < 11; i += 1) await api.queue(`q${i}`);
    expect((await api.get('/')).text).toContain('  …');
  });

  it('says whom to be where access keys are in force', async () => {
    const { get, admin } = await openKeyedApi();
    const { text } = await get('/', { headers: { authorization: basic(admin.keyId, admin.secret) } });
    expect(text).toContain('none that this key may see');
    expect(text).toContain('curl -u $KEY_ID:$KEY_SECRET -X PUT $Q/orders');
    expect(text).not.toMatch(/curl (?!-u \$KEY_ID:\$KEY_SECRET )/);
  });

  it.each([
    ['application/json', 'application/json; charset=utf-8'],
    ['application/json, text/plain;q=0.5', 'application/json; charset=utf-8'],
    ['text/html,application/json;q=0.9', 'text/plain; charset=utf-8'],
    ['*/*', 'text/plain; charset=utf-8'],
  ])('is for Accept: %s %s', async (accept, contentType) => {
    const api = await openApi();
    const { headers } = await api.get('/', { headers: { accept } });
    expect(headers['content-type']).toBe(contentType);
  });
});

describe('the server', () => {
  it('is alive, tells its version, and is ready unless there is a reason', async () => {
    const reasons: string[] = [];
    const api = await openApi({ isReady: () => ({ ready: reasons.length === 0, reasons }) });
    expect((await api.get('/livez')).json).toEqual({ status: 'ok' });
    expect((await api.get('/version')).json).toEqual({ name: 'sluice', version: '0.0.0' });
    expect(await api.get('/readyz')).toMatchObject({ status: 200, json: { ready: true, reasons: [] } });
    reasons.push('the server is stopping');
    expect(await api.get('/readyz')).toMatchObject({ status: 503, json: { ready: false, reasons } });
  });

  it('answers probes that ask with HEAD as it answers GET, without a body', async () => {
    let ready = true;
    const api = await openApi({ isReady: () => ({ ready, reasons: [] }) });
    expect(await api.call('HEAD', '/livez')).toMatchObject({ status: 200, text: '' });
    expect(await api.call('HEAD', '/readyz')).toMatchObject({ status: 200, text: '' });
    ready = false;
    expect(await api.call('HEAD', '/readyz')).toMatchObject({ status: 503, text: '' });
    const { headers } = await api.get('/livez');
    expect((await api.call('HEAD', '/livez')).headers['content-length']).toBe(headers['content-length']);
  });

  it('ends the line of every JSON answer, and adds nothing to messages', async () => {
    const api = await openApi();
    await api.queue('orders');
    await api.send('orders', '{}');
    for (const url of ['/livez', '/openapi.json', '/v1/queues', '/v1/queues/orders/messages', '/nowhere'])
      expect((await api.get(url)).text, url).toMatch(/}\n$/);
    const lines = { body: '1\n', headers: { 'content-type': 'application/x-ndjson' } };
    expect((await api.post('/v1/queues/orders/messages/batch', lines)).text).toMatch(/}\n$/);
    expect((await api.post('/v1/queues/orders/messages/next')).text).toBe('{}');
  });

  it('answers what its metrics say', async () => {
    const seen: unknown[] = [];
    const metrics = {
      observeRequest: (...facts: unknown[]) => void seen.push(facts),
      render: async () => 'sluice_up 1\n',
      contentType: 'text/plain; version=0.0.4',
    };
    const api = await openApi({ metrics });
    const { text, headers } = await api.get('/metrics');
    expect(text).toBe('sluice_up 1\n');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4');
    await api.get('/v1/queues/secret-name');
    await api.get('/nope');
    expect(seen).toEqual([
      ['GET', '/metrics', 200, expect.any(Number)],
      ['GET', '/v1/queues/:queue', 404, expect.any(Number)],
      ['GET', '(none)', 404, expect.any(Number)],
    ]);
  });

  it('serves its documents, for this origin', async () => {
    const api = await openApi();
    const { json } = await api.get('/openapi.json');
    expect(json).toMatchObject({ openapi: '3.1.0', servers: [{ url: '/' }] });
    expect((await api.get('/openapi-3.0.json')).json).toMatchObject({ openapi: '3.0.3' });
    expect(parse((await api.get('/openapi.yaml')).text)).toEqual(json);
  });

  it('serves a reference that loads nothing from elsewhere', async () => {
    const api = await openApi();
    const { status, text, headers } = await api.get('/docs/');
    expect(status).toBe(200);
    expect(text).not.toMatch(/https?:\/\//);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(await api.get('/docs')).toMatchObject({
      status: 301,
      headers: { location: '/docs/', 'content-type': 'text/html; charset=utf-8' },
    });
    const script = await api.get('/docs/js/scalar.js');
    expect(script.bytes.byteLength).toBeGreaterThan(1_000_000);
  });
});
