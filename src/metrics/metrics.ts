/**
 * The metrics of one server in a registry of its own. Requests and commits are counted as they happen; figures of
 * queues and storage are read when somebody scrapes, so that nothing has to be kept in step with the data.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Instant } from '../domain/instant.ts';
import type { QueueStats } from '../domain/queue.ts';
import {
  type MetricRow,
  observedMetrics,
  queueMetrics,
  queuesOmittedMetric,
  type ServiceFigures,
  serviceMetrics,
} from './catalogue.ts';

export type Metrics = {
  /** @param route the pattern of the route, such as `/v1/queues/:queue`, never the path that a client wrote */
  readonly observeRequest: (method: string, route: string, status: number, seconds: number) => void;
  readonly observeCommit: (commit: { readonly requestCount: number; readonly seconds: number }) => void;
  /** All metrics in the text format of Prometheus. */
  readonly render: () => Promise<string>;
  readonly contentType: string;
};

export type MetricSources = {
  readonly now: () => Instant;
  readonly figures: () => ServiceFigures;
  /** Queues by name, page by page. */
  readonly queuePage: (cursor: string | null) => Promise<{
    readonly items: readonly { readonly name: string; readonly stats: QueueStats }[];
    readonly nextCursor: string | null;
  }>;
};

/** Queues listed in one scrape: 14 series each, so a scrape stays within a few megabytes. */
export const queuesPerScrapeMax = 2_000;

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Counter({ ...naming(observedMetrics.requests), registers });
  const requestSeconds = new Histogram({ ...histogramNaming(observedMetrics.requestSeconds), registers });
  const commitRequests = new Histogram({ ...histogramNaming(observedMetrics.commitRequests), registers });
  const commitSeconds = new Histogram({ ...histogramNaming(observedMetrics.commitSeconds), registers });
  const queuesOmitted = new Gauge({ ...naming(queuesOmittedMetric), registers });
  const ofQueues = queueMetrics.map((row) => ({ row, set: perQueue(row, registry) }));
  const ofService = serviceMetrics.map((row) => ({ row, gauge: new Gauge({ ...naming(row), registers }) }));

  const readQueues = async () => {
    const { queues, isCutOff } = await listQueues(sources);
    const now = sources.now();
    queuesOmitted.set(Number(isCutOff));
    for (const { row, set } of ofQueues) set(queues.map(({ name, stats }) => [name, row.read(stats, now)]));
  };

  const renderNow = async (): Promise<string> => {
    await readQueues();
    const figures = sources.figures();
    for (const { row, gauge } of ofService) gauge.set(row.read(figures));
    return registry.metrics();
  };

  // Two scrapes at once share one reading: the gauges of one must not be reset under the other.
  let rendering: Promise<string> | undefined;

  return {
    observeRequest(method, route, status, seconds) {
      requests.inc({ method, route, status });
      requestSeconds.observe({ method, route }, seconds);
    },
    observeCommit({ requestCount, seconds }) {
      commitRequests.observe(requestCount);
      commitSeconds.observe(seconds);
    },
    render() {
      rendering ??= renderNow().finally(() => {
        rendering = undefined;
      });
      return rendering;
    },
    contentType: registry.contentType,
  };
}

async function listQueues({ queuePage }: MetricSources) {
  const queues: { readonly name: string; readonly stats: QueueStats }[] = [];
  let cursor: string | null = null;
  do {
    const page = await queuePage(cursor);
    queues.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && queues.length < queuesPerScrapeMax);
  return {
    queues: queues.slice(0, queuesPerScrapeMax),
    isCutOff: cursor !== null || queues.length > queuesPerScrapeMax,
  };
}

type SetAll = (values: readonly (readonly [queue: string, value: number])[]) => void;

/** Sets the series of all queues anew; those of deleted queues end. */
function perQueue(row: MetricRow, registry: Registry): SetAll {
  const options = { name: row.name, help: row.help, labelNames: ['queue'], registers: [registry] };
  const metric = row.kind === 'counter' ? new Counter(options) : new Gauge(options);
  return (values) => {
    metric.reset();
    for (const [queue, value] of values) metric.inc({ queue }, value);
  };
}

const naming = <L extends string>(row: {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
}) => ({
  name: row.name,
  help: row.help,
  labelNames: row.labels,
});

const histogramNaming = <L extends string>(row: {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
  readonly buckets: readonly number[];
}) => ({ ...naming(row), buckets: [...row.buckets] });
