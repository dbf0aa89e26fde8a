import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { QueueStats } from '../../src/domain/queue.ts';
import { metricRows, type ServiceFigures } from '../../src/metrics/catalogue.ts';
import { createMetrics, queuesPerScrapeMax } from '../../src/metrics/metrics.ts';
import { manualStart } from '../support/clock.ts';

const stats: QueueStats = {
  availableCount: 1,
  inFlightCount: 2,
  delayedCount: 3,
  bytes: 4,
  oldestSentAt: null,
  sentTotal: 5,
  receivedTotal: 6,
  deletedTotal: 7,
  redeliveredTotal: 8,
  deadLetteredTotal: 9,
  expiredTotal: 10,
  purgedTotal: 11,
  redrivenTotal: 12,
  quarantinedTotal: 13,
};
const figures: ServiceFigures = {
  canWrite: true,
  isFull: false,
  pendingRequestCount: 14,
  pendingBytes: 15,
  walBytes: 16,
  dataBytes: 17,
  stalledMs: 1_500,
  longPollCount: 18,
};

/** Metrics over queues that a test can change, given as pages of one. */
function metricsOver(queues: Map<string, QueueStats>) {
  return createMetrics({
    now: () => manualStart,
    figures: () => figures,
    queuePage: async (cursor) => {
      const names = [...queues.keys()];
      const at = cursor === null ? 0 : Number(cursor);
      const items = names.slice(at, at + 1).map((name) => ({ name, stats: queues.get(name) ?? stats }));
      return { items, nextCursor: at + 1 < names.length ? String(at + 1) : null };
    },
  });
}

/** Our own series of one scrape: name with labels → value. */
async function scrape(metrics: ReturnType<typeof metricsOver>): Promise<Map<string, number>> {
  const lines = (await metrics.render()).split('\n').filter((line) => line.startsWith('sluice_'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('metrics', () => {
  it('tell the numbers of each queue at the time of the scrape', async () => {
    const queues = new Map([
      ['a', stats],
      ['b', { ...stats, availableCount: 99, oldestSentAt: manualStart }],
    ]);
    const metrics = metricsOver(queues);
    const series = await scrape(metrics);
    expect(series.get('sluice_queue_messages_available{queue="a"}')).toBe(1);
    expect(series.get('sluice_queue_messages_available{queue="b"}')).toBe(99);
    expect(series.get('sluice_queue_messages_in_flight{queue="a"}')).toBe(2);
    expect(series.get('sluice_queue_messages_sent_total{queue="a"}')).toBe(5);
    expect(series.get('sluice_queue_messages_quarantined_total{queue="a"}')).toBe(13);
    queues.set('a', { ...stats, sentTotal: 6 });
    expect((await scrape(metrics)).get('sluice_queue_messages_sent_total{queue="a"}')).toBe(6);
  });

  it('tell the age of the oldest message in seconds, and 0 for an empty queue', async () => {
    const oldestSentAt = (manualStart - 2_500) as typeof manualStart;
    const series = await scrape(
      metricsOver(
        new Map([
          ['a', { ...stats, oldestSentAt }],
          ['b', stats],
        ]),
      ),
    );
    expect(series.get('sluice_queue_oldest_message_age_seconds{queue="a"}')).toBe(2.5);
    expect(series.get('sluice_queue_oldest_message_age_seconds{queue="b"}')).toBe(0);
  });

  it('forget a queue that is gone', async () => {
    const queues = new Map([['gone', stats]]);
    const metrics = metricsOver(queues);
    await scrape(metrics);
    queues.clear();
    expect([...(await scrape(metrics)).keys()].filter((name) => name.includes('gone'))).toEqual([]);
  });

  it('tell the figures of the service', async () => {
    const series = await scrape(metricsOver(new Map()));
    expect(series.get('sluice_writer_pending_requests')).toBe(14);
    expect(series.get('sluice_storage_writable')).toBe(1);
    expect(series.get('sluice_storage_full')).toBe(0);
    expect(series.get('sluice_writer_stalled_seconds')).toBe(1.5);
    expect(series.get('sluice_long_polls')).toBe(18);
  });

  it('count requests and commits', async () => {
    const metrics = metricsOver(new Map());
    metrics.observeRequest('POST', '/v1/queues/:queue/messages', 201, 0.003);
    metrics.observeCommit({ requestCount: 3, seconds: 0.003 });
    const series = await scrape(metrics);
    const request = 'method="POST",route="/v1/queues/:queue/messages"';
    expect(series.get(`sluice_http_requests_total{${request},status="201"}`)).toBe(1);
    expect(series.get(`sluice_http_request_seconds_bucket{le="0.005",${request}}`)).toBe(1);
    expect(series.get('sluice_commit_requests_bucket{le="2"}')).toBe(0);
    expect(series.get('sluice_commit_requests_bucket{le="4"}')).toBe(1);
    expect(series.get('sluice_commit_seconds_count')).toBe(1);
  });

  it.each([
    [queuesPerScrapeMax, 0],
    [queuesPerScrapeMax + 1, 1],
  ])('list so many queues and say whether some are left out: %i', async (count, omitted) => {
    const metrics = metricsOver(new Map(Array.from({ length: count }, (_, i) => [`q${i}`, stats])));
    const series = await scrape(metrics);
    expect(series.get('sluice_queues_omitted')).toBe(omitted);
    expect([...series.keys()].filter((name) => name.startsWith('sluice_queue_bytes'))).toHaveLength(queuesPerScrapeMax);
  });

  it('share one reading between scrapes at the same time', async () => {
    const metrics = metricsOver(new Map([['a', stats]]));
    const [first, second] = await Promise.all([metrics.render(), metrics.render()]);
    expect(first).toBe(second);
  });

  it('carry those of the process', async () => {
    expect(await metricsOver(new Map()).render()).toContain('process_cpu_seconds_total');
  });

  it('are all in the catalogue, under names that say their unit', async () => {
    const text = await metricsOver(new Map()).render();
    const told = [...text.matchAll(/^# TYPE (sluice_\w+) (\w+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
    expect(told.sort()).toEqual(metricRows.map(({ name, kind }) => `${name} ${kind}`).sort());
    for (const { name, kind } of metricRows) expect(name.endsWith('_total'), name).toBe(kind === 'counter');
  });

  it('are documented as the catalogue has them', () => {
    const readme = readFileSync(new URL('../../src/metrics/README.md', import.meta.url), 'utf8');
    const rows = metricRows.map(
      ({ name, kind, labels, unit, help }) => `| \`${name}\` | ${kind} | ${labels.join(', ')} | ${unit} | ${help} |`,
    );
    expect(readme.split('\n').filter((line) => line.startsWith('| `'))).toEqual(rows);
  });
});
