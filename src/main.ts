/**
 * The process: joins storage, broker, metrics and server, and ends them in order.
 *
 *     SIGTERM ─▶ not ready ─▶ long polls end ─▶ requests in hand finish ─▶ upkeep stops ─▶ data closed ─▶ exit 0
 *
 * Anything unexpected (an uncaught error, an engine that cannot be trusted) ends the process at once with 1: nothing is
 * acknowledged before it is on disk, so there is nothing to rescue, and the next start sorts out the rest.
 */
import { resolve } from 'node:path';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import type { Broker } from './broker/broker.ts';
import { applyDefinitions } from './broker/definitions.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Config, isLoopback } from './config.ts';
import { instant } from './domain/instant.ts';
import { limits } from './domain/limits.ts';
import { openPrincipal } from './domain/principal.ts';
import { masterKeyBytes, parseMasterKey } from './domain/seal.ts';
import type { createFrontend, Frontend } from './frontend.ts';
import { type HttpThreads, startHttpThreads } from './http-threads.ts';
import { type Ids, randomIds } from './ids.ts';
import { createMetrics, type MetricSources, type Metrics } from './metrics/metrics.ts';
import { manifest } from './package.ts';
import { endAtOnce, watchWriter } from './process-end.ts';
import type { Storage } from './storage/port.ts';
import { masterKeyFile } from './storage/sqlite/data-directory.ts';
import { openSqlite, type SqliteStorage } from './storage/sqlite/engine.ts';
import { StartupError } from './storage/startup-error.ts';

export type Service = {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Ends it in order; what was acknowledged is on disk, what is in hand is answered. */
  readonly stop: () => Promise<void>;
};

export type ServiceOptions = {
  /** Start although acknowledged commits are missing. */
  readonly acceptDataLoss: boolean;
  /** Told when the engine can no longer be trusted, or answers no more. */
  readonly onFatal: (cause: Error) => void;
};

/** Serves until it is told to stop: the body of `sluice serve`. @throws StartupError */
export async function serve(
  config: Config,
  log: Logger,
  { acceptDataLoss }: { acceptDataLoss: boolean },
): Promise<void> {
  // Data, and whatever else this process creates, is its own user's alone.
  process.umask(0o077);
  const die = (error: unknown, why: string) => {
    log.fatal({ err: error }, why);
    endAtOnce();
  };
  const starting = startService(config, log, { acceptDataLoss, onFatal: (cause) => die(cause, 'storage failed') });
  const { close } = closeWithGrace(
    {
      delay: config.shutdownSeconds * 1000,
      logger: false,
      skip: [...stopSignals, ...otherEvents],
      onTimeout: () => {
        log.fatal('the orderly stop took too long');
        endAtOnce();
      },
      onSecondError: (error) => log.fatal({ err: error }, 'uncaught error during the stop'),
    },
    async ({ err }) => {
      if (err !== undefined) return die(err, 'uncaught error');
      await (await starting).stop();
      log.info('stopped');
    },
  );
  onFirstSignal((signal) => {
    log.info({ signal }, 'stopping');
    close();
  });
  await starting;
}

const stopSignals: closeWithGrace.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];
/** What tells of a broken process ends it as the system does; an empty event loop needs no handling. */
const otherEvents: closeWithGrace.AllEvents[] = [
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'beforeExit',
];

/**
 * Further signals change nothing. close-with-grace would exit at the second one, and `npm start` passes on the one that
 * the terminal has sent to all already: Ctrl-C would never be orderly. The stop has an end of its own.
 */
function onFirstSignal(stop: (signal: string) => void): void {
  let isStopping = false;
  for (const signal of stopSignals) {
    process.on(signal, () => {
      if (isStopping) return;
      isStopping = true;
      stop(signal);
    });
  }
}

/** Opens the data, creates the declared queues, and listens. @throws StartupError */
export async function startService(config: Config, log: Logger, options: ServiceOptions): Promise<Service> {
  const ids = randomIds();
  const wall = systemClock(instant(0));
  // The storage opens on a thread of its own; the server's code, a third of the start, is loaded meanwhile.
  const [storage, { createFrontend }] = await Promise.all([
    openSqlite({
      directory: config.dataDir,
      ids,
      log,
      now: wall.now(),
      dataBytesMax: config.dataBytesMax === 0 ? undefined : config.dataBytesMax,
      acceptDataLoss: options.acceptDataLoss,
      allowNetworkFileSystem: config.allowNetworkFileSystem,
      hasOwnThread: true,
      elapsedMs: wall.elapsedMs,
    }),
    import('./frontend.ts'),
  ]);
  storage.onFatal(options.onFatal);
  try {
    return await joinAndListen({
      config,
      log,
      storage,
      ids,
      createFrontend,
      onBroken: options.onFatal,
    });
  } catch (error) {
    await storage.close();
    throw error;
  }
}

type Parts = {
  readonly config: Config;
  readonly log: Logger;
  readonly storage: SqliteStorage;
  readonly ids: Ids;
  readonly createFrontend: typeof createFrontend;
  readonly onBroken: ServiceOptions['onFatal'];
};

