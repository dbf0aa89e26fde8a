/**
 * Looks at data from outside a server: a folder that may or may not be served just now, or one file, such as a backup.
 *
 * Through SQLite alone and in a process of its own, whose locks are its own: the server's stay. A look writes nothing;
 * but while it lasts the write-ahead log of a busy server cannot be begun anew, and grows.
 */
import Database from 'better-sqlite3';
import { readMigrations } from '../migrate.ts';
import { StartupError } from '../startup-error.ts';
import {
  databasePath,
  type HorizonTrouble,
  horizonTrouble,
  isDirectory,
  isServed,
  readHorizon,
} from './data-directory.ts';
import type { Db } from './database.ts';
import type { Examination } from './doctor.ts';

export type Look = {
  /** The file of the database. */
  readonly path: string;
  readonly db: Db;
  /** As it was before the look began; undefined for a file on its own, or when it is damaged. */
  readonly horizon: Examination['horizon'];
  /** Of a folder whose horizon proves nothing. */
  readonly horizonTrouble: HorizonTrouble | undefined;
  readonly isServed: boolean;
  readonly close: () => void;
};

/** Long enough for a server that starts or ends meanwhile. */
const busyMs = 5_000;

/**
 * @param place a folder of data, or a file
 * @throws StartupError when there is nothing that this program can read
 */
export function openToLook(place: string): Look {
  const isFolder = isDirectory(place);
  const path = isFolder ? databasePath(place) : place;
  // Before the database, so that no commit is missed that nobody promised.
  const horizon = isFolder ? readHorizon(place) : undefined;
  const db = openUntrusted(path);
  try {
    requireThisSchema(db, path);
    return {
      path,
      db,
      horizon,
      horizonTrouble: isFolder ? horizonTrouble(place) : undefined,
      isServed: isFolder && isServed(place),
      close: () => db.close(),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A file that somebody else may have made: nothing in its schema is run. @throws StartupError */
export function openUntrusted(path: string): Db {
  let db: Db | undefined;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true, timeout: busyMs });
    db.pragma('trusted_schema = OFF');
    db.pragma('cell_size_check = ON');
    // The first page is read only now.
    db.prepare('select count(*) from sqlite_schema').get();
    return db;
  } catch (error) {
    db?.close();
    throw new StartupError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`, {
      cause: error,
    });
  }
}

/** The migrations that the data have had. @throws StartupError for a file that is not Sluice's */
export function migrationsOf(db: Db, path: string): readonly number[] {
  const isOurs = db.prepare("select 1 from sqlite_schema where type = 'table' and name = 'migrations'").get();
  if (isOurs === undefined) throw new StartupError(`${path} holds no data of Sluice.`);
  return db.prepare<[], number>('select number from migrations order by number').pluck().all();
}

function requireThisSchema(db: Db, path: string): void {
  const newest = readMigrations('sqlite').at(-1)?.number ?? 0;
  const its = migrationsOf(db, path).at(-1) ?? 0;
  if (its === newest) return;
  throw new StartupError(
    its > newest
      ? `${path} was written by a newer version of Sluice (its schema is at ${its}, this program knows ${newest}). Use that version or a later one.`
      : `${path} was written by an older version of Sluice (its schema is at ${its}, this program needs ${newest}). Start a server on it once, which brings it up to date.`,
  );
}
