/**
 * The metrics of one server in registries of its own. Requests and commits are counted as they happen, in the thread in
 * which they do, and added up when somebody scrapes; figures of queues and storage are read then, so that nothing has
 * to be kept in step with the data.
 */
import {
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
} from 'prom-client';
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

/** What one thread has counted since it began: plain data, to be added up with that of others. */
export type Counted = {
  readonly series: readonly MetricObjectWithValues<MetricValue<string>>[];
  readonly figures: ServiceFigures;
};

export type Counts = {
  /** @param route the pattern of the route, such as `/v1/queues/:queue`, never the path that a client wrote */
  readonly observeRequest: (method: string, route: string, status: number, seconds: number) => void;
  /** Where several threads had a part in a commit, each counts its own part. */
  readonly observeCommit: (commit: { readonly requestCount: number; readonly seconds: number }) => void;
  readonly counted: () => Promise<Counted['series']>;
};

export type Metrics = Omit<Counts, 'counted'> & {
  /** All metrics in the text format of Prometheus. */
  readonly render: () => Promise<string>;
  readonly contentType: string;
};

export type MetricSources = {
  readonly now: () => Instant;
  readonly figures: () => ServiceFigures;
  /** What other threads have counted; absent: there are none. */
  readonly others?: (() => Promise<readonly Counted[]>) | undefined;
  /** Queues by name, page by page. */
  readonly queuePage: (cursor: string | null) => Promise<{
    readonly items: readonly { readonly name: string; readonly stats: QueueStats }[];
    readonly nextCursor: string | null;
  }>;
};

/** Queues listed in one scrape: 14 series each, so a scrape stays within a few megabytes. */
export const queuesPerScrapeMax = 2_000;

/** Of the text format of Prometheus. */
export const metricsContentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** Counts what happens in one thread. */
export function createCounts(): Counts {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({ ...naming(observedMetrics.requests), registers });
  const requestSeconds = new Histogram({ ...histogramNaming(observedMetrics.requestSeconds), registers });
  const commitRequests = new Histogram({ ...histogramNaming(observedMetrics.commitRequests), registers });
  const commitSeconds = new Histogram({ ...histogramNaming(observedMetrics.commitSeconds), registers });
  return {
    observeRequest(method, route, status, seconds) {
      requests.inc({ method, route, status });
      requestSeconds.observe({ method, route }, seconds);
    },
    observeCommit({ requestCount, seconds }) {
      commitRequests.observe(requestCount);
      commitSeconds.observe(seconds);
    },
    counted: () => registry.getMetricsAsJSON(),
  };
}

export function createMetrics(sources: MetricSources): Metrics {
  const { observeRequest, observeCommit, counted } = createCounts();
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
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
    const others = (await sources.others?.()) ?? [];
    const figures = addedUp(
      sources.figures(),
      others.map((other) => other.figures),
    );
    for (const { row, gauge } of ofService) gauge.set(row.read(figures));
    const series = [await counted(), ...others.map((other) => other.series)];
    return `${await AggregatorRegistry.aggregate(series as object[][]).metrics()}${await registry.metrics()}`;
  };

  // Two scrapes at once share one reading: the gauges of one must not be reset under the other.
  let rendering: Promise<string> | undefined;

  return {
    observeRequest,
    observeCommit,
    render() {
      rendering ??= renderNow().finally(() => {
        rendering = undefined;
      });
      return rendering;
    },
    contentType: metricsContentType,
  };
}

/** What waits, waits in some thread; the rest is the same for all of them. */
function addedUp(own: ServiceFigures, others: readonly ServiceFigures[]): ServiceFigures {
  const sum = (read: (figures: ServiceFigures) => number) => others.reduce((s, other) => s + read(other), read(own));
  return {
    ...own,
    pendingRequestCount: sum(({ pendingRequestCount }) => pendingRequestCount),
    pendingBytes: sum(({ pendingBytes }) => pendingBytes),
    longPollCount: sum(({ longPollCount }) => longPollCount),
    stalledMs: Math.max(own.stalledMs, ...others.map(({ stalledMs }) => stalledMs)),
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