async function joinAndListen(parts: Parts): Promise<Service> {
  const { config, log, storage, ids, onBroken } = parts;
  const clock = systemClock(storage.highWaterAt);
  const masterKey = masterKeyOf(config, ids);
  let threads: HttpThreads | undefined;
  let metrics: Metrics | undefined;
  const frontend = await parts.createFrontend({
    config,
    log,
    storage,
    clock,
    ids,
    masterKey,
    metricsOf(broker) {
      const others = async () => (await threads?.counted()) ?? [];
      metrics = createMetrics({ ...metricSources(config, storage, broker, clock), others });
      return metrics;
    },
    prepareKeys: (broker) => prepareKeys(broker, config),
  });
  const { broker } = frontend;
  await applyDefinitions(broker.queues, openPrincipal(config.account), config.queueDefinitions, log);
  const url = await listen(frontend, config).catch((error: unknown) => {
    throw listenProblem(error, config);
  });
  const { monotonicZeroAt } = clock;
  threads = await startHttpThreads({
    config,
    port: config.port === 0 ? Number(new URL(url).port) : config.port,
    monotonicZeroAt,
    masterKey,
    share: storage.share,
    expect: broker.upkeep.expect,
    render: async () => (await metrics?.render()) ?? '',
    onBroken,
  }).catch(async (error: unknown) => {
    await frontend.stop();
    throw error;
  });
  broker.upkeep.start();
  const unwatch = watchWriter(clock, () => storage.health().stalledMs, onBroken);
  log.info(
    { url, dataDir: resolve(config.dataDir), access: accessWords(config, broker), version: manifest.version },
    'serving',
  );
  return {
    url,
    async stop() {
      await Promise.all([frontend.stop(), threads?.stop()]);
      await broker.upkeep.stop();
      unwatch();
      await storage.close();
    },
  };
}

async function listen(frontend: Frontend, config: Config): Promise<string> {
  if (config.httpThreads > 1) await frontend.requireOwnPort(config.port);
  return frontend.listen(config.port);
}

function accessWords({ auth, host }: Config, { keys }: Broker): string {
  if (auth === 'keys' && !keys.isEmpty()) return 'with access keys';
  return isLoopback(host) ? 'open, on loopback only' : 'open to everybody who reaches the port';
}

/** The master key that was given, or the one that lies beside the data. @throws StartupError */
function masterKeyOf({ masterKeyBytes: given, dataDir }: Config, ids: Ids): Uint8Array {
  if (given !== undefined) return given;
  const bytes = parseMasterKey(masterKeyFile(dataDir, () => ids.secret(masterKeyBytes)));
  if (bytes === undefined) throw new StartupError(`master.key in ${dataDir} is not 64 hexadecimal digits.`);
  return bytes;
}

/**
 * Reads the keys and brings the declared ones into being. Nobody else may reach a server without keys, unless its
 * operator says so.
 * @throws StartupError
 */
async function prepareKeys({ keys }: Broker, { auth, account, host, keyDefinitions }: Config): Promise<void> {
  await keys.load();
  await keys.declare(account, keyDefinitions);
  if (auth === 'off') return;
  const [foreign] = keys.sealedElsewhere();
  if (foreign !== undefined) {
    throw new StartupError(
      `The secret of the access key ${foreign} was sealed under another master key. Start with that one (SLUICE_MASTER_KEY, or master.key in the data directory), or with SLUICE_AUTH=off and delete the key.`,
    );
  }
  if (!isLoopback(host) && keys.isEmpty()) {
    throw new StartupError(
      `SLUICE_HOST is ${JSON.stringify(host)}, which others can reach, and there are no access keys; right would be 127.0.0.1, ` +
        'a key under definitions.keys in the file of SLUICE_CONFIG, or SLUICE_AUTH=off to let everybody in who reaches the port.',
    );
  }
}

function metricSources(
  { account }: Config,
  storage: Storage,
  { queues, waiters }: Broker,
  clock: Clock,
): MetricSources {
  return {
    now: clock.now,
    figures: () => ({ ...storage.health(), longPollCount: waiters.count() }),
    async queuePage(cursor) {
      const page = await queues.list(openPrincipal(account), {
        prefix: '',
        limit: limits.pageItemsMax,
        cursor: cursor ?? undefined,
      });
      return { ...page, items: page.items.map(({ queue, stats }) => ({ name: queue.name, stats })) };
    },
  };
}

/** Code of the system → what is wrong with where we should listen, and what would be right. */
const listenProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is taken by another program; stop that one, or set SLUICE_PORT to another',
  EACCES: 'is not open to this user; set SLUICE_PORT to one from 1024 on',
  EADDRNOTAVAIL: 'is no address of this machine; set SLUICE_HOST to one that is, such as 127.0.0.1',
  ENOTFOUND: 'is no address of this machine; set SLUICE_HOST to one that is, such as 127.0.0.1',
};

function listenProblem(error: unknown, { host, port }: Config): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  const problem = listenProblems[String(error.code)];
  return problem === undefined ? error : new StartupError(`Port ${port} of ${host} ${problem}.`, { cause: error });
}
