/**
 * `npm run bench:peers`: Sluice beside what users would pick instead, under the same load on the same machine: single
 * sends, lives of messages one by one and in batches of ten, and what a kill takes. A ratio between two that promise
 * different things means little, so the promise stands beside each figure.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Context, progress } from '../context.ts';
import { describeMachine, machineText } from '../machine.ts';
import { median, shown } from '../numbers.ts';
import { type Driven, projectPath } from '../processes.ts';
import { runsTable } from '../result.ts';
import { freePort } from '../start-up.ts';
import { textTable } from '../text-table.ts';
import { type Installed, install } from './install.ts';
import { type Kill, kill } from './kill.ts';
import { Loads, type WorkName, works } from './loads.ts';
import { PeerProcess } from './process.ts';
import { type Peer, type Place, peers, titleOf } from './table.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    patience: { type: 'string', default: '300' },
    dir: { type: 'string', default: join(projectPath, 'data') },
    json: { type: 'string', default: join(projectPath, 'bench/results/peers.json') },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

const isChosen = (peer: Peer): boolean =>
  values.only?.some((word) => titleOf(peer).toLowerCase().includes(word.toLowerCase())) ?? true;
const chosen = peers.filter(isChosen);
if (values.help || chosen.length === 0) {
  process.stderr.write(`npm run bench:peers -- [options]

  --only WORDS    peers whose name or setting has these words; may be given more than once
  --quick         fewer and shorter rounds
  --rounds N      rounds of each load (5; quick: 2)
  --seconds N     measured seconds of each run (3; quick: 1)
  --patience N    seconds to wait, in all, for other programs of the machine to be quiet (300)
  --dir PATH      where the data lies; must be on a disk (./data)
  --json PATH     where the JSON goes (bench/results/peers.json)

Peers: ${peers.map(titleOf).join(' · ')}
`);
  process.exit(values.help ? 0 : 2);
}

type Outcome = {
  readonly peer: Peer;
  readonly installed: Installed;
  process?: PeerProcess;
  readonly rounds: Partial<Record<WorkName, readonly Driven[]>>;
  kill?: Kill;
  /** What went wrong, if anything: it is printed where the figure would be. */
  readonly failures: string[];
};

