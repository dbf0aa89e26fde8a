/** What a row of the table says, and how the table looks. */
import type { Machine } from './machine.ts';
import { median, shown } from './numbers.ts';
import type { Driven } from './processes.ts';
import { textTable } from './text-table.ts';

/** Rows that must hold, rows that are only told, and rows that could not be measured here. */
export type Verdict = 'pass' | 'FAIL' | 'shown' | 'left out';

export type Result = {
  readonly row: string;
  readonly work: string;
  readonly value: number | null;
  readonly unit: string;
  /** What it is measured against, in the same run; absent where the target is a number. */
  readonly reference?: { readonly what: string; readonly value: number };
  readonly ratio?: number;
  readonly target: string;
  readonly verdict: Verdict;
  readonly note?: string;
};

/** Medians over the rounds of one kind of load. */
export type Run = {
  readonly row: string;
  readonly load: string;
  readonly unit: string;
  readonly unitsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the server per unit: what is left of a comparison when the machine is not ours alone. */
  readonly serverUsPerUnit: number;
  /** Shares of one core. */
  readonly serverMain: number;
  readonly serverOtherThreads: number;
  readonly generator: number;
  /** Cores that other programs used meanwhile. */
  readonly foreign: number;
  readonly requestsPerCommit: number;
  readonly loopDelayP99Ms: number;
};

export function runOf(row: string, load: string, unit: string, rounds: readonly Driven[]): Run {
  const of = (pick: (one: Driven) => number) => median(rounds.map(pick));
  return {
    row,
    load,
    unit,
    unitsPerSecond: of((one) => one.unitsPerSecond),
    p50Ms: of((one) => one.p50Ms),
    p99Ms: of((one) => one.p99Ms),
    serverUsPerUnit: of(({ server, unitsPerSecond }) => ((server.main + server.otherThreads) * 1e6) / unitsPerSecond),
    serverMain: of(({ server }) => server.main),
    serverOtherThreads: of(({ server }) => server.otherThreads),
    generator: of((one) => one.cpu),
    foreign: of((one) => one.foreign),
    requestsPerCommit: of((one) => one.watch.requestsPerCommit),
    loopDelayP99Ms: of((one) => one.watch.delayP99Ms),
  };
}

/** A row whose target is a share of its reference: the median of the ratios of each round, whose two runs are neighbours. */
export function ratioResult(
  row: string,
  work: string,
  measured: { readonly unit: string; readonly rounds: readonly Driven[] },
  reference: { readonly what: string; readonly rounds: readonly Driven[] },
  least: number | undefined,
  note?: string,
): Result {
  const ratios = measured.rounds.map(
    (one, i) => one.unitsPerSecond / (reference.rounds[i]?.unitsPerSecond ?? Number.NaN),
  );
  const ratio = median(ratios);
  return {
    row,
    work,
    value: median(measured.rounds.map((one) => one.unitsPerSecond)),
    unit: measured.unit,
    reference: { what: reference.what, value: median(reference.rounds.map((one) => one.unitsPerSecond)) },
    ratio,
    target: least === undefined ? '' : `≥ ${least.toFixed(2)} ×`,
    verdict: least === undefined ? 'shown' : ratio >= least ? 'pass' : 'FAIL',
    ...(note === undefined ? {} : { note }),
  };
}

/** A row whose target is a number that must not be reached. */
export function limitResult(
  row: string,
  work: string,
  value: number,
  unit: string,
  below: number | undefined,
  note?: string,
): Result {
  return {
    row,
    work,
    value,
    unit,
    target: below === undefined ? '' : `< ${below} ${unit}`,
    verdict: below === undefined ? 'shown' : value < below ? 'pass' : 'FAIL',
    ...(note === undefined ? {} : { note }),
  };
}

export const leftOut = (row: string, work: string, note: string): Result => ({
  row,
  work,
  value: null,
  unit: '',
  target: '',
  verdict: 'left out',
  note,
});

export type Report = {
  readonly machine: Machine;
  readonly conditions: readonly string[];
  readonly results: readonly Result[];
  readonly runs: readonly Run[];
};

const percent = (share: number): string => (Number.isFinite(share) ? `${Math.round(share * 100)} %` : '–');

export function resultsTable(results: readonly Result[]): string {
  const head = ['row', 'work', 'value', 'unit', 'reference', 'what', 'ratio', 'target', ''];
  const rows = results.map(({ row, work, value, unit, reference, ratio, target, verdict }) => [
    row,
    work,
    value === null ? '–' : shown(value),
    unit,
    reference === undefined ? '' : shown(reference.value),
    reference?.what ?? '',
    ratio === undefined ? '' : ratio.toFixed(2),
    target,
    verdict,
  ]);
  const notes = results.filter(({ note }) => note !== undefined).map(({ row, note }) => `  ${row}: ${note}`);
  return [textTable(head, rows), ...(notes.length === 0 ? [] : ['', 'Notes', ...notes])].join('\n');
}

export function runsTable(runs: readonly Run[]): string {
  const head = [
    'row',
    'load',
    '/s',
    'p50 ms',
    'p99 ms',
    'server µs',
    'main',
    'others',
    'generator',
    'per commit',
    'foreign',
  ];
  const rows = runs.map((run) => [
    run.row,
    `${run.load} (${run.unit})`,
    shown(run.unitsPerSecond),
    shown(run.p50Ms),
    shown(run.p99Ms),
    shown(run.serverUsPerUnit),
    percent(run.serverMain),
    percent(run.serverOtherThreads),
    percent(run.generator),
    shown(run.requestsPerCommit),
    percent(run.foreign),
  ]);
  return textTable(head, rows);
}
