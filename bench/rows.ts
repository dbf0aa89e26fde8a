/** The rows of the table: what is run, against what, and what must come out. */

import { fillBlockedGroup } from './blocked-group.ts';
import { availableIn, type Context, createQueue, progress } from './context.ts';
import { median } from './numbers.ts';
import { type Driven, memoryMB, type ServerProcess } from './processes.ts';
import { leftOut, limitResult, type Result, ratioResult, runOf } from './result.ts';
import { slowDisk, slowFsyncMs } from './slow-disk.ts';
import { buildProgram, startMs, startProgram } from './start-up.ts';

export type Row = { readonly name: string; readonly run: (context: Context) => Promise<readonly Result[]> };

const messagesText = (count: number): string => `${count.toLocaleString('en-US')} messages`;

async function send(context: Context): Promise<readonly Result[]> {
  const server = await context.server();
  const queue = 'send';
  await createQueue(server, queue);
  const { reference, send: sends } = await context.interleave('send', 'request', {
    reference: () => context.drive(server, { does: 'reference', queue }),
    send: () => context.drive(server, { does: 'send', queue }),
  });
  await context.stop(server);
  const measured = { unit: 'requests/s', rounds: sends };
  return [ratioResult('send', 'single durable send', measured, { what: 'reference route', rounds: reference }, 0.7)];
}

/** Fills the queue so that no receive of the next run finds it empty. */
async function prefill(context: Context, server: ServerProcess, queue: string, perSecond: number): Promise<void> {
  const { warmSeconds, seconds, connections } = context.options;
  const needed = Math.ceil((warmSeconds + seconds) * perSecond) + connections;
  const missing = needed - (await availableIn(server, queue));
  if (missing > 0) await context.fill(server, queue, missing);
}

async function receiveDelete(context: Context): Promise<readonly Result[]> {
  const server = await context.server();
  const queue = 'receive-delete';
  await createQueue(server, queue);
  // As many messages as half the requests that the fastest run could make, and a half more.
  let fastest = 16_000;
  const rounds = await context.interleave('receive-delete', 'request', {
    reference: () => context.drive(server, { does: 'reference', queue }),
    async 'receive and delete'() {
      await prefill(context, server, queue, (fastest / 2) * 1.5);
      const driven = await context.drive(server, { does: 'receiveDelete', queue });
      fastest = Math.max(fastest, driven.unitsPerSecond);
      return driven;
    },
  });
  await context.stop(server);
  const measured = { unit: 'requests/s', rounds: rounds['receive and delete'] };
  const reference = { what: 'reference route', rounds: rounds.reference };
  return [ratioResult('receive-delete', 'receive one, delete one', measured, reference, 0.55)];
}

/** Where no keys are in force: what the facade itself costs. */
async function sqsSend(context: Context): Promise<readonly Result[]> {
  const server = await context.server();
  const queue = 'sqs-send';
  await createQueue(server, queue);
  const rounds = await context.interleave('sqs-send', 'request', {
    reference: () => context.drive(server, { does: 'reference', queue }),
    'send in JSON': () => context.drive(server, { does: 'sqsSend', queue }),
    'send in Query': () => context.drive(server, { does: 'sqsQuerySend', queue }),
  });
  await context.stop(server);
  const reference = { what: 'reference route', rounds: rounds.reference };
  const result = (work: string, measured: readonly Driven[], least?: number) =>
    ratioResult('sqs-send', work, { unit: 'requests/s', rounds: measured }, reference, least);
  return [
    result('single durable SendMessage in JSON', rounds['send in JSON'], 0.6),
    result('single durable SendMessage in Query', rounds['send in Query']),
  ];
}

async function sqsSignedSend(context: Context): Promise<readonly Result[]> {
  const server = await context.server({ auth: 'keys' });
  const queue = 'sqs-send-signed';
  await createQueue(server, queue);
  const rounds = await context.interleave('sqs-send-signed', 'request', {
    reference: () => context.drive(server, { does: 'reference', queue }),
    'signed send': () => context.drive(server, { does: 'sqsSignedSend', queue }),
  });
  await context.stop(server);
  const measured = { unit: 'requests/s', rounds: rounds['signed send'] };
  const reference = { what: 'reference route', rounds: rounds.reference };
  return [ratioResult('sqs-send-signed', 'single durable SendMessage, signed', measured, reference, 0.5)];
}

