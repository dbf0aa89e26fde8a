/** A server with more than one address: what holds at the first holds at all. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { addressesOf, requireOwnPort } from '../../src/http/listening.ts';
import { httpLimits } from '../../src/server.ts';
import { type ApiOptions, openApi } from '../support/api.ts';
import { all, head, host, poll, statusesOf, statusOf, until } from '../support/wire.ts';

const addresses = ['127.0.0.1', '127.0.0.2'];

async function listening(options: ApiOptions = {}) {
  const api = await openApi(options);
  const url = await api.server.listenAt(addresses, { port: 0 });
  return { api, port: Number(new URL(url).port) };
}

async function open(address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port });
  await once(socket, 'connect');
  return socket;
}

async function exchange(address: string, port: number, request: string): Promise<string> {
  const socket = await open(address, port);
  socket.write(request);
  return all(socket);
}

it('is the one of a name; of localhost each that it has', async () => {
  expect(await addressesOf('0.0.0.0')).toEqual(['0.0.0.0']);
  const found = await addressesOf('localhost');
  expect(found).not.toHaveLength(0);
  expect(['127.0.0.1', '::1']).toEqual(expect.arrayContaining([...found]));
});

it.each(addresses)('answers what it answers, and in which words it refuses: %s', async (address) => {
  const { port } = await listening();
  const ask = (request: string) => exchange(address, port, request);
  expect(statusOf(await ask(head(['GET /livez HTTP/1.1', host])))).toBe(200);
  for (const [request, status] of [
    [`CONNECT evil.example:443 HTTP/1.1\r\n${host}\r\n\r\n`, 400],
    [head(['GET /livez HTTP/1.1', host, 'Expect: 200-ok']), 417],
    [head(['GET /livez HTTP/1.1']), 400],
    ['NONSENSE\r\n\r\n', 400],
    [head(['GET /livez HTTP/1.1', host, `X-A: ${'a'.repeat(httpLimits.headerBytesMax)}`]), 431],
  ] as const) {
    const answer = await ask(request);
    expect(statusOf(answer)).toBe(status);
    expect(answer).toContain('application/problem+json');
  }
});

it('takes so many connections at all addresses together', async () => {
  const connectionsMax = 4;
  const { api, port } = await listening({ threadCount: httpLimits.connectionsMax / connectionsMax });
  const sockets = await Promise.all([...addresses, ...addresses].map((address) => open(address, port)));
  const answers = sockets.map((socket) => once(socket, 'data') as Promise<[Buffer]>);
  for (const socket of sockets) socket.write(`GET /livez HTTP/1.1\r\n${host}\r\n\r\n`);
  for (const [answer] of await Promise.all(answers)) expect(statusOf(answer.toString())).toBe(200);
  for (const address of addresses) expect(await all(await open(address, port))).toBe('');
  const gone = once(sockets[1] as Socket, 'close');
  sockets[1]?.destroy();
  await gone;
  await until(api, () => true);
  expect(statusOf(await exchange('127.0.0.2', port, head(['GET /livez HTTP/1.1', host])))).toBe(200);
  for (const socket of sockets) socket.destroy();
});

it.each(addresses)(
  'finishes what is in hand when it stops, and ends connections over which nothing comes: %s',
  async (address) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const silent = all(await open(address, port));
    const idle = await open(address, port);
    idle.write(`GET /livez HTTP/1.1\r\n${host}\r\n\r\n`);
    await once(idle, 'data');
    const answer = exchange(address, port, poll);
    await until(api, () => api.broker.waiters.count() === 1);
    let isStopped = false;
    const stop = api.server.close().then(() => {
      isStopped = true;
    });
    await until(api, () => !api.server.server.listening);
    await expect(open(address, port)).rejects.toThrow('ECONNREFUSED');
    expect(isStopped).toBe(false);
    await api.clock.advance({ seconds: 1 });
    expect(await silent).toBe('');
    api.broker.drain();
    expect(statusesOf(await answer)).toEqual([200]);
    await stop;
  },
);

it('listens nowhere when another program has the port of one address; an address that is not here is left out', async () => {
  const other = createServer();
  other.listen({ host: '127.0.0.2', port: 0 });
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const api = await openApi();
  await expect(api.server.listenAt(addresses, { port })).rejects.toThrow('EADDRINUSE');
  expect(api.server.server.listening).toBe(false);
  other.close();
  await once(other, 'close');
  // Of a net that is for examples alone.
  const url = await (await openApi()).server.listenAt(['127.0.0.1', '192.0.2.1'], { port: 0 });
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});

it.each(addresses)(
  'may share its port among threads only when no other program has it at any address: %s',
  async (host) => {
    const other = createServer();
    other.listen({ host, port: 0 });
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(requireOwnPort([...addresses, '192.0.2.1'], port)).rejects.toThrow('EADDRINUSE');
    other.close();
    await once(other, 'close');
    await requireOwnPort([...addresses, '192.0.2.1'], port);
  },
);
