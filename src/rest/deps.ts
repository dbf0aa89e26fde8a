/** What the operations of the REST API need. */
import type { Logger } from 'pino';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../clock.ts';
import type { Arrivals } from '../http/arrivals.ts';
import type { RequestMetrics } from '../http/metrics.ts';

export type Readiness = { readonly ready: boolean; readonly reasons: readonly string[] };

export type RestDeps = {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: RequestMetrics | undefined;
  readonly isReady: () => Readiness;
  readonly version: string;
  readonly arrivals: Arrivals;
};
