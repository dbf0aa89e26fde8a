/** Requests that are sent on one connection before the first of them is answered. */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { pipelineLimits } from '../../src/http/pipelining.ts';
import { httpLimits } from '../../src/server.ts';
import type { Storage } from '../../src/storage/port.ts';
import type { Api, ApiOptions } from '../support/api.ts';
import {
  all,
  exchange,
  head,
  host,
  leavePoll,
  listening,
  open,
  plain,
  poll,
  statusesOf,
  until,
} from '../support/wire.ts';

const bodied = (start: string, body: string | Buffer, more = ''): Buffer =>
  Buffer.concat([
    Buffer.from(
      `${start} HTTP/1.1\r\n${host}\r\nContent-Type: text/plain\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
    ),
    Buffer.from(body),
  ]);
const send = (body: string | Buffer, more = '') => bodied('POST /v1/queues/orders/messages', body, more);
const last = head(['GET /livez HTTP/1.1', host]);

const { requestBytes, pieceBytes, readOnBytesMax } = pipelineLimits;

const join = (...parts: readonly (string | Buffer)[]): Buffer => Buffer.concat(parts.map((part) => Buffer.from(part)));

type HeldSends = {
  readonly options: ApiOptions;
  readonly count: () => number;
  /** The one that has waited longest. */
  readonly letOneGo: () => void;
  /** All, those that come later, too. */
  readonly letGo: () => void;
};

/** Sends wait until they are let go. */
function heldSends(): HeldSends {
  const held: (() => void)[] = [];
  let [count, isOpen] = [0, false];
  const wrapStorage = (storage: Storage): Storage => ({
    ...storage,
    async send(ask) {
      count += 1;
      if (!isOpen) await new Promise<void>((resolve) => held.push(resolve));
      return storage.send(ask);
    },
  });
  return {
    options: { wrapStorage },
    count: () => count,
    letOneGo: () => held.shift()?.(),
    letGo() {
      isOpen = true;
      for (const go of held.splice(0)) go();
    },
  };
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

/** How many requests without bodies wait on a connection. */
const waitingIn = (socket: Socket | undefined): number => (socket?.waitingBytes ?? 0) / requestBytes;

const longPage = plain('GET /v1/queues?limit=100');

/** A server with a page of about 2 MB: more than the system takes of what is not read, so the answers after the second wait. */
async function listeningWithLongPage() {
  const { api, port } = await listening({ checkAnswer: undefined });
  const tags = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${'k'.repeat(120)}${n}`, 'v'.repeat(256)]));
  for (let n = 0; n < 100; n += 1) await api.queue(`q${n}`, { tags });
  const pageBytes = (await api.get('/v1/queues?limit=100')).bytes.byteLength;
  expect(pageBytes).toBeGreaterThan(1_900_000);
  return { api, port, pageBytes };
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
    const { api, port, pageBytes } = await listeningWithLongPage();
    const [count, before] = [40, api.log.lines.length];
    const sockets = ends(api);
    const client = (await open(port)).pause();
    client.write(longPage.repeat(count));
    // An answer that is out has its line in the log; no more come when the system takes no more.
    const outCount = () => api.log.lines.length - before;
    const waitingCount = () => waitingIn(sockets[0]);
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

  it('that come while answers are not read leave the server its time', async () => {
    const { api, port } = await listeningWithLongPage();
    let resumeCount = 0;
    api.server.server.on('connection', (socket: Socket) => {
      socket.on('resume', () => {
        resumeCount += 1;
        // Who pauses and goes on for ever leaves nobody else a turn, this test neither.
        if (resumeCount > 1_000) socket.destroy().removeAllListeners('resume');
      });
    });
    const sockets = ends(api);
    const client = (await open(port)).pause();
    client.write(longPage.repeat(4));
    await until(api, () => sockets[0]?.writableNeedDrain === true && waitingIn(sockets[0]) > 0);
    for (let turn = 0; turn < 200; turn += 1) await api.clock.advance({});
    client.write(plain('GET /livez'));
    for (let turn = 0; turn < 200; turn += 1) await api.clock.advance({});
    expect(resumeCount).toBeLessThan(100);
    client.write(last);
    expect(statusesOf(await all(client.resume()))).toHaveLength(6);
  });

  it.each([
    ['without bodies', plain('GET /livez').repeat(1_000), 1_000],
    ['with bodies among them', join(plain('GET /livez'), send('x')).toString().repeat(100), 200],
    ['one body', send(Buffer.alloc(1_000_000)), 1],
  ])('are not read without end while they wait: %s', async (_what, behind, count) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(join(poll, behind, send(Buffer.alloc(1_000_000)), last));
    await until(api, () => waitingIn(sockets[0]) > 0);
    for (let turn = 0; turn < 50; turn += 1) await api.clock.advance({});
    // Two reads of Node.js, when the first brings hardly less than a connection may keep.
    expect(sockets[0]?.bytesRead).toBeLessThanOrEqual(2 * 65_536);
    api.broker.drain();
    expect(statusesOf(await all(client))).toHaveLength(count + 3);
  });

  /** As many as are read on behind. */
  const fewCount = readOnBytesMax / requestBytes;
  const fittingBody = Buffer.alloc(readOnBytesMax - requestBytes - pieceBytes);

  it.each([
    ['one', last],
    ['as many as are read on behind', plain('GET /livez').repeat(fewCount)],
    ['a body of that size', send(fittingBody)],
    ['a body that has not come whole', send('whole').subarray(0, -1)],
  ])('behind a long poll leave it its end, over when the client has gone: %s', async (_what, behind) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(join(poll, behind));
    await until(api, () => sockets[0]?.bytesRead === poll.length + behind.length);
    expect(sockets[0]?.waitingBytes).toBeLessThanOrEqual(readOnBytesMax);
    await leavePoll(api, client);
  });

  it.each([
    ['one request', plain('GET /livez').repeat(fewCount + 1), 34],
    ['one byte of a body', send(join(fittingBody, 'x')), 2],
  ])('are not read on behind when there is more than that: %s', async (_what, behind, count) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(join(poll, behind));
    await until(api, () => sockets[0]?.isPaused() === true);
    client.write(last);
    for (let turn = 0; turn < 50; turn += 1) await api.clock.advance({});
    expect(sockets[0]?.bytesRead).toBe(poll.length + behind.length);
    api.broker.drain();
    expect(statusesOf(await all(client))).toHaveLength(count + 1);
  });

  it('are not read on when the one in front takes its body', async () => {
    const held = heldSends();
    const { api, port } = await listening(held.options);
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    const bytes = join(send('x'), send('y'), plain('GET /livez').repeat(fewCount + 1));
    client.write(bytes);
    await until(api, () => sockets[0]?.isPaused() === true);
    client.write(last);
    held.letOneGo();
    await until(api, () => held.count() === 2);
    for (let turn = 0; turn < 50; turn += 1) await api.clock.advance({});
    expect(sockets[0]?.bytesRead).toBe(bytes.byteLength);
    held.letGo();
    expect(statusesOf(await all(client))).toHaveLength(fewCount + 4);
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

  const chunked = (pieces: readonly string[]): string => {
    const start = plain('POST /v1/queues/orders/messages').trimEnd();
    const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join('');
    return `${start}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
  };

  it.each([
    ['requests', plain('GET /livez').repeat(8), 8 * requestBytes],
    ['a body', send('x'.repeat(10_000)), requestBytes + pieceBytes + 10_000],
    ['a body in one piece', chunked(['x'.repeat(15)]), requestBytes + pieceBytes + 15],
    ['a body in as many as it has bytes', chunked([...'x'.repeat(15)]), requestBytes + 15 * (pieceBytes + 1)],
  ])('wait in so much memory for all connections; one that brings more is closed: %s', async (_what, behind, bytes) => {
    // Beside the first, and the end of its connection, there is room for two further requests.
    const bytesMax = bytes + 3 * requestBytes;
    const { api, port } = await listening({ threadCount: pipelineLimits.waitingBytesMax / bytesMax });
    await api.queue('orders');
    const sockets = ends(api);
    const polling = async (...more: readonly (string | Buffer)[]) => {
      const client = await open(port);
      client.write(join(poll, ...more, last));
      return client;
    };
    const waitingBytes = () =>
      sockets.reduce((sum, socket) => sum + (socket.destroyed ? 0 : (socket.waitingBytes ?? 0)), 0);
    const first = await polling(behind);
    await until(api, () => waitingBytes() === bytes + requestBytes);
    const second = await polling(plain('GET /livez'));
    await until(api, () => waitingBytes() === bytesMax);
    expect(await all(await polling())).toBe('');
    // What does not wait is answered as ever, and those that went make room.
    expect(statusesOf(await exchange(port, last))).toEqual([200]);
    second.destroy();
    await until(api, () => waitingBytes() === bytes + requestBytes);
    const third = await polling(plain('GET /livez'));
    await until(api, () => waitingBytes() === bytesMax);
    api.broker.drain();
    const answers = await Promise.all([first, third].map(all));
    expect(answers.map((text) => statusesOf(text).at(-1))).toEqual([200, 200]);
    await until(api, () => waitingBytes() === 0);
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
    [1, 'has the time that all headers have', 408],
    [readOnBytesMax / requestBytes + 1, 'has more time when it is not read, since so many wait', 200],
  ])('behind %i requests that wait %s', async (waitingCount, _what, lastStatus) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const sockets = ends(api);
    const client = await open(port);
    client.write(`${poll}${plain('GET /livez').repeat(waitingCount)}${last.slice(0, 10)}`);
    await until(api, () => api.broker.waiters.count() === 1 && waitingIn(sockets[0]) === waitingCount);
    // As Node.js does when headers have not come in time.
    const late = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
    api.server.server.emit('clientError', late, sockets[0] as Socket);
    api.broker.drain();
    await until(api, () => waitingIn(sockets[0]) === 0);
    if (lastStatus === 200) client.write(last.slice(10));
    const statuses = Array.from({ length: 1 + waitingCount }, () => 200);
    expect(statusesOf(await all(client))).toEqual([...statuses, lastStatus]);
  });
});
