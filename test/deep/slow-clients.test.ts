/**
 * Clients that cost more than they should: that send or read slowly or not at all, that are very many, or that ask for
 * much on one connection. They are left after the times that the README names, their memory is bounded, and they hold
 * nobody back.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { arrivalLimits } from '../../src/http/arrivals.ts';
import { httpLimits } from '../../src/server.ts';
import { memoryOf, type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';
import { type Caller, openCaller } from '../support/requests.ts';
import { sizeOf } from '../support/sizes.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const json = { 'content-type': 'application/json' };
const host = 'Host: localhost';

/** A server with a queue. */
async function serve(): Promise<{ readonly server: ServerProcess; readonly url: string; readonly call: Caller }> {
  const server = startServer(temporaryFolder());
  const url = await server.url;
  const call = openCaller();
  await call('PUT', `${url}/v1/queues/orders`, '{}', json);
  return { server, url, call };
}

async function open(url: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(url).port) });
  // Who is left may see a reset; what it had got by then is looked at.
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

const openMany = (url: string, count: number): Promise<readonly Socket[]> =>
  Promise.all(Array.from({ length: count }, () => open(url)));

/** What comes until the server closes or resets the connection. */
async function untilClosed(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(parts).toString('latin1');
}

const quantile = (numbers: readonly number[], share: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.ceil(numbers.length * share) - 1] ?? Number.NaN;

/** Well-behaved clients: messages are sent, received and deleted. @returns how long each life took, in milliseconds */
async function live(url: string, isOver: (livedCount: number) => boolean): Promise<readonly number[]> {
  const took: number[] = [];
  const each = async () => {
    const call = openCaller();
    while (!isOver(took.length)) {
      const begun = performance.now();
      const sent = await call('POST', `${url}/v1/queues/orders/messages`, 'work');
      const got = await call('POST', `${url}/v1/queues/orders/messages/next?wait=5s`);
      if (got.how !== 'answered') throw new Error(`A receive was ${got.how}.`);
      const deleted = await call('DELETE', String(got.headers['receipt-url']));
      expect([sent, got, deleted]).toMatchObject([{ status: 201 }, { status: 200 }, { status: 204 }]);
      took.push(performance.now() - begun);
      await pause(10);
    }
  };
  await Promise.all([each(), each(), each(), each()]);
  return took;
}

/** @param countMin so many lives at least, however long they take: of a few on a busy machine a median says nothing */
const liveFor = (url: string, ms: number, countMin = 0): Promise<readonly number[]> => {
  const endMs = performance.now() + ms;
  return live(url, (livedCount) => livedCount >= countMin && performance.now() > endMs);
};

describe('clients that drip', () => {
  /** Of each kind. */
  const count = 200;
  const kinds = {
    headers: {
      begin: `POST /v1/queues/orders/messages HTTP/1.1\r\n${host}\r\nX-Slow: `,
      ms: httpLimits.headersTimeoutMs,
    },
    body: {
      begin: `POST /v1/queues/orders/messages HTTP/1.1\r\n${host}\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n`,
      ms: arrivalLimits.wholeBodySecondsMax * 1_000,
    },
  } as const;
  /** How often the server looks, and as much again for a busy machine. */
  const lateMsMax = 2 * Math.max(httpLimits.connectionsCheckMs, arrivalLimits.checkSeconds * 1_000);

  /** A byte a second. @returns what was answered, and after how long the connection was closed */
  async function drip(url: string, begin: string): Promise<{ readonly text: string; readonly ms: number }> {
    const socket = await open(url);
    const begun = performance.now();
    socket.write(begin);
    const dripping = setInterval(() => socket.write('x'), 1_000);
    const text = await untilClosed(socket);
    clearInterval(dripping);
    return { text, ms: performance.now() - begun };
  }

  it('are told 408 when their time is over, and hold nobody back', async () => {
    const { url, call } = await serve();
    const quiet = quantile(await liveFor(url, 3_000), 0.99);
    let isOver = false;
    const others = live(url, () => isOver);
    for (const { begin, ms: ownMs } of Object.values(kinds)) expect(begin.length).toBeLessThan(ownMs);
    const drips = await Promise.all(
      Object.entries(kinds).flatMap(([kind, { begin, ms }]) =>
        Array.from({ length: count }, async () => ({ kind, msMax: ms, ...(await drip(url, begin)) })),
      ),
    );
    isOver = true;
    const disturbed = quantile(await others, 0.99);
    console.log(`p99 of a life: ${quiet.toFixed(1)} ms, ${disturbed.toFixed(1)} ms beside ${2 * count} that drip`);
    for (const { kind, text, ms, msMax } of drips) {
      expect(text, kind).toMatch(/^HTTP\/1\.1 408 /);
      expect(ms, kind).toBeGreaterThan(msMax - 1_000);
      expect(ms, kind).toBeLessThan(msMax + lateMsMax);
    }
    expect(disturbed).toBeLessThan(2 * quiet + 50);
    expect(await call('GET', `${url}/v1/queues/orders/stats`)).toMatchObject({
      text: expect.stringMatching(/"available":0,.*"inFlight":0/),
    });
  });
});

