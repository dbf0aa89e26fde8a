/**
 * A server that is told to stop while clients are at work: it ends soon and with 0, everything that it took is
 * answered, what was answered is kept and nothing else, and the next start has nothing to make good.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildShim, shimEnvironment } from '../support/disk-shim.ts';
import { startServer, temporaryFolder } from '../support/process.ts';
import { type Caller, type Outcome, openCaller } from '../support/requests.ts';
import { sizeOf } from '../support/sizes.ts';

const drainCount = sizeOf('drains');
/** As many clients of each kind. */
const clientCount = 8;
/** What a stop may take, and the long polls of it. */
const stopMsMax = 15_000;
const longPollMsMax = 2_000;

/** What clients know of the messages over all servers on one folder. */
type Books = {
  /** Bodies whose send was acknowledged, and those of which it is not known. */
  readonly kept: Set<string>;
  readonly unknown: Set<string>;
  /** Messages that must be left in the queue at which others work: sends less deletes. */
  workLeft: number;
  /** Requests that may have been a send or a delete there. */
  workUnknown: number;
  readonly problems: string[];
  answerCount: number;
};
const openBooks = (): Books => ({
  kept: new Set(),
  unknown: new Set(),
  workLeft: 0,
  workUnknown: 0,
  problems: [],
  answerCount: 0,
});

/** Statuses under which nothing was done: 503 is the server that stops. */
const refusal = 503;

type Client = (call: Caller, url: string, books: Books, name: string) => Promise<Outcome>;

/** Each does one thing, and gives how its last request ended. */
const clients: Readonly<Record<string, Client>> = {
  async send(call, url, { kept, unknown }, name) {
    const outcome = await call('POST', `${url}/v1/queues/kept/messages`, name);
    if (outcome.how === 'answered' && outcome.status === 201) kept.add(name);
    else if (outcome.how === 'cut' || outcome.how === 'torn') unknown.add(name);
    return outcome;
  },
  async work(call, url, books, name) {
    const sent = await call('POST', `${url}/v1/queues/work/messages`, name);
    count(books, sent, 201, 1);
    if (sent.how !== 'answered' || sent.status !== 201) return sent;
    const held = await call('POST', `${url}/v1/queues/work/messages/receive?max=1&wait=0`);
    if (held.how !== 'answered' || held.status !== 200) return held;
    const [message] = (JSON.parse(held.text) as { messages: { receiptHandle: string }[] }).messages;
    if (message === undefined) return held;
    const deleted = await call('DELETE', `${url}/v1/queues/work/receipts/${message.receiptHandle}`);
    count(books, deleted, 204, -1);
    return deleted;
  },
  poll: (call, url) => call('POST', `${url}/v1/queues/empty/messages/receive?wait=20s`),
};

function count(books: Books, outcome: Outcome, status: number, change: number): void {
  if (outcome.how === 'cut' || outcome.how === 'torn') books.workUnknown += 1;
  else if (outcome.how === 'answered' && outcome.status === status) books.workLeft += change;
}

const nothingBesides = (outcome: Outcome): boolean =>
  outcome.how !== 'answered' || outcome.status < 300 || outcome.status === refusal;

/** All clients at work, each until it is told no or nobody listens. */
function startClients(
  url: string,
  books: Books,
  round: string,
): { readonly ended: Promise<unknown>; lastPollMs: number } {
  const state = { ended: Promise.resolve<unknown>(undefined), lastPollMs: 0 };
  const each = async ([kind, client]: readonly [string, Client], i: number) => {
    const call = openCaller();
    for (let n = 0; ; n += 1) {
      const outcome = await client(call, url, books, `${round}-${kind}-${i}-${n}`);
      if (kind === 'poll') state.lastPollMs = performance.now();
      if (outcome.how === 'torn') books.problems.push(`An answer to ${kind} in round ${round} was torn.`);
      if (!nothingBesides(outcome))
        books.problems.push(`${kind} in round ${round} was told ${JSON.stringify(outcome)}.`);
      if (outcome.how !== 'answered' || outcome.status === refusal) return;
      books.answerCount += 1;
    }
  };
  state.ended = Promise.all(
    Object.entries(clients).flatMap((kind) => Array.from({ length: clientCount }, (_, i) => each(kind, i))),
  );
  return state;
}

