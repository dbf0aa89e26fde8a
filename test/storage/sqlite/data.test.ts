/** What a start proves before anything is accepted, and what it refuses. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isFault } from '../../../src/domain/errors.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { Storage } from '../../../src/storage/port.ts';
import { joinSqlite, openSqlite, type SqliteOptions } from '../../../src/storage/sqlite/engine.ts';
import { openStore } from '../../../src/storage/sqlite/store.ts';
import { StartupError } from '../../../src/storage/startup-error.ts';
import { countingIds } from '../../support/ids.ts';
import { recordingLog } from '../../support/log.ts';
import { draftOf, trialStart as now } from '../../support/storage.ts';

const queue = { account: '000000000000', name: QueueName.parse('orders') };

describe('the data directory', () => {
  let folder: string;
  let directory: string;
  const open: Storage[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-data-'));
    directory = folder;
  });
  afterEach(async () => {
    for (const storage of open.splice(0)) await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (options: Partial<SqliteOptions> = {}): Promise<Storage> => {
    const storage = await openSqlite({ directory, ids: countingIds(), log: recordingLog(), now, ...options });
    open.push(storage);
    return storage;
  };
  const stop = async (storage: Storage): Promise<void> => {
    open.splice(open.indexOf(storage), 1);
    await storage.close();
  };
  const sendOne = (storage: Storage, body: string) =>
    storage.send({ queue, drafts: [draftOf(body)], isAtomic: false, now });
  const makeQueue = (storage: Storage) => storage.putQueue({ queue, kind: 'standard', settings: {}, now });

  it.each([1, 2])('commits with synchronous=FULL, on opening %i as well', (opening) => {
    for (let i = 1; i < opening; i += 1) openStore({ directory, ids: countingIds(), now }).close();
    const store = openStore({ directory, ids: countingIds(), now });
    store.run([{ name: 'putQueue', ask: { queue, kind: 'standard', settings: {}, now } as never }]);
    expect(store.db.pragma('synchronous', { simple: true })).toBe(2);
    expect(store.db.pragma('journal_mode', { simple: true })).toBe('wal');
    store.close();
  });

  it('refuses a second server on the same data, and lets one in after the first has ended', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(/Another Sluice server is running on the data directory/);
    await makeQueue(first);
    await stop(first);
    await expect(start().then((second) => second.findQueue(queue))).resolves.toMatchObject({ name: 'orders' });
  });

  it('refuses data of a newer version and changes nothing in it', async () => {
    await stop(await start());
    const file = join(directory, 'sluice.db');
    const edit = (sql: string) => {
      const db = new Database(file);
      const rows = db.prepare(sql);
      const result = rows.reader ? rows.all() : rows.run();
      db.close();
      return result;
    };
    edit("insert into migrations (number, name) values (9999, 'from_the_future')");
    const before = edit('select * from engine_state');
    await expect(start()).rejects.toThrow(/written by a newer version of Sluice/);
    expect(edit('select * from engine_state')).toEqual(before);
  });

  it('refuses to serve when acknowledged commits are missing, and serves when told to accept it', async () => {
    const storage = await start();
    await makeQueue(storage);
    await stop(storage);
    await cp(join(directory, 'sluice.db'), join(directory, 'old.db'));
    const later = await start();
    await sendOne(later, 'acknowledged');
    await stop(later);
    await cp(join(directory, 'old.db'), join(directory, 'sluice.db'));
    await expect(start()).rejects.toThrow(/acknowledged messages are missing/);
    const accepted = await start({ acceptDataLoss: true });
    expect(await accepted.findQueue(queue)).not.toBeNull();
    await stop(accepted);
    await expect(start()).resolves.toBeDefined();
  });

  it('refuses to serve fresh data where other data was served', async () => {
    await stop(await start());
    await rm(join(directory, 'sluice.db'));
    const ids = countingIds();
    ids.secret(7);
    await expect(start({ ids })).rejects.toThrow(/not the one that was served from this directory/);
  });

  const failWriting = () => {
    throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  it.each([
    ['cannot be written', failWriting],
    ['is written in part', () => 31],
  ])('ends the engine when the horizon %s after a commit, and stores nothing twice', async (_what, write) => {
    const storage = await start();
    await makeQueue(storage);
    const fatal: Error[] = [];
    storage.onFatal((cause) => void fatal.push(cause));
    const { default: fs, writeSync } = await import('node:fs');
    fs.writeSync = write as typeof writeSync;
    syncBuiltinESMExports();
    try {
      const outcomes = await Promise.allSettled(['a', 'b', 'c'].map((body) => sendOne(storage, body)));
      expect(outcomes).toMatchObject(Array(3).fill({ reason: { data: { fault: 'storageFailed' } } }));
    } finally {
      fs.writeSync = writeSync;
      syncBuiltinESMExports();
    }
    expect(fatal).toHaveLength(1);
    await stop(storage);
    const { items } = await (await start()).peek({ queue, state: 'all', limit: 10, now });
    expect(items.map(({ body }) => Buffer.from(body).toString())).toEqual(['a', 'b', 'c']);
  });

  describe('on a network file system', () => {
    let restore: () => void = () => undefined;
    afterEach(() => restore());

    const onFileSystem = async (type: number) => {
      const { default: fs, statfsSync } = await import('node:fs');
      fs.statfsSync = ((path: string) => ({ ...statfsSync(path), type })) as typeof statfsSync;
      syncBuiltinESMExports();
      restore = () => {
        fs.statfsSync = statfsSync;
        syncBuiltinESMExports();
      };
    };
    const networked = [
      ['NFS', 0x6969],
      ['SMB', 0x517b],
      ['CIFS', 0xff534d42],
      ['SMB2', 0xfe534d42 - 2 ** 32],
      ['9p', 0x01021997],
      ['FUSE', 0x65735546],
    ] as const;

    it.each(networked)('such as %s does not start', async (name, type) => {
      await onFileSystem(type);
      await expect(start()).rejects.toThrow(StartupError);
      await expect(start()).rejects.toThrow(
        new RegExp(`${directory} is on ${name}, .*SLUICE_ALLOW_NETWORK_FS=true to start all the same`),
      );
      await expect(readdir(directory)).resolves.toEqual([]);
    });

    it('starts when told to, and says so in the log', async () => {
      await onFileSystem(0x6969);
      const log = recordingLog();
      await start({ allowNetworkFileSystem: true, log });
      expect(log.lines).toMatchObject([{ fileSystem: 'NFS', directory }]);
    });

    it.each([
      ['ext4', 0xef53],
      ['xfs', 0x58465342],
      ['overlay', 0x794c7630],
      ['tmpfs', 0x01021994],
    ] as const)('is none of the local ones: %s starts', async (_name, type) => {
      await onFileSystem(type);
      await expect(start()).resolves.toBeDefined();
    });
  });

  it.each([
    ['damaged', (path: string) => writeFile(path, 'not a horizon')],
    ['missing', (path: string) => rm(path)],
  ] as const)('starts when the horizon is %s: then it proves nothing, which the log tells once', async (how, spoil) => {
    const log = recordingLog();
    await stop(await start({ log }));
    expect(log.lines).toEqual([]);
    await spoil(join(directory, 'horizon'));
    await stop(await start({ log }));
    await stop(await start({ log }));
    expect(log.lines).toMatchObject([
      { level: 40, directory, horizon: how, msg: expect.stringMatching(/^the commit horizon is missing or damaged/) },
    ]);
  });

  it('does not believe a horizon whose number was changed on the disk', async () => {
    const log = recordingLog();
    await stop(await start({ log }));
    const path = join(directory, 'horizon');
    const bytes = await readFile(path);
    bytes.writeUInt8(1, 20);
    await writeFile(path, bytes);
    await stop(await start({ log }));
    expect(log.lines).toMatchObject([{ horizon: 'damaged' }]);
  });

  it('is for its owner alone', async () => {
    directory = join(directory, 'of', 'its', 'own');
    const storage = await start();
    await makeQueue(storage);
    const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    expect(await modeOf(directory)).toBe('700');
    expect(await modeOf(join(directory, 'horizon'))).toBe('600');
  });

  it('takes no sends while somebody keeps the log from being emptied beyond 1 GiB, and all else', async () => {
    const storage = await start();
    await makeQueue(storage);
    await sendOne(storage, 'before');
    // Of zeros, which take no room. By another process, since closing the file here would end the locks of this one.
    const log = join(directory, 'sluice.db-wal');
    const setSize = (bytes: number) => execFileSync('truncate', ['-s', String(bytes), log]);
    const { size } = await stat(log);
    setSize(1_073_741_825);
    await expect(sendOne(storage, 'refused')).rejects.toMatchObject({ data: { fault: 'storageFull' } });
    const { messages } = await storage.receive({ queue, limit: 10, bytesMax: 1_000, now });
    expect(messages.map(({ body }) => Buffer.from(body).toString())).toEqual(['before']);
    setSize(Math.max(size, 1_073_741_824));
    await sendOne(storage, 'after');
  });

  it('tells the latest instant that was stored, so that time does not start before it', async () => {
    const storage = await start();
    await makeQueue(storage);
    const later = (now + 3_600_000) as typeof now;
    await storage.send({ queue, drafts: [draftOf('later')], isAtomic: false, now: later });
    await stop(storage);
    expect((await start()).highWaterAt).toBe(later);
  });

  it('keeps the secret of receipt handles over a restart', async () => {
    const storage = await start();
    const secret = Buffer.from(storage.sealSecret).toString('hex');
    await stop(storage);
    const ids = countingIds();
    ids.secret(32);
    expect(Buffer.from((await start({ ids })).sealSecret).toString('hex')).toBe(secret);
  });

  it('is told when the writer thread ends while it has nothing to do, and can still be closed', async () => {
    const threads: Worker[] = [];
    const onWorker = (thread: Worker) => void threads.push(thread);
    process.on('worker', onWorker);
    const storage = await start({ hasOwnThread: true });
    process.off('worker', onWorker);
    await makeQueue(storage);
    const fatal = new Promise<Error>((resolve) => storage.onFatal(resolve));
    await Promise.all(threads.map((thread) => thread.terminate()));
    expect((await fatal).message).toBe('The writer thread ended.');
    expect(storage.health().canWrite).toBe(false);
    await expect(sendOne(storage, 'late')).rejects.toMatchObject({ data: { fault: 'storageFailed' } });
    await stop(storage);
  });

  it('answers each thread what it asked for, however many ask in one commit', async () => {
    const first = await openSqlite({ directory, ids: countingIds(), log: recordingLog(), now, hasOwnThread: true });
    open.push(first);
    await makeQueue(first);
    // While the writer is at work for one, the others wait, and go together then.
    const others = [joinSqlite(first.share(), () => 0), joinSqlite(first.share(), () => 0)];
    const all = [first, ...others];
    const bodyOf = async (storage: Storage, body: string) => {
      const [sent] = await sendOne(storage, body);
      if (sent === undefined || isFault(sent)) throw new Error('It was refused.');
      const message = await storage.findMessage({ queue, messageId: sent.messageId, now });
      return Buffer.from(message?.body ?? '').toString();
    };
    const bodies = Array.from({ length: 50 }, (_, i) => `${i}`);
    const bodiesOf = async (storage: Storage) => {
      const found: string[] = [];
      for (const body of bodies) found.push(await bodyOf(storage, body));
      return found;
    };
    expect(await Promise.all(all.map(bodiesOf))).toEqual(all.map(() => bodies));
    for (const storage of others) await storage.close();
  });

  it('serves with the writer in a thread of its own', async () => {
    const storage = await start({ hasOwnThread: true });
    await makeQueue(storage);
    const body = Buffer.from('....a window into a larger buffer....').subarray(4, 10);
    await storage.send({ queue, drafts: [{ ...draftOf('x'), body }], isAtomic: false, now });
    const { messages } = await storage.receive({ queue, limit: 1, bytesMax: 1_000, now });
    expect(messages.map((message) => Buffer.from(message.body).toString())).toEqual(['a wind']);
    await expect(start({ hasOwnThread: true })).rejects.toThrow(/Another Sluice server/);
  });
});
