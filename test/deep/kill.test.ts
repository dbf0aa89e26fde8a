/**
 * Kills a loaded server again and again, by SIGKILL and by SIGTERM, and looks afterwards whether it kept its word:
 * nothing acknowledged is lost, nothing deleted comes back, nobody gets a message that another holds.
 *
 * An answer of 2xx is an acknowledgement, everything else but 4xx is unknown: it may have happened or not.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { randomIds } from '../../src/ids.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { brokenPromises, redeliveryCount, type Seen } from '../support/history.ts';
import { recordingLog } from '../support/log.ts';
import { type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';
import { sizeOf } from '../support/sizes.ts';

const killCount = sizeOf('kills');
const visibilitySeconds = 2;
const senders = 8;
const receivers = 8;
/** Of what is received, so much takes the way through the dead-letter queue and back. */
const deadLetteredShare = 0.05;

/** One receive: from its answer on the receiver holds the message, until its timeout or what it does to it. */
type Hold = { readonly askedMs: number; readonly answeredMs: number; settledMs: number };

/** What the clients saw. */
type History = {
  readonly seen: Seen[];
  /** Sentences about what should not have been answered. */
  readonly wrong: string[];
  /** Message id → its receives. */
  readonly holds: Map<string, Hold[]>;
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The status of an answer with its text and headers, or undefined when the outcome is unknown. */
async function ask(url: string, init: RequestInit) {
  try {
    const response = await fetch(url, init);
    const text = await response.text();
    return response.status >= 500 ? undefined : { status: response.status, text, headers: response.headers };
  } catch {
    return undefined;
  }
}

/** Resolves when so many more sends were acknowledged. */
async function acknowledgements({ seen }: History, count: number): Promise<void> {
  let from = seen.length;
  for (let left = count; left > 0; from = seen.length) {
    await sleep(2);
    left -= seen.slice(from).filter(({ what }) => what === 'sent').length;
  }
}

/** The present server; clients ask for its address before each request, since each start has another port. */
function supervisor(folder: string) {
  let server: ServerProcess = startServer(folder);
  return {
    async url(): Promise<string> {
      while (true) {
        const present = server;
        const url = await present.url.catch(() => undefined);
        if (url !== undefined) return url;
        // It was killed before it served: the next one is on its way.
        await present.ended;
        await sleep(10);
      }
    },
    async restart(signal: 'SIGKILL' | 'SIGTERM') {
      server.child.kill(signal);
      const { code } = await server.ended;
      if (signal === 'SIGTERM') expect(code).toBe(0);
      server = startServer(folder);
    },
    async stop() {
      server.child.kill('SIGTERM');
      expect((await server.ended).code).toBe(0);
    },
  };
}
type Server = Pick<ReturnType<typeof supervisor>, 'url'>;

/** Load, then the dead-letter queue is emptied into its source, then receivers take what is left. */
type Run = {
  stage: 'load' | 'redrive' | 'drain';
  /** Messages on their way into the dead-letter queue. */
  moving: number;
};

async function send(run: Run, name: string, { url }: Server, history: History): Promise<void> {
  for (let n = 0; run.stage === 'load'; n += 1) {
    const body = `${name}-${n}`;
    const answer = await ask(`${await url()}/v1/queues/work/messages`, { method: 'POST', body });
    if (answer?.status === 201) {
      const { messageId } = JSON.parse(answer.text) as { messageId: string };
      history.seen.push({ what: 'sent', body, messageId });
      continue;
    }
    history.seen.push({ what: 'maybeSent', body });
    if (answer === undefined) await sleep(20);
    else history.wrong.push(`a good send was refused: ${answer.status} ${answer.text}`);
  }
}

/** Receives and settles; ends when all is over and nothing has come for longer than a message can be held. */
async function receive(run: Run, { url }: Server, { seen, holds }: History): Promise<void> {
  while (true) {
    const isLast = run.stage === 'drain';
    const server = await url();
    const askedMs = performance.now();
    const options = `wait=${isLast ? visibilitySeconds + 1 : 1}s&visibility=${visibilitySeconds}s`;
    const held = await ask(`${server}/v1/queues/work/messages/next?${options}`, { method: 'POST' });
    if (held?.status === 204 && isLast) return;
    if (held?.status !== 200) continue;
    const messageId = held.headers.get('message-id') ?? '';
    const receipt = held.headers.get('receipt-url') ?? '';
    seen.push({ what: 'delivered', body: held.text, messageId, askedAt: askedMs });
    const hold: Hold = { askedMs, answeredMs: performance.now(), settledMs: Number.POSITIVE_INFINITY };
    holds.set(messageId, [...(holds.get(messageId) ?? []), hold]);
    // Work takes a while, so that there is a hold that another could break.
    await sleep(Math.random() * 40);
    hold.settledMs = performance.now();
    if (run.stage === 'load' && Math.random() < deadLetteredShare) {
      run.moving += 1;
      await ask(`${receipt}/dead-letter?reason=chance`, { method: 'POST' });
      run.moving -= 1;
      continue;
    }
    const deleted = await ask(receipt, { method: 'DELETE' });
    if (deleted?.status === 204) seen.push({ what: 'deleted', messageId, answeredAt: performance.now() });
    else seen.push({ what: 'maybeDeleted', messageId });
  }
}

/**
 * Redrives the dead-letter queue, changes a setting, and sends to and purges a queue that nobody else uses: what was
 * acknowledged is there in the next round, whichever server that one meets. Ends when the dead-letter queue is empty.
 */
async function administer(run: Run, { url }: Server, { wrong }: History): Promise<number> {
  let retentionSeconds = 100_000;
  let changed = 0;
  let redrives = 0;
  const at = async (path: string, method: string, body?: string | object) =>
    ask(`${await url()}/v1/queues/${path}`, {
      method,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      headers: { 'content-type': typeof body === 'object' ? 'application/json' : 'text/plain' },
    });
  while (true) {
    const isEnding = run.stage !== 'load' && run.moving === 0;
    const settings = await at('work', 'GET');
    const present = settings?.status === 200 ? Number(JSON.parse(settings.text).retentionSeconds) : undefined;
    if (present !== undefined && present < changed) wrong.push(`a change to ${changed} was acknowledged and is undone`);
    retentionSeconds += 1;
    if ((await at('work', 'PATCH', { retentionSeconds }))?.status === 200) changed = retentionSeconds;

    if ((await at('scratch/purge', 'POST'))?.status === 200) await purgedThenSent(at, wrong);

    const stats = await at('work-dlq/stats', 'GET');
    const isEmpty = stats?.status === 200 && JSON.parse(stats.text).available === 0;
    if (isEmpty && isEnding) return redrives;
    if (!isEmpty && (await at('work-dlq/redrive', 'POST'))?.status === 202) redrives += 1;
    await sleep(50);
  }
}

type At = (path: string, method: string, body?: string) => ReturnType<typeof ask>;

/** The queue was purged: nothing is in it, and then all that is sent. */
async function purgedThenSent(at: At, wrong: string[]): Promise<void> {
  const peek = async () => {
    const answer = await at('scratch/messages?state=all', 'GET');
    return answer?.status === 200 ? (JSON.parse(answer.text).items as object[]).length : undefined;
  };
  if (((await peek()) ?? 0) > 0) wrong.push('a purge was acknowledged and something was left');
  if ((await at('scratch/messages', 'POST', 'scratch'))?.status !== 201) return;
  if ((await peek()) === 0) wrong.push('a send was acknowledged and nothing was there');
}

/** Nobody is given, from the ask to the answer, what another certainly holds all that time. */
function heldTwice(holds: History['holds']): readonly string[] {
  return [...holds].flatMap(([messageId, receives]) => {
    const isGiven = ({ askedMs, answeredMs, settledMs }: Hold) => {
      const heldUntil = Math.min(askedMs + visibilitySeconds * 1000, settledMs);
      return receives.some((other) => other.askedMs > answeredMs && other.answeredMs < heldUntil);
    };
    return receives.some(isGiven) ? [`${messageId} had two holders`] : [];
  });
}

const newHistory = (): History => ({ seen: [], wrong: [], holds: new Map() });

async function makeQueues({ url }: Server): Promise<void> {
  const work = { deadLetter: { queue: 'work-dlq', maxReceiveCount: 1_000 } };
  for (const [name, settings] of Object.entries({ 'work-dlq': {}, scratch: {}, work })) {
    const init = { method: 'PUT', body: JSON.stringify(settings), headers: { 'content-type': 'application/json' } };
    expect((await ask(`${await url()}/v1/queues/${name}`, init))?.status).toBe(201);
  }
}

/** Clients at work while `disturb` does its part, until all that was sent is drained. @returns how often was redriven */
async function load(server: Server, history: History, disturb: () => Promise<void>): Promise<number> {
  const run: Run = { stage: 'load', moving: 0 };
  const sending = Array.from({ length: senders }, (_, i) => send(run, `sender${i}`, server, history));
  const receiving = Array.from({ length: receivers }, () => receive(run, server, history));
  const administering = administer(run, server, history);
  await disturb();
  run.stage = 'redrive';
  await Promise.all(sending);
  const redrives = await administering;
  run.stage = 'drain';
  await Promise.all(receiving);
  return redrives;
}

const allBroken = ({ wrong, seen, holds }: History) => [...wrong, ...brokenPromises(seen), ...heldTwice(holds)];
const countOf = ({ seen }: History, what: Seen['what']) => seen.filter((one) => one.what === what).length;

describe('a server that is killed again and again', () => {
  it(`keeps its word over ${killCount} kills`, async () => {
    const folder = temporaryFolder();
    const server = supervisor(folder);
    const history = newHistory();
    await makeQueues(server);
    const redrives = await load(server, history, async () => {
      for (let kill = 0; kill < killCount; kill += 1) {
        // Every fifth kill hits the start, the others a server that is at work.
        if (kill % 5 === 0) await sleep(Math.random() * 300);
        else await acknowledgements(history, 20 + Math.random() * 100);
        await server.restart(kill % 5 === 4 ? 'SIGTERM' : 'SIGKILL');
      }
    });
    await server.stop();

    console.log(
      `${countOf(history, 'sent')} sends acknowledged, ${countOf(history, 'maybeSent')} unknown, ` +
        `${countOf(history, 'delivered')} deliveries, ${redeliveryCount(history.seen)} of them again, ${redrives} redrives`,
    );
    expect(allBroken(history)).toEqual([]);
    // A run in which next to nothing happened proves nothing.
    expect(countOf(history, 'sent')).toBeGreaterThan(Math.max(countOf(history, 'maybeSent'), killCount * 10));
    expect(redrives).toBeGreaterThan(0);

    const now = instant(Date.now());
    const storage = await openSqlite({ directory: folder, ids: randomIds(), log: recordingLog(), now });
    expect(await storage.audit({ now })).toEqual([]);
    await storage.close();
  });
});

/** Passes requests on, but acknowledges every so manieth send to the queue without any server having seen it. */
async function liarBefore(server: Server, everyNth: number): Promise<{ server: Server; lies: string[] }> {
  const lies: string[] = [];
  let sends = 0;
  const proxy = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const isSend = request.method === 'POST' && request.url === '/v1/queues/work/messages';
    if (isSend) sends += 1;
    if (isSend && sends % everyNth === 0) {
      lies.push(Buffer.concat(chunks).toString());
      return response.writeHead(201).end(JSON.stringify({ messageId: `lie-${lies.length}` }));
    }
    const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) };
    const { 'content-type': type = 'text/plain' } = request.headers;
    const init = { method: request.method ?? 'GET', headers: { 'content-type': type }, ...body };
    const answer = await ask(`${await server.url()}${request.url}`, init);
    if (answer === undefined) return response.writeHead(502).end();
    const told = ['message-id', 'receipt-url'].flatMap((name) => answer.headers.get(name) ?? []);
    const headers = told.length === 2 ? { 'message-id': told[0], 'receipt-url': told[1] } : {};
    return response.writeHead(answer.status, headers).end(answer.text);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const { port } = proxy.address() as AddressInfo;
  return { server: { url: async () => `http://127.0.0.1:${port}` }, lies };
}

