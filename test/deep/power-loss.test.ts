/**
 * Cuts the power at every kind of moment. A real server works under a shim that notes, in one order, what it does to its
 * disk and what it answers; from that come the disks that a cut may leave, and each of them must open, be sound, and
 * hold everything that had been acknowledged before the cut.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { chance, pick } from '../support/chance.ts';
import { CrashDisk, crashModels } from '../support/crash-disk.ts';
import { type Ack, Deeds, problemsOf } from '../support/deeds.ts';
import { buildShim, type DiskEvent, readShimLog, shimEnvironment } from '../support/disk-shim.ts';
import { runMixedLoad } from '../support/mixed-load.ts';
import { type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';
import { sizeOf } from '../support/sizes.ts';
import { nth } from '../support/storage.ts';

const stateCount = sizeOf('crashStates');
/** On so many states one is opened by a real server as well. */
const statesPerServer = 500;
const seed = 20_261_124;

type Files = ReadonlyMap<string, Buffer>;
/** What happened, and what the clients were promised meanwhile. */
type Recording = {
  readonly events: readonly DiskEvent[];
  /** Where the heavy load begins. */
  readonly heavyFrom: number;
  readonly deeds: Deeds;
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Three times load for a second or more, each on what the one before has left: an orderly end copies and removes the log, a kill does
 *  not. The heavy one has checkpoints under way. */
const phases = [
  { isHeavy: false, ending: 'SIGTERM' },
  { isHeavy: false, ending: 'SIGKILL' },
  { isHeavy: true, ending: 'SIGTERM' },
] as const;

/** A second of a busy machine may be none of work. */
const messagesPerPhase = 200;
/** More than all clients have under way at a time: one each, and a batch. */
const messagesUnderWayMax = 40;

/** Syncs of the database itself: what the log held was copied there. */
const copiesAmong = (events: readonly DiskEvent[]): readonly DiskEvent[] =>
  events.filter((event) => event.kind === 'sync' && 'name' in event && event.name === 'sluice.db');

async function record(parts: readonly (typeof phases)[number][]): Promise<Recording> {
  const folder = temporaryFolder();
  const data = join(folder, 'data');
  // There before the server, so that the folder's own name is nobody's concern.
  mkdirSync(data, { mode: 0o700 });
  const log = join(memoryFolder(), 'log');
  const shim = shimEnvironment(buildShim(folder), data, { log });
  const deeds = new Deeds();
  const random = chance(seed);
  let count = 0;
  const number = () => {
    count += 1;
    return count;
  };
  const events = () => readShimLog(log).filter((event) => !('name' in event) || !isOfNoConcern(event.name));
  let heavyFrom = Number.POSITIVE_INFINITY;
  for (const { isHeavy, ending } of parts) {
    const server = startServer(data, shim);
    const url = await server.url;
    // What the start does is no load yet: it may copy the log that a kill has left.
    if (isHeavy) heavyFrom = events().length;
    let isOver = false;
    const load = runMixedLoad({ url, deeds, random, number, isHeavy, isOver: () => isOver }).finally(() => {
      isOver = true;
    });
    const moreMessages = async (count: number) => {
      const enough = deeds.messageCount + count;
      // Over before its time: a server that should not have ended, or an answer that should not have come.
      while (deeds.messageCount < enough && !isOver) await sleep(20);
    };
    await sleep(1_000);
    await moreMessages(messagesPerPhase);
    if (isHeavy) {
      // So that the log is copied at least once while the load goes on.
      while (copiesAmong(events().slice(heavyFrom)).length === 0 && !isOver) await sleep(200);
      // And holds something again for the copy at the end: what is answered now may have been written before the first one.
      await moreMessages(messagesUnderWayMax);
    }
    if (ending === 'SIGKILL') server.child.kill(ending);
    isOver = true;
    await load;
    server.child.kill(ending);
    await server.ended;
  }
  return { events: events(), heavyFrom, deeds };
}

/** SQLite makes the first anew at each start; the second is 16 MiB of random bytes. */
const isOfNoConcern = (name: string) => name.endsWith('-shm') || name === 'reserve';

/** A folder in memory: thousands of disks are written there, one after the other. */
function memoryFolder(): string {
  const folder = mkdtempSync('/dev/shm/sluice-');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Where the power is cut: before so many of the events, rising. Near syncs, right after answers, and anywhere. */
function cutPoints({ events, heavyFrom }: Recording, count: number, random: () => number): readonly number[] {
  const at = (isMeant: (event: DiskEvent) => boolean) => events.flatMap((event, i) => (isMeant(event) ? [i] : []));
  const syncs = at(({ kind }) => kind === 'sync');
  const answers = at(({ kind }) => kind === 'answer');
  const draw = () => {
    const where = random();
    if (where < 0.4) return pick(syncs, random) + Math.floor(random() * 2);
    return where < 0.8 ? pick(answers, random) + 1 : Math.floor(random() * (events.length + 1));
  };
  // A disk with a long log takes five times as long to judge: fewer of those.
  const drawLight = () => {
    const drawn = draw();
    return drawn < heavyFrom || random() < 0.25 ? drawn : draw();
  };
  return Array.from({ length: count }, drawLight).toSorted((a, b) => a - b);
}

/** Acknowledgement → the place of its answer among the events. */
const answersOf = ({ events }: Recording): ReadonlyMap<Ack, number> =>
  new Map(events.flatMap((event, i) => (event.kind === 'answer' ? [[event.requestId, i] as const] : [])));

function put(files: Files, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o700 });
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes, { mode: 0o600 });
}

