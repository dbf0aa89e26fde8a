/** The SQLite engine: one writer that commits in groups, and reads beside it, in one thread or several. */
import type { MessagePort } from 'node:worker_threads';
import type { Logger } from 'pino';
import type { Instant } from '../../domain/instant.ts';
import { type Draft, messageBytes } from '../../domain/message.ts';
import type { Ids } from '../../ids.ts';
import type { Change, CommitNotice, ReadyNotice, Storage, StorageHealth } from '../port.ts';
import {
  databasePath,
  hasDatabase,
  horizonTrouble,
  networkFileSystem,
  readHorizon,
  walBytes,
} from './data-directory.ts';
import { type Db, openReader } from './database.ts';
import { brokenPromises, doctorOf } from './doctor.ts';
import { createReads } from './reads.ts';
import { usedBytes } from './store.ts';
import { type Executor, executeHere, executeInThread, executeThrough, type Opened, Writer } from './writer.ts';

export type SqliteOptions = {
  /** The data directory, made if need be; or `:memory:` for data that ends with the process. */
  readonly directory: string;
  readonly ids: Ids;
  readonly log: Logger;
  /** The wall clock at start. */
  readonly now: Instant;
  /** Bytes of data beyond which sends are refused. */
  readonly dataBytesMax?: number | undefined;
  readonly acceptDataLoss?: boolean | undefined;
  readonly allowNetworkFileSystem?: boolean | undefined;
  /** Run the writer in a thread of its own, with chance of its own: for a server. Default: in this thread. */
  readonly hasOwnThread?: boolean;
  /** Milliseconds for measuring. */
  readonly elapsedMs?: () => number;
};

/** What another thread of this process needs to use the same data; to be sent with `port` in the list of transfers. */
export type SqliteShare = Opened & { readonly directory: string; readonly port: MessagePort };

export type SqliteStorage = Storage & {
  /** A share for one more thread. @throws Error where the writer has no thread of its own */
  readonly share: () => SqliteShare;
};

/** @throws StartupError when the directory is in use or not on a local disk, the data is newer than the program, or commits are missing */
export async function openSqlite(options: SqliteOptions): Promise<SqliteStorage> {
  const { directory, ids, log, now, dataBytesMax, acceptDataLoss, allowNetworkFileSystem } = options;
  const isFile = directory !== ':memory:';
  const settings = { directory, now, dataBytesMax, acceptDataLoss, allowNetworkFileSystem };
  // New data have none yet.
  const trouble = isFile && hasDatabase(directory) ? horizonTrouble(directory) : undefined;
  const isThreaded = isFile && options.hasOwnThread === true;
  const executor = isThreaded ? await executeInThread(settings) : executeHere({ ...settings, ids });
  if (isFile) warnOfNetworkFileSystem(directory, log);
  if (trouble !== undefined) log.warn({ directory, horizon: trouble }, unprovenWords);
  const engine = createEngine(executor, isFile ? directory : undefined, options.elapsedMs ?? (() => 0));
  return {
    ...engine,
    share() {
      if (executor.join === undefined) throw new Error('The writer is in this thread: no other can use it.');
      const { sealSecret, highWaterAt } = executor;
      return { sealSecret, highWaterAt, directory, port: executor.join() };
    },
  };
}

/** The same data in another thread, beside the one that opened them and not longer than that. */
export function joinSqlite({ port, directory, ...opened }: SqliteShare, elapsedMs: () => number): Storage {
  return createEngine(executeThrough(port, opened), directory, elapsedMs);
}

function createEngine(executor: Executor, directory: string | undefined, elapsedMs: () => number): Storage {
  // Data in memory has one connection: reads run between the transactions, which are never open across turns.
  const reader: Db = directory === undefined ? connectionOf(executor) : openReader(databasePath(directory));
  const { listeners, listening } = createListeners();
  const writer = new Writer(executor, listeners, elapsedMs);
  return {
    name: 'sqlite',
    sealSecret: executor.sealSecret,
    highWaterAt: executor.highWaterAt,
    ...createReads(reader),
    ...writesThrough(writer),
    ...listening,
    health: () => healthOf(writer, reader, directory),
    audit: auditOf(reader, directory),
    async close() {
      if (directory !== undefined) reader.close();
      await writer.close();
    },
  };
}

