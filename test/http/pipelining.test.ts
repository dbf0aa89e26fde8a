/** Requests that are sent on one connection before the first of them is answered. */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { pipelineLimits } from '../../src/http/pipelining.ts';
import { httpLimits } from '../../src/server.ts';
import type { Storage } from '../../src/storage/port.ts';
import type { Api, ApiOptions } from '../support/api.ts';
import { all, exchange, head, host, listening, open, statusesOf, until } from '../support/wire.ts';

const bodied = (start: string, body: string | Buffer, more = ''): Buffer =>
  Buffer.concat([
    Buffer.from(
      `${start} HTTP/1.1\r\n${host}\r\nContent-Type: text/plain\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
    ),
    Buffer.from(body),
  ]);
const send = (body: string | Buffer, more = '') => bodied('POST /v1/queues/orders/messages', body, more);
const plain = (start: string): string => `${start} HTTP/1.1\r\n${host}\r\n\r\n`;
const poll = plain('POST /v1/queues/orders/messages/receive?wait=20s');
const last = head(['GET /livez HTTP/1.1', host]);

const join = (...parts: readonly (string | Buffer)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)));

/** Sends wait until they are let go. */
function heldSends(): { readonly options: ApiOptions; readonly count: () => number; readonly letGo: () => void } {
  const gate = Promise.withResolvers<void>();
  let count = 0;
  const wrapStorage = (storage: Storage): Storage => ({
    ...storage,
    async send(ask) {
      count += 1;
      await gate.promise;
      return storage.send(ask);
    },
  });
  return { options: { wrapStorage }, count: () => count, letGo: gate.resolve };
}

/** Sends take some turns of the event loop, each fewer than the one before it, and from time to time many again. */
function unevenSends(): ApiOptions {
  let count = 0;
  const wrapStorage = (storage: Storage): Storage => ({
    ...storage,
    async send(ask) {
      for (let turn = 4 - (count++ % 5); turn > 0; turn -= 1) await new Promise((resolve) => setImmediate(resolve));
      return storage.send(ask);
    },
  });
  return { wrapStorage };
}

/** The server's ends of connections, in the order of their coming. */
function ends(api: Api): readonly Socket[] {
  const sockets: Socket[] = [];
  api.server.server.on('connection', (socket: Socket) => sockets.push(socket));
  return sockets;
}

async function bodiesOf(api: Api): Promise<readonly unknown[]> {
  const bodies: unknown[] = [];
  let page = '';
  do {
    const { json } = await api.get(`/v1/queues/orders/messages?limit=100${page}`);
    bodies.push(...json.items.map(({ body }) => body));
    page = json.nextCursor === undefined ? '' : `&cursor=${json.nextCursor}`;
  } while (page !== '');
  return bodies;
}

describe('requests of one connection', () => {
  it('begin one after the other: a delete does not overtake the send before it', async () => {
    const held = heldSends();
    const { api, port } = await listening(held.options);
    await api.queue('orders');
    const answers = exchange(port, join(send('x'), plain('DELETE /v1/queues/orders'), last));
    await until(api, () => held.count() === 1);
    // Other connections go on.
    expect(statusesOf(await exchange(port, last))).toEqual([200]);
    expect((await api.get('/v1/queues/orders')).status).toBe(200);
    held.letGo();
    expect(statusesOf(await answers)).toEqual([201, 204, 200]);
    expect((await api.get('/v1/queues/orders')).status).toBe(404);
  });

  it('are all done and answered in their order, however long each takes', async () => {
    const { api, port } = await listening(unevenSends());
    await api.queue('orders');
    const numbers = Array.from({ length: 1_000 }, (_, n) => n);
    const sends = numbers.map((n) => send(`m${n}`, `X-Request-Id: n${n}\r\n`));
    const answers = await exchange(port, join(...sends, last));
    expect(statusesOf(answers)).toEqual([...numbers.map(() => 201), 200]);
    const ids = [...answers.matchAll(/x-request-id: n(\d+)/g)].map(([, id]) => Number(id));
    expect(ids).toEqual(numbers);
    expect(await bodiesOf(api)).toEqual(numbers.map((n) => `m${n}`));
  });

  it('are read whole when their turn comes: bodies that are large, or asked for first, and HEAD', async () => {
    const held = heldSends();
    const { api, port } = await listening(held.options);
    await api.queue('orders');
    const large = Buffer.alloc(1_000_000, 'x');
    const asking = bodied('POST /v1/queues/orders/messages', 'asked', 'Expect: 100-continue\r\n');
    const answers = exchange(port, join(send('first'), send(large), plain('HEAD /livez'), asking, send('later'), last));
    await until(api, () => held.count() === 1);
    held.letGo();
    expect(statusesOf(await answers)).toEqual([201, 201, 200, 100, 201, 201, 200]);
    expect(await bodiesOf(api)).toEqual(['first', large.toString(), 'asked', 'later']);
  });

  it('hold one answer that nobody reads, not all of them', async () => {
    const { api, port } = await listening({ checkAnswer: undefined });
    // A page of about 2 MB: more than the system takes of what is not read, so the answers after the second wait.
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${'k'.repeat(120)}${n}`, 'v'.repeat(256)]));
    for (let n = 0; n < 100; n += 1) await api.queue(`q${n}`, { tags });
    const pageBytes = (await api.get('/v1/queues?limit=100')).bytes.byteLength;
    expect(pageBytes).toBeGreaterThan(1_900_000);
    const [count, before] = [40, api.log.lines.length];
    const sockets = ends(api);
    const client = (await open(port)).pause();
    client.write(plain('GET /v1/queues?limit=100').repeat(count));
    // An answer that is out has its line in the log; no more come when the system takes no more.
    const outCount = () => api.log.lines.length - before;
    const waitingCount = () => sockets[0]?.waitingCount ?? 0;
    await until(api, () => waitingCount() > 0);
    for (let seen = -1; seen !== outCount(); ) {
      seen = outCount();
      for (let turn = 0; turn < 200; turn += 1) await api.clock.advance({});
    }
    expect(outCount()).toBeLessThan(10);
    expect(outCount() + 1 + waitingCount()).toBe(count);
    expect(sockets[0]?.writableLength).toBeLessThan(2 * pageBytes);
    client.write(last);
    expect(statusesOf(await all(client.resume()))).toHaveLength(count + 1);
  });

  it('are not read without end while they wait', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(join(poll, plain('GET /livez').repeat(1_000), send(Buffer.alloc(1_000_000)), last));
    await until(api, () => Number(sockets[0]?.waitingCount) > 1);
    for (let turn = 0; turn < 50; turn += 1) await api.clock.advance({});
    // One read of Node.js.
    expect(sockets[0]?.bytesRead).toBeLessThanOrEqual(65_536);
    api.broker.drain();
    expect(statusesOf(await all(client))).toHaveLength(1_003);
  });

  it('behind a long poll leave it its end: it is over when the client has gone', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(poll + last);
    await until(api, () => api.broker.waiters.count() === 1 && sockets[0]?.waitingCount === 1);
    client.destroy();
    await until(api, () => api.broker.waiters.count() === 0);
    await api.send('orders', 'x');
    expect(await api.counts('orders')).toEqual([1, 0, 0]);
  });

  it('do not begin when the answer before ends the connection: it asks to, or the server stops', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    expect(statusesOf(await exchange(port, join(last, send('x'))))).toEqual([200]);
    const answers = exchange(port, join(poll, send('x')));
    await until(api, () => api.broker.waiters.count() === 1);
    const stopped = api.server.close();
    await until(api, () => !api.server.server.listening);
    api.broker.drain();
    await stopped;
    expect(await answers).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
    expect(statusesOf(await answers)).toEqual([200]);
    const queue = { account: '000000000000', name: 'orders' } as never;
    expect((await api.storage.peek({ queue, state: 'all', limit: 1, now: api.clock.now() })).items).toEqual([]);
  });

  it('are answered up to a number; the last answer ends the connection', async () => {
    const { api, port } = await listening();
    expect(api.server.server.maxRequestsPerSocket).toBe(httpLimits.requestsPerSocketMax);
    api.server.server.maxRequestsPerSocket = 3;
    const client = await open(port);
    client.write(plain('GET /livez').repeat(5));
    const answers = await all(client);
    expect(statusesOf(answers)).toEqual([200, 200, 200]);
    expect(answers.match(/^connection: close\r$/gim)).toHaveLength(1);
  });

  it('wait up to a number for all connections together; the one that brings more is closed', async () => {
    const waitingMax = 10;
    const { api, port } = await listening({ threadCount: pipelineLimits.waitingMax / waitingMax });
    await api.queue('orders');
    const sockets = ends(api);
    const polling = async (count: number) => {
      const client = await open(port);
      client.write(poll + plain('GET /livez').repeat(count - 1) + last);
      return client;
    };
    const [first, second] = [await polling(1), await polling(9)];
    await until(api, () => sockets[0]?.waitingCount === 1 && sockets[1]?.waitingCount === 9);
    expect(await all(await polling(1))).toBe('');
    // What does not wait is answered as ever, and those that went make room.
    expect(statusesOf(await exchange(port, last))).toEqual([200]);
    first.destroy();
    await until(api, () => sockets[0]?.destroyed === true);
    const third = await polling(1);
    await until(api, () => sockets.at(-1)?.waitingCount === 1);
    api.broker.drain();
    const answers = await Promise.all([second, third].map(all));
    expect(answers.map((text) => statusesOf(text).length)).toEqual([10, 2]);
  });
});

