/**
 * Several HTTP threads in one process. Which thread gets a connection is the kernel's choice, so each request has a
 * connection of its own, and there are enough of them for every thread to have had its turn.
 */
import { type IncomingMessage, request } from 'node:http';
import { describe, expect, it } from 'vitest';
import { runProgram, type ServerProcess, startServer, temporaryFolder } from './support/process.ts';

const threadCount = 3;
/** The chance that one of three threads gets none of so many connections is one in 19,000. */
const connectionCount = 24;

const threaded = () => startServer(temporaryFolder(), { SLUICE_HTTP_THREADS: String(threadCount) });

type Answer = { readonly status: number; readonly text: string };
type Ask = { readonly method?: string; readonly body?: string; readonly auth?: string | undefined };

/** One request over a connection of its own. */
const ask = (url: string, { method = 'GET', body, auth = '' }: Ask = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const headers = body?.startsWith('{') === true ? { 'content-type': 'application/json' } : {};
    const asking = request(
      url,
      { method, agent: false, headers, ...(auth === '' ? {} : { auth }) },
      (response: IncomingMessage) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    asking.on('error', reject);
    asking.end(body);
  });

type Received = { readonly messages: readonly { readonly receiptHandle: string }[] };
type Task = { readonly taskId: string };

/** As many at once. */
const askAll = (url: string, options?: Ask): Promise<readonly Answer[]> =>
  Promise.all(Array.from({ length: connectionCount }, () => ask(url, options)));

const statuses = (answers: readonly Answer[]) => [...new Set(answers.map(({ status }) => status))];

async function metric(url: string, name: string, auth?: string): Promise<number> {
  const { text } = await ask(`${url}/metrics`, { auth });
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}

/** Asks again until it is so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

async function queueOn(server: ServerProcess, name: string): Promise<string> {
  const queue = `${await server.url}/v1/queues/${name}`;
  expect((await ask(queue, { method: 'PUT' })).status).toBe(201);
  return queue;
}

describe('several HTTP threads', () => {
  it('wake each other’s long polls, and count them together', async () => {
    const server = threaded();
    const url = await server.url;
    const queue = await queueOn(server, 'orders');
    const polls = askAll(`${queue}/messages/next?wait=20s`, { method: 'POST' });
    await until(async () => (await metric(url, 'sluice_long_polls')) === connectionCount);
    // One thread sends all.
    const body = JSON.stringify({ messages: Array(connectionCount).fill({ body: 'work' }) });
    expect((await ask(`${queue}/messages/batch`, { method: 'POST', body })).status).toBe(200);
    expect((await polls).map(({ status, text }) => `${status} ${text}`)).toEqual(
      Array(connectionCount).fill('200 work'),
    );
    const { text } = await ask(`${queue}/stats`);
    expect(JSON.parse(text)).toMatchObject({
      sent: connectionCount,
      received: connectionCount,
      inFlight: connectionCount,
    });
  });

  it('know of each other’s access keys', async () => {
    const server = threaded();
    const url = await server.url;
    const queue = await queueOn(server, 'orders');
    const create = async (body: string, auth?: string) =>
      JSON.parse((await ask(`${url}/v1/keys`, { method: 'POST', body, auth })).text) as {
        keyId: string;
        secret: string;
      };
    const admin = await create('{"name":"admin"}');
    const auth = `${admin.keyId}:${admin.secret}`;
    await until(async () => statuses(await askAll(queue)).every((status) => status === 401));
    expect(statuses(await askAll(queue, { auth }))).toEqual([200]);

    const worker = await create('{"name":"worker","scopes":[{"actions":["receive"],"queues":["orders"]}]}', auth);
    const polling = { method: 'POST', auth: `${worker.keyId}:${worker.secret}` };
    await until(async () => (await ask(`${queue}/messages/next`, polling)).status === 204);
    const polls = askAll(`${queue}/messages/next?wait=20s`, polling);
    await until(async () => (await metric(url, 'sluice_long_polls', auth)) === connectionCount);
    expect((await ask(`${url}/v1/keys/${worker.keyId}`, { method: 'DELETE', auth })).status).toBe(204);
    expect(statuses(await polls)).toEqual([401]);
  });

  it('set the upkeep loop to work for each other', async () => {
    const server = threaded();
    const url = await server.url;
    await queueOn(server, 'dead');
    const settings = '{"deadLetter":{"queue":"dead","maxReceiveCount":1}}';
    const queue = `${url}/v1/queues/orders`;
    await ask(queue, { method: 'PUT', body: settings });
    // The loop would look by itself within a minute: this is shorter than the test may take.
    for (let n = 0; n < connectionCount; n += 1) {
      await ask(`${queue}/messages`, { method: 'POST', body: `${n}` });
      const { messages } = JSON.parse((await ask(`${queue}/messages/receive`, { method: 'POST' })).text) as Received;
      await ask(`${queue}/receipts/${messages[0]?.receiptHandle}/dead-letter`, { method: 'POST' });
      const { taskId } = JSON.parse((await ask(`${url}/v1/queues/dead/redrive`, { method: 'POST' })).text) as Task;
      await until(async () => (await ask(`${url}/v1/tasks/${taskId}`)).text.includes('"completed"'));
    }
    expect(JSON.parse((await ask(`${queue}/stats`)).text)).toMatchObject({ available: connectionCount });
  });

  it('finish what they have in hand when the server is told to stop', async () => {
    const server = threaded();
    const url = await server.url;
    const queue = await queueOn(server, 'empty');
    const polls = askAll(`${queue}/messages/next?wait=20s`, { method: 'POST' });
    await until(async () => (await metric(url, 'sluice_long_polls')) === connectionCount);
    server.child.kill('SIGTERM');
    // Whoever is scraping then asks threads that may have ended; it is answered all the same, or refused.
    const scrapes = Promise.allSettled(Array.from({ length: connectionCount }, () => ask(`${url}/metrics`)));
    expect(statuses(await polls)).toEqual([204]);
    await scrapes;
    expect(await server.ended).toMatchObject({ code: 0, errorText: '' });
    expect(await server.logged('stopped')).toBeDefined();
  });

  it('do not share their port with another server', async () => {
    const { port } = new URL(await threaded().url);
    const second = startServer(temporaryFolder(), { SLUICE_HTTP_THREADS: '2', SLUICE_PORT: port });
    expect(await second.ended).toMatchObject({
      code: 1,
      errorText: `sluice: Port ${port} of 127.0.0.1 is taken by another program; stop that one, or set SLUICE_PORT to another.\n`,
    });
  });

  it('that do not start end the start with a sentence, and nobody listens any more', async () => {
    const broken = `import { threadName } from 'node:worker_threads'; if (threadName === 'http') throw new Error('no room');`;
    const failing = startServer(temporaryFolder(), {
      SLUICE_HTTP_THREADS: '3',
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(broken)}`,
    });
    expect(await failing.ended).toEqual({
      code: 1,
      signal: null,
      errorText: 'sluice: One of the 3 HTTP threads (SLUICE_HTTP_THREADS) did not start (no room).\n',
    });
  });

  it('are at least one and at most 64', async () => {
    for (const count of ['0', '65']) {
      const { code, errorText } = await runProgram(['config'], { SLUICE_HTTP_THREADS: count }).ended;
      expect([code, errorText]).toEqual([1, expect.stringContaining('a whole number from 1 to 64')]);
    }
    expect((await runProgram(['config'], { SLUICE_HTTP_THREADS: '64' }).ended).code).toBe(0);
  });
});
