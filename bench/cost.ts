/**
 * What a message costs: for each step of its life (send, receive, change of visibility, delete) the processor time, the
 * statements, the pages of each table and index that are written, and the bytes in the write-ahead log.
 *
 * The log tells what was written: its frames name the pages, and `dbstat` tells whose they are. A frame is a page of
 * 4,096 bytes and 24 more, however little of the page has changed.
 * @see https://www.sqlite.org/fileformat2.html#walformat
 */
import { readFileSync } from 'node:fs';
import { isFault } from '../src/domain/errors.ts';
import type { Receipt } from '../src/domain/message.ts';
import type { ReceiveAnswer, Settled, Settlement } from '../src/storage/port.ts';
import { databasePath } from '../src/storage/sqlite/data-directory.ts';
import type { Request } from '../src/storage/sqlite/store.ts';
import { median } from './numbers.ts';
import { textTable } from './text-table.ts';
import { closeTrial, now, openTrial, receives, run, sends, type Trial, times, walSize } from './trial.ts';

const bodySizes = [256, 65_536, 1_048_576] as const;
const perCommits = [1, 100] as const;
/** Commits that are looked at, after as many that warm up. */
const commitsCount = 12;
/** So many bytes of other messages wait meanwhile, so that the trees are of more than one page. */
const backlogBytes = 8_388_608;
/** What one commit may carry. */
const commitBytesMax = 8_388_608;

const steps = ['send', 'receive', 'change of visibility', 'delete'] as const;
type Step = (typeof steps)[number];

/** What one commit cost. */
type Cost = {
  readonly cpuUs: number;
  readonly statements: number;
  readonly walBytes: number;
  /** Pages by table or index. */
  readonly pages: ReadonlyMap<string, number>;
};

/** Counts the statements that the trial's connection runs. */
function countStatements({ store }: Trial): () => number {
  let count = 0;
  const prototype = Object.getPrototypeOf(store.db.prepare('select 1'));
  for (const name of ['run', 'get', 'all'] as const) {
    const original = prototype[name] as (this: unknown, ...values: unknown[]) => unknown;
    prototype[name] = function (this: unknown, ...values: unknown[]) {
      count += 1;
      return original.apply(this, values);
    };
  }
  return () => count;
}

const walHeaderBytes = 32;
const frameHeaderBytes = 24;
const pageBytes = 4_096;

/** The pages that were written to the log from there on. */
function pagesFrom({ directory }: Trial, from: number): readonly number[] {
  const log = readFileSync(`${databasePath(directory)}-wal`);
  const pages: number[] = [];
  for (let at = Math.max(from, walHeaderBytes); at < log.byteLength; at += frameHeaderBytes + pageBytes) {
    pages.push(log.readUInt32BE(at));
  }
  return pages;
}

/** Whose page it is; pages that belong to nobody are free ones, or those that list them. */
function ownerOf({ store }: Trial): (page: number) => string {
  const rows = store.db.prepare<[], { page: number; name: string }>('select pageno as page, name from dbstat').all();
  const owners = new Map(rows.map(({ page, name }) => [page, name]));
  return (page) => owners.get(page) ?? 'free pages';
}

function measured(trial: Trial, counted: () => number, commit: () => void): Cost {
  const from = walSize(trial);
  const statementsBefore = counted();
  const cpu = process.cpuUsage();
  commit();
  const { user, system } = process.cpuUsage(cpu);
  const statements = counted() - statementsBefore;
  const owner = ownerOf(trial);
  const pages = new Map<string, number>();
  for (const page of pagesFrom(trial, from)) pages.set(owner(page), (pages.get(owner(page)) ?? 0) + 1);
  return { cpuUs: user + system, statements, walBytes: walSize(trial) - from, pages };
}

const settle = ({ queue }: Trial, settlements: readonly Settlement[]): readonly Request[] => [
  { name: 'settle', ask: { queue, settlements, now: now() } as Request['ask'] },
];

function requireSettled(values: readonly unknown[]): void {
  const failed = values.flat().find((one) => isFault(one as Settled));
  if (failed !== undefined) throw new Error(`A settlement failed: ${JSON.stringify(failed)}`);
}

/** One batch of messages through its life, each step in a commit of its own. */
function oneLife(trial: Trial, counted: () => number, bytes: number, each: number): Record<Step, Cost> {
  const { store, queue } = trial;
  const shape = { requests: 1, each };
  const sending = sends(queue, shape, bytes, false);
  const send = measured(trial, counted, () => void run(store, sending));
  const receipts: Receipt[] = [];
  const receive = measured(trial, counted, () => {
    // An answer holds so many bytes at most: several requests, in one commit.
    const answers = run(store, receives(queue, { requests: receivesNeeded(bytes, each), each })) as ReceiveAnswer[];
    for (const { messages } of answers) for (const { receipt } of messages) receipts.push(receipt);
  });
  const extend = receipts.map((receipt) => ({ does: 'extend', receipt, visibilitySeconds: 60 }) as const);
  const change = measured(trial, counted, () => requireSettled(run(store, settle(trial, extend))));
  const deleted = receipts.map((receipt) => ({ does: 'delete', receipt }) as const);
  const gone = measured(trial, counted, () => requireSettled(run(store, settle(trial, deleted))));
  return { send, receive, 'change of visibility': change, delete: gone };
}

/** Receives of at least one message each, or of as many as fit. */
const receivesNeeded = (bytes: number, each: number): number => (bytes * each > commitBytesMax / 8 ? each : 1);

const median1 = (values: readonly number[], each: number): string => (median(values) / each).toFixed(1);

function rowsOf(place: string, bytes: number, each: number): string[][] {
  const trial = openTrial(place, 'cost');
  trial.store.db.pragma('wal_autocheckpoint = 0');
  const counted = countStatements(trial);
  const backlog = Math.min(3_200, Math.ceil(backlogBytes / bytes));
  for (let i = 0; i < backlog; i += 1) run(trial.store, sends(trial.queue, { requests: 1, each: 1 }, bytes, false));
  times(commitsCount, () => oneLife(trial, counted, bytes, each));
  const lives = times(commitsCount, () => oneLife(trial, counted, bytes, each));
  closeTrial(trial);
  return steps.map((step) => {
    const costs = lives.map((life) => life[step]);
    const of = (pick: (cost: Cost) => number) =>
      median1(
        costs.map((cost) => pick(cost)),
        each,
      );
    return [
      `${bytes.toLocaleString('en-US')} B`,
      String(each),
      step,
      of(({ cpuUs }) => cpuUs),
      of(({ statements }) => statements),
      of(({ walBytes }) => walBytes),
      each === 1 ? pagesText(costs) : '',
    ];
  });
}

/** The pages of the commit that wrote the median number of them. */
function pagesText(costs: readonly Cost[]): string {
  const [typical] = costs.toSorted((a, b) => a.walBytes - b.walBytes).slice(Math.floor(costs.length / 2));
  const pages = [...(typical?.pages ?? [])].sort(([, a], [, b]) => b - a);
  return pages.map(([name, count]) => (count === 1 ? name : `${name} ${count}`)).join(', ');
}

/** @param place where the data lies meanwhile */
export function costTable(place: string): string {
  const rows = bodySizes.flatMap((bytes) =>
    perCommits.filter((each) => bytes * each <= commitBytesMax).flatMap((each) => rowsOf(place, bytes, each)),
  );
  const head = ['body', 'per commit', 'step', 'cpu µs', 'statements', 'WAL bytes', 'pages written'];
  return textTable(head, rows);
}
