/**
 * The single writer: runs lists of requests, each list in one transaction and so with one wait for the disk.
 *
 * A request that is refused does not fail its neighbours: refusals come before the first write. When something
 * unexpected happens in the middle, the whole transaction is rolled back and every request runs again on its own, so
 * that only the culprit fails. When the disk does not do what it should, nothing is tried again: whether the commit
 * happened is unknown, and a restart finds out.
 */
import Database from 'better-sqlite3';
import { Fault, type FaultData, fault } from '../../domain/errors.ts';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { bytesOfAll } from '../../domain/message.ts';
import type { Ids } from '../../ids.ts';
import { readMigrations } from '../migrate.ts';
import type { Change, ReadyNotice, ReceiveAnswer } from '../port.ts';
import { StartupError } from '../startup-error.ts';
import { receiveAttempts } from './attempts.ts';
import { createCheckpoints } from './checkpoints.ts';
import {
  databasePath,
  type Horizon,
  lockDirectory,
  openHorizon,
  openReserve,
  prepareDirectory,
  type Reserve,
  readHorizon,
  requireLocalFileSystem,
  walBytes,
} from './data-directory.ts';
import { type Db, migrateDatabase, openWriter, proveSynchronous } from './database.ts';
import { delayChanges } from './delays.ts';
import { groupRows } from './groups.ts';
import { idempotencyKeys } from './idempotency.ts';
import { keyOperations } from './keys.ts';
import { Ledger, type StateRow } from './ledger.ts';
import { messageRows } from './messages.ts';
import { queueOperations } from './queues.ts';
import { receiveOperation } from './receive.ts';
import { redriveOperations } from './redrive.ts';
import { redriveWalk } from './redrive-walk.ts';
import { sendOperation } from './send.ts';
import { settleOperations } from './settle.ts';
import { FairShares } from './shares.ts';
import { upkeepOperation } from './upkeep.ts';

export type StoreOptions = {
  /** A folder of its own, or `:memory:`. */
  readonly directory: string;
  readonly ids: Ids;
  /** The wall clock at start. */
  readonly now: Instant;
  /** Bytes of data beyond which sends are refused; absent: as much as the disk has. */
  readonly dataBytesMax?: number | undefined;
  /** Start although acknowledged commits are missing. */
  readonly acceptDataLoss?: boolean | undefined;
  /** Start although the file system's locks and syncs cannot be trusted. */
  readonly allowNetworkFileSystem?: boolean | undefined;
};

export type Operations = ReturnType<typeof createOperations>;
export type OperationName = keyof Operations;
export type Request = { readonly name: OperationName; readonly ask: { readonly now: Instant } };

/** What became of a request: its value, why it was refused, that it must be asked again, or that nobody knows. */
export type Outcome =
  | { readonly does: 'value'; readonly value: unknown }
  | { readonly does: 'refuse'; readonly fault: FaultData }
  /** Not run: the others have given out as much as one commit may. */
  | { readonly does: 'later' }
  /** A mistake of ours: nothing was changed. */
  | { readonly does: 'break'; readonly message: string };

export type BatchAnswer = {
  readonly outcomes: readonly Outcome[];
  readonly ready: readonly ReadyNotice[];
  readonly changes: readonly Change[];
  readonly isFull: boolean;
};

/** The engine cannot be trusted any more: what was in hand is unknown. */
export class FatalError extends Error {
  override readonly name = 'FatalError';
}

export type Store = {
  readonly db: Db;
  readonly state: StateRow;
  /** Runs the requests in order, in one commit. @throws FatalError */
  readonly run: (requests: readonly Request[]) => BatchAnswer;
  /** To be called when a batch was answered: what need not be waited for. @throws FatalError */
  readonly afterBatch: () => void;
  readonly close: () => void;
};

/** Operations that make the data grow: refused while the disk is full. */
const growing: ReadonlySet<OperationName> = new Set(['send', 'putQueue', 'startRedrive']);

