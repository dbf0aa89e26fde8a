/** What only shows on a socket: bytes that are not HTTP, limits before our code, clients that leave. */
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { defaultAccount } from '../../src/domain/principal.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import { httpLimits } from '../../src/server.ts';
import { type Api, nth } from '../support/api.ts';
import { draftOf } from '../support/storage.ts';
import {
  exchange,
  head,
  host,
  leavePoll,
  listening,
  open,
  poll,
  statusesOf,
  statusOf,
  until,
} from '../support/wire.ts';

const sendHead = ['POST /v1/queues/orders/messages HTTP/1.1', host, 'Content-Type: text/plain'];
const problemIn = (answer: string) => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as Record<string, unknown>;

describe('bytes that are not HTTP', () => {
  it.each<readonly [string, string, readonly number[]]>([
    [
      'two lengths',
      `POST /v1/queues/q/messages HTTP/1.1\r\n${host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx`,
      [400],
    ],
    [
      'a length and chunks',
      `POST /v1/queues/q/messages HTTP/1.1\r\n${host}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      [400],
    ],
    [
      'an unknown transfer encoding',
      `POST /v1/queues/q/messages HTTP/1.1\r\n${host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
      [400, 415, 501],
    ],
    [
      'an overflowing chunk size',
      `POST /v1/queues/q/messages HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`,
      [400],
    ],
    ['no host', head(['GET / HTTP/1.1']), [400]],
    ['two hosts', head(['GET / HTTP/1.1', host, 'HOST: evil.example']), [400]],
    ['a host with a blank', head(['GET / HTTP/1.1', 'Host: a b']), [400, 403]],
    ['a bare line feed', `GET / HTTP/1.1\n${host}\n\n`, [400]],
    ['a folded header', `GET / HTTP/1.1\r\n${host}\r\nX-A: b\r\n c\r\n\r\n`, [400]],
    ['a blank before the colon', `GET / HTTP/1.1\r\n${host}\r\nX-A : b\r\n\r\n`, [400]],
    ['a NUL in the path', `GET /\0 HTTP/1.1\r\n${host}\r\n\r\n`, [400]],
    ['another host in the path', head(['GET http://evil.example/v1/queues HTTP/1.1', host]), [400, 404]],
    ['a large header', head(['GET / HTTP/1.1', host, `X-A: ${'a'.repeat(20_000)}`]), [431]],
    ['many headers', head(['GET / HTTP/1.1', host, ...Array.from({ length: 3_000 }, (_, i) => `X-${i}: a`)]), [431]],
    [
      'more headers than are taken',
      head(['GET / HTTP/1.1', host, ...Array.from({ length: 101 }, (_, i) => `X-${i}: a`)]),
      [400],
    ],
    ['a tunnel', `CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n`, [400]],
    ['the server as a whole', head(['OPTIONS * HTTP/1.1', host]), [400]],
    ['carriage returns alone', `GET / HTTP/1.1\r${host}\r\r`, [400]],
    ['a NUL in a header', `GET / HTTP/1.1\r\n${host}\r\nX-A: a\0b\r\n\r\n`, [400]],
    ['a header without a name', `GET / HTTP/1.1\r\n${host}\r\n: b\r\n\r\n`, [400]],
    ['a header without a colon', `GET / HTTP/1.1\r\n${host}\r\nX-A\r\n\r\n`, [400]],
    ['a version that there is not', `GET / HTTP/1.2\r\n${host}\r\n\r\n`, [400]],
    ['TRACE', head(['TRACE / HTTP/1.1', host]), [405]],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405]],
    [
      'a WebSocket',
      `GET /v1/queues HTTP/1.1\r\n${host}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
      [400],
    ],
    [
      'a WebSocket where nothing is',
      `GET /nope HTTP/1.1\r\n${host}\r\nConnection: Upgrade, close\r\nUpgrade: WebSocket\r\n\r\n`,
      [400],
    ],
  ])('are refused: %s', async (_what, request, statuses) => {
    const { api, port } = await listening();
    const answer = await exchange(port, request);
    expect(statuses, answer.slice(0, 200)).toContain(statusOf(answer));
    expect(answer).toContain('application/problem+json');
    if (!request.startsWith('TRACE')) expect(problemIn(answer).hint).toMatch(/./);
    expect((await api.get('/livez')).status).toBe(200);
  });
});

describe('a request that Node.js would refuse without a word, or read as another', () => {
  const expectation = ['Expect: 200-ok', 'Content-Length: 0'];
  const badHost = { code: 'invalid_argument', detail: expect.stringContaining('Host: is missing') };
  const badVersion = { code: 'invalid_argument', detail: expect.stringContaining('must be HTTP/1.1 or HTTP/1.0') };
  const badExpectation = { code: 'expectation_failed', detail: expect.stringContaining('"200-ok"') };

  it.each([
    ['no host', head(['GET /livez HTTP/1.1']), 400, badHost],
    ['HTTP/2.0', head(['GET /livez HTTP/2.0', host]), 400, badVersion],
    ['HTTP/0.9', head(['GET /livez HTTP/0.9', host]), 400, badVersion],
    ['no version at all', 'GET /livez\r\n\r\n', 400, badVersion],
    ['an expectation', head(['GET /livez HTTP/1.1', host, ...expectation]), 417, badExpectation],
    [
      'a long one',
      head(['GET /livez HTTP/1.1', host, `Expect: ${'x'.repeat(9_999)}`]),
      417,
      { code: 'expectation_failed' },
    ],
  ])('is told why by REST: %s', async (_what, request, status, problem) => {
    const { port } = await listening();
    const answer = await exchange(port, request);
    expect(answer).toMatch(/^content-type: application\/problem\+json\r$/im);
    expect(problemIn(answer)).toMatchObject({ status, ...problem });
    expect(answer.length).toBeLessThan(1_200);
  });

  const target = 'X-Amz-Target: AmazonSQS.ListQueues';
  it.each([
    ['no host', ['HTTP/1.1'], 'Host is invalid. Reason: is missing'],
    ['HTTP/2.0', ['HTTP/2.0', host], 'HTTP version is invalid. Reason: must be HTTP/1.1 or HTTP/1.0, not HTTP/2.0'],
    ['an expectation', ['HTTP/1.1', host, ...expectation], 'Value 200-ok for header Expect is invalid'],
  ])('is told why by SQS in both its protocols: %s', async (_what, [version, ...headers], text) => {
    const { port } = await listening();
    const json = await exchange(port, head([`POST / ${version}`, target, ...headers]));
    expect(problemIn(json)).toEqual({
      __type: 'com.amazon.coral.service#InvalidParameterValueException',
      message: expect.stringContaining(text),
    });
    const query = await exchange(port, head([`GET /?Action=ListQueues ${version}`, ...headers]));
    expect(query).toContain('<Code>InvalidParameterValue</Code>');
    expect(query).toContain(text);
    expect([json, query].map(statusOf)).toEqual([400, 400]);
  });

  it('is served when it is of HTTP/1.0, whose requests need no host, or asks for its body among else', async () => {
    const { port } = await listening({
      access: { account: defaultAccount, auth: 'open', isLoopback: false, allowedHosts: [] },
    });
    const older = await exchange(port, head(['GET /livez HTTP/1.0']));
    const asking = await exchange(port, head(['GET /livez HTTP/1.1', host, 'Expect: x, 100-Continue']));
    expect([...statusesOf(older), ...statusesOf(asking)]).toEqual([200, 100, 200]);
  });
});

describe('a request whose end can be read in two ways', () => {
  const hidden = `DELETE /v1/queues/orders HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`;
  const chunks = '5\r\nhello\r\n0\r\n\r\n';
  const chunked = 'Transfer-Encoding: chunked';

  it.each([
    ['a length with a sign', 'Content-Length: +5', 'hello'],
    ['a length below zero', 'Content-Length: -1', ''],
    ['a length in other digits', 'Content-Length: 0x5', 'hello'],
    ['a length given twice as one', 'Content-Length: 5, 5', 'hello'],
    ['a length beyond 64 bits', 'Content-Length: 18446744073709551617', 'h'],
    ['no length', 'Content-Length:', ''],
    ['chunks and a length', `${chunked}\r\nContent-Length: 5`, chunks],
    ['chunks that are not the last encoding', `${chunked}, identity`, chunks],
    ['chunks twice', `${chunked}\r\n${chunked}`, chunks],
    ['chunks and another encoding', `${chunked}\r\nTransfer-Encoding: identity`, chunks],
    ['an odd blank before the encoding', 'Transfer-Encoding: \x0bchunked', chunks],
    ['a line feed behind the size of a chunk', chunked, '5\nhello\r\n0\r\n\r\n'],
    ['letters behind the size of a chunk', chunked, '5x\r\nhello\r\n0\r\n\r\n'],
    ['a line feed in the extension of a chunk', chunked, '5;a=\nb\r\nhello\r\n0\r\n\r\n'],
    ['a chunk longer than its size', chunked, '5\r\nhelloXX0\r\n\r\n'],
  ])('is refused, and nothing hides behind it: %s', async (_what, headers, body) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const answer = await exchange(
      port,
      Buffer.from(`${sendHead.join('\r\n')}\r\n${headers}\r\n\r\n${body}${hidden}`, 'latin1'),
    );
    expect(statusOf(answer)).toBe(400);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is as long as it says when it says so once', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const next = head(['GET /livez HTTP/1.1', host]);
    const answer = await exchange(port, `${sendHead.join('\r\n')}\r\n${chunked}\r\n\r\n${chunks}${next}`);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 201', 'HTTP/1.1 200']);
  });
});

describe('headers that are too large', () => {
  it('are told the limit, the way out, and the id of the request', async () => {
    const { port } = await listening();
    const large = `Attr-A: ${'a'.repeat(httpLimits.headerBytesMax)}`;
    const answer = await exchange(port, head(['POST / HTTP/1.1', host, 'X-Request-Id: mine-1', large]));
    expect(problemIn(answer)).toMatchObject({
      status: 431,
      code: 'headers_too_large',
      detail: expect.stringContaining('16384 bytes'),
      hint: expect.stringContaining('/messages/batch'),
      requestId: 'mine-1',
    });
    expect(answer).toContain('X-Request-Id: mine-1\r\n');
  });
});

describe('a body on the wire', () => {
  it('is refused before it is read when it is announced as too large', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const answer = await exchange(
      port,
      `POST /v1/queues/orders/messages HTTP/1.1\r\n${host}\r\nContent-Length: 99999999\r\n\r\nx`,
    );
    expect(statusOf(answer)).toBe(413);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is cut off with 408 when it does not arrive', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const socket = await open(port);
    socket.write(`POST /v1/queues/orders/messages HTTP/1.1\r\n${host}\r\nContent-Length: 10\r\n\r\nabc`);
    const answered = once(socket, 'data');
    const closed = once(socket, 'close');
    await once(api.server.server, 'request');
    for (let waited = 0; waited < 40; waited += 5) await api.clock.advance({ seconds: 5 });
    const [answer] = (await answered) as [Buffer];
    expect(statusOf(answer.toString())).toBe(408);
    await closed;
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });
});

describe('a body that is asked for first', () => {
  it('is let come, and cut off with 408 when it does not', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const socket = await open(port);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    const closed = once(socket, 'close');
    socket.write(`${sendHead.join('\r\n')}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    await once(api.server.server, 'request');
    for (let waited = 0; waited < 40; waited += 5) await api.clock.advance({ seconds: 5 });
    await closed;
    expect(text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 408 /);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('is not let come when more is expected than that', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const answer = await exchange(port, `${head([...sendHead, 'Expect: 200-ok', 'Content-Length: 5'])}hello`);
    expect(statusOf(answer)).toBe(417);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });
});

describe('bodies under way', () => {
  const upload = (path: string, bytes: number, body: string) =>
    `POST ${path} HTTP/1.1\r\n${host}\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n${body}`;
  const batches = '/v1/queues/orders/messages/batch';

  /** Opens so many uploads of one size that never end; gives their sockets. */
  async function begin(port: number, path: string, bytes: number, count: number): Promise<readonly Socket[]> {
    const sockets = await Promise.all(Array.from({ length: count }, () => open(port)));
    for (const socket of sockets) socket.write(upload(path, bytes, '{'));
    return sockets;
  }

  it.each([
    ['batches', batches, limits.batchBytesMax],
    ['requests of SQS', '/', limits.sqsBodyBytesMax],
  ])('hold no more than the limit together: %s', async (_what, path, bytes) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const count = Math.floor(limits.largeBodiesHeldBytesMax / bytes);
    const sockets = await begin(port, path, bytes, count);
    await until(api, () => api.server.arrivals.heldBytes() === count * bytes);
    // One more is refused before it is read; what it sends is thrown away, so that it sees the answer.
    const refused = nth(await begin(port, path, bytes, 1));
    const closed = once(refused, 'close');
    const [answer] = (await once(refused, 'data')) as [Buffer];
    expect(statusOf(answer.toString())).toBe(503);
    expect(answer.toString()).not.toMatch(/^connection: close/im);
    if (path === batches) expect(answer.toString()).toMatch(/^retry-after: 1\r$/im);
    // Small messages find room beside them.
    expect(statusOf(await exchange(port, `${head([...sendHead, 'Content-Length: 5'])}hello`))).toBe(201);
    // No connection stays in the middle of a body for ever.
    await api.clock.advance({ seconds: 40 });
    await Promise.all([closed, ...sockets.map((socket) => once(socket.resume(), 'close'))]);
    expect(api.server.arrivals.heldBytes()).toBe(0);
    expect((await api.post(batches, { json: { messages: [{ body: 1 }] } })).status).toBe(200);
  });

  it('find room in one of many threads, too, when they are alone in it', async () => {
    const { api, port } = await listening({ threadCount: 64 });
    await api.queue('orders');
    const [first] = await begin(port, batches, limits.batchBytesMax, 1);
    await until(api, () => api.server.arrivals.heldBytes() === limits.batchBytesMax);
    const refused = nth(await begin(port, batches, limits.batchBytesMax, 1));
    const [answer] = (await once(refused, 'data')) as [Buffer];
    expect(statusOf(answer.toString())).toBe(503);
    for (const socket of [first, refused]) socket?.destroy();
    await until(api, () => api.server.arrivals.heldBytes() === 0);
  });

  const large = 'a'.repeat(1_000_000);
  it.each([
    { what: 'bodies', options: 'atomic=true', line: `"${large}"` },
    {
      what: 'attributes',
      options: 'atomic=true&envelope=true',
      line: `{"body":1,"attributes":{"large":{"type":"String","value":"${large}"}}}`,
    },
  ])('count line by line when lines are held for an atomic batch, $what too', async ({ options, line }) => {
    const { api, port } = await listening();
    await api.queue('orders');
    const lines = `${line}\n`.repeat(15);
    const sockets = await Promise.all(Array.from({ length: 4 }, () => open(port)));
    const answers = sockets.map((socket) => once(socket, 'data') as Promise<[Buffer]>);
    for (const socket of sockets) {
      socket.write(
        `POST ${batches}?${options} HTTP/1.1\r\n${host}\r\nContent-Type: application/x-ndjson\r\nContent-Length: 99999999\r\n\r\n${lines}`,
      );
    }
    const [answer] = await Promise.any(answers);
    expect(statusOf(answer.toString())).toBe(503);
    expect(answer.toString()).toMatch(/^connection: close\r$/im);
    expect(api.server.arrivals.heldBytes()).toBeLessThanOrEqual(limits.largeBodiesHeldBytesMax);
    for (const socket of sockets) socket.destroy();
    await until(api, () => api.server.arrivals.heldBytes() === 0);
    expect(await api.counts('orders')).toEqual([0, 0, 0]);
  });

  it('count as they come when their length is not announced', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const taken = await begin(port, batches, limits.batchBytesMax, 3);
    await until(api, () => api.server.arrivals.heldBytes() === 3 * limits.batchBytesMax);
    const piece = 'x'.repeat(0x8000);
    const chunks = `8000\r\n${piece}\r\n`.repeat(3);
    const refused = await open(port);
    refused.write(`${head([...sendHead, 'Transfer-Encoding: chunked'])}${chunks}`);
    const [answer] = (await once(refused, 'data')) as [Buffer];
    expect(statusOf(answer.toString())).toBe(503);
    refused.destroy();
    for (const socket of taken) socket.destroy();
    await until(api, () => api.server.arrivals.heldBytes() === 0);
    const whole = await exchange(port, `${head([...sendHead, 'Transfer-Encoding: chunked'])}${chunks}0\r\n\r\n`);
    expect(statusOf(whole)).toBe(201);
    expect(nth((await api.get('/v1/queues/orders/messages')).json.items).body).toBe(piece.repeat(3));
  });

  it('in the smallest of chunks take no more memory than their bytes', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const socket = await open(port);
    socket.write(`${head([...sendHead, 'Transfer-Encoding: chunked'])}${'1\r\na\r\n'.repeat(100_000)}`);
    await until(api, () => api.server.arrivals.heldBytes() >= 100_000);
    expect(api.server.arrivals.heldBytes()).toBeLessThanOrEqual(2 * 100_000);
    socket.destroy();
  });
});