describe('clients that ask for much and read nothing', () => {
  const count = 200;
  const bodyBytes = 1_000_000;
  /** Messages of one answer. */
  const max = 8;
  /** Without a bound they would hold 1,600 MB. With it: as many bytes as may be unread, and what one commit gives out,
   *  both as bytes, as text, and in the writer's thread, and as much again that waits to be collected. */
  const growthBytesMax = 2 * 3 * (limits.answersHeldBytesMax + limits.commitGivenBytesMax);

  it('hold no more than their share, until they are left', async () => {
    const { server, url, call } = await serve();
    await call('PUT', `${url}/v1/queues/large`, '{}', json);
    for (let n = 0; n < max; n += 1) {
      await call('POST', `${url}/v1/queues/large/messages`, Buffer.alloc(bodyBytes, 'x'));
    }
    const quiet = quantile(await liveFor(url, 2_000), 0.5);
    const idleBytes = memoryOf(server);
    const readers = await openMany(url, count);
    // Each gets the same messages.
    const ask = `POST /v1/queues/large/messages/receive?max=${max}&visibility=0 HTTP/1.1\r\n${host}\r\n\r\n`;
    for (const socket of readers) socket.pause().write(ask);
    const seconds = sizeOf('unreadSeconds');
    let peak = 0;
    const watching = setInterval(() => {
      peak = Math.max(peak, memoryOf(server));
    }, 20);
    const lives = await liveFor(url, seconds * 1_000, 100);
    clearInterval(watching);
    const isOver = seconds * 1_000 > 2 * httpLimits.stillnessMsMax;
    const answers = await Promise.all(
      readers.map(async (socket) => {
        const text = untilClosed(socket.resume());
        // The server has closed all of them by then, or does so when it is asked to.
        if (!isOver) socket.write(`GET /livez HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`);
        return text;
      }),
    );
    const isWhole = (text: string) => text.length > max * bodyBytes && text.includes('"status":"ok"');
    const given = answers.filter((text) => text.startsWith('HTTP/1.1 200 '));
    const refused = answers.filter((text) => text.startsWith('HTTP/1.1 503 '));
    console.log(
      `${given.length} of ${count} got answers, ${given.filter(isWhole).length} still whole after ${seconds} s; ` +
        `${lives.length} lives beside them, in the median ${quantile(lives, 0.5).toFixed(1)} ms, before ${quiet.toFixed(1)} ms; memory ${idleBytes >> 20} MiB idle, ${peak >> 20} MiB at most`,
    );
    expect(peak - idleBytes).toBeLessThan(growthBytesMax);
    expect(given.length).toBeGreaterThan(1);
    expect(given.length + refused.length).toBe(count);
    for (const text of refused) expect(text).toMatch(/\r\nretry-after: 1\r\n/i);
    expect(given.filter(isWhole).length).toBe(isOver ? 0 : given.length);
    // Slower at first, while all of them are served; but they do not wait until that is over.
    expect(quantile(lives, 0.5)).toBeLessThan(50 * quiet);
    // There is room again.
    expect(await call('POST', `${url}/v1/queues/large/messages/receive?max=${max}`)).toMatchObject({ status: 200 });
  });
});