/** Each waits for its turn in a commit. */
const writesThrough = (writer: Writer) =>
  ({
    putQueue: (ask) => writer.submit('putQueue', ask),
    updateQueue: (ask) => writer.submit('updateQueue', ask),
    async deleteQueue(ask) {
      await writer.submit('deleteQueue', ask);
    },
    purgeQueue: (ask) => writer.submit('purgeQueue', ask),
    send: (ask) => writer.submit('send', ask, bytesOf(ask.drafts)),
    receive: (ask) => writer.submit('receive', ask),
    unreceive: (ask) => writer.submit('unreceive', ask),
    settle: (ask) => writer.submit('settle', ask),
    async removeMessage(ask) {
      await writer.submit('removeMessage', ask);
    },
    startRedrive: (ask) => writer.submit('startRedrive', ask),
    cancelTask: (ask) => writer.submit('cancelTask', ask),
    putKey: (ask) => writer.submit('putKey', ask),
    updateKey: (ask) => writer.submit('updateKey', ask),
    rotateKey: (ask) => writer.submit('rotateKey', ask),
    async deleteKey(ask) {
      await writer.submit('deleteKey', ask);
    },
    upkeep: (ask) => writer.submit('upkeep', ask),
  }) satisfies Partial<Storage>;

/** What the writer tells, and how others come to listen to it. */
function createListeners() {
  const ready: ((notice: ReadyNotice) => void)[] = [];
  const commit: ((notice: CommitNotice) => void)[] = [];
  const change: ((change: Change) => void)[] = [];
  const fatal: ((cause: Error) => void)[] = [];
  return {
    listeners: { ready: tellAll(ready), commit: tellAll(commit), change: tellAll(change), fatal: tellAll(fatal) },
    listening: {
      onReady: (listener) => void ready.push(listener),
      onCommit: (listener) => void commit.push(listener),
      onChange: (listener) => void change.push(listener),
      onFatal: (listener) => void fatal.push(listener),
    } satisfies Partial<Storage>,
  };
}

const healthOf = (writer: Writer, reader: Db, directory: string | undefined): StorageHealth => ({
  canWrite: !writer.hasFailed,
  isFull: writer.isFull,
  pendingRequestCount: writer.pendingRequestCount,
  pendingBytes: writer.pendingBytes,
  walBytes: directory === undefined ? 0 : walBytes(directory),
  dataBytes: usedBytes(reader),
  stalledMs: writer.stalledMs,
});

/** The statements are prepared when it is first asked. */
function auditOf(reader: Db, directory: string | undefined): Storage['audit'] {
  let examine: ReturnType<typeof doctorOf> | undefined;
  return async ({ now }) => {
    examine ??= doctorOf(reader);
    const horizon = directory === undefined ? undefined : readHorizon(directory);
    return brokenPromises(examine({ now, horizon }));
  };
}

const tellAll =
  <T>(listeners: readonly ((notice: T) => void)[]) =>
  (notice: T): void => {
    for (const listener of listeners) listener(notice);
  };

function connectionOf({ store }: Executor): Db {
  if (store === undefined) throw new Error('Data in memory lives in this thread.');
  return store.db;
}

const bytesOf = (drafts: readonly Draft[]): number => drafts.reduce((sum, draft) => sum + messageBytes(draft) + 512, 0);

const unprovenWords =
  'the commit horizon is missing or damaged: whether acknowledged commits are missing cannot be told; it begins anew';

function warnOfNetworkFileSystem(directory: string, log: Logger): void {
  const name = networkFileSystem(directory);
  if (name === undefined) return;
  log.warn(
    { directory, fileSystem: name },
    'the data directory is on a file system whose syncs and locks cannot be trusted',
  );
}
