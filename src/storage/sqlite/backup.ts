/**
 * Backup and restore, from outside a server.
 *
 * A backup is one SQLite file, written by VACUUM INTO on a read-only connection in a process of its own: a consistent copy
 * of one instant, synced, while the server's writer goes on. SQLite's own backup would begin again at every commit of
 * the server. The file gets its name when it was found whole; no file that is there is ever written to.
 *
 *     backup:   <file> claimed, empty ─▶ <file>.part copied, synced, examined ─▶ renamed to <file>
 *     restore:  <file> compared with the schema ─▶ restoring.db copied, migrated, new epoch, examined ─▶ sluice.db
 *
 * A restored folder starts a new epoch: what was promised after the backup is gone, and must not be mistaken for being
 * there. So the horizon begins anew, receipts given out until now hold no more, and numbers go on beyond any that
 * may have been given since.
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { instant } from '../../domain/instant.ts';
import type { Ids } from '../../ids.ts';
import { readMigrations } from '../migrate.ts';
import { StartupError } from '../startup-error.ts';
import {
  databasePath,
  lockDirectory,
  openHorizon,
  prepareDirectory,
  readHorizon,
  syncDirectory,
} from './data-directory.ts';
import { type Db, migrateDatabase, openWriter, proveSynchronous } from './database.ts';
import { brokenPromises, doctorOf, type Examination } from './doctor.ts';
import { migrationsOf, openToLook, openUntrusted } from './look.ts';

/** What a copy holds. */
export type Copied = {
  readonly path: string;
  readonly commitNumber: number;
  readonly queueCount: number;
  readonly messageCount: number;
  /** Keys whose secrets are sealed under the master key, which is not in the file. */
  readonly accessKeyCount: number;
};

/**
 * Copies the data of a folder, served or not, into a new file.
 * @throws StartupError when the file is there already, the data cannot be read, or the copy is not whole
 */
export function backUp(directory: string, file: string): Copied {
  const path = resolve(file);
  const part = `${path}.part`;
  const look = openToLook(directory);
  try {
    claim(path);
    try {
      if (existsSync(part))
        throw new StartupError(`${part} is there: of another backup, or of one that was broken off.`);
      copyInto(look.db, part);
      const copied = examineCopy(part, { now: instant(0), horizon: look.horizon }, 'The copy');
      renameSync(part, path);
      syncDirectory(dirname(path));
      return { ...copied, path };
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  } finally {
    look.close();
  }
}

/** The name is ours from now on: an empty file that nobody had made before. @throws StartupError */
function claim(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const why = isThere ? 'it is there already, and is not written over' : messageOf(error);
    throw new StartupError(`The backup ${path} cannot be made: ${why}.`, { cause: error });
  }
}

/** A copy of one instant, durable, in a file that was not there; nothing is left of one that fails. @throws StartupError */
function copyInto(db: Db, path: string): void {
  // For its owner alone before there is anything in it.
  closeSync(openSync(path, 'wx', 0o600));
  try {
    db.prepare('vacuum into ?').run(path);
    syncFile(path);
  } catch (error) {
    rmSync(path, { force: true });
    throw new StartupError(`The data cannot be copied: ${messageOf(error)}.`, { cause: error });
  }
}

/** @throws StartupError when the copy is not whole; then it is removed */
function examineCopy(path: string, ask: Examination, what: string): Copied {
  const db = openUntrusted(path);
  let isWhole = false;
  try {
    requireWhole(db, ask, what);
    isWhole = true;
    return countsOf(db, path);
  } finally {
    db.close();
    if (!isWhole) rmSync(path, { force: true });
  }
}

function requireWhole(db: Db, ask: Examination, what: string): void {
  const [first, ...others] = brokenPromises(doctorOf(db)(ask));
  if (first === undefined) return;
  const more = others.length === 0 ? '' : ` And ${others.length} more: see sluice doctor.`;
  throw new StartupError(`${what} is not whole. ${first}.${more}`);
}

function countsOf(db: Db, path: string): Copied {
  const figure = (sql: string): number => db.prepare<[], number>(sql).pluck().get() ?? 0;
  return {
    path,
    commitNumber: figure('select commit_number from engine_state'),
    queueCount: figure('select count(*) from queues'),
    messageCount: figure('select coalesce(sum(message_count), 0) from queue_counters'),
    accessKeyCount: figure('select count(*) from access_keys'),
  };
}

