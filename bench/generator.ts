/**
 * What every load generator is: a process of its own, pinned away from the server, that is told its jobs by the bench,
 * runs one at a time, and counts between the end of the warm-up and the end of the job.
 */
import { quantile } from './numbers.ts';

export type LoadSays =
  | { readonly says: 'ready' }
  /** The measured part begins or ends: the bench reads the server's clocks. */
  | { readonly says: 'begin' | 'end' }
  | { readonly says: 'done'; readonly result: LoadResult }
  | { readonly says: 'failed'; readonly message: string };

export type LoadResult = {
  readonly units: number;
  readonly requests: number;
  readonly seconds: number;
  readonly unitsPerSecond: number;
  readonly requestsPerSecond: number;
  /** Milliseconds from a request's first byte to its answer's last; of long polls, from the send to the answer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Share of one core that the generator used. */
  readonly cpu: number;
};

export const tell = (message: LoadSays): void => {
  process.send?.(message);
};
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Counts what happens between begin and end. */
export class Counter {
  units = 0;
  requests = 0;
  readonly waits: number[] = [];
  #isOn = false;
  #startedAt = 0;
  #cpu = process.cpuUsage();

  begin(): void {
    this.#isOn = true;
    this.#startedAt = performance.now();
    this.#cpu = process.cpuUsage();
    tell({ says: 'begin' });
  }

  count(units: number, ms: number): void {
    if (!this.#isOn) return;
    this.requests += 1;
    this.units += units;
    this.waits.push(ms);
  }

  end(): LoadResult {
    this.#isOn = false;
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    const { user, system } = process.cpuUsage(this.#cpu);
    tell({ says: 'end' });
    return {
      units: this.units,
      requests: this.requests,
      seconds,
      unitsPerSecond: this.units / seconds,
      requestsPerSecond: this.requests / seconds,
      p50Ms: quantile(this.waits, 0.5),
      p99Ms: quantile(this.waits, 0.99),
      cpu: (user + system) / 1e6 / seconds,
    };
  }
}

export type Timed = { readonly warmSeconds: number; readonly seconds: number };

/**
 * Counts for so long after a warm-up, then lets the conversations come to their end.
 * @param talk.conversations rejects as soon as one fails, resolves when all are over
 * @param talk.end told when no new work may begin
 * @param talk.enough ends the time early
 */
export async function measure(
  counter: Counter,
  { warmSeconds, seconds }: Timed,
  talk: { readonly conversations: Promise<unknown>; readonly end: () => void; readonly enough?: Promise<void> },
): Promise<LoadResult> {
  await Promise.race([pause(warmSeconds * 1_000), talk.conversations]);
  counter.begin();
  await Promise.race([pause(seconds * 1_000), talk.conversations, ...(talk.enough === undefined ? [] : [talk.enough])]);
  const result = counter.end();
  talk.end();
  await talk.conversations;
  return result;
}

/** Does the jobs of the bench until it ends. */
export function serveJobs<J>(work: (job: J) => Promise<LoadResult>): void {
  process.on('message', (job: J) => {
    work(job).then(
      (result) => tell({ says: 'done', result }),
      (cause: unknown) => {
        tell({ says: 'failed', message: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
        // Connections may still be in their conversations: a generator that failed is not used again.
        process.disconnect();
        process.exit(1);
      },
    );
  });
  process.on('disconnect', () => process.exit());
  tell({ says: 'ready' });
}
