/**
 * Runs `migrations/<engine>/NNNN_what.sql` in order, each once, in one transaction each.
 *
 * The runner writes a migration's own row first, so two starters meet there and one waits. Data that a newer program
 * wrote is refused untouched.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { inPackage } from '../package.ts';
import { StartupError } from './startup-error.ts';

export type Migration = { readonly number: number; readonly name: string; readonly sql: string };

/** What an engine must be able to do to be migrated. */
export type Migratable = {
  /** The migrations that the data has had, by number; empty for new data. */
  readonly applied: () => readonly number[];
  /** Records the migration and runs its SQL, atomically. */
  readonly apply: (migration: Migration) => void;
};

/** The migrations of an engine, in order. The folder lies at the top of the package, beside src and dist. */
export function readMigrations(engine: string): readonly Migration[] {
  const folder = inPackage(`migrations/${engine}/`);
  return readdirSync(folder)
    .filter((file) => /^\d{4}_\w+\.sql$/.test(file))
    .sort()
    .map((file) => ({
      number: Number(file.slice(0, 4)),
      name: file.slice(5, -4),
      sql: readFileSync(new URL(file, folder), 'utf8'),
    }));
}

/** @returns how many were run. @throws StartupError when the data is newer than the program */
export function migrate(target: Migratable, migrations: readonly Migration[]): number {
  const applied = new Set(target.applied());
  const newest = migrations.at(-1)?.number ?? 0;
  const foreign = [...applied].find((number) => number > newest);
  if (foreign !== undefined) {
    throw new StartupError(
      `The data was written by a newer version of Sluice (its schema is at ${foreign}, this program knows ${newest}). Start that version or a later one; nothing was changed.`,
    );
  }
  const missing = migrations.filter(({ number }) => !applied.has(number));
  for (const migration of missing) target.apply(migration);
  return missing.length;
}
