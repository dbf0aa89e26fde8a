/**
 * How cost grows, one axis at a time: the same work while one thing gets larger and all others stay. Who adds an axis
 * adds a row; its table and its plot follow.
 */
import { type Context, createQueue, progress } from '../context.ts';
import type { Drive } from '../load.ts';
import type { Driven, ServerProcess } from '../processes.ts';
import { slowDisk, slowFsyncMs } from '../slow-disk.ts';

/** One point of one line: what is driven there. */
export type Cell = { readonly series: string; readonly x: string; readonly drive: () => Promise<Driven> };

export type Prepared = {
  readonly cells: readonly Cell[];
  readonly servers: readonly ServerProcess[];
  /** What could not be made here. */
  readonly leftOut?: string;
};

export type Axis = {
  readonly name: string;
  readonly title: string;
  /** What the points of the axis are. */
  readonly x: string;
  readonly prepare: (context: Context) => Promise<Prepared>;
};

const countText = (count: number): string => count.toLocaleString('en-US');

const bodySizes = [
  { x: '256 B', bodyBytes: 256 },
  { x: '4 KiB', bodyBytes: 4 * 1024 },
  { x: '64 KiB', bodyBytes: 64 * 1024 },
  { x: '1 MiB', bodyBytes: 1024 * 1024 },
] as const;

/** As many bodies of 1 MiB as a server holds at once with room to spare: past 48 MiB it refuses some, rightly. */
const bodyConnections = 16;

async function body(context: Context): Promise<Prepared> {
  const server = await context.server();
  for (const { bodyBytes } of bodySizes) {
    for (const does of ['send', 'life']) await createQueue(server, `${does}-${bodyBytes}`);
  }
  const cell = (does: 'send' | 'life', { x, bodyBytes }: (typeof bodySizes)[number]): Cell => ({
    series: does,
    x,
    drive() {
      const what = { does, queue: `${does}-${bodyBytes}`, bodyBytes, connections: bodyConnections };
      return context.drive(server, what);
    },
  });
  const cells = (['send', 'life'] as const).flatMap((does) => bodySizes.map((size) => cell(does, size)));
  return { cells, servers: [server] };
}

async function connections(context: Context): Promise<Prepared> {
  const server = await context.server();
  for (const does of ['send', 'life']) await createQueue(server, does);
  const cells = (['send', 'life'] as const).flatMap((does) =>
    [1, 8, 64, 512].map((count): Cell => {
      return {
        series: does,
        x: String(count),
        drive: () => context.drive(server, { does, queue: does, connections: count }),
      };
    }),
  );
  return { cells, servers: [server] };
}

/** A server of its own for each: the size of the file counts too. */
async function waiting(context: Context): Promise<Prepared> {
  const { manyMessages } = context.options;
  const queue = 'waiting';
  const servers: ServerProcess[] = [];
  const cells: Cell[] = [];
  for (const count of [0, Math.round(manyMessages / 100), manyMessages]) {
    const server = await context.server();
    servers.push(server);
    await createQueue(server, queue);
    if (count > 0) {
      progress(`sending ${countText(count)} messages that wait`);
      await context.fill(server, queue, count);
    }
    const cell = (series: string, what: Pick<Drive, 'does' | 'batch'>): Cell => ({
      series,
      x: count === 0 ? 'empty' : countText(count),
      drive: () => context.drive(server, { ...what, queue }),
    });
    cells.push(cell('life', { does: 'life' }), cell('lives by ten', { does: 'batchLife', batch: 10 }));
  }
  return { cells, servers };
}

/** Queues that are made at once. */
const makersCount = 16;

async function queues(context: Context): Promise<Prepared> {
  const server = await context.server();
  const counts = [1, 100, 10_000];
  const names = counts.flatMap((count) => Array.from({ length: count }, (_, i) => `of-${count}-${i}`));
  progress(`making ${countText(names.length)} queues`);
  const left = names.values();
  const make = async () => {
    for (const name of left) await createQueue(server, name);
  };
  await Promise.all(Array.from({ length: makersCount }, make));
  const cells = counts.map((count): Cell => {
    const what = { does: 'spreadLife', queue: `of-${count}`, queues: count } as const;
    return { series: 'life', x: countText(count), drive: () => context.drive(server, what) };
  });
  return { cells, servers: [server] };
}

