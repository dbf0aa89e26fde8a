/**
 * Kills a loaded server again and again, by SIGKILL and by SIGTERM, and looks afterwards whether it kept its word:
 * nothing acknowledged is lost, nothing deleted comes back, nobody gets a message that another holds.
 *
 * An answer of 2xx is an acknowledgement, everything else but 4xx is unknown: it may have happened or not.
 * SLUICE_TEST_KILLS sets how often.
 */
import { describe, expect, it } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { randomIds } from '../../src/ids.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { recordingLog } from '../support/log.ts';
import { type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';

const killCount = Number(process.env.SLUICE_TEST_KILLS ?? 30);
const visibilitySeconds = 2;
const senders = 6;
const receivers = 6;

/** What the clients saw. */
type History = {
  readonly attempted: Set<string>;
  readonly acknowledged: Set<string>;
  readonly refused: string[];
  /** Body → its receives: from the answer on the receiver certainly holds it, until the given instant at least. */
  readonly receives: Map<string, { readonly askedMs: number; readonly answeredMs: number; settledMs: number }[]>;
  /** Body → when its delete was acknowledged. */
  readonly deletedMs: Map<string, number>;
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
type Supervisor = ReturnType<typeof supervisor>;

async function sendUntil(isOver: () => boolean, name: string, { url }: Supervisor, history: History): Promise<void> {
  for (let n = 0; !isOver(); n += 1) {
    const body = `${name}-${n}`;
    const server = await url();
    history.attempted.add(body);
    const answer = await ask(`${server}/v1/queues/work/messages`, { method: 'POST', body });
    if (answer === undefined) await sleep(20);
    else if (answer.status === 201) history.acknowledged.add(body);
    else history.refused.push(`${answer.status} ${answer.text}`);
  }
}

/** Receives and deletes; ends when it is over and nothing has come for longer than a message can be held. */
async function receiveUntil(isOver: () => boolean, { url }: Supervisor, history: History): Promise<void> {
  while (true) {
    const wasOver = isOver();
    const server = await url();
    const askedMs = performance.now();
    const options = `wait=${wasOver ? visibilitySeconds + 1 : 1}s&visibility=${visibilitySeconds}s`;
    const held = await ask(`${server}/v1/queues/work/messages/next?${options}`, { method: 'POST' });
    if (held?.status === 204 && wasOver) return;
    if (held?.status !== 200) continue;
    const receive = { askedMs, answeredMs: performance.now(), settledMs: Number.POSITIVE_INFINITY };
    history.receives.set(held.text, [...(history.receives.get(held.text) ?? []), receive]);
    receive.settledMs = performance.now();
    const deleted = await ask(held.headers.get('receipt-url') ?? '', { method: 'DELETE' });
    if (deleted?.status === 204) history.deletedMs.set(held.text, performance.now());
  }
}

/** Each broken promise as a sentence. */
function judge({ attempted, acknowledged, refused, receives, deletedMs }: History): readonly string[] {
  const broken = refused.map((answer) => `a good send was refused: ${answer}`);
  for (const body of acknowledged) if (!receives.has(body)) broken.push(`${body} was acknowledged and is lost`);
  for (const [body, times] of receives) {
    if (!attempted.has(body)) broken.push(`${body} was never sent`);
    const deleted = deletedMs.get(body);
    if (deleted !== undefined && times.some(({ askedMs }) => askedMs > deleted)) broken.push(`${body} came back`);
    for (const [i, one] of times.entries()) {
      const heldUntil = Math.min(one.askedMs + visibilitySeconds * 1000, one.settledMs);
      const other = times
        .slice(i + 1)
        .find(({ askedMs, answeredMs }) => askedMs > one.answeredMs && answeredMs < heldUntil);
      if (other !== undefined) broken.push(`${body} had two holders`);
    }
  }
  return broken;
}

describe('a server that is killed again and again', () => {
  it(`keeps its word over ${killCount} kills`, async () => {
    const folder = temporaryFolder();
    const server = supervisor(folder);
    const history: History = {
      attempted: new Set(),
      acknowledged: new Set(),
      refused: [],
      receives: new Map(),
      deletedMs: new Map(),
    };
    expect((await ask(`${await server.url()}/v1/queues/work`, { method: 'PUT' }))?.status).toBe(201);

    let isOver = false;
    const clients = [
      ...Array.from({ length: senders }, (_, i) => sendUntil(() => isOver, `sender${i}`, server, history)),
      ...Array.from({ length: receivers }, () => receiveUntil(() => isOver, server, history)),
    ];
    for (let kill = 0; kill < killCount; kill += 1) {
      // Some kills hit the start, most a server that has been at work for a while.
      if (kill % 5 > 0) await server.url();
      await sleep(Math.random() * 400);
      await server.restart(kill % 5 === 4 ? 'SIGTERM' : 'SIGKILL');
    }
    isOver = true;
    await Promise.all(clients);
    await server.stop();

    const { attempted, acknowledged, receives } = history;
    console.log(`${attempted.size} sends, ${acknowledged.size} acknowledged, ${receives.size} received`);
    expect(judge(history)).toEqual([]);
    // A run in which next to nothing happened proves nothing.
    expect(acknowledged.size).toBeGreaterThan(attempted.size / 2);
    expect(acknowledged.size).toBeGreaterThan(killCount * 5);

    const now = instant(Date.now());
    const storage = await openSqlite({ directory: folder, ids: randomIds(), log: recordingLog(), now });
    expect(await storage.audit({ now })).toEqual([]);
    await storage.close();
  });
});

describe('the judge', () => {
  const good = (): History => ({
    attempted: new Set(['a']),
    acknowledged: new Set(['a']),
    refused: [],
    receives: new Map([['a', [{ askedMs: 0, answeredMs: 1, settledMs: 2 }]]]),
    deletedMs: new Map([['a', 3]]),
  });
  it('has nothing against a good history', () => {
    expect(judge(good())).toEqual([]);
  });
  it.each<[string, (history: History) => void]>([
    ['a was acknowledged and is lost', ({ receives }) => receives.clear()],
    ['a was never sent', ({ attempted }) => attempted.clear()],
    ['a came back', ({ receives }) => receives.get('a')?.push({ askedMs: 4, answeredMs: 5, settledMs: 6 })],
    ['a good send was refused: 400', ({ refused }) => void refused.push('400')],
  ])('notices that %s', (sentence, spoil) => {
    const history = good();
    spoil(history);
    expect(judge(history)).toEqual([sentence]);
  });
  it('notices that a had two holders', () => {
    const history = good();
    history.receives.set('a', [
      { askedMs: 0, answeredMs: 1, settledMs: 1_000 },
      { askedMs: 2, answeredMs: 3, settledMs: 4 },
    ]);
    expect(judge({ ...history, deletedMs: new Map() })).toEqual(['a had two holders']);
  });
});