async function sqsBatches(context: Context): Promise<readonly Result[]> {
  const server = await context.server();
  await createQueue(server, 'single');
  await createQueue(server, 'batch');
  const rounds = await context.interleave('sqs-batches', 'life', {
    'single lives': () => context.drive(server, { does: 'sqsLife', queue: 'single' }),
    'lives by the ten': () => context.drive(server, { does: 'sqsBatchLife', queue: 'batch', batch: 10 }),
  });
  await context.stop(server);
  const measured = { unit: 'lives/s', rounds: rounds['lives by the ten'] };
  const reference = { what: 'single lives', rounds: rounds['single lives'] };
  return [ratioResult('sqs-batches', 'lives in batches of 10 through the SQS facade', measured, reference, 2.5)];
}

/** Longer, since 6,400 messages are under way at once and go in waves. */
const hundreds = ({ options }: Context) =>
  ({ does: 'batchLife', batch: 100, seconds: options.seconds * 2, warmSeconds: options.warmSeconds * 2 }) as const;

async function batches(context: Context): Promise<readonly Result[]> {
  const server = await context.server();
  await createQueue(server, 'single');
  await createQueue(server, 'batch');
  const rounds = await context.interleave('batches', 'life', {
    'single lives': () => context.drive(server, { does: 'life', queue: 'single' }),
    'lives by the hundred': () => context.drive(server, { ...hundreds(context), queue: 'batch' }),
  });
  await context.stop(server);
  const measured = { unit: 'lives/s', rounds: rounds['lives by the hundred'] };
  const reference = { what: 'single lives', rounds: rounds['single lives'] };
  return [ratioResult('batches', 'lives in batches of 100 through REST', measured, reference, 6)];
}

async function crowd(context: Context): Promise<readonly Result[]> {
  const empty = await context.server();
  await createQueue(empty, 'empty');
  const { server, queue } = await context.crowded();
  const rounds = await context.interleave('crowd', 'life', {
    'lives in an empty queue': () => context.drive(empty, { does: 'life', queue: 'empty' }),
    'lives in a full queue': () => context.drive(server, { does: 'life', queue }),
    'hundreds in an empty queue': () => context.drive(empty, { ...hundreds(context), queue: 'empty' }),
    'hundreds in a full queue': () => context.drive(server, { ...hundreds(context), queue }),
  });
  await context.stop(empty);
  const waiting = messagesText(context.options.manyMessages);
  const result = (work: string, full: readonly Driven[], emptyRounds: readonly Driven[]) => {
    const reference = { what: 'empty queue', rounds: emptyRounds };
    return ratioResult('crowd', `${work}, ${waiting} waiting`, { unit: 'lives/s', rounds: full }, reference, 0.85);
  };
  return [
    result('single lives', rounds['lives in a full queue'], rounds['lives in an empty queue']),
    result('lives by the hundred', rounds['hundreds in a full queue'], rounds['hundreds in an empty queue']),
  ];
}

async function fifo(context: Context): Promise<readonly Result[]> {
  const groups = 10_000;
  const manyGroups = 100_000;
  const directory = context.folder();
  progress(`sending ${context.options.manyMessages} messages of one group, which is then blocked`);
  await fillBlockedGroup(directory, 'blocked.fifo', context.options.manyMessages, context.options.bodyBytes);
  const server = await context.server({ directory });
  await createQueue(server, 'standard');
  await createQueue(server, 'groups.fifo');
  await createQueue(server, 'many-groups.fifo');
  // Every group has a message that waits, else only as many groups would be there as there are clients.
  progress('sending one message to each group');
  await context.fill(server, 'standard', groups);
  await context.fill(server, 'groups.fifo', groups, groups);
  await context.fill(server, 'blocked.fifo', groups, groups);
  await context.fill(server, 'many-groups.fifo', manyGroups, manyGroups);
  const life = (queue: string, groupsUsed?: number) => () =>
    context.drive(server, { does: 'life', queue, groups: groupsUsed });
  const rounds = await context.interleave('fifo', 'life', {
    standard: life('standard'),
    '10,000 groups': life('groups.fifo', groups),
    '100,000 groups': life('many-groups.fifo', manyGroups),
    'a blocked group beside': life('blocked.fifo', groups),
  });
  await context.stop(server);
  const reference = { what: 'standard queue', rounds: rounds.standard };
  const result = (work: string, measured: readonly Driven[], least?: number) =>
    ratioResult('fifo', work, { unit: 'lives/s', rounds: measured }, reference, least);
  const blocked = messagesText(context.options.manyMessages);
  return [
    result('FIFO, 10,000 groups', rounds['10,000 groups'], 0.7),
    result('FIFO, 100,000 groups', rounds['100,000 groups']),
    result(`FIFO, 10,000 groups beside a blocked one of ${blocked}`, rounds['a blocked group beside']),
  ];
}