async function createQueues(url: string): Promise<void> {
  for (const queue of ['kept', 'work', 'empty']) {
    const body = JSON.stringify({ visibilityTimeoutSeconds: 1 });
    const headers = { 'content-type': 'application/json' };
    await fetch(`${url}/v1/queues/${queue}`, { method: 'PUT', headers, body });
  }
}

const untilAnswers = async (books: Books, more: number): Promise<void> => {
  const enough = books.answerCount + more;
  while (books.answerCount < enough) await new Promise((resolve) => setTimeout(resolve, 5));
};

type Stats = { readonly available: number; readonly inFlight: number };
const statsOf = async (url: string, queue: string): Promise<number> => {
  const { available, inFlight } = (await (await fetch(`${url}/v1/queues/${queue}/stats`)).json()) as Stats;
  return available + inFlight;
};

/** Every body that waits. */
async function takeAll(url: string): Promise<readonly string[]> {
  const bodies: string[] = [];
  while (true) {
    const answer = await fetch(`${url}/v1/queues/kept/messages/receive?max=100&visibility=1h`, { method: 'POST' });
    const { messages } = (await answer.json()) as { messages: { body: string }[] };
    if (messages.length === 0) return bodies;
    bodies.push(...messages.map(({ body }) => body));
  }
}

const logBytes = (folder: string): number =>
  readdirSync(folder)
    .filter((name) => name.endsWith('-wal'))
    .reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);

describe('a server that is told to stop under load', () => {
  it(`answers what it took, keeps just that, and ends soon, ${drainCount} times`, async () => {
    const folder = temporaryFolder();
    const books = openBooks();
    for (let round = 0; round < drainCount; round += 1) {
      // Every fifth one spreads its connections over threads.
      const server = startServer(folder, round % 5 === 3 ? { SLUICE_HTTP_THREADS: '3' } : {});
      const url = await server.url;
      if (round === 0) await createQueues(url);
      // What clients do not know did not happen: nobody is cut off whose request was taken.
      expect(await statsOf(url, 'kept'), `kept, at the start of round ${round}`).toBe(books.kept.size);
      expect(await statsOf(url, 'work'), `work, at the start of round ${round}`).toBe(books.workLeft);
      const load = startClients(url, books, String(round));
      await untilAnswers(books, 300 + Math.random() * 300);
      const toldMs = performance.now();
      server.child.kill('SIGTERM');
      const { code, errorText } = await server.ended;
      const tookMs = performance.now() - toldMs;
      await load.ended;
      expect([code, errorText, books.problems]).toEqual([0, '', []]);
      expect(tookMs).toBeLessThan(stopMsMax);
      expect(load.lastPollMs - toldMs, 'the last long poll').toBeLessThan(longPollMsMax);
      expect(logBytes(folder), 'the write-ahead log').toBe(0);
    }
    const server = startServer(folder);
    const kept = await takeAll(await server.url);
    expect(new Set(kept)).toEqual(books.kept);
    expect(kept.length).toBe(books.kept.size);
    console.log(`${books.kept.size} kept over ${drainCount} stops`);
  });

  it(`loses nothing when it is killed in the middle of its stop, ${drainCount} times`, async () => {
    const library = buildShim(temporaryFolder());
    const folder = temporaryFolder();
    const books = openBooks();
    let killCount = 0;
    for (let round = 0; round < drainCount; round += 1) {
      // On a disk so slow that the stop is still going on.
      const server = startServer(folder, shimEnvironment(library, folder, { syncMs: 150 }));
      const url = await server.url;
      if (round === 0) await createQueues(url);
      const load = startClients(url, books, String(round));
      await untilAnswers(books, 40);
      server.child.kill('SIGTERM');
      const kill = setTimeout(() => server.child.kill('SIGKILL'), round === 0 ? 1_000 : Math.random() * 300);
      const { signal } = await server.ended;
      clearTimeout(kill);
      if (signal === 'SIGKILL') killCount += 1;
      await load.ended;
    }
    const server = startServer(folder);
    const left = new Set(await takeAll(await server.url));
    expect([...books.kept].filter((body) => !left.has(body))).toEqual([]);
    expect([...left].filter((body) => !books.kept.has(body) && !books.unknown.has(body))).toEqual([]);
    // Otherwise no stop was interrupted.
    expect(killCount).toBeGreaterThan(0);
    expect(books.kept.size).toBeGreaterThan(drainCount * 5);
  });
});