/** Some compile while they run, for minutes: a peer is warmed up in such runs until two of them are no faster. */
const heat = { seconds: values.quick ? 2 : 5, gain: 1.1, runsMax: values.quick ? 12 : 24 } as const;
const seconds = Number(values.seconds ?? (values.quick ? 1 : 3));
const context = await Context.open({
  rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
  seconds,
  warmSeconds: Math.min(1, seconds / 2),
  warmUpRounds: 3,
  connections: 64,
  manyMessages: 0,
  bodyBytes: 256,
  directory: resolve(values.dir),
  logLevel: 'info',
  patienceSeconds: Number(values.patience),
});
const running = new Set<PeerProcess>();
process.on('exit', () => {
  for (const one of running) one.killNow();
  context.close();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const packages = install('npm');
if (!packages.isThere) throw new Error(`The client libraries could not be installed: ${packages.reason}`);

const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '';

async function placeFor(installed: Installed & { isThere: true }): Promise<Place> {
  const sidePorts = [await freePort(), await freePort()] as const;
  return { port: await freePort(), sidePorts, folder: context.folder(), kit: installed.folder };
}

async function begin(peer: Peer): Promise<Outcome> {
  progress(`installing and starting ${titleOf(peer)}`);
  const installed = install(peer.kit);
  const outcome: Outcome = { peer, installed, rounds: {}, failures: [] };
  await start(outcome);
  return outcome;
}

async function start(outcome: Outcome): Promise<void> {
  const { peer, installed, failures } = outcome;
  if (!installed.isThere) return;
  try {
    outcome.process = await PeerProcess.start(peer, await placeFor(installed), context.places.server);
    running.add(outcome.process);
  } catch (cause) {
    delete outcome.process;
    failures.push(`not started: ${reasonOf(cause)}`);
  }
}

async function killed(outcome: Outcome): Promise<void> {
  const { peer, installed } = outcome;
  if (!installed.isThere || !packages.isThere) return;
  progress(`killing ${titleOf(peer)}`);
  const shared = { packages: packages.folder, cores: context.places.server };
  const options = { ...shared, clients: 16, seconds: 1, leastCount: 200, sendsMax: 500 };
  try {
    outcome.kill = await kill(peer, await placeFor(installed), options, (started) => running.add(started));
  } catch (cause) {
    outcome.failures.push(`kill: ${reasonOf(cause)}`);
  }
}

const versionOf = (installed: Installed): string => (installed.isThere ? installed.version : '–');
const machine = describeMachine(context.options.directory);
const outcomes: Outcome[] = [];
for (const peer of chosen) outcomes.push(await begin(peer));

const conditions = [
  context.places.text,
  `${context.options.connections} connections, ${context.options.bodyBytes}-byte bodies, data on the same disk`,
  `each peer is warmed up first, until two runs of ${heat.seconds} s are no faster, in at most ${heat.runsMax}`,
  `medians of ${context.options.rounds} interleaved rounds of ${seconds} s after ${context.options.warmSeconds} s of warm-up`,
  'SQS servers under the same generator over plain sockets; others through their common client library (amqplib, nats, ioredis), whose own cost shows as the generator’s share',
];
const kits = textTable(
  ['peer', 'version', 'from'],
  [...new Map(outcomes.map(({ peer, installed }) => [peer.name, installed])).entries()].map(([name, installed]) => [
    name,
    versionOf(installed),
    installed.isThere ? installed.from : `not installed: ${installed.reason}`,
  ]),
);
process.stdout.write(`${[machineText(machine), ...conditions].join('\n')}\n\n${kits}\n\n`);

const loads = new Loads(context, packages.folder);

/** One run. A peer that fails is killed and started anew: it may be at work still, and would disturb others. */
async function load(outcome: Outcome, work: WorkName, runSeconds = seconds): Promise<Driven> {
  const before = outcome.process;
  let hasFailed = false;
  const failed = (reason: string) => {
    hasFailed = true;
    outcome.failures.push(`${work}: ${reason}`);
  };
  const driven = await loads.run(work, before, failed, runSeconds);
  if (hasFailed) {
    await before?.kill();
    await start(outcome);
  }
  return driven;
}

async function warmUp(outcome: Outcome, work: WorkName): Promise<void> {
  const { peer, failures } = outcome;
  let fastest = 0;
  let calmCount = 0;
  let runCount = 0;
  for (; runCount < heat.runsMax && calmCount < 2; runCount += 1) {
    const driven = await load(outcome, work, heat.seconds);
    calmCount = driven.unitsPerSecond > fastest * heat.gain ? 0 : calmCount + 1;
    fastest = Math.max(fastest, driven.unitsPerSecond || 0);
  }
  if (calmCount < 2) failures.push(`doubtful: it was still getting faster when it was measured (${work})`);
  progress(`warmed up ${titleOf(peer)}: ${Math.round(fastest)} ${work}/s after ${runCount} runs of ${heat.seconds} s`);
}
for (const outcome of outcomes) {
  if (outcome.process === undefined) continue;
  for (const work of ['life', 'life-by-ten'] as const) await warmUp(outcome, work);
}
for (const work of Object.keys(works) as WorkName[]) {
  const alive = outcomes.filter((outcome) => outcome.process !== undefined);
  const jobs = alive.map((outcome) => [titleOf(outcome.peer), () => load(outcome, work)] as const);
  const driven = await context.interleave(work, works[work].unit, Object.fromEntries(jobs));
  for (const { peer, rounds } of alive) rounds[work] = driven[titleOf(peer)] ?? [];
}
loads.stop();
for (const { process: server } of outcomes) await server?.stop();
for (const outcome of outcomes) await killed(outcome);

const rateOf = ({ rounds }: Outcome, work: WorkName): number =>
  median((rounds[work] ?? []).map(({ unitsPerSecond }) => unitsPerSecond));
const lossOf = ({ kill: loss }: Outcome): string =>
  loss === undefined ? '–' : `${loss.missing.toLocaleString('en-US')} of ${loss.acknowledged.toLocaleString('en-US')}`;

const table = textTable(
  ['peer', 'setting', ...Object.values(works).map(({ head }) => head), 'send p99 ms', 'lost by kill -9', 'promise'],
  outcomes.map((outcome) => [
    outcome.peer.name,
    outcome.peer.setting,
    ...(Object.keys(works) as WorkName[]).map((work) => shown(rateOf(outcome, work))),
    shown(median((outcome.rounds.send ?? []).map(({ p99Ms }) => p99Ms))),
    lossOf(outcome),
    outcome.peer.promises,
  ]),
);
const failures = outcomes.flatMap(({ peer, installed, failures: own }) => [
  ...(installed.isThere ? [] : [`${titleOf(peer)}: not run, ${installed.reason}`]),
  ...[...new Set(own)].map((failure) => `${titleOf(peer)}: ${failure}`),
]);
process.stdout.write(`${table}

"lost by kill -9": acknowledged messages that are not there after the process was killed and started again. What a
process has written survives in the system's cache, with or without fsync: a loss of power takes more than a kill.

${runsTable(context.runs)}
`);
for (const line of [...failures, ...context.doubts()]) process.stdout.write(`\n${line}\n`);

const results = outcomes.map((outcome) => ({
  peer: outcome.peer.name,
  setting: outcome.peer.setting,
  promises: outcome.peer.promises,
  version: versionOf(outcome.installed),
  ...Object.fromEntries((Object.keys(works) as WorkName[]).map((work) => [work, rateOf(outcome, work)])),
  kill: outcome.kill ?? null,
}));
const report = { machine, conditions: [...conditions, ...context.doubts()], results, failures, runs: context.runs };
mkdirSync(dirname(values.json), { recursive: true });
writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
process.stdout.write(`\nWritten to ${resolve(values.json)}\n`);
process.exit();
