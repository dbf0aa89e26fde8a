/**
 * One HTTP server with its broker over the storage. A process has one, or several that share a port and the storage,
 * each in a thread of its own; none of them knows of the others.
 */
import type { Logger } from 'pino';
import { type Broker, createBroker } from './broker/broker.ts';
import type { Upkeep } from './broker/upkeep.ts';
import type { Clock } from './clock.ts';
import { type Config, isLoopback } from './config.ts';
import { secondsAfter } from './domain/instant.ts';
import { addressesOf, requireOwnPort } from './http/listening.ts';
import type { RequestMetrics } from './http/metrics.ts';
import type { Ids } from './ids.ts';
import type { Counts } from './metrics/metrics.ts';
import { manifest } from './package.ts';
import { buildServer } from './server.ts';
import type { Storage, StorageHealth } from './storage/port.ts';

export type FrontendDeps = {
  readonly config: Config;
  readonly log: Logger;
  readonly storage: Storage;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Seals the secrets of access keys. */
  readonly masterKey: Uint8Array;
  /** Where another thread has the upkeep loop. */
  readonly upkeep?: Upkeep | undefined;
  readonly metricsOf: (broker: Broker) => RequestMetrics & Pick<Counts, 'observeCommit'>;
  /** Awaited before there is a server: reads the access keys. */
  readonly prepareKeys: (broker: Broker) => Promise<void>;
};

export type Frontend = {
  readonly broker: Broker;
  /** That no other program serves where threads are about to share the port. @throws Error of the system */
  readonly requireOwnPort: (port: number) => Promise<void>;
  /** @returns the address, such as `http://127.0.0.1:8080` */
  readonly listen: (port: number) => Promise<string>;
  /** Ends long polls, finishes the requests in hand and takes no further ones. */
  readonly stop: () => Promise<void>;
};

/** Requests in hand get this long to finish in an orderly stop; then their connections are closed. */
const finishSeconds = ({ shutdownSeconds }: Config): number => Math.min(10, (shutdownSeconds * 2) / 3);

export async function createFrontend(deps: FrontendDeps): Promise<Frontend> {
  const { config, log, storage, clock, ids, masterKey, upkeep } = deps;
  const broker = createBroker({ storage, clock, ids, log, masterKey, upkeep });
  const metrics = deps.metricsOf(broker);
  storage.onCommit(metrics.observeCommit);
  await deps.prepareKeys(broker);
  let isStopping = false;
  const server = await buildServer({
    broker,
    clock,
    ids,
    log,
    metrics,
    version: manifest.version,
    access: accessOf(config),
    sqs: sqsOf(config),
    threadCount: config.httpThreads,
    isReady: () => readiness(storage.health(), isStopping),
  });
  return {
    broker,
    requireOwnPort: async (port) => requireOwnPort(await addressesOf(config.host), port),
    async listen(port) {
      return server.listenAt(await addressesOf(config.host), { port, reusePort: config.httpThreads > 1 });
    },
    async stop() {
      isStopping = true;
      broker.drain();
      const cutAt = secondsAfter(clock.now(), finishSeconds(config));
      const cutOff = clock.at(cutAt, () => server.server.closeAllConnections());
      await server.close();
      cutOff();
    },
  };
}

const sqsOf = ({ region, publicUrl, recreateSeconds }: Config) => ({
  region,
  recreateSeconds,
  publicUrl: publicUrl === '' ? undefined : publicUrl,
});

const accessOf = ({ account, auth, host, allowedHosts }: Config) =>
  ({ account, auth: auth === 'off' ? 'open' : 'keys', isLoopback: isLoopback(host), allowedHosts }) as const;

/** A writer that answers nothing for so long, with work waiting, is not one to send requests to. */
const stalledMsMax = 2_000;

/** A full disk is no reason: receives and deletes go on, and they are what makes room. */
function readiness({ canWrite, stalledMs }: StorageHealth, isStopping: boolean) {
  const reasons = [
    ...(isStopping ? ['the server is stopping'] : []),
    ...(canWrite ? [] : ['the storage cannot write']),
    ...(stalledMs > stalledMsMax ? [`the storage has not answered for ${stalledMs} ms`] : []),
  ];
  return { ready: reasons.length === 0, reasons };
}
