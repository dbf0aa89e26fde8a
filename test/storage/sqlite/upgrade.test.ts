/**
 * Data of every earlier schema, made by the program of that time (test/fixtures/make.ts), opened by this one: sound, nothing
 * lost, and what was promised then is kept. And the reverse: data of a later program are refused untouched.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Instant, instant } from '../../../src/domain/instant.ts';
import type { Message, Receipt } from '../../../src/domain/message.ts';
import type { QueueStats } from '../../../src/domain/queue.ts';
import { QueueName, type QueueSettings } from '../../../src/domain/queue-attributes.ts';
import { readMigrations } from '../../../src/storage/migrate.ts';
import type { Sent, Storage } from '../../../src/storage/port.ts';
import { openSqlite } from '../../../src/storage/sqlite/engine.ts';
import { openStore } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { recordingLog } from '../../support/log.ts';
import { temporaryFolder } from '../../support/process.ts';
import { bodiesOf, draftOf, fifo, nth } from '../../support/storage.ts';

const folder = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const account = '000000000000';
const ref = (name: string) => ({ account, name: QueueName.parse(name) });

/** What the program of that time said of its data. */
type Told = {
  readonly now: Instant;
  readonly secret: string;
  readonly queues: readonly {
    readonly name: string;
    readonly settings: Partial<QueueSettings>;
    readonly stats: QueueStats;
    readonly messages: readonly (Omit<Message, 'body' | 'attributes'> & { body: string; attributes: unknown })[];
  }[];
  readonly receipts: { readonly held: Receipt; readonly attempted: readonly Receipt[] };
  readonly idempotent: readonly Sent[];
  readonly deduplicated: readonly Sent[];
  readonly taskId: string;
};

const newest = nth(readMigrations('sqlite').toReversed()).number;
const schemas = readdirSync(folder)
  .flatMap((file) => /^schema-(\d+)\.db\.gz$/.exec(file)?.slice(1) ?? [])
  .map(Number)
  .sort((a, b) => a - b);