describe('what is no request, behind one that is', () => {
  const garbage = 'NONSENSE\r\n\r\n';
  const tunnel = 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n';

  it.each([
    ['garbage', garbage],
    ['a tunnel', tunnel],
    ['a body that breaks', `${plain('GET /v1/queues/orders').trimEnd()}\r\nTransfer-Encoding: chunked\r\n\r\nZZ`],
  ])('is refused after the answer to that: %s', async (_what, bytes) => {
    const held = heldSends();
    const { api, port } = await listening(held.options);
    await api.queue('orders');
    const answers = exchange(port, join(send('x'), send('y'), bytes));
    await until(api, () => held.count() === 1);
    held.letGo();
    expect(statusesOf(await answers)).toEqual([201, 201, 400]);
  });

  it('is taken for a client that has gone when it ends early', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const client = await open(port);
    client.write(`${poll}GET /livez HTT`);
    await until(api, () => api.broker.waiters.count() === 1);
    client.end();
    await until(api, () => api.broker.waiters.count() === 0);
  });

  it.each([
    [1, 'has the time that all headers have', '', [200, 200, 408]],
    [2, 'has more time when it is not read, since two wait', last.slice(10), [200, 200, 200, 200]],
  ])('behind %i requests that wait %s', async (waitingCount, _what, rest, statuses) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(`${poll}${plain('GET /livez').repeat(waitingCount)}${last.slice(0, 10)}`);
    await until(api, () => api.broker.waiters.count() === 1 && sockets[0]?.waitingCount === waitingCount);
    // As Node.js does when headers have not come in time.
    const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    api.server.server.emit('clientError', late, sockets[0] as Socket);
    api.broker.drain();
    client.write(rest);
    expect(statusesOf(await all(client))).toEqual(statuses);
  });
});
