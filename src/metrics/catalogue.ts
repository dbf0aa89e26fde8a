/**
 * Every metric of our own: one row each, with its name, kind, labels, unit and meaning. What is read at scrape time
 * carries the function that reads it. The table in README.md beside this file is compared with these rows by a test.
 *
 * Labels take their values from what exists (queues, routes), never from what a client wrote, so no client can make
 * series without end.
 */
import type { Instant } from '../domain/instant.ts';
import type { QueueStats } from '../domain/queue.ts';

export type MetricRow = {
  readonly name: string;
  readonly kind: 'gauge' | 'counter' | 'histogram';
  readonly labels: readonly string[];
  readonly unit: string;
  readonly help: string;
};

/** The figures of the whole service at one instant. */
export type ServiceFigures = {
  readonly canWrite: boolean;
  readonly isFull: boolean;
  readonly pendingRequestCount: number;
  readonly pendingBytes: number;
  readonly walBytes: number;
  readonly dataBytes: number;
  readonly stalledMs: number;
  readonly longPollCount: number;
};

type QueueRow = MetricRow & { readonly read: (stats: QueueStats, now: Instant) => number };
type ServiceRow = MetricRow & { readonly read: (figures: ServiceFigures) => number };
type HistogramRow = MetricRow & { readonly buckets: readonly number[] };

const queueGauge = { kind: 'gauge', labels: ['queue'] } as const;
const queueCounter = { kind: 'counter', labels: ['queue'], unit: 'messages' } as const;
const serviceGauge = { kind: 'gauge', labels: [] } as const;

/** Read of each queue at scrape time. */
export const queueMetrics: readonly QueueRow[] = [
  {
    ...queueGauge,
    name: 'sluice_queue_messages_available',
    unit: 'messages',
    help: 'Messages that can be received now: the depth.',
    read: ({ availableCount }) => availableCount,
  },
  {
    ...queueGauge,
    name: 'sluice_queue_messages_in_flight',
    unit: 'messages',
    help: 'Messages held by a receiver.',
    read: ({ inFlightCount }) => inFlightCount,
  },
  {
    ...queueGauge,
    name: 'sluice_queue_messages_delayed',
    unit: 'messages',
    help: 'Messages that wait for their delay or back-off to pass.',
    read: ({ delayedCount }) => delayedCount,
  },
  {
    ...queueGauge,
    name: 'sluice_queue_oldest_message_age_seconds',
    unit: 'seconds',
    help: 'Age of the message kept longest, from its send on; 0 when the queue is empty.',
    read: ({ oldestSentAt }, now) => (oldestSentAt === null ? 0 : Math.max(now - oldestSentAt, 0) / 1000),
  },
  {
    ...queueGauge,
    name: 'sluice_queue_bytes',
    unit: 'bytes',
    help: 'Bytes of all messages kept.',
    read: ({ bytes }) => bytes,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_sent_total',
    help: 'Messages sent.',
    read: ({ sentTotal }) => sentTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_received_total',
    help: 'Messages handed out; each receive of a message counts.',
    read: ({ receivedTotal }) => receivedTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_deleted_total',
    help: 'Messages deleted by their receivers or an operator.',
    read: ({ deletedTotal }) => deletedTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_redelivered_total',
    help: 'Receives after the first of a message.',
    read: ({ redeliveredTotal }) => redeliveredTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_dead_lettered_total',
    help: 'Messages moved from this queue to its dead-letter queue.',
    read: ({ deadLetteredTotal }) => deadLetteredTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_expired_total',
    help: 'Messages removed because their retention passed.',
    read: ({ expiredTotal }) => expiredTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_purged_total',
    help: 'Messages removed by a purge.',
    read: ({ purgedTotal }) => purgedTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_redriven_total',
    help: 'Messages that a redrive took out of this queue.',
    read: ({ redrivenTotal }) => redrivenTotal,
  },
  {
    ...queueCounter,
    name: 'sluice_queue_messages_quarantined_total',
    help: 'Messages whose checksum failed: set aside, never delivered. More than 0 means a damaged disk.',
    read: ({ quarantinedTotal }) => quarantinedTotal,
  },
];

/** Read once at scrape time. */
export const serviceMetrics: readonly ServiceRow[] = [
  {
    ...serviceGauge,
    name: 'sluice_writer_pending_requests',
    unit: 'requests',
    help: 'Requests that wait for a commit.',
    read: ({ pendingRequestCount }) => pendingRequestCount,
  },
  {
    ...serviceGauge,
    name: 'sluice_writer_pending_bytes',
    unit: 'bytes',
    help: 'Bytes of the requests that wait for a commit.',
    read: ({ pendingBytes }) => pendingBytes,
  },
  {
    ...serviceGauge,
    name: 'sluice_writer_stalled_seconds',
    unit: 'seconds',
    help: 'How long the writer has not answered while work waits for it.',
    read: ({ stalledMs }) => stalledMs / 1000,
  },
  {
    ...serviceGauge,
    name: 'sluice_storage_writable',
    unit: '0 or 1',
    help: '1 while writes are possible.',
    read: ({ canWrite }) => Number(canWrite),
  },
  {
    ...serviceGauge,
    name: 'sluice_storage_full',
    unit: '0 or 1',
    help: '1 while sends are refused for want of space.',
    read: ({ isFull }) => Number(isFull),
  },
  {
    ...serviceGauge,
    name: 'sluice_data_bytes',
    unit: 'bytes',
    help: 'Size of the database file.',
    read: ({ dataBytes }) => dataBytes,
  },
  {
    ...serviceGauge,
    name: 'sluice_wal_bytes',
    unit: 'bytes',
    help: 'Size of the write-ahead log.',
    read: ({ walBytes }) => walBytes,
  },
  {
    ...serviceGauge,
    name: 'sluice_long_polls',
    unit: 'requests',
    help: 'Receives that wait for a message now.',
    read: ({ longPollCount }) => longPollCount,
  },
];

/** 1 when queues beyond the limit of one scrape are left out. */
export const queuesOmittedMetric = {
  ...serviceGauge,
  name: 'sluice_queues_omitted',
  unit: '0 or 1',
  help: '1 when there are more queues than one scrape lists; the first by name are listed.',
} as const satisfies MetricRow;

/** Counted as it happens. */
export const observedMetrics = {
  requests: {
    kind: 'counter',
    name: 'sluice_http_requests_total',
    labels: ['method', 'route', 'status'],
    unit: 'requests',
    help: 'Answers, by method, route pattern and status code.',
  },
  requestSeconds: {
    kind: 'histogram',
    name: 'sluice_http_request_seconds',
    labels: ['method', 'route'],
    unit: 'seconds',
    help: 'Time from request to answer; long polls include their wait.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30],
  },
  commitRequests: {
    kind: 'histogram',
    name: 'sluice_commit_requests',
    labels: [],
    unit: 'requests',
    help: 'Requests that shared one commit.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  },
  commitSeconds: {
    kind: 'histogram',
    name: 'sluice_commit_seconds',
    labels: [],
    unit: 'seconds',
    help: 'Time of one transaction with its fsync.',
    buckets: [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 5],
  },
} as const satisfies Record<string, MetricRow | HistogramRow>;

/** All rows, in the order of the documentation. */
export const metricRows: readonly MetricRow[] = [
  ...queueMetrics,
  queuesOmittedMetric,
  ...Object.values(observedMetrics),
  ...serviceMetrics,
];