describe('very many connections', () => {
  it('are taken up to the limit; one that ends makes room for another', async () => {
    const { server, url, call } = await serve();
    const idleBytes = memoryOf(server);
    // The caller has one of its own.
    const sockets: Socket[] = [];
    while (sockets.length < httpLimits.connectionsMax - 1) {
      sockets.push(...(await openMany(url, Math.min(500, httpLimits.connectionsMax - 1 - sockets.length))));
    }
    expect(await call('GET', `${url}/livez`)).toMatchObject({ status: 200 });
    const grownBytes = memoryOf(server) - idleBytes;
    console.log(`${sockets.length} connections took ${grownBytes >> 20} MiB`);
    const livez = `GET /livez HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`;
    const tooMany = await open(url);
    tooMany.write(livez);
    expect(await untilClosed(tooMany)).toBe('');
    const [first] = sockets;
    first?.write(livez);
    expect(first && (await untilClosed(first))).toMatch(/^HTTP\/1\.1 200 /);
    const next = await open(url);
    next.write(livez);
    expect(await untilClosed(next)).toMatch(/^HTTP\/1\.1 200 /);
    for (const socket of sockets) socket.destroy();
    expect(grownBytes / sockets.length, 'bytes of one connection').toBeLessThan(32_768);
  });
});

describe('many requests on one connection', () => {
  const send = (id: number, last = ''): string =>
    `POST /v1/queues/orders/messages HTTP/1.1\r\n${host}\r\nX-Request-Id: n${id}\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n${last}\r\n${bodyOf(id)}`;
  const bodyOf = (id: number): string => String(id).padStart(6, '0');
  const idsOf = (text: string): readonly number[] =>
    [...text.matchAll(/^HTTP\/1\.1 201 .*\r\nx-request-id: n(\d+)\r$/gim)].map(([, id]) => Number(id));
  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, id) => id);

  async function takeAll(call: Caller, url: string): Promise<readonly string[]> {
    const bodies: string[] = [];
    while (true) {
      const got = await call('POST', `${url}/v1/queues/orders/messages/receive?max=100&visibility=1h`);
      if (got.how !== 'answered' || got.status !== 200) throw new Error(`A receive was told ${JSON.stringify(got)}.`);
      const { messages } = JSON.parse(got.text) as { messages: { body: string }[] };
      if (messages.length === 0) return bodies;
      bodies.push(...messages.map(({ body }) => body));
    }
  }

  it('are all done, and answered in order', async () => {
    const { url, call } = await serve();
    const socket = await open(url);
    const count = 1_000;
    const closing = send(count - 1, 'Connection: close\r\n');
    socket.write(
      numbers(count - 1)
        .map((id) => send(id))
        .join('') + closing,
    );
    expect(idsOf(await untilClosed(socket))).toEqual(numbers(count));
    expect((await takeAll(call, url)).toSorted()).toEqual(numbers(count).map(bodyOf));
  });

  it('are done up to the limit; what comes after the last one is not', async () => {
    const { url, call } = await serve();
    const socket = await open(url);
    // A send waits for the disk, one after the other; the others do not.
    const sentCount = 100;
    const text = untilClosed(socket);
    const looks = `GET /livez HTTP/1.1\r\n${host}\r\n\r\n`.repeat(httpLimits.requestsPerSocketMax - sentCount);
    const sends = numbers(sentCount + 1).map((id) => send(id));
    socket.write(looks + sends.join(''));
    expect(idsOf(await text)).toEqual(numbers(sentCount));
    expect((await text).match(/^connection: close\r$/gim)).toHaveLength(1);
    expect((await takeAll(call, url)).toSorted()).toEqual(numbers(sentCount).map(bodyOf));
  });
});
