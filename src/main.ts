/**
 * The process: joins storage, broker, metrics and server, and ends them in order.
 *
 *     SIGTERM ─▶ not ready ─▶ long polls end ─▶ requests in hand finish ─▶ upkeep stops ─▶ data closed ─▶ exit 0
 *
 * Anything unexpected (an uncaught error, an engine that cannot be trusted) ends the process at once with 1: nothing is
 * acknowledged before it is on disk, so there is nothing to rescue, and the next start sorts out the rest.
 */
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { type Broker, createBroker } from './broker/broker.ts';
import { applyDefinitions } from './broker/definitions.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Config, isLoopback } from './config.ts';
import { instant, secondsAfter } from './domain/instant.ts';
import { limits } from './domain/limits.ts';
import type { Principal } from './domain/principal.ts';
import { randomIds } from './ids.ts';
import { createMetrics, type Metrics } from './metrics/metrics.ts';
import { buildServer } from './server.ts';
import type { Storage } from './storage/port.ts';
import { openSqlite } from './storage/sqlite/engine.ts';
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
  /** Told when the engine can no longer be trusted. */
  readonly onFatal: (cause: Error) => void;
};

/** Requests in hand get this long to finish in an orderly stop; then their connections are closed. */
const finishSecondsMax = 10;

/** Serves until it is told to stop: the body of `sluice serve`. @throws StartupError */
export async function serve(config: Config, log: Logger, { acceptDataLoss }: { acceptDataLoss: boolean }): Promise<void> {
  // Data, and whatever else this process creates, is its own user's alone.
  process.umask(0o077);
  const die = (error: unknown, why: string) => {
    log.fatal({ err: error }, why);
    process.exit(1);
  };
  const starting = startService(config, log, { acceptDataLoss, onFatal: (cause) => die(cause, 'storage failed') });
  const { close } = closeWithGrace(
    {
      delay: config.shutdownSeconds * 1000,
      logger: false,
      skip: [...stopSignals, ...otherEvents],
      onTimeout: () => log.fatal('the orderly stop took too long'),
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
  const storage = await openSqlite({
    directory: config.dataDir,
    ids,
    log,
    now: systemClock(instant(0)).now(),
    ...(config.dataBytesMax === 0 ? {} : { dataBytesMax: config.dataBytesMax }),
    acceptDataLoss: options.acceptDataLoss,
  });
  storage.onFatal(options.onFatal);
  try {
    return await joinAndListen(config, log, storage, ids);
  } catch (error) {
    await storage.close();
    throw error;
  }
}
