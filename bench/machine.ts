/** What was measured on: the machine, its disk, and the versions of what runs. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { median, quantile } from './numbers.ts';

const require = createRequire(import.meta.url);
const versionOf = (name: string): string => {
  const manifest: { readonly version: string } = JSON.parse(
    readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8'),
  );
  return manifest.version;
};
const own: { readonly version: string } = require('../package.json');

export type Machine = ReturnType<typeof describeMachine>;

/** @param directory where the data will lie */
export function describeMachine(directory: string) {
  return {
    at: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    fsyncMs: fsyncMs(directory),
    versions: {
      sluice: own.version,
      node: process.versions.node,
      fastify: versionOf('fastify'),
      'better-sqlite3': versionOf('better-sqlite3'),
      sqlite: sqliteVersion(),
    },
  };
}

export function machineText({ cpu, cores, memoryGiB, system, fsyncMs: fsync, versions }: Machine): string {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}`,
    `disk: fdatasync of 4 KiB p50 ${fsync.p50.toFixed(2)} ms, p99 ${fsync.p99.toFixed(2)} ms`,
    list.join(', '),
  ].join('\n');
}

/** What the disk needs for an append of one page that is waited for. */
function fsyncMs(directory: string): { readonly p50: number; readonly p99: number } {
  const folder = mkdtempSync(join(directory, 'sluice-disk-'));
  const file = openSync(join(folder, 'probe'), 'w');
  const page = Buffer.alloc(4_096, 1);
  const waits: number[] = [];
  for (let i = 0; i < 300; i += 1) {
    writeSync(file, page);
    const start = performance.now();
    fdatasyncSync(file);
    waits.push(performance.now() - start);
  }
  closeSync(file);
  rmSync(folder, { recursive: true, force: true });
  return { p50: median(waits), p99: quantile(waits, 0.99) };
}

function sqliteVersion(): string {
  const db = new Database(':memory:');
  const version = String(db.prepare('select sqlite_version()').pluck().get());
  db.close();
  return version;
}
