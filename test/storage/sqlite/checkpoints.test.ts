/** The write-ahead log is copied in time, shrinks again, and each checkpoint makes the horizon durable. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import { checkpointPages } from '../../../src/storage/sqlite/checkpoints.ts';
import { databasePath, walBytes } from '../../../src/storage/sqlite/data-directory.ts';
import { openReader } from '../../../src/storage/sqlite/database.ts';
import { openSqlite } from '../../../src/storage/sqlite/engine.ts';
import { FatalError, openStore, type Request, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { recordingLog } from '../../support/log.ts';
import { draftOf, trialStart as now } from '../../support/storage.ts';

const mebibyte = 1_048_576;
const queue = { account: '000000000000', name: 'orders' };

describe('checkpoints', () => {
  let directory: string;
  let store: Store;
  let restore: () => void = () => undefined;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sluice-log-'));
    store = openStore({ directory, ids: countingIds(), now });
    run('putQueue', { kind: 'standard', settings: {} });
  });
  afterEach(async () => {
    restore();
    restore = () => undefined;
    store.close();
    await rm(directory, { recursive: true, force: true });
  });

  const run = (name: string, ask: object) => {
    const answer = store.run([{ name, ask: { ...ask, queue, now } } as Request]);
    store.afterBatch();
    return answer;
  };
  const send = (bytes: number) => run('send', { drafts: [draftOf('x'.repeat(bytes))], isAtomic: false });
  const log = () => {
    const [state] = store.db.pragma('wal_checkpoint(noop)') as { log: number; checkpointed: number }[];
    return { pages: state?.log ?? 0, copied: state?.checkpointed ?? 0 };
  };

  /** Stands in for the call that makes the horizon durable. */
  const withSync = async (sync: () => void) => {
    const { default: fs, fdatasyncSync } = await import('node:fs');
    fs.fdatasyncSync = sync;
    syncBuiltinESMExports();
    restore = () => {
      fs.fdatasyncSync = fdatasyncSync;
      syncBuiltinESMExports();
    };
  };

  it('come every 16 MiB of the log, and each syncs the horizon once', async () => {
    let syncs = 0;
    await withSync(() => {
      syncs += 1;
    });
    let most = 0;
    for (let sent = 0; sent < 60; sent += 1) {
      send(mebibyte);
      most = Math.max(most, log().pages);
    }
    expect(most).toBeLessThan(checkpointPages + 600);
    expect(syncs).toBeGreaterThanOrEqual(3);
    expect(syncs).toBeLessThanOrEqual(4);
  });

  it('do not come for little', async () => {
    await withSync(() => {
      throw new Error('Nothing is to be synced.');
    });
    for (let sent = 0; sent < 100; sent += 1) send(100);
    expect(log().copied).toBe(0);
  });

  it('are not tried at every batch while a long read is in the way, and make the file short again after it', async () => {
    send(10);
    const reader = openReader(databasePath(directory));
    reader.exec('begin');
    reader.prepare('select count(*) from messages').get();
    let syncs = 0;
    await withSync(() => {
      syncs += 1;
    });
    for (let sent = 0; sent < 90; sent += 1) send(mebibyte);
    expect(syncs).toBeLessThan(25);
    expect(walBytes(directory)).toBeGreaterThan(80 * mebibyte);
    reader.close();
    for (let sent = 0; sent < 10; sent += 1) send(mebibyte);
    expect(walBytes(directory)).toBeLessThanOrEqual(64 * mebibyte);
    expect(log().pages).toBeLessThan(checkpointPages + 600);
  });

  it.each([true, false])('come while an engine serves (a thread for the writer: %s)', async (hasOwnThread) => {
    store.close();
    const storage = await openSqlite({ directory, ids: countingIds(), log: recordingLog(), now, hasOwnThread });
    const ask = { queue: { ...queue, name: QueueName.parse(queue.name) }, isAtomic: false, now };
    for (let sent = 0; sent < 20; sent += 1) await storage.send({ ...ask, drafts: [draftOf('x'.repeat(mebibyte))] });
    // What was copied is in the file itself, not in the log alone.
    const { size } = await stat(databasePath(directory));
    await storage.close();
    expect(size).toBeGreaterThan(12 * mebibyte);
    store = openStore({ directory, ids: countingIds(), now });
  });

  it('end the engine when the horizon cannot be made durable', async () => {
    await withSync(() => {
      throw Object.assign(new Error('EIO'), { code: 'EIO' });
    });
    expect(() => {
      for (let sent = 0; sent < 20; sent += 1) send(mebibyte);
    }).toThrow(FatalError);
    expect(() => store.run([])).toThrow(FatalError);
  });
});
