/**
 * The one loop: retention, deduplication windows, purged messages, redrive tasks. It does one bounded slice after
 * another and sleeps until the next thing is due.
 */
import type { Logger } from 'pino';
import type { Cancel, Clock } from '../clock.ts';
import { type Instant, instant } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import type { Storage } from '../storage/port.ts';

export type Upkeep = {
  readonly start: () => void;
  /** Something is due at this instant, maybe earlier than the loop would wake. */
  readonly expect: (at: Instant) => void;
  /** Ends the loop after the slice in hand. */
  readonly stop: () => Promise<void>;
};

export function createUpkeep({ storage, clock, log }: { storage: Storage; clock: Clock; log: Logger }): Upkeep {
  let sleep: { readonly until: Instant; readonly cancel: Cancel } | undefined;
  let running: Promise<void> | undefined;
  let expectedAt: Instant | undefined;
  let isStopped = true;

  const sleepUntil = (until: Instant) => {
    sleep?.cancel();
    sleep = { until, cancel: clock.at(until, wake) };
  };

  const wake = () => {
    sleep = undefined;
    if (isStopped || running !== undefined) return;
    running = slice().finally(() => {
      running = undefined;
    });
  };

  const slice = async () => {
    expectedAt = undefined;
    const now = clock.now();
    const latest = instant(now + limits.upkeepSleepMsMax);
    let next = latest;
    try {
      const { nextAt, expiredCount } = await storage.upkeep({ now });
      if (expiredCount > 0) log.info({ expiredCount }, 'messages expired');
      if (nextAt !== null && nextAt < latest) next = nextAt;
    } catch (error) {
      // Upkeep is never the last chance: what was due stays due, and the engine ends the process when it must.
      log.error({ err: error }, 'upkeep failed');
      next = instant(now + 1_000);
    }
    if (isStopped) return;
    // The types cannot see that expect() may have run during the await.
    const expected = expectedAt as Instant | undefined;
    sleepUntil(expected !== undefined && expected < next ? expected : next);
  };

  return {
    start() {
      isStopped = false;
      sleepUntil(clock.now());
    },
    expect(at) {
      if (isStopped) return;
      if (running !== undefined) expectedAt = expectedAt === undefined || at < expectedAt ? at : expectedAt;
      else if (sleep === undefined || at < sleep.until) sleepUntil(at);
    },
    async stop() {
      isStopped = true;
      sleep?.cancel();
      await running;
    },
  };
}