describe('a long poll', () => {
  it('ends with its client, and takes no message with it', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const client = await open(port);
    client.write(poll);
    await until(api, () => api.broker.waiters.count() === 1);
    await leavePoll(api, client);
  });

  it('ends empty when the server stops, and the connection with it', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const answer = exchange(port, poll);
    await until(api, () => api.broker.waiters.count() === 1);
    api.broker.drain();
    await api.server.close();
    expect(await answer).toContain('{"messages":[]}');
  });
});

describe('a client that does not read', () => {
  it('is left after a while, with what it was to get', async () => {
    const { api, port } = await listening({ stillnessMsMax: 100 });
    await api.queue('orders');
    const large = Buffer.alloc(1_000_000, 'x');
    for (let n = 0; n < 8; n += 1) {
      await api.post('/v1/queues/orders/messages', { body: large, headers: { 'content-type': 'text/plain' } });
    }
    const left = new Promise<void>((resolve) => {
      api.server.server.on('connection', (socket: Socket) => socket.once('close', () => resolve()));
    });
    const socket = (await open(port)).pause();
    socket.on('error', () => undefined);
    socket.write(`POST /v1/queues/orders/messages/receive?max=8 HTTP/1.1\r\n${host}\r\n\r\n`);
    await left;
    socket.destroy();
    expect(await api.counts('orders')).toEqual([0, 8, 0]);
  });

  /** Bodies that do not fit into what the system keeps of a connection. */
  const bodyBytes = 1_000_000;
  /** Answers of eight such messages that have room together. */
  const answerCount = Math.floor(limits.largeAnswersHeldBytesMax / (8 * bodyBytes));

  async function fill(api: Api, count: number, bytes = bodyBytes): Promise<void> {
    const drafts = Array.from({ length: count }, () => draftOf('x'.repeat(bytes)));
    const queue = { account: defaultAccount, name: QueueName.parse('orders') };
    await api.storage.send({ queue, drafts, isAtomic: false, now: api.clock.now() });
  }

  /** Asks on one connection each, and reads nothing. */
  async function ask(port: number, request: string, count: number): Promise<Socket[]> {
    const sockets = await Promise.all(Array.from({ length: count }, async () => (await open(port)).pause()));
    for (const socket of sockets) socket.write(`${request} HTTP/1.1\r\n${host}\r\n\r\n`);
    return sockets;
  }

  it('holds no more than the limit with others: what is received beyond it goes back at once', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    // Six answers of eight such messages leave no room for another one.
    const bytes = 1_040_000;
    await fill(api, 8 * (answerCount + 1), bytes);
    const receive = '/v1/queues/orders/messages/receive';
    const sockets = await ask(port, `POST ${receive}?max=8`, answerCount);
    await until(api, () => api.server.departures.heldBytes() > answerCount * 8 * bytes);
    const refused = await exchange(port, head([`POST ${receive}?max=8 HTTP/1.1`, host]));
    expect(statusOf(refused)).toBe(503);
    expect(refused).toMatch(/^retry-after: 1\r$/im);
    expect(await api.counts('orders')).toEqual([8, answerCount * 8, 0]);
    const sqs = await exchange(
      port,
      head([`GET /000000000000/orders?Action=ReceiveMessage&MaxNumberOfMessages=8 HTTP/1.1`, host]),
    );
    expect(statusOf(sqs)).toBe(503);
    expect(sqs).toContain('<Code>ServiceUnavailable</Code>');
    expect(sqs).toMatch(/^retry-after: 1\r$/im);
    expect(await api.counts('orders')).toEqual([8, answerCount * 8, 0]);
    // Small ones find room beside them; and there is room again for all when the others have gone.
    await api.queue('small');
    await api.send('small', 'x');
    expect((await api.post('/v1/queues/small/messages/receive')).json.messages).toHaveLength(1);
    for (const socket of sockets) socket.destroy();
    await until(api, () => api.server.departures.heldBytes() === 0);
    const received = await api.post(`${receive}?max=8`);
    expect(received.text.match(/"receiveCount":1[,}]/g)).toHaveLength(8);
  });

  it('counts as many bytes as it has become: those of control characters and quotes are many more in JSON', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    await api.post('/v1/queues/orders/messages', {
      body: Buffer.alloc(bodyBytes, '\x01'),
      headers: { 'content-type': 'text/plain' },
    });
    const [socket] = await ask(port, 'POST /v1/queues/orders/messages/receive', 1);
    await until(api, () => api.server.departures.heldBytes() > 0);
    expect(api.server.departures.heldBytes()).toBeGreaterThan(6 * bodyBytes);
    expect(api.server.departures.heldBytes()).toBeLessThan(6 * bodyBytes + 1_000);
    socket?.destroy();
    await until(api, () => api.server.departures.heldBytes() === 0);
  });

  it('holds no more than the limit when it is no message: a long list, which is refused when there is no room', async () => {
    const { api, port } = await listening({ checkAnswer: undefined });
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${'k'.repeat(120)}${n}`, 'v'.repeat(256)]));
    for (let n = 0; n < 250; n += 1) await api.queue(`q${n}`, { tags });
    const list = '/v1/queues?limit=250';
    const pageBytes = (await api.get(list)).bytes.byteLength;
    const count = 15;
    const sockets = await ask(port, `GET ${list}`, count);
    const fitting = Math.floor(limits.largeAnswersHeldBytesMax / pageBytes);
    const refusedCount = () => api.log.lines.filter(({ status }) => status === 503).length;
    await until(api, () => refusedCount() === count - fitting);
    expect(api.server.departures.heldBytes()).toBeGreaterThan(fitting * (pageBytes - 10));
    const refused = await exchange(port, head([`GET ${list} HTTP/1.1`, host]));
    expect(problemIn(refused)).toMatchObject({ status: 503, code: 'overloaded' });
    // Short ones are not asked how much there is.
    expect((await api.get('/v1/queues?limit=1')).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await until(api, () => api.server.departures.heldBytes() === 0);
    expect((await api.get(list)).status).toBe(200);
  });

  it('is refused without what was said of it: no cache keeps the refusal, nor does it bear a version', async () => {
    const { api } = await listening({ checkAnswer: undefined });
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${'k'.repeat(120)}${n}`, 'v'.repeat(256)]));
    await api.queue('orders', { tags });
    const { hold } = api.server.departures;
    const unread = new EventEmitter();
    const held = () => hold({ raw: unread, heldBytes: 0 } as unknown as FastifyReply, limits.smallBodyBytesMax);
    unread.setMaxListeners(0);
    while (held() === undefined);
    for (const path of ['/v1/queues/orders', '/docs/js/scalar.js']) {
      const { status, headers } = await api.get(path);
      expect([status, headers['cache-control'], headers.etag, headers['retry-after']]).toEqual([
        503,
        'no-store',
        undefined,
        '1',
      ]);
    }
    unread.emit('close');
    expect((await api.get('/v1/queues/orders')).headers.etag).toBeDefined();
  });

  it('leaves to others as many messages as there is room for', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    await fill(api, 8 * (answerCount + 1));
    const receive = '/v1/queues/orders/messages/receive?max=8';
    const sockets = await ask(port, `POST ${receive}`, answerCount);
    await until(api, () => api.server.departures.heldBytes() > answerCount * 8 * bodyBytes);
    const fitting = Math.floor(limits.largeAnswersHeldBytesMax / bodyBytes) % 8;
    expect((await api.get('/v1/queues/orders/messages?limit=8')).json.items).toHaveLength(fitting);
    const look = await api.get('/_aws/sqs/messages?QueueUrl=http://localhost/000000000000/orders');
    expect(look.text.match(/<MessageId>/g)).toHaveLength(fitting);
    expect((await api.post(receive)).json.messages).toHaveLength(fitting);
    for (const socket of sockets) socket.destroy();
    await until(api, () => api.server.departures.heldBytes() === 0);
    expect((await api.post(receive)).json.messages).toHaveLength(8 - fitting);
  });

  it.each([
    ['looks', 'GET /v1/queues/orders/messages?limit=8', 8],
    ['looks of the other kind', 'GET /_aws/sqs/messages?QueueUrl=http://localhost/000000000000/orders', 8],
    ['dry runs', 'POST /v1/queues/orders/redrive?dryRun=true&to=other', limits.redriveSamplesMax],
  ])('holds no more than the limit by many connections: %s', async (_what, request, shownCount) => {
    const { api, port } = await listening();
    for (const queue of ['orders', 'other']) await api.queue(queue);
    await fill(api, 8);
    const count = 30;
    const sockets = await ask(port, request, count);
    // The others were refused, or got so little that the system took it.
    const heldCountMax = Math.floor(limits.largeAnswersHeldBytesMax / (shownCount * bodyBytes));
    const overCount = () => api.log.lines.filter(({ method }) => request.startsWith(String(method))).length;
    await until(api, () => overCount() >= count - heldCountMax);
    const heldBytes = api.server.departures.heldBytes();
    expect(heldBytes).toBeLessThanOrEqual(limits.largeAnswersHeldBytesMax);
    expect(heldBytes).toBeGreaterThan(limits.largeAnswersHeldBytesMax - shownCount * limits.messageBytesMax);
    for (const socket of sockets) socket.destroy();
    await until(api, () => api.server.departures.heldBytes() === 0);
  });

  it('may wait for a message as long as a long poll lasts', () => {
    expect(httpLimits.stillnessMsMax).toBeGreaterThan(limits.waitSecondsMax * 1_000);
  });
});

describe('a server that stops', () => {
  it('waits a second, not longer, for connections over which nothing has come', async () => {
    const { api, port } = await listening();
    const socket = await open(port);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    const closed = once(socket, 'close');
    // The server has met it, too: it has answered one that came later.
    await exchange(port, `GET /livez HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
    const stopped = api.server.close();
    await until(api, () => !api.server.server.listening);
    await api.clock.advance({ seconds: 1 });
    await Promise.all([stopped, closed]);
    // Who is waited for is told 408 after ten seconds.
    expect(text).toBe('');
  });

  it('closes kept connections with the answers in hand', async () => {
    const { api, port } = await listening();
    await api.queue('orders');
    const answer = exchange(port, poll);
    await until(api, () => api.broker.waiters.count() === 1);
    const closed = api.server.close();
    await until(api, () => !api.server.server.listening);
    api.broker.drain();
    await closed;
    expect(await answer).toMatch(/^HTTP\/1\.1 200 .*connection: close.*"messages":\[\]/is);
  });
});
