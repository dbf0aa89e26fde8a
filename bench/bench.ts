/**
 * `npm run bench`: the speed that is promised, measured on this machine: each row beside its reference, in the same
 * run, in interleaved rounds. Prints a table and writes the same as JSON.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type BenchOptions, Context } from './context.ts';
import { describeMachine, machineText } from './machine.ts';
import { projectPath } from './processes.ts';
import { type Report, type Result, resultsTable, runsTable } from './result.ts';
import { rows } from './rows.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    log: { type: 'string', default: 'info' },
    profile: { type: 'string' },
    patience: { type: 'string', default: '300' },
    dir: { type: 'string', default: join(projectPath, 'data') },
    json: { type: 'string', default: join(projectPath, 'bench/results/latest.json') },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const usage = `npm run bench -- [options]

  --only ROW      one row; may be given more than once (${rows.map(({ name }) => name).join(', ')})
  --quick         fewer and shorter rounds, 100,000 messages instead of a million
  --rounds N      rounds of each load (7; quick: 3)
  --seconds N     measured seconds of each run (3; quick: 1.5)
  --log LEVEL     log level of the server, whose lines go to /dev/null (info)
  --profile PATH  a folder for V8's profiles of the servers, a file for each thread; slower, so no ratio counts
  --patience N    seconds to wait, in all, for other programs of the machine to be quiet (300)
  --dir PATH      where the data lies; must be on a disk (./data)
  --json PATH     where the JSON goes (bench/results/latest.json)
`;
const unknown = [...positionals, ...(values.only ?? []).filter((name) => !rows.some((row) => row.name === name))];
if (values.help || unknown.length > 0) {
  process.stderr.write(unknown.length > 0 ? `Unknown: ${unknown.join(', ')}\n\n${usage}` : usage);
  process.exit(values.help ? 0 : 2);
}

const seconds = Number(values.seconds ?? (values.quick ? 1.5 : 3));
const options: BenchOptions = {
  rounds: Number(values.rounds ?? (values.quick ? 3 : 7)),
  seconds,
  warmSeconds: Math.min(1, seconds / 2),
  warmUpRounds: values.quick ? 5 : 3,
  connections: 64,
  manyMessages: values.quick ? 100_000 : 1_000_000,
  bodyBytes: 256,
  directory: resolve(values.dir),
  logLevel: values.log,
  profileFolder: values.profile === undefined ? undefined : resolve(values.profile),
  patienceSeconds: Number(values.patience),
};

const chosen = rows.filter(({ name }) => values.only === undefined || values.only.includes(name));
const context = await Context.open(options);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    context.close();
    process.exit(1);
  });
}
const machine = describeMachine(options.directory);
const conditions = [
  context.places.text,
  `${options.connections} keep-alive connections, ${options.bodyBytes}-byte bodies, on disk with fsync, log level ${options.logLevel}`,
  `medians of ${options.rounds} interleaved rounds of ${options.seconds} s after ${options.warmSeconds} s of warm-up; ratios are taken within a round`,
];
process.stdout.write(`${[machineText(machine), ...conditions].join('\n')}\n\n`);

const results: Result[] = [];
try {
  for (const { name, run } of chosen) {
    process.stderr.write(`${name}\n`);
    results.push(...(await run(context)));
  }
} finally {
  context.close();
}

const report: Report = { machine, conditions: [...conditions, ...context.doubts()], results, runs: context.runs };
process.stdout.write(`${resultsTable(results)}\n\n${runsTable(context.runs)}\n`);
for (const doubt of context.doubts()) process.stdout.write(`\n${doubt}\n`);
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(`\nWritten to ${resolve(values.json)}\n`);
