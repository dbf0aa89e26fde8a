/**
 * `npm run bench:micro`: what one operation costs inside, without HTTP.
 *
 * The engine runs alone, in this thread, on a real directory with fsync on: microseconds per message by the number of
 * messages that share a commit, as wall time and as processor time (the difference is mostly the disk). Then what each
 * step of a message's life costs (`cost.ts`), and each codec (`codecs.ts`). `--only engine`, `--only cost` or
 * `--only codecs` prints one of the tables.
 */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { type FaultData, isFault } from '../src/domain/errors.ts';
import type { Receipt } from '../src/domain/message.ts';
import { kindOfName } from '../src/domain/queue.ts';
import type { ReceiveAnswer, Settled } from '../src/storage/port.ts';
import type { Request } from '../src/storage/sqlite/store.ts';
import { codecTable } from './codecs.ts';
import { costTable } from './cost.ts';
import { describeMachine, machineText } from './machine.ts';
import { median } from './numbers.ts';
import { textTable } from './text-table.ts';
import {
  closeTrial,
  deletes,
  openTrial,
  receives,
  run,
  type Shape,
  sends,
  type Trial,
  times,
  walSize,
} from './trial.ts';

const { values: options } = parseArgs({
  options: {
    dir: { type: 'string', default: tmpdir() },
    messages: { type: 'string', default: '6400' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
  },
});
const messagesPerRound = Number(options.messages);
const rounds = Number(options.rounds);

const shapes: readonly Shape[] = [
  { requests: 1, each: 1 },
  { requests: 64, each: 1 },
  { requests: 1, each: 10 },
  { requests: 1, each: 100 },
  { requests: 8, each: 100 },
];
type Cost = { readonly wallUs: number; readonly cpuUs: number };
type Costs = { readonly send: Cost; readonly receive: Cost; readonly delete: Cost };

/** Runs the commits and tells what one message cost; what is made of the answers is not counted. */
function measure(messages: number, commits: readonly (() => void)[]): Cost {
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (const commit of commits) commit();
  const wallUs = (performance.now() - start) * 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { wallUs: wallUs / messages, cpuUs: (user + system) / messages };
}

function oneRound(trial: Trial, shape: Shape, bytes: number, isFifo: boolean): Costs {
  const { store, queue } = trial;
  const perCommit = shape.requests * shape.each;
  const commitsCount = Math.max(1, Math.min(Math.floor(messagesPerRound / perCommit), 1_500));
  const messages = commitsCount * perCommit;
  const sendLists = times(commitsCount, () => sends(queue, shape, bytes, isFifo));
  const send = measure(
    messages,
    sendLists.map((requests) => () => void run(store, requests)),
  );
  const receipts: Receipt[] = [];
  const answers: ReceiveAnswer[] = [];
  const receive = measure(
    messages,
    times(commitsCount, () => () => void answers.push(...(run(store, receives(queue, shape)) as ReceiveAnswer[]))),
  );
  for (const { messages: received } of answers) for (const { receipt } of received) receipts.push(receipt);
  if (receipts.length !== messages) throw new Error(`Sent ${messages} messages, received ${receipts.length}.`);
  const deleteLists: (readonly Request[])[] = [];
  for (let i = 0; i < messages; i += perCommit) {
    deleteLists.push(deletes(queue, shape.each, receipts.slice(i, i + perCommit)));
  }
  const gone = measure(
    messages,
    deleteLists.map((requests) => () => run(store, requests).forEach(mustBeSettled)),
  );
  return { send, receive, delete: gone };
}

function mustBeSettled(outcomes: unknown): void {
  const failed = (outcomes as readonly (Settled | FaultData)[]).find(isFault);
  if (failed !== undefined) throw new Error(`A delete of the micro benchmark failed: ${JSON.stringify(failed)}`);
}

/** Bytes that the lives of so many messages put into the write-ahead log, per message. */
function walBytesPerLife(kind: string, shape: Shape, bytes: number): number {
  const trial = openTrial(options.dir, kind);
  trial.store.db.pragma('wal_checkpoint(TRUNCATE)');
  trial.store.db.pragma('wal_autocheckpoint = 0');
  const perCommit = shape.requests * shape.each;
  const count = Math.max(1, Math.floor(3_200 / perCommit));
  const { store, queue } = trial;
  const isFifo = kindOfName(kind) === 'fifo';
  // A backlog as it is in practice: what is received lies elsewhere than what is sent.
  for (let i = 0; i < 32; i += 1) run(store, sends(queue, { requests: 1, each: 100 }, bytes, isFifo));
  const before = walSize(trial);
  for (let i = 0; i < count; i += 1) {
    run(store, sends(queue, shape, bytes, isFifo));
    const answers = run(store, receives(queue, shape)) as ReceiveAnswer[];
    run(
      store,
      deletes(
        queue,
        shape.each,
        answers.flatMap((answer) => answer.messages.map(({ receipt }) => receipt)),
      ),
    );
  }
  const grown = walSize(trial) - before;
  closeTrial(trial);
  return grown / (count * perCommit);
}

const us = (value: number): string => value.toFixed(1);
const shapeText = ({ requests, each }: Shape): string => `${requests} × ${each}`;

function engineTable(): string {
  const rows: string[][] = [];
  for (const kind of ['standard', 'ordered.fifo']) {
    for (const bytes of [256, 4_096]) {
      for (const shape of shapes) {
        const trial = openTrial(options.dir, kind);
        const isFifo = kindOfName(kind) === 'fifo';
        oneRound(trial, shape, bytes, isFifo);
        const all = times(rounds, () => oneRound(trial, shape, bytes, isFifo));
        closeTrial(trial);
        const cell = (operation: keyof Costs) => {
          const wall = median(all.map((costs) => costs[operation].wallUs));
          const cpu = median(all.map((costs) => costs[operation].cpuUs));
          return `${us(wall)} (${us(cpu)})`;
        };
        rows.push([
          kindOfName(kind),
          `${bytes} B`,
          shapeText(shape),
          cell('send'),
          cell('receive'),
          cell('delete'),
          walBytesPerLife(kind, shape, bytes).toFixed(0),
        ]);
      }
    }
  }
  return textTable(
    ['queue', 'body', 'requests × messages', 'send µs (cpu)', 'receive µs (cpu)', 'delete µs (cpu)', 'WAL bytes/life'],
    rows,
  );
}

const tables: Readonly<Record<string, readonly [about: string, make: () => string]>> = {
  engine: [
    'The engine alone: microseconds per message, wall (processor), median of rounds; one commit each.',
    engineTable,
  ],
  cost: ['What a message costs: each step of its life, per message.', () => costTable(options.dir)],
  codecs: ['Codecs: processor time per call, 256-byte bodies.', () => codecTable(options.dir)],
};
if (options.only !== undefined && !(options.only in tables)) {
  process.stderr.write(`There is no table "${options.only}", but ${Object.keys(tables).join(', ')}.\n`);
  process.exit(2);
}
process.stdout.write(`${machineText(describeMachine(options.dir))}\n`);
for (const [name, [about, make]] of Object.entries(tables)) {
  if (options.only !== undefined && options.only !== name) continue;
  process.stdout.write(`\n${about}\n${make()}\n`);
}
