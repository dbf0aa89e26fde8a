/**
 * The server under test: the same storage, broker, metrics and HTTP server that `sluice serve` joins, with the
 * reference route mounted and the writer where the bench wants it. Told what to do, and asked what it saw of its event
 * loop and its commits, by the bench over IPC.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { destination, pino } from 'pino';
import { createBroker } from '../src/broker/broker.ts';
import { keepHeapSmall } from '../src/cli/heap.ts';
import { systemClock } from '../src/clock.ts';
import { loadConfig } from '../src/config.ts';
import { instant } from '../src/domain/instant.ts';
import { defaultAccount, everything } from '../src/domain/principal.ts';
import { startHttpThreads } from '../src/http-threads.ts';
import { randomIds } from '../src/ids.ts';
import { createMetrics } from '../src/metrics/metrics.ts';
import { buildServer } from '../src/server.ts';
import { openSqlite } from '../src/storage/sqlite/engine.ts';
import { benchKey } from './key.ts';

export type ServerHears = { readonly hears: 'beginWatch' | 'endWatch' | 'stop' };
export type ServerSays =
  | { readonly says: 'serving'; readonly port: number }
  | { readonly says: 'watched'; readonly watch: Watch };

/** What the server saw of itself for a while. */
export type Watch = {
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly commits: number;
  /** Requests that shared a commit, on average. */
  readonly requestsPerCommit: number;
};

keepHeapSmall();
const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: 'data' },
    writer: { type: 'string', default: 'thread' },
    log: { type: 'string', default: 'info' },
    auth: { type: 'string', default: 'open' },
    'http-threads': { type: 'string', default: '1' },
  },
});
const tell = (message: ServerSays): void => {
  process.send?.(message);
};

const log = pino({ level: values.log }, destination('/dev/null'));
const ids = randomIds();
const wall = systemClock(instant(0));
const storage = await openSqlite({
  directory: values.dir,
  ids,
  log,
  now: wall.now(),
  hasOwnThread: values.writer === 'thread',
  elapsedMs: wall.elapsedMs,
});
const die = (cause: Error): never => {
  process.stderr.write(`${cause.stack}\n`);
  process.exit(1);
};
storage.onFatal(die);
const clock = systemClock(storage.highWaterAt);
const broker = createBroker({ storage, clock, ids, log });
const auth = values.auth === 'keys' ? 'keys' : 'open';
await broker.keys.load();
if (auth === 'keys') {
  await broker.keys.declare(defaultAccount, [{ ...benchKey, name: 'bench', scopes: everything, expiresAt: null }]);
}
const metrics = createMetrics({
  now: clock.now,
  figures: () => ({ ...storage.health(), longPollCount: broker.waiters.count() }),
  queuePage: async () => ({ items: [], nextCursor: null }),
});
storage.onCommit(metrics.observeCommit);
const server = await buildServer({
  broker,
  clock,
  ids,
  log,
  metrics,
  version: 'bench',
  access: { account: defaultAccount, auth, isLoopback: true, allowedHosts: [] },
  isReady: () => ({ ready: true, reasons: [] }),
  referenceRoute: true,
});
const { config } = loadConfig({ SLUICE_HTTP_THREADS: values['http-threads'] }, String);
await server.listen({ host: config.host, port: 0, ...(config.httpThreads > 1 ? { reusePort: true } : {}) });
const address = server.server.address();
const serving = typeof address === 'object' ? (address?.port ?? 0) : 0;
const threads = await startHttpThreads({
  config,
  port: serving,
  monotonicZeroAt: clock.monotonicZeroAt,
  masterKey: storage.sealSecret,
  share: storage.share,
  expect: broker.upkeep.expect,
  render: metrics.render,
  onBroken: die,
});
broker.upkeep.start();

const delay = monitorEventLoopDelay({ resolution: 1 });
const seen = { commits: 0, requests: 0 };
storage.onCommit(({ requestCount }) => {
  seen.commits += 1;
  seen.requests += requestCount;
});
process.on('message', ({ hears }: ServerHears) => {
  switch (hears) {
    case 'beginWatch':
      delay.reset();
      delay.enable();
      Object.assign(seen, { commits: 0, requests: 0 });
      return;
    case 'endWatch':
      delay.disable();
      return tell({
        says: 'watched',
        watch: {
          delayP99Ms: delay.percentile(99) / 1e6,
          delayMaxMs: delay.max / 1e6,
          commits: seen.commits,
          requestsPerCommit: seen.commits === 0 ? 0 : seen.requests / seen.commits,
        },
      });
    case 'stop':
      void stop();
  }
});

// A bench that was interrupted leaves no server behind.
process.on('disconnect', () => process.exit());

async function stop(): Promise<void> {
  broker.drain();
  await Promise.all([server.close(), threads.stop()]);
  await broker.upkeep.stop();
  await storage.close();
  process.disconnect();
}

tell({ says: 'serving', port: serving });
