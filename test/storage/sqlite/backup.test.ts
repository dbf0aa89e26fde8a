/** Backup and restore: what is refused, and that it is refused without a trace; what a restored folder keeps and what not. */
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { Storage } from '../../../src/storage/port.ts';
import { backUp, restore } from '../../../src/storage/sqlite/backup.ts';
import { openSqlite } from '../../../src/storage/sqlite/engine.ts';
import { countingIds } from '../../support/ids.ts';
import { recordingLog } from '../../support/log.ts';
import { temporaryFolder } from '../../support/process.ts';
import { bodyOf, draftOf, trialStart as now, nth } from '../../support/storage.ts';

const queue = { account: '000000000000', name: QueueName.parse('orders.fifo') };
const ids = countingIds();

async function open(directory: string): Promise<Storage> {
  const storage = await openSqlite({ directory, ids, log: recordingLog(), now });
  let isOpen = true;
  const close = async () => {
    if (isOpen) await storage.close();
    isOpen = false;
  };
  onTestFinished(close);
  return { ...storage, close };
}
const send = async (storage: Storage, body: string) =>
  nth(
    await storage.send({
      queue,
      isAtomic: false,
      now,
      drafts: [{ ...draftOf(body), groupId: 'g', deduplicationId: `id of ${body.slice(0, 10)}` }],
    }),
  );
const bodies = async (storage: Storage) =>
  (await storage.peek({ queue, state: 'all', limit: 100, now })).items.map(bodyOf);

/** A folder with three messages, one of them large and one of them held, and a file beside it that is not there yet. */
async function served(): Promise<{ folder: string; file: string; storage: Storage }> {
  const folder = temporaryFolder();
  const storage = await open(join(folder, 'data'));
  await storage.putQueue({ queue, kind: 'fifo', settings: {}, now });
  for (const body of ['first', 'second', 'large'.repeat(1_000)]) await send(storage, body);
  return { folder, file: join(folder, 'backup.db'), storage };
}
async function backedUp() {
  const place = await served();
  backUp(join(place.folder, 'data'), place.file);
  return { ...place, target: join(place.folder, 'restored') };
}

