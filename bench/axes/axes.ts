/**
 * `npm run bench:axes`: how cost grows with what gets larger, measured as `npm run bench` measures. Each axis gives a
 * table and a plot. Nothing here passes or fails: the promises are the rows of `npm run bench`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Context } from '../context.ts';
import { describeMachine, machineText } from '../machine.ts';
import { median, shown } from '../numbers.ts';
import { type Driven, projectPath } from '../processes.ts';
import { textTable } from '../text-table.ts';
import { plotSvg } from './plot.ts';
import { type Axis, axes } from './table.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    messages: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    patience: { type: 'string', default: '300' },
    dir: { type: 'string', default: join(projectPath, 'data') },
    plots: { type: 'string' },
    json: { type: 'string', default: join(projectPath, 'bench/results/axes.json') },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const usage = `npm run bench:axes -- [options]

  --only AXIS     one axis; may be given more than once (${axes.map(({ name }) => name).join(', ')})
  --quick         fewer and shorter rounds, 100,000 messages that wait; plots go beside the JSON
  --messages N    messages that wait, at most (1,000,000; quick: 100,000)
  --rounds N      rounds of each load (5; quick: 2)
  --seconds N     measured seconds of each run (3; quick: 1)
  --patience N    seconds to wait, in all, for other programs of the machine to be quiet (300)
  --dir PATH      where the data lies; must be on a disk (./data)
  --plots PATH    where the plots go (bench/plots; quick: bench/results/plots)
  --json PATH     where the JSON goes (bench/results/axes.json)
`;
const unknown = [...positionals, ...(values.only ?? []).filter((name) => !axes.some((axis) => axis.name === name))];
if (values.help || unknown.length > 0) {
  process.stderr.write(unknown.length > 0 ? `Unknown: ${unknown.join(', ')}\n\n${usage}` : usage);
  process.exit(values.help ? 0 : 2);
}

const seconds = Number(values.seconds ?? (values.quick ? 1 : 3));
const plotsFolder = resolve(values.plots ?? join(projectPath, values.quick ? 'bench/results/plots' : 'bench/plots'));
const context = await Context.open({
  rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
  seconds,
  warmSeconds: Math.min(1, seconds / 2),
  warmUpRounds: 3,
  connections: 64,
  manyMessages: Number(values.messages ?? (values.quick ? 100_000 : 1_000_000)),
  bodyBytes: 256,
  directory: resolve(values.dir),
  logLevel: 'info',
  patienceSeconds: Number(values.patience),
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    context.close();
    process.exit(1);
  });
}

type Point = {
  readonly series: string;
  readonly x: string;
  readonly perSecond: number;
  /** Against the first point of the same line, in the same round. */
  readonly ofFirst: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly serverUs: number;
};
type Measured = { readonly axis: Axis; readonly points: readonly Point[]; readonly leftOut: string | undefined };

async function measure(axis: Axis): Promise<Measured> {
  const { cells, servers, leftOut } = await axis.prepare(context);
  const named = cells.map((cell) => ({ ...cell, key: `${cell.series}, ${cell.x}` }));
  const loads = Object.fromEntries(named.map(({ key, drive }) => [key, drive]));
  const rounds: Readonly<Record<string, readonly Driven[]>> = await context.interleave(axis.name, 'unit', loads);
  for (const server of servers) await context.stop(server);
  const points = named.map(({ series, x, key }): Point => {
    const own = rounds[key] ?? [];
    const first = rounds[named.find((cell) => cell.series === series)?.key ?? key] ?? [];
    const of = (pick: (one: Driven) => number) => median(own.map(pick));
    return {
      series,
      x,
      perSecond: of(({ unitsPerSecond }) => unitsPerSecond),
      ofFirst: median(own.map((one, i) => one.unitsPerSecond / (first[i]?.unitsPerSecond ?? Number.NaN))),
      p50Ms: of(({ p50Ms }) => p50Ms),
      p99Ms: of(({ p99Ms }) => p99Ms),
      serverUs: of(({ server, unitsPerSecond }) => ((server.main + server.otherThreads) * 1e6) / unitsPerSecond),
    };
  });
  return { axis, points, leftOut };
}

function tableOf({ axis, points, leftOut }: Measured): string {
  const head = ['work', axis.x, '/s', 'of the first', 'p50 ms', 'p99 ms', 'server µs'];
  const sorted = [...Map.groupBy(points, ({ series }) => series).values()].flat();
  const rows = sorted.map(({ series, x, perSecond, ofFirst, p50Ms, p99Ms, serverUs }) => [
    series,
    x,
    shown(perSecond),
    ofFirst.toFixed(2),
    shown(p50Ms),
    shown(p99Ms),
    shown(serverUs),
  ]);
  const note = leftOut === undefined ? '' : `\nLeft out: ${leftOut}`;
  return `${axis.name}: ${axis.title}\n\n${textTable(head, rows)}${note}`;
}

function plotOf({ axis, points }: Measured, note: string): string {
  const lines = (of: (point: Point) => number) =>
    [...Map.groupBy(points, ({ series }) => series)].map(([name, own]) => {
      return { name, points: own.map((point) => ({ x: point.x, y: of(point) })) };
    });
  const panels = [
    { title: 'per second', lines: lines(({ perSecond }) => perSecond) },
    { title: 'p99 of a request, ms', lines: lines(({ p99Ms }) => p99Ms) },
  ];
  return plotSvg({ title: axis.title, note, x: axis.x, panels });
}

const machine = describeMachine(context.options.directory);
const conditions = [
  context.places.text,
  `${context.options.connections} keep-alive connections, ${context.options.bodyBytes}-byte bodies where the axis does not say otherwise, on disk with fsync`,
  `medians of ${context.options.rounds} interleaved rounds of ${seconds} s after ${context.options.warmSeconds} s of warm-up; a life is sent, received, deleted`,
];
process.stdout.write(`${[machineText(machine), ...conditions].join('\n')}\n`);

mkdirSync(plotsFolder, { recursive: true });
const measured: Measured[] = [];
try {
  for (const axis of axes.filter(({ name }) => values.only?.includes(name) ?? true)) {
    process.stderr.write(`${axis.name}\n`);
    const one = await measure(axis);
    measured.push(one);
    process.stdout.write(`\n${tableOf(one)}\n`);
    const note = `Sluice ${machine.versions.sluice} on ${machine.cpu}, ${machine.cores} cores, ${machine.at.slice(0, 10)}`;
    writeFileSync(join(plotsFolder, `${axis.name}.svg`), plotOf(one, note));
  }
} finally {
  context.close();
}

const doubts = context.doubts();
for (const doubt of doubts) process.stdout.write(`\n${doubt}\n`);
const results = measured.map(({ axis, points, leftOut = null }) => ({ axis: axis.name, points, leftOut }));
const report = { machine, conditions: [...conditions, ...doubts], results, runs: context.runs };
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(`\nPlots in ${plotsFolder}, written to ${resolve(values.json)}\n`);
