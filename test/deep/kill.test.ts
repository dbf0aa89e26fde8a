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
import { brokenPromises, type Seen } from '../support/history.ts';
import { recordingLog } from '../support/log.ts';
import { type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';

const killCount = Number(process.env.SLUICE_TEST_KILLS ?? 30);
const visibilitySeconds = 2;
const senders = 6;
const receivers = 6;

/** One receive: from its answer on the receiver holds the message, until its timeout or what it does to it. */
type Hold = { readonly askedMs: number; readonly answeredMs: number; settledMs: number };

/** What the clients saw. */
type History = {
  readonly seen: Seen[];
  readonly refused: string[];
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
type Supervisor = ReturnType<typeof supervisor>;

async function sendUntil(isOver: () => boolean, name: string, { url }: Supervisor, history: History): Promise<void> {
  for (let n = 0; !isOver(); n += 1) {
    const body = `${name}-${n}`;
    const answer = await ask(`${await url()}/v1/queues/work/messages`, { method: 'POST', body });
    if (answer?.status === 201) {
      const { messageId } = JSON.parse(answer.text) as { messageId: string };
      history.seen.push({ what: 'sent', body, messageId });
      continue;
    }
    history.seen.push({ what: 'maybeSent', body });
    if (answer === undefined) await sleep(20);
    else history.refused.push(`a good send was refused: ${answer.status} ${answer.text}`);
  }
}

/** Receives and deletes; ends when it is over and nothing has come for longer than a message can be held. */
async function receiveUntil(isOver: () => boolean, { url }: Supervisor, { seen, holds }: History): Promise<void> {
  while (true) {
    const wasOver = isOver();
    const server = await url();
    const askedMs = performance.now();
    const options = `wait=${wasOver ? visibilitySeconds + 1 : 1}s&visibility=${visibilitySeconds}s`;
    const held = await ask(`${server}/v1/queues/work/messages/next?${options}`, { method: 'POST' });
    if (held?.status === 204 && wasOver) return;
    if (held?.status !== 200) continue;
    const messageId = held.headers.get('message-id') ?? '';
    seen.push({ what: 'delivered', body: held.text, messageId, askedAt: askedMs });
    const hold: Hold = { askedMs, answeredMs: performance.now(), settledMs: Number.POSITIVE_INFINITY };
    holds.set(messageId, [...(holds.get(messageId) ?? []), hold]);
    // Work takes a while, so that there is a hold that another could break.
    await sleep(Math.random() * 40);
    hold.settledMs = performance.now();
    const deleted = await ask(held.headers.get('receipt-url') ?? '', { method: 'DELETE' });
    if (deleted?.status === 204) seen.push({ what: 'deleted', messageId, answeredAt: performance.now() });
  }
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

describe('a server that is killed again and again', () => {
  it(`keeps its word over ${killCount} kills`, async () => {
    const folder = temporaryFolder();
    const server = supervisor(folder);
    const history: History = { seen: [], refused: [], holds: new Map() };
    expect((await ask(`${await server.url()}/v1/queues/work`, { method: 'PUT' }))?.status).toBe(201);

    let isOver = false;
    const clients = [
      ...Array.from({ length: senders }, (_, i) => sendUntil(() => isOver, `sender${i}`, server, history)),
      ...Array.from({ length: receivers }, () => receiveUntil(() => isOver, server, history)),
    ];
    for (let kill = 0; kill < killCount; kill += 1) {
      // Every fifth kill hits the start, the others a server that is at work.
      if (kill % 5 === 0) await sleep(Math.random() * 600);
      else await acknowledgements(history, 20 + Math.random() * 100);
      await server.restart(kill % 5 === 4 ? 'SIGTERM' : 'SIGKILL');
    }
    isOver = true;
    await Promise.all(clients);
    await server.stop();

    const count = (what: Seen['what']) => history.seen.filter((one) => one.what === what).length;
    console.log(`${count('sent')} sends acknowledged, ${count('maybeSent')} unknown, ${count('delivered')} deliveries`);
    expect([...history.refused, ...brokenPromises(history.seen), ...heldTwice(history.holds)]).toEqual([]);
    // A run in which next to nothing happened proves nothing.
    expect(count('sent')).toBeGreaterThan(Math.max(count('maybeSent'), killCount * 10));

    const now = instant(Date.now());
    const storage = await openSqlite({ directory: folder, ids: randomIds(), log: recordingLog(), now });
    expect(await storage.audit({ now })).toEqual([]);
    await storage.close();
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
