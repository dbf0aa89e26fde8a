/**
 * Opens SQLite connections the one way that keeps our promises, and proves it before anything is accepted.
 *
 * better-sqlite3 is compiled so that `synchronous` falls back to NORMAL after the first write and on every reopen:
 * a commit would then survive kill -9 but not a power cut. It is set on every connection and read back after a write.
 *
 * Statements of the hot paths write their parameters as `@limit + 0` or `@groupId || ''`. SQLite's planner looks at the
 * value of a bare one that is compared with a column or limits a query, and then compiles the statement anew each time
 * another is bound, even an equal one: 65 instead of 5 microseconds for a receive. An expression is not looked at.
 */
import Database from 'better-sqlite3';
import { type Migration, migrate } from '../migrate.ts';
import { StartupError } from '../startup-error.ts';

export type Db = Database.Database;

/** The first version without the WAL-reset bug. @see https://www.sqlite.org/releaselog/3_51_3.html */
const sqliteVersionMin = [3, 51, 3] as const;
/** Pages of the write-ahead log after which SQLite copies it by itself, within a commit: 64 MiB. Checkpoints between two
 *  batches come first, unless something keeps them from it. */
const autoCheckpointPages = 16_384;
/** A log that a long read of somebody's made longer shrinks to so much when it is written from the beginning again. */
const walBytesKept = 67_108_864;
/** How long the writer waits for a foreign process (an operator's shell) to end its transaction. */
const writerBusyMs = 5_000;
const readerBusyMs = 50;

/** The connection that all writes go through. @param path a file, or `:memory:` */
export function openWriter(path: string): Db {
  const db = new Database(path, { timeout: writerBusyMs });
  refuseOldSqlite(db);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma(`wal_autocheckpoint = ${autoCheckpointPages}`);
  db.pragma(`journal_size_limit = ${walBytesKept}`);
  db.pragma('foreign_keys = ON');
  db.pragma('trusted_schema = OFF');
  db.pragma('temp_store = MEMORY');
  // 8 MiB. What is not in it is in the page cache of the system, one copy away.
  db.pragma('cache_size = -8192');
  return db;
}

/** A connection for reads in short transactions of their own. */
export function openReader(path: string): Db {
  const db = new Database(path, { readonly: true, timeout: readerBusyMs });
  db.pragma('query_only = ON');
  db.pragma('trusted_schema = OFF');
  db.pragma('cache_size = -2048');
  // A reader never writes and never checkpoints, but the rule has no exception: see the top of this file.
  db.pragma('synchronous = FULL');
  return db;
}

/** Brings the schema up to date. @throws StartupError when the data is newer than the program */
export function migrateDatabase(db: Db, migrations: readonly Migration[]): void {
  const applied = (): readonly number[] =>
    db.prepare("select 1 from sqlite_schema where name = 'migrations'").get() === undefined
      ? []
      : db
          .prepare<[], { number: number }>('select number from migrations order by number')
          .all()
          .map((row) => row.number);
  migrate(
    {
      applied,
      apply: (migration) => {
        const run = db.transaction(() => {
          db.exec('create table if not exists migrations (number integer primary key, name text not null) strict');
          if (applied().includes(migration.number)) return;
          db.prepare('insert into migrations (number, name) values (?, ?)').run(migration.number, migration.name);
          db.exec(migration.sql);
        });
        run.immediate();
      },
    },
    migrations,
  );
}

/** To be called after a write. @throws StartupError when a commit would not wait for the disk */
export function proveSynchronous(db: Db): void {
  const mode = db.pragma('synchronous', { simple: true });
  if (mode !== 2) {
    throw new StartupError(
      `SQLite runs with synchronous=${String(mode)} instead of FULL (2); a commit would not be safe.`,
    );
  }
}

function refuseOldSqlite(db: Db): void {
  const version = String(db.prepare('select sqlite_version()').pluck().get());
  const parts = version.split('.').map(Number);
  for (const [i, least] of sqliteVersionMin.entries()) {
    const part = parts[i] ?? 0;
    if (part > least) return;
    if (part < least) throw new StartupError(`SQLite ${version} is older than ${sqliteVersionMin.join('.')}.`);
  }
}