/** How often a full disk is looked at again. */
const spaceTriedEveryMs = 1_000;
/** So much room inside the file is enough to take sends again. */
const freePageBytesEnough = 33_554_432;
/** The write-ahead log is emptied every 16 MiB, unless a foreign reader holds on to it. */
const walBytesMax = 1_073_741_824;

/** SQLite says so when it rolled back for want of space; the file is sound. */
const fullCodes = new Set(['SQLITE_FULL']);
/** Nothing happened: somebody else holds the file, or it cannot be written to. */
const refusedCodes = /^SQLITE_(BUSY|LOCKED|READONLY)/;
/** The disk or the file is not what it should be. */
const fatalCodes = /^SQLITE_(IOERR|CORRUPT|NOTADB|CANTOPEN|NOMEM|PROTOCOL|INTERNAL|MISUSE)/;

const codeOf = (error: unknown): string => (error instanceof Database.SqliteError ? error.code : '');

function createOperations(db: Db, ledger: Ledger, ids: Ids) {
  const groups = groupRows(db, ledger);
  const shares = new FairShares();
  const rows = messageRows(db, ledger, groups, shares);
  const keys = idempotencyKeys(db);
  const redrive = redriveOperations(db, ledger, redriveWalk(db, ledger, rows, ids), keys);
  const delays = delayChanges(db, ledger, groups);
  const queues = queueOperations(db, ledger, delays);
  const upkeep = upkeepOperation(db, ledger, rows, redrive, delays);
  return {
    ...queues,
    updateQueue: (ask: Parameters<typeof queues.updateQueue>[0]) => {
      upkeep.expectWalk();
      return queues.updateQueue(ask);
    },
    ...sendOperation(db, ledger, rows, keys, ids),
    ...receiveOperation(db, { ledger, rows, groups, attempts: receiveAttempts(db), shares }),
    ...settleOperations(db, ledger, rows),
    startRedrive: redrive.startRedrive,
    cancelTask: redrive.cancelTask,
    ...keyOperations(db, ledger),
    upkeep: upkeep.upkeep,
  };
}

/** Opens the data, brings its schema up to date and proves that it is whole. @throws StartupError */
export function openStore(options: StoreOptions): Store {
  const isFile = options.directory !== ':memory:';
  const directory = isFile ? prepareDirectory(options.directory) : undefined;
  if (directory !== undefined && options.allowNetworkFileSystem !== true) requireLocalFileSystem(directory);
  const unlock = directory === undefined ? () => undefined : lockDirectory(directory);
  try {
    return openLocked(options, directory, unlock);
  } catch (error) {
    unlock();
    if (codeOf(error) === '') throw error;
    throw new StartupError(`The data cannot be opened: ${error instanceof Error ? error.message : String(error)}.`, {
      cause: error,
    });
  }
}

function openLocked(options: StoreOptions, directory: string | undefined, unlock: () => void): Store {
  const db = openWriter(directory === undefined ? ':memory:' : databasePath(directory));
  migrateDatabase(db, readMigrations('sqlite'));
  ensureState(db, options);
  if (directory !== undefined) proveSynchronous(db);
  const state = db
    .prepare<[], StateRow>(
      `select commit_number as commitNumber, epoch, next_number as nextNumber, high_water_at as highWaterAt,
              seal_secret as sealSecret from engine_state`,
    )
    .get();
  if (state === undefined) throw new Error('engine_state has no row.');
  const horizon = directory === undefined ? undefined : startHorizon(directory, state, options.acceptDataLoss === true);
  const reserve = directory === undefined ? undefined : openReserve(directory);
  return createStore(db, state, options, { directory, horizon, reserve, unlock });
}

/** The first commit of new data; on old data a write all the same, since `synchronous` shows only after one. */
function ensureState(db: Db, { ids, now }: StoreOptions): void {
  db.transaction(() => {
    db.prepare(
      `insert into engine_state (id, commit_number, epoch, next_number, high_water_at, seal_secret)
       values (1, 0, ?, 1, ?, ?) on conflict do nothing`,
    ).run(ids.secret(16), now, ids.secret(32));
    db.prepare('update engine_state set high_water_at = max(high_water_at, ?)').run(now);
  }).immediate();
}

