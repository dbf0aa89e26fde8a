/**
 * Damages quiet data at random (a bit, a sector, pages swapped, a file cut short, a log removed or put back from
 * yesterday) and starts on them. Whatever it is, nobody gets a body that was not sent or a message that was deleted,
 * and where an acknowledged message is missing, something says so: the start refuses, the engine ends, the message is
 * set aside and counted, or the doctor names what is broken.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import type { ReceiveAnswer, Sent } from '../../src/storage/port.ts';
import { audit } from '../../src/storage/sqlite/doctor.ts';
import { openStore, type Request, type Store } from '../../src/storage/sqlite/store.ts';
import { chance, pick } from '../support/chance.ts';
import { countingIds } from '../support/ids.ts';
import { sizeOf } from '../support/sizes.ts';
import { draftOf, trialStart } from '../support/storage.ts';

const seed = 20_261_124;
const trialCount = sizeOf('damages');
const pageBytes = 4_096;
const sectorBytes = 512;
const queues = ['orders', 'orders.fifo'].map((name) => ({ account: '000000000000', name: QueueName.parse(name) }));

/** Message id → body of what was acknowledged and not deleted. */
type Expected = Map<string, string>;

function run<T>(store: Store, name: string, ask: object): T {
  const now = instant(Math.max(trialStart, store.state.highWaterAt));
  const [outcome] = store.run([{ name, ask: { now, ...ask } } as Request]).outcomes;
  if (outcome?.does !== 'value') throw new Error(`${name} was answered ${JSON.stringify(outcome)}`);
  return outcome.value as T;
}

function memoryFolder(): string {
  const folder = mkdtempSync('/dev/shm/sluice-');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** By another process: closing such a file in this one would drop SQLite's locks. */
const copyOpen = (from: string, to: string) => expect(spawnSync('cp', ['-r', from, to]).status).toBe(0);

/** Data as a kill leaves them: much in the file, the newest in the log alone. `yesterday` has an older log. */
function makeData(place: string): { today: string; yesterday: string; expected: Expected } {
  const directory = join(place, 'live');
  const store = openStore({ directory, ids: countingIds(), now: trialStart });
  const expected: Expected = new Map();
  for (const queue of queues) {
    run(store, 'putQueue', { queue, kind: queue.name.endsWith('.fifo') ? 'fifo' : 'standard', settings: {} });
  }
  let count = 0;
  const send = (times: number) => {
    for (let i = 0; i < times; i += 1) {
      for (const queue of queues) {
        count += 1;
        const body = `${count}:${'x'.repeat(count % 9 === 0 ? 5_000 : count % 200)}:${count}`;
        const fifo = queue.name.endsWith('.fifo') ? { groupId: `g${count % 5}`, deduplicationId: `d${count}` } : {};
        const drafts = [{ ...draftOf(body), ...fifo }];
        const [sent] = run<readonly Sent[]>(store, 'send', { queue, drafts, isAtomic: false });
        expected.set(sent?.messageId ?? '', body);
      }
    }
  };
  const deleteSome = () => {
    for (const queue of queues) {
      const { messages } = run<ReceiveAnswer>(store, 'receive', { queue, limit: 5, bytesMax: 1_000_000 });
      const settlements = messages.map(({ receipt }) => ({ does: 'delete', receipt }));
      run(store, 'settle', { queue, settlements });
      for (const { messageId } of messages) expected.delete(messageId);
    }
  };
  send(60);
  deleteSome();
  store.db.pragma('wal_checkpoint(TRUNCATE)');
  send(20);
  const yesterday = join(place, 'yesterday');
  copyOpen(directory, yesterday);
  store.db.pragma('wal_checkpoint(RESTART)');
  send(30);
  deleteSome();
  const today = join(place, 'today');
  copyOpen(directory, today);
  store.close();
  // What is made anew at a start, and what holds nothing.
  for (const folder of [today, yesterday]) {
    for (const name of ['sluice.db-shm', 'reserve']) rmSync(join(folder, name), { force: true });
  }
  return { today, yesterday, expected };
}

type Place = { readonly folder: string; readonly yesterday: string; readonly random: () => number };

/** Changes the bytes of a file, drawn by its size. @returns which file */
function change({ folder, random }: Place, edit: (bytes: Buffer) => void, names = readdirSync(folder)): string {
  const sizes = names.map((name) => statSync(join(folder, name)).size);
  let at = random() * sizes.reduce((sum, size) => sum + size, 0);
  const name = names.find((_, i) => {
    at -= sizes[i] ?? 0;
    return at < 0;
  });
  const path = join(folder, name ?? 'sluice.db');
  const bytes = readFileSync(path);
  edit(bytes);
  writeFileSync(path, bytes);
  return name ?? 'sluice.db';
}

const log = 'sluice.db-wal';
const atRandom = (random: () => number, count: number) => Math.floor(random() * count);

/** What can happen to data. @returns where it did */
const damages: Readonly<Record<string, (place: Place) => string>> = {
  'a flipped bit': (place) =>
    change(place, (bytes) => {
      const at = atRandom(place.random, bytes.byteLength);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << atRandom(place.random, 8)), at);
    }),
  'a sector of zeros': (place) =>
    change(place, (bytes) => {
      const from = atRandom(place.random, Math.ceil(bytes.byteLength / sectorBytes)) * sectorBytes;
      bytes.fill(0, from, from + sectorBytes);
    }),
  'two pages swapped': (place) =>
    change(
      place,
      (bytes) => {
        const pageCount = bytes.byteLength / pageBytes;
        const [a, b] = [0, 1].map(() => atRandom(place.random, pageCount) * pageBytes) as [number, number];
        const page = Buffer.from(bytes.subarray(a, a + pageBytes));
        bytes.copy(bytes, a, b, b + pageBytes);
        page.copy(bytes, b);
      },
      ['sluice.db'],
    ),
  'a file cut short': ({ folder, random }) => {
    const name = pick(readdirSync(folder), random);
    const path = join(folder, name);
    truncateSync(path, atRandom(random, statSync(path).size));
    return name;
  },
  'no log': ({ folder }) => {
    rmSync(join(folder, log));
    return log;
  },
  'the log of yesterday': ({ folder, yesterday }) => {
    cpSync(join(yesterday, log), join(folder, log));
    return log;
  },
};