/**
 * Every group has a message that waits. Of one group only one message is in flight at a time, so receives wait for it to
 * be deleted, as a worker of that queue would.
 */
async function groups(context: Context): Promise<Prepared> {
  const server = await context.server();
  await createQueue(server, 'standard');
  const counts = [1, 100, 10_000, 100_000];
  for (const count of counts) {
    const queue = `groups-${count}.fifo`;
    await createQueue(server, queue);
    if (count > 1_000) progress(`sending a message to each of ${countText(count)} groups`);
    await context.fill(server, queue, count, count);
  }
  await context.fill(server, 'standard', context.options.connections);
  const waits = { does: 'life', waitSeconds: 20, emptyMax: 1_000 } as const;
  const cell = (x: string, queue: string, count?: number): Cell => ({
    series: 'life',
    x,
    drive: () => context.drive(server, { ...waits, queue, groups: count }),
  });
  const cells = counts.map((count) => cell(countText(count), `groups-${count}.fifo`, count));
  return { cells: [cell('standard', 'standard'), ...cells], servers: [server] };
}

const protocols = [
  { x: 'REST', single: 'life', ten: 'batchLife' },
  { x: 'SQS JSON', single: 'sqsLife', ten: 'sqsBatchLife' },
  { x: 'SQS Query', single: 'sqsQueryLife', ten: 'sqsQueryBatchLife' },
] as const satisfies readonly { x: string; single: Drive['does']; ten: Drive['does'] }[];

async function protocol(context: Context): Promise<Prepared> {
  const server = await context.server();
  for (const queue of ['single', 'ten']) await createQueue(server, queue);
  const cells = protocols.flatMap(({ x, single, ten }): Cell[] => [
    { series: 'life', x, drive: () => context.drive(server, { does: single, queue: 'single' }) },
    { series: 'lives by ten', x, drive: () => context.drive(server, { does: ten, queue: 'ten', batch: 10 }) },
  ]);
  return { cells, servers: [server] };
}

async function disk(context: Context): Promise<Prepared> {
  const slow = slowDisk(context.folder());
  const disks = [
    { x: 'this disk', env: {} },
    ...(slow === undefined ? [] : [{ x: `fsync + ${slowFsyncMs} ms`, env: slow }]),
  ];
  const servers: ServerProcess[] = [];
  const cells: Cell[] = [];
  for (const { x, env } of disks) {
    const server = await context.server({ env });
    servers.push(server);
    for (const does of ['send', 'life'] as const) {
      await createQueue(server, does);
      for (const count of [1, context.options.connections]) {
        const series = `${does}, ${count} ${count === 1 ? 'connection' : 'connections'}`;
        cells.push({ series, x, drive: () => context.drive(server, { does, queue: does, connections: count }) });
      }
    }
  }
  return { cells, servers, ...(slow === undefined ? { leftOut: 'a slow disk: there is no C compiler here' } : {}) };
}

export const axes: readonly Axis[] = [
  { name: 'body', title: `Size of a message body, ${bodyConnections} connections`, x: 'body', prepare: body },
  { name: 'connections', title: 'Clients at once', x: 'connections', prepare: connections },
  { name: 'waiting', title: 'Messages that wait in the queue', x: 'waiting', prepare: waiting },
  { name: 'queues', title: 'Queues that are used in turn', x: 'queues', prepare: queues },
  { name: 'groups', title: 'Message groups of a FIFO queue', x: 'groups', prepare: groups },
  { name: 'protocol', title: 'Protocol', x: 'protocol', prepare: protocol },
  { name: 'disk', title: 'A disk that is slow to sync', x: 'disk', prepare: disk },
];