describe('the check of histories', () => {
  it('names each message that a lying server has acknowledged and lost, and no other', async () => {
    const honest = supervisor(temporaryFolder());
    await makeQueues(honest);
    const { server, lies } = await liarBefore(honest, 100);
    const history = newHistory();
    await load(server, history, () => acknowledgements(history, 350));
    await honest.stop();
    expect(lies.length).toBeGreaterThan(2);
    const sentences = lies.map((body) => `${body} was acknowledged and never delivered`);
    expect([...allBroken(history)].sort()).toEqual(sentences.sort());
  });
});

describe('the check of holders', () => {
  const hold = (askedMs: number, answeredMs: number, settledMs: number) => ({ askedMs, answeredMs, settledMs });
  it.each([
    ['finds a receive inside the hold of another', [hold(0, 1, 1_000), hold(2, 3, 4)], ['a had two holders']],
    ['has nothing against a receive after a settlement', [hold(0, 1, 2), hold(3, 4, 5)], []],
    ['has nothing against a receive after the timeout', [hold(0, 1, 9_000), hold(1_999, 2_001, 2_002)], []],
    [
      'has nothing against two receives at once, of which one may have been given back',
      [hold(0, 3, 9), hold(1, 2, 9)],
      [],
    ],
  ])('%s', (_what, receives, sentences) => {
    expect(heldTwice(new Map([['a', receives]]))).toEqual(sentences);
  });
});