/** @throws StartupError when commits that were acknowledged are not there */
function startHorizon(directory: string, state: StateRow, acceptDataLoss: boolean): Horizon {
  const past = readHorizon(directory);
  const isOther = past !== undefined && !past.epoch.equals(state.epoch);
  const isBehind = past !== undefined && !isOther && past.commitNumber > state.commitNumber;
  if ((isOther || isBehind) && !acceptDataLoss) {
    const what = isOther
      ? 'The database is not the one that was served from this directory'
      : `The database ends at commit ${state.commitNumber}, but commit ${past?.commitNumber} was acknowledged`;
    throw new StartupError(
      `${what}: acknowledged messages are missing. Put the right files (sluice.db and sluice.db-wal) back, or start once with --accept-data-loss.`,
    );
  }
  const horizon = openHorizon(directory, state.epoch);
  horizon.write(state.commitNumber);
  horizon.sync();
  return horizon;
}

/** What lies beside the database; nothing where the data is in memory. */
type Surroundings = {
  readonly directory: string | undefined;
  readonly horizon: Horizon | undefined;
  readonly reserve: Reserve | undefined;
  readonly unlock: () => void;
};

function createStore(
  db: Db,
  state: StateRow,
  options: StoreOptions,
  { directory, horizon, reserve, unlock }: Surroundings,
): Store {
  const ledger = new Ledger(db);
  // Names that come from another thread are new strings each time, by which V8 cannot keep a lookup in an object short.
  const operations = new Map(Object.entries(createOperations(db, ledger, options.ids)));
  const begin = db.prepare('begin immediate');
  const commit = db.prepare('commit');
  const rollback = db.prepare('rollback');
  const totalChanges = db.prepare<[], number>('select total_changes()').pluck();
  const checkpoint = createCheckpoints(db);
  /** What waiting receivers are to be told, of every commit of the batch. */
  const ready: ReadyNotice[] = [];
  const changes: Change[] = [];
  /** Message bytes that the receives of this transaction gave out. */
  let givenBytes = 0;
  let isFull = false;
  let spaceTriedAt = 0;
  let hasReserve = false;
  let isBroken = false;

  const store: Store = {
    db,
    state,
    run(requests) {
      if (isBroken) throw new FatalError('The engine has failed before.');
      tryToRecoverSpace(requests);
      givenBytes = 0;
      const outcomes = isAtLimit() ? runWithout(requests, growing) : runAll(requests);
      return { outcomes, ready: ready.splice(0), changes: changes.splice(0), isFull: isFull || isAtLimit() };
    },
    afterBatch() {
      if (horizon === undefined || isBroken || !db.open) return;
      try {
        if (checkpoint()) horizon.sync();
      } catch (error) {
        // No room for the copy, or somebody else at it: the log stays, and is copied later.
        if (fullCodes.has(codeOf(error)) || refusedCodes.test(codeOf(error))) return;
        isBroken = true;
        throw new FatalError('A checkpoint failed.', { cause: error });
      }
    },
    close() {
      if (!isBroken) {
        db.pragma('wal_checkpoint(TRUNCATE)');
        horizon?.sync();
      }
      db.close();
      horizon?.close();
      unlock();
    },
  };
  return store;

  function runAll(requests: readonly Request[]): readonly Outcome[] {
    if (isFull && requests.some(({ name }) => growing.has(name))) return runWithout(requests, growing);
    try {
      return runTogether(requests);
    } catch (error) {
      undo(error);
      if (fullCodes.has(codeOf(error))) return runInFullDisk(requests);
      if (refusedCodes.test(codeOf(error))) return requests.map(() => refuse(fault('overloaded', {})));
      if (requests.length > 1) return requests.flatMap((request) => runAll([request]));
      return [{ does: 'break', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }];
    }
  }

  function runTogether(requests: readonly Request[]): readonly Outcome[] {
    begin.run();
    const changesBefore = totalChanges.get() ?? 0;
    const outcomes = requests.map(runOne);
    ledger.flush();
    if (totalChanges.get() === changesBefore) {
      // Nothing to make durable: an empty receive costs no wait for the disk.
      commit.run();
      return outcomes;
    }
    const commitNumber = ledger.close();
    commit.run();
    afterCommit(commitNumber);
    return outcomes;
  }

  /** Past the commit nothing may be run again: it is done, and a horizon that cannot tell so ends the engine. */
  function afterCommit(commitNumber: number): void {
    try {
      ready.push(...ledger.takeReady());
      changes.push(...ledger.takeChanges());
      horizon?.write(commitNumber);
    } catch (cause) {
      isBroken = true;
      throw new FatalError('The horizon could not be written after a commit.', { cause });
    }
  }

  function runOne({ name, ask }: Request): Outcome {
    if (name === 'receive' && givenBytes >= limits.commitGivenBytesMax) return later;
    const now = ledger.startOperation(ask.now);
    try {
      const operation = operations.get(name) as (ask: unknown) => unknown;
      const value = operation(now === ask.now ? ask : { ...ask, now });
      if (name === 'receive') givenBytes += bytesOfAll((value as ReceiveAnswer).messages);
      return { does: 'value', value };
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      if (ledger.isTouched) throw new Error(`${name} was refused after it had begun to write.`, { cause: error });
      return refuse(error.data);
    }
  }

  /** Back to before the transaction. @throws FatalError when whether it was committed is unknown */
  function undo(error: unknown): void {
    if (error instanceof FatalError) throw error;
    if (fatalCodes.test(codeOf(error))) {
      isBroken = true;
      throw new FatalError(`SQLite failed with ${codeOf(error)}.`, { cause: error });
    }
    if (db.inTransaction) rollback.run();
    givenBytes = 0;
    ledger.reset();
  }

  /** Gives back the reserve, refuses what makes the data grow and does the rest. */
  function runInFullDisk(requests: readonly Request[]): readonly Outcome[] {
    const wasFull = isFull;
    isFull = true;
    hasReserve = false;
    spaceTriedAt = requests[0]?.ask.now ?? 0;
    reserve?.release();
    if (!wasFull) return runWithout(requests, growing);
    return requests.map(() => refuse(fault('storageFull', {})));
  }

  function runWithout(requests: readonly Request[], refused: ReadonlySet<OperationName>): readonly Outcome[] {
    const rest = requests.filter(({ name }) => !refused.has(name));
    const outcomes = rest.length === 0 ? [] : runAll(rest);
    let next = 0;
    return requests.map(({ name }) =>
      refused.has(name) ? refuse(fault('storageFull', {})) : orMissing(outcomes[next++]),
    );
  }

  /** The data's own limit is reached; or somebody's long read keeps the write-ahead log from being emptied. */
  function isAtLimit(): boolean {
    const isTooLarge = options.dataBytesMax !== undefined && usedBytes(db) >= options.dataBytesMax;
    return isTooLarge || (directory !== undefined && walBytes(directory) > walBytesMax);
  }

  /** Space is looked for when requests come, not too often: sends go on within seconds after there is room again. */
  function tryToRecoverSpace(requests: readonly Request[]): void {
    const now = requests[0]?.ask.now ?? 0;
    if ((!isFull && hasReserve) || now < spaceTriedAt + spaceTriedEveryMs) return;
    spaceTriedAt = now;
    hasReserve = reserve?.restore() ?? true;
    // The file does not shrink: what was deleted makes room inside it, also where the file system has none.
    if (hasReserve || freePageBytes(db) >= freePageBytesEnough) isFull = false;
  }
}

const figure = (db: Db, name: 'page_count' | 'freelist_count' | 'page_size'): number =>
  Number(db.pragma(name, { simple: true }));

/** Bytes in the file that wait to be used again. */
const freePageBytes = (db: Db): number => figure(db, 'freelist_count') * figure(db, 'page_size');

/** Bytes in use in the file; free pages do not count. */
export const usedBytes = (db: Db): number => figure(db, 'page_count') * figure(db, 'page_size') - freePageBytes(db);

const refuse = (data: FaultData): Outcome => ({ does: 'refuse', fault: data });
const later: Outcome = { does: 'later' };

function orMissing<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('A request has no outcome.');
  return value;
}