describe('a backup', () => {
  it('is made while the data are served, for its owner alone, and tells what it holds', async () => {
    const { folder, file, storage } = await served();
    expect(backUp(join(folder, 'data'), file)).toMatchObject({ path: file, messageCount: 3, queueCount: 1 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await send(storage, 'the server goes on')).toMatchObject({ isDuplicate: false });
    expect(readdirSync(folder).sort()).toEqual(['backup.db', 'data']);
  });

  it('never writes over a file', async () => {
    const { folder, file } = await served();
    writeFileSync(file, 'precious');
    expect(() => backUp(join(folder, 'data'), file)).toThrow(/it is there already, and is not written over/);
    expect(readFileSync(file, 'utf8')).toBe('precious');
    writeFileSync(join(folder, 'other.db.part'), 'precious, too');
    expect(() => backUp(join(folder, 'data'), join(folder, 'other.db'))).toThrow(/other\.db\.part is there/);
    expect(readFileSync(join(folder, 'other.db.part'), 'utf8')).toBe('precious, too');
    expect(readdirSync(folder)).not.toContain('other.db');
  });

  it('of damaged data is not made', async () => {
    const { folder, file, storage } = await served();
    await storage.close();
    const db = new Database(join(folder, 'data', 'sluice.db'));
    db.exec("update messages set body = x'00' where is_large = 0");
    db.close();
    expect(() => backUp(join(folder, 'data'), file)).toThrow(/^The copy is not whole\. .*checksum fits/);
    expect(readdirSync(folder)).toEqual(['data']);
  });

  it('of a folder that holds no data is not made', () => {
    const folder = temporaryFolder();
    expect(() => backUp(folder, join(folder, 'backup.db'))).toThrow(/cannot be read/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a restore', () => {
  it('gives back queues, messages and deduplication ids as they were', async () => {
    const { file, target, storage } = await backedUp();
    await send(storage, 'after the backup');
    expect(restore(file, target, ids)).toMatchObject({ messageCount: 3, queueCount: 1 });
    expect(readdirSync(target).sort()).toEqual(['horizon', 'lock.db', 'sluice.db']);
    const restored = await open(target);
    expect(await bodies(restored)).toEqual(['first', 'second', 'large'.repeat(1_000)]);
    expect(await send(restored, 'first')).toMatchObject({ isDuplicate: true });
    expect(await restored.audit({ now })).toEqual([]);
  });

  it('begins a new epoch: no receipt and no number of the lost server fits', async () => {
    const { file, target, storage } = await backedUp();
    const lost = await send(storage, 'lost');
    restore(file, target, ids);
    const restored = await open(target);
    expect(Buffer.from(restored.sealSecret)).not.toEqual(Buffer.from(storage.sealSecret));
    const next = await send(restored, 'next');
    if (!('sequence' in lost && 'sequence' in next)) throw new Error('A send was refused.');
    expect(next.sequence).toBeGreaterThan(lost.sequence ?? 0);
    await restored.close();
    // The horizon of the one is not the horizon of the other.
    cpSync(join(target, '..', 'data', 'horizon'), join(target, 'horizon'));
    await expect(open(target)).rejects.toThrow(/not the one that was served from this directory/);
  });

  it('takes a folder that holds but the master key', async () => {
    const { file, target } = await backedUp();
    mkdirSync(target);
    writeFileSync(join(target, 'master.key'), 'key');
    restore(file, target, ids);
    expect(readFileSync(join(target, 'master.key'), 'utf8')).toBe('key');
  });

  it('refuses a folder that is not empty, and changes nothing there', async () => {
    const { folder, file } = await backedUp();
    const before = readdirSync(join(folder, 'data'));
    expect(() => restore(file, join(folder, 'data'), ids)).toThrow(/is not empty .*--data-dir/);
    expect(readdirSync(join(folder, 'data'))).toEqual(before);
  });

  const edited = (file: string, sql: string): void => {
    const db = new Database(file);
    db.exec(sql);
    db.close();
  };
  it.each([
    ['a trigger', 'create trigger t after insert on messages begin delete from messages; end', /see trigger t\./],
    ['a view', 'create view v as select 1', /see view v\./],
    ['a table more', 'create table t (x)', /see table t\./],
    ['an index less', 'drop index messages_enqueued', /see index messages_enqueued\./],
    ['a column more', 'alter table messages add column x text', /see table messages\./],
    ['a newer schema', "insert into migrations values (9999, 'x')", /written by a newer version of Sluice/],
    [
      'a changed body',
      "update messages set body = x'00' where is_large = 0",
      /^The backup is not whole\. .*checksum fits/,
    ],
    ['a wrong count', 'update queue_counters set bytes = bytes + 1', /^The backup is not whole\. .*messages and bytes/],
    ['no state', 'delete from engine_state', /The backup/],
    ['no migrations', 'drop table migrations', /holds no data of Sluice/],
  ])('refuses a file with %s, and leaves nothing behind', async (_what, sql, sentence) => {
    const { file, target } = await backedUp();
    edited(file, sql);
    expect(() => restore(file, target, ids)).toThrow(sentence);
    expect(readable(target).filter((name) => name !== 'lock.db')).toEqual([]);
    expect(() => restore(file, target, ids), 'and again').toThrow(sentence);
  });

  it('refuses a file that is no database, is cut off, or has a page of rubbish', async () => {
    const { folder, file, target } = await backedUp();
    const bytes = readFileSync(file);
    const variants = [Buffer.from('not a database'), bytes.subarray(0, bytes.length / 2)];
    for (const [i, variant] of variants.entries()) {
      writeFileSync(join(folder, `${i}.db`), variant);
      expect(() => restore(join(folder, `${i}.db`), target, ids)).toThrow(/cannot be|not whole/);
    }
    const page = rootPageOf(file, 'messages');
    const fd = openSync(file, 'r+');
    writeSync(fd, Buffer.alloc(4_096, 0xff), 0, 4_096, (page - 1) * 4_096);
    closeSync(fd);
    expect(() => restore(file, target, ids)).toThrow(/cannot be copied: .*malformed/);
    expect(readable(target).filter((name) => name !== 'lock.db')).toEqual([]);
  });
});

function rootPageOf(file: string, table: string): number {
  const db = new Database(file, { readonly: true });
  const page = db.prepare<[string], number>('select rootpage from sqlite_schema where name = ?').pluck().get(table);
  db.close();
  return page ?? 0;
}

/** What lies in a folder; nothing when it is not there. */
function readable(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