/** What may lie in a folder that a backup is restored into: no data. `lost+found` is brought along by file systems. */
const mayBeThere = /^(?:master\.key|lock\.db(?:-journal)?|lost\+found)$/;

/**
 * Makes a backup the data of a folder in which there are none.
 * @throws StartupError when the folder holds data, or the file is damaged, foreign or of a newer version; then the folder
 *   is as it was
 */
export function restore(file: string, directory: string, ids: Ids): Copied {
  const source = openUntrusted(file);
  try {
    requireOurSchema(source, file);
    const folder = prepareDirectory(directory);
    requireEmpty(folder);
    const unlock = lockDirectory(folder);
    try {
      // Once more, now that nobody else can make anything here.
      requireEmpty(folder);
      return restoreInto(folder, source, ids);
    } catch (error) {
      for (const name of ['restoring.db', 'restoring.db-wal', 'restoring.db-shm', 'horizon']) {
        rmSync(join(folder, name), { force: true });
      }
      throw error;
    } finally {
      unlock();
    }
  } finally {
    source.close();
  }
}

function requireEmpty(folder: string): void {
  const there = readdirSync(folder).filter((name) => !mayBeThere.test(name));
  if (there.length === 0) return;
  throw new StartupError(
    `The folder ${folder} is not empty (${there.slice(0, 3).join(', ')}). Give a new one (--data-dir), or move away what is in it.`,
  );
}

function restoreInto(folder: string, source: Db, ids: Ids): Copied {
  const path = join(folder, 'restoring.db');
  copyInto(source, path);
  const db = openWriter(path);
  try {
    migrateDatabase(db, readMigrations('sqlite'));
    const epoch = beginEpoch(db, ids);
    proveSynchronous(db);
    const copied = countsOf(db, databasePath(folder));
    const horizon = openHorizon(folder, epoch);
    horizon.write(copied.commitNumber);
    horizon.sync();
    horizon.close();
    requireWhole(db, { now: instant(0), horizon: readHorizon(folder) }, 'The backup');
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    // Nobody sees the data before they are whole.
    renameSync(path, databasePath(folder));
    syncDirectory(folder);
    return copied;
  } finally {
    db.close();
  }
}

/** Far more numbers than a server gives between a backup and its loss: 4 billion. */
const numbersSkipped = 2 ** 32;

/** Whatever was given out after the backup, by a server that is no more, fits nothing that will be given out. */
function beginEpoch(db: Db, ids: Ids): Uint8Array {
  const epoch = ids.secret(16);
  db.prepare(
    `update engine_state set epoch = @epoch, seal_secret = @sealSecret, commit_number = commit_number + 1,
                             next_number = next_number + ${numbersSkipped}`,
  ).run({ epoch, sealSecret: ids.secret(32) });
  return epoch;
}

type SchemaRow = { readonly type: string; readonly name: string; readonly sql: string | null };

const schemaOf = (db: Db): ReadonlyMap<string, string> =>
  new Map(
    db
      .prepare<[], SchemaRow>('select type, name, sql from sqlite_schema')
      .all()
      .map(({ type, name, sql }) => [`${type} ${name}`, sql ?? '']),
  );

/**
 * The file's schema must be, to the letter, the one that the migrations it has had make: a trigger or a view in it would
 * be a program of somebody else's. @throws StartupError
 */
function requireOurSchema(db: Db, path: string): void {
  const applied = migrationsOf(db, path);
  const known = readMigrations('sqlite');
  const newest = known.at(-1)?.number ?? 0;
  const last = applied.at(-1) ?? 0;
  if (last > newest) {
    throw new StartupError(
      `${path} was written by a newer version of Sluice (its schema is at ${last}, this program knows ${newest}). Use that version or a later one.`,
    );
  }
  const [there, right] = [schemaOf(db), schemaAfter(known.filter(({ number }) => applied.includes(number)))];
  const differing = [...new Set([...there.keys(), ...right.keys()])].find((key) => there.get(key) !== right.get(key));
  if (differing === undefined) return;
  throw new StartupError(`${path} has another schema than Sluice made it with: see ${differing}. It is not restored.`);
}

function schemaAfter(migrations: ReturnType<typeof readMigrations>): ReadonlyMap<string, string> {
  const db = new Database(':memory:');
  try {
    migrateDatabase(db, migrations);
    return schemaOf(db);
  } finally {
    db.close();
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  fsyncSync(file);
  closeSync(file);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