async function longPolls(context: Context): Promise<readonly Result[]> {
  const { seconds } = context.options;
  const polls = 5_000;
  const queues = Array.from({ length: 50 }, (_, i) => `polled-${i}`);
  const server = await context.server();
  // Nobody deletes: what was received must not come back and wake somebody else.
  for (const queue of queues) await createQueue(server, queue, { visibilityTimeoutSeconds: 43_200 });
  progress(`opening ${polls} long polls`);
  // A poll waits for at most 20 seconds: opened within four, all of them are idle during the ten that follow the sixth.
  await context.quiet();
  const shared = { does: 'longPolls', port: server.port, polls, queues } as const;
  const idle = await context.load.run({ ...shared, openSeconds: 4, idleSeconds: 10, wakes: 0, wakeGapMs: 0 }, server);
  // The next ones are opened evenly over twenty, so that as many are asked again each second.
  const idleSeconds = Math.max(20, seconds);
  const wakes = Math.min(1_000, context.options.rounds * 150);
  await context.quiet();
  const job = { ...shared, openSeconds: 20, idleSeconds, wakes, wakeGapMs: 5 };
  const driven = await context.load.run(job, server);
  await context.stop(server);
  context.runs.push(
    runOf('long-polls', 'renewals of long polls', 'request', [{ ...driven, unitsPerSecond: driven.requestsPerSecond }]),
  );
  const percent = ({ server: used }: typeof driven) => (used.main + used.otherThreads) * 100;
  const renewals = `each poll that is asked again after 20 s costs a request: ${driven.requestsPerSecond.toFixed(0)}/s, ${percent(driven).toFixed(1)} % of a core`;
  return [
    limitResult('long-polls', '5,000 idle long polls: processor', percent(idle), '%', 2, renewals),
    limitResult(
      'long-polls',
      `wake-up, p99 of ${wakes}`,
      driven.p99Ms,
      'ms',
      20,
      `p50 ${driven.p50Ms.toFixed(2)} ms, from the send's first byte`,
    ),
  ];
}

/** Of the program as the image has it, without what the server under test has beside it. */
async function memory(context: Context): Promise<readonly Result[]> {
  const { manyMessages } = context.options;
  const server = await startProgram(buildProgram(context.folder()), context.folder());
  try {
    const queue = 'memory';
    const afterStart = memoryMB(server.pid);
    await createQueue(server, queue);
    progress(`memory: sending ${manyMessages} messages that wait`);
    const fill = await context.fill(server, queue, manyMessages);
    const afterFill = memoryMB(server.pid);
    await context.drive(server, { does: 'life', queue });
    await context.drive(server, { does: 'batchLife', queue, batch: 100 });
    const afterLoad = memoryMB(server.pid);
    const parts = { 'after the start': afterStart.now, 'after the fill': afterFill.now, 'after load': afterLoad.now };
    const texts = Object.entries({ ...parts, peak: afterLoad.peak }).map(([when, mb]) => `${when} ${mb.toFixed(0)} MB`);
    const note = `${texts.join(', ')}; filled at ${Math.round(fill.unitsPerSecond).toLocaleString('en-US')} messages/s`;
    const work = `resident memory, ${messagesText(manyMessages)} waiting`;
    return [
      limitResult('memory', work, afterFill.now, 'MB', 150, note),
      limitResult('memory', `${work}, after single lives and hundreds`, afterLoad.now, 'MB', undefined),
    ];
  } finally {
    await server.stop();
  }
}