describe.each(schemas)('data of schema %i', (schema) => {
  const told = JSON.parse(readFileSync(join(folder, `schema-${schema}.json`), 'utf8')) as Told;
  const { now } = told;
  const past = (ms: number): Instant => instant(now + ms);

  async function open(): Promise<Storage> {
    const directory = temporaryFolder();
    writeFileSync(join(directory, 'sluice.db'), gunzipSync(readFileSync(join(folder, `schema-${schema}.db.gz`))));
    const storage = await openSqlite({ directory, ids: countingIds(), log: recordingLog(), now });
    onTestFinished(async () => {
      expect(await storage.audit({ now: instant(now + 1_000_000) })).toEqual([]);
      await storage.close();
    });
    return storage;
  }
  const receive = (storage: Storage, name: string, at: Instant, attemptId?: string) =>
    storage.receive({ queue: ref(name), limit: 100, bytesMax: 1_000_000, attemptId, now: at });
  const send = (storage: Storage, name: string, draft: Parameters<typeof draftOf>[0], at: Instant, key?: string) =>
    storage.send({
      queue: ref(name),
      drafts: [draftOf(draft)],
      isAtomic: false,
      now: at,
      idempotency: key === undefined ? undefined : { key, fingerprint: 'f' },
    });
  async function finishUpkeep(storage: Storage, from: Instant): Promise<void> {
    for (let slice = 0, at = from; slice < 50; slice += 1) {
      const { nextAt } = await storage.upkeep({ now: at });
      at = instant(Math.max(at, Math.min(nextAt ?? at, past(60_000))));
    }
  }

  it('are sound, before and after all upkeep is done', async () => {
    const storage = await open();
    expect(await storage.audit({ now })).toEqual([]);
    await finishUpkeep(storage, now);
    expect(await storage.audit({ now: past(60_000) })).toEqual([]);
  });

  it('have the queues, settings, numbers and messages that they had', async () => {
    const storage = await open();
    const { items } = await storage.listQueues({ account, prefix: '', limit: 100 });
    expect(items.map(({ name }) => name)).toEqual(told.queues.map(({ name }) => name));
    const stats = await storage.queueStats({ queueIds: items.map(({ id }) => id), now });
    for (const [i, queue] of told.queues.entries()) {
      expect(items[i]?.settings).toMatchObject(queue.settings);
      expect(stats[i]).toMatchObject(queue.stats);
      const page = await storage.peek({ queue: ref(queue.name), state: 'all', limit: 100, now });
      const shown = page.items.map((message) => ({
        ...message,
        body: Buffer.from(message.body).toString(),
        attributes: [...message.attributes],
      }));
      expect(shown).toMatchObject(queue.messages);
    }
    expect(told.queues.flatMap(({ messages }) => messages).length).toBe(11);
  });

  it('keep their receipts', async () => {
    const storage = await open();
    expect(Buffer.from(storage.sealSecret).toString('hex')).toBe(told.secret);
    const remove = (receipt: Receipt, at: Instant) =>
      storage.settle({ queue: ref('orders'), settlements: [{ does: 'delete', receipt }], now: at });
    const { held } = told.receipts;
    expect(nth(await remove({ ...held, receive: held.receive + 1 }, now))).toMatchObject({ fault: 'receiptExpired' });
    expect(nth(await remove(held, past(29_999)))).toMatchObject({ messageId: expect.any(String) });
    expect(bodiesOf((await receive(storage, 'orders', past(60_000))).messages)).not.toContain('held');
  });

  it('give what was held again when its time has come, and not before', async () => {
    const storage = await open();
    const bodies = async (at: Instant) => bodiesOf((await receive(storage, 'orders', at)).messages);
    expect(await bodies(past(29_999))).not.toContain('held');
    expect(await bodies(past(35_000))).toContain('held');
    expect(await bodies(past(900_000))).toContain('late');
  });

  it.each([
    ['to the last millisecond', 300_000, true],
    ['and no longer', 300_001, false],
  ])('keep their deduplication ids, %s', async (_name, ms, isDuplicate) => {
    const storage = await open();
    const [first] = told.deduplicated;
    const again = nth(await send(storage, 'tasks.fifo', fifo('a', 'again', '1'), past(ms)));
    expect(again).toMatchObject(isDuplicate ? { ...first, isDuplicate } : { isDuplicate });
    if (!isDuplicate) expect(again).not.toMatchObject({ sequence: first?.sequence });
  });

  it('keep their idempotency keys', async () => {
    const storage = await open();
    const again = nth(await send(storage, 'orders', 'once', past(80_000_000), 'k'));
    expect(again).toMatchObject({ ...nth(told.idempotent), isDuplicate: true });
  });

  it('keep their receive attempts, and the order of message groups', async () => {
    const storage = await open();
    const replay = await receive(storage, 'tasks.fifo', past(100_000), 'attempt');
    expect(replay.isReplay).toBe(true);
    expect(replay.messages.map(({ receipt }) => receipt)).toEqual(told.receipts.attempted);
    const later = await receive(storage, 'tasks.fifo', past(300_000));
    const ofGroup = later.messages.filter(({ groupId }) => groupId === 'a');
    expect(bodiesOf(ofGroup)).toEqual(['1', '3']);
  });

  it('go on with their redrive tasks', async () => {
    const storage = await open();
    expect(await storage.findTask({ account, taskId: told.taskId })).toMatchObject({
      status: 'running',
      movedCount: 0,
    });
    await finishUpkeep(storage, now);
    expect(await storage.findTask({ account, taskId: told.taskId })).toMatchObject({
      status: 'completed',
      movedCount: 1,
    });
    expect(bodiesOf((await receive(storage, 'orders', past(1_000))).messages)).toContain('given up');
  });
});

describe('the fixtures', () => {
  it('are there for every schema that was', () => {
    expect(schemas).toEqual(expect.arrayContaining(Array.from({ length: newest - 1 }, (_, i) => i + 1)));
    expect(schemas.every((schema) => schema <= newest)).toBe(true);
  });
});

describe('data of a later program', () => {
  it('are refused, and not a byte of them is changed', () => {
    const directory = join(temporaryFolder(), 'data');
    mkdirSync(directory, { mode: 0o700 });
    const file = join(directory, 'sluice.db');
    writeFileSync(file, gunzipSync(readFileSync(join(folder, `schema-${nth(schemas)}.db.gz`))));
    const db = new Database(file);
    db.exec("insert into migrations (number, name) values (9999, 'from_the_future')");
    db.close();
    const hash = () => createHash('sha256').update(readFileSync(file)).digest('hex');
    const before = hash();
    const now = instant(Date.UTC(2026, 5, 1));
    expect(() => openStore({ directory, ids: countingIds(), now })).toThrow(/written by a newer version of Sluice/);
    expect(hash()).toBe(before);
  });
});