async function serveOnce(folder: string): Promise<void> {
  const server: ServerProcess = startServer(folder);
  const queue = `${await server.url}/v1/queues/after-the-cut`;
  expect((await fetch(queue, { method: 'PUT' })).status).toBe(201);
  expect((await fetch(`${queue}/messages`, { method: 'POST', body: 'hello' })).status).toBe(201);
  const next = await fetch(`${queue}/messages/next`, { method: 'POST' });
  expect(await next.text()).toBe('hello');
  server.child.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
}

describe('a power cut', () => {
  it(`loses nothing that was acknowledged, on ${stateCount} disks that it may leave`, async () => {
    console.log(`seed ${seed}`);
    const random = chance(seed);
    const recording = await record(phases);
    const answers = answersOf(recording);
    const disk = new CrashDisk();
    const folder = join(memoryFolder(), 'data');
    const problems: string[] = [];
    let taken = 0;
    let states = 0;
    for (const point of cutPoints(recording, Math.ceil(stateCount / crashModels.length), random)) {
      for (; taken < point; taken += 1) disk.take(recording.events[taken] as DiskEvent);
      const isAcked = (ack: Ack) => (answers.get(ack) ?? Number.POSITIVE_INFINITY) < point;
      for (const model of crashModels) {
        put(disk.cut(model, random), folder);
        const found = problemsOf(folder, recording.deeds, { isAcked, now: instant(Date.now()) });
        problems.push(...found.slice(0, 3).map((problem) => `cut before event ${point}, ${model}: ${problem}`));
        states += 1;
        if (states % statesPerServer === 0) await serveOnce(folder);
      }
      if (problems.length > 20) break;
    }
    console.log(
      `${recording.events.length} events, ${answers.size} answers, ${recording.deeds.messageCount} messages, ${states} states`,
    );
    expect(problems).toEqual([]);
    // A run in which next to nothing happened proves nothing: the log was copied under the heavy load and at its end.
    const copies = copiesAmong(recording.events.slice(recording.heavyFrom));
    expect(copies.length).toBeGreaterThan(1);
    expect(answers.size).toBeGreaterThan(messagesPerPhase);
  });

  it('would be found out on a disk that says it has synced and has not', async () => {
    const random = chance(seed);
    const recording = await record(phases.slice(0, 1));
    const answers = answersOf(recording);
    const folder = join(memoryFolder(), 'data');
    const isLie = (event: DiskEvent) => event.kind === 'sync' && event.name === 'sluice.db-wal';
    // In the middle of the load: at its end the log is copied, and that is synced.
    const last = nth([...answers.values()], Math.floor(answers.size / 2));
    const isAcked = (ack: Ack) => (answers.get(ack) ?? Number.POSITIVE_INFINITY) < last;
    const disk = new CrashDisk();
    for (const event of recording.events.slice(0, last)) {
      if (!isLie(event)) disk.take(event);
      if (event.kind === 'write' && event.name === 'horizon') disk.take({ kind: 'sync', name: 'horizon' });
    }
    const cut = (isKept: (name: string) => boolean) => {
      put(new Map([...disk.cut('none', random)].filter(([name]) => isKept(name))), folder);
      return problemsOf(folder, recording.deeds, { isAcked, now: instant(Date.now()) });
    };
    expect(cut(() => true)).toEqual([expect.stringMatching(/acknowledged messages are missing/)]);
    expect(cut((name) => name !== 'horizon')).toContainEqual(
      expect.stringMatching(/is "gone", but was acknowledged to be/),
    );
  });
});