async function start(context: Context): Promise<readonly Result[]> {
  const full = await context.crowdedData();
  const built = buildProgram(context.folder());
  const waiting = messagesText(context.options.manyMessages);
  const kinds = [
    { work: 'start to ready, no data', directory: () => context.folder() },
    { work: `start to ready, ${waiting}`, directory: () => full },
  ];
  const times = kinds.map((): number[] => []);
  for (let round = 0; round < Math.max(context.options.rounds, 5); round += 1) {
    await context.quiet();
    for (const [i, { directory }] of kinds.entries()) times[i]?.push(await startMs(built, directory()));
    progress(`start: ${times.map((all) => `${all.at(-1)?.toFixed(0)} ms`).join(', ')}`);
  }
  return kinds.map(({ work }, i) => {
    const all = times[i] ?? [];
    const note = `${work}: ${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)} ms`;
    return limitResult('start', work, median(all), 'ms', 500, note);
  });
}

/** Where the writer runs: on the event loop or beside it. All cores for the server, since that is the question. */
async function writer(context: Context): Promise<readonly Result[]> {
  const slow = slowDisk(context.folder());
  const disks = [
    { disk: 'this disk', env: {} },
    ...(slow === undefined ? [] : [{ disk: `fsync + ${slowFsyncMs} ms`, env: slow }]),
  ];
  const results: Result[] = [];
  for (const { disk, env } of disks) {
    const cores = context.places.all;
    const servers = {
      main: await context.server({ writer: 'main', env }, cores),
      thread: await context.server({ writer: 'thread', env }, cores),
    };
    const delays = { main: [] as number[], thread: [] as number[] };
    const drive = async (kind: 'main' | 'thread') => {
      const server = servers[kind];
      await createQueue(server, 'sends');
      const driven = await context.drive(server, { does: 'send', queue: 'sends' });
      delays[kind].push(driven.watch.delayP99Ms);
      return driven;
    };
    const names = { main: `writer on the event loop, ${disk}`, thread: `writer in its thread, ${disk}` };
    const rounds = await context.interleave('writer', 'request', {
      [names.main]: () => drive('main'),
      [names.thread]: () => drive('thread'),
    });
    await context.stop(servers.main);
    await context.stop(servers.thread);
    const measured = { unit: 'requests/s', rounds: rounds[names.thread] ?? [] };
    const reference = { what: 'writer on the event loop', rounds: rounds[names.main] ?? [] };
    results.push(ratioResult('writer', `sends, writer in its thread, ${disk}`, measured, reference, undefined));
    for (const kind of ['main', 'thread'] as const) {
      results.push(
        limitResult('writer', `event-loop delay p99, ${names[kind]}`, median(delays[kind]), 'ms', undefined),
      );
    }
  }
  if (slow === undefined) results.push(leftOut('writer', 'writer on a slow disk', 'there is no C compiler here'));
  return results;
}

/** HTTP on one thread, two, three. All cores for the server, since that is the question; the generator shares them. */
async function threads(context: Context): Promise<readonly Result[]> {
  const cores = context.places.all;
  const counts = [1, 2, 3] as const;
  const servers = await Promise.all(counts.map((httpThreads) => context.server({ httpThreads }, cores)));
  const jobs = { sends: 'send', lives: 'life' } as const;
  const results: Result[] = [];
  for (const [work, does] of Object.entries(jobs)) {
    const name = (count: number) => `${work}, HTTP on ${count} ${count === 1 ? 'thread' : 'threads'}`;
    for (const server of servers) await createQueue(server, work);
    const loads = servers.map(
      (server, i) => [name(i + 1), () => context.drive(server, { does, queue: work })] as const,
    );
    const rounds = await context.interleave('threads', does === 'send' ? 'request' : 'life', Object.fromEntries(loads));
    const reference = { what: 'one thread', rounds: rounds[name(1)] ?? [] };
    for (const count of counts.slice(1)) {
      const measured = { unit: `${work}/s`, rounds: rounds[name(count)] ?? [] };
      results.push(ratioResult('threads', name(count), measured, reference, undefined));
    }
  }
  for (const server of servers) await context.stop(server);
  return results;
}

/** In the order of the table; `start` comes late, since it ends the server that others fill. */
export const rows: readonly Row[] = [
  { name: 'send', run: send },
  { name: 'receive-delete', run: receiveDelete },
  { name: 'sqs-send', run: sqsSend },
  { name: 'sqs-send-signed', run: sqsSignedSend },
  { name: 'sqs-batches', run: sqsBatches },
  { name: 'batches', run: batches },
  { name: 'crowd', run: crowd },
  { name: 'fifo', run: fifo },
  { name: 'long-polls', run: longPolls },
  { name: 'memory', run: memory },
  { name: 'start', run: start },
  { name: 'writer', run: writer },
  { name: 'threads', run: threads },
];