type Verdict = { readonly outcome: 'refused' | 'reported' | 'unaffected'; readonly wrong: readonly string[] };

/** Starts, takes everything out, and looks who was told what. */
function judge(folder: string, expected: Expected): Verdict {
  let store: Store;
  try {
    store = openStore({ directory: folder, ids: countingIds(), now: trialStart });
  } catch {
    return { outcome: 'refused', wrong: [] };
  }
  const wrong: string[] = [];
  const reports: string[] = [];
  const got = new Set<string>();
  const told = (work: () => void) => {
    try {
      work();
    } catch (error) {
      reports.push(String(error));
    }
  };
  told(() => reports.push(...audit(store.db, trialStart)));
  for (const queue of queues) {
    told(() => {
      while (true) {
        const { messages } = run<ReceiveAnswer>(store, 'receive', { queue, limit: 10, bytesMax: 1_000_000 });
        for (const { messageId, body } of messages) {
          got.add(messageId);
          const text = Buffer.from(body).toString();
          if (!expected.has(messageId)) wrong.push(`${messageId} was deleted, or never sent`);
          else if (expected.get(messageId) !== text) wrong.push(`${messageId} has another body`);
        }
        if (messages.length === 0) return;
        const settlements = messages.map(({ receipt }) => ({ does: 'delete', receipt }));
        run(store, 'settle', { queue, settlements });
      }
    });
  }
  const quarantined = 'select count(*) from quarantined_messages';
  told(() => {
    const count = store.db.prepare<[], number>(quarantined).pluck().get() ?? 0;
    if (count > 0) reports.push(`${count} messages were set aside`);
  });
  told(() => store.close());
  const missing = [...expected.keys()].filter((id) => !got.has(id));
  if (missing.length > 0 && reports.length === 0)
    wrong.push(`${missing.length} messages are missing, and nothing says so`);
  return { outcome: reports.length > 0 ? 'reported' : 'unaffected', wrong };
}

describe('damaged data', () => {
  it(`are never taken for good, in ${trialCount} trials`, () => {
    console.log(`seed ${seed}`);
    const random = chance(seed);
    const place = memoryFolder();
    const { today, yesterday, expected } = makeData(place);
    const folder = join(place, 'trial');
    cpSync(today, folder, { recursive: true });
    expect(judge(folder, expected)).toEqual({ outcome: 'unaffected', wrong: [] });

    const names = Object.keys(damages);
    const tally = new Map<string, number>();
    const wrong: string[] = [];
    for (let i = 0; i < trialCount; i += 1) {
      rmSync(folder, { recursive: true, force: true });
      cpSync(today, folder, { recursive: true });
      // The last two are always the same: once in a while is enough.
      const name = names[i % 50 < 2 ? 4 + (i % 50) : i % 4] ?? '';
      const where = damages[name]?.({ folder, yesterday, random });
      const verdict = judge(folder, expected);
      const key = `${name}: ${verdict.outcome}`;
      tally.set(key, (tally.get(key) ?? 0) + 1);
      wrong.push(...verdict.wrong.map((what) => `trial ${i}, ${name} in ${where}: ${what}`));
    }
    console.log(
      [...tally]
        .sort()
        .map(([key, count]) => `${key} ${count}`)
        .join('\n'),
    );
    expect(wrong).toEqual([]);
    for (const outcome of ['refused', 'reported', 'unaffected']) {
      expect(
        [...tally.keys()].some((key) => key.endsWith(outcome)),
        outcome,
      ).toBe(true);
    }
  });
});
