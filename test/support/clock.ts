/**
 * A clock that stands still until a test moves it. Timers fire in order, each at its own instant, and promises settle
 * between them, so that what one timer caused is seen by the next.
 */
import type { Clock } from '../../src/clock.ts';
import { type Instant, instant } from '../../src/domain/instant.ts';

export type ManualClock = Clock & {
  /** Moves time on and fires what is due on the way; `advance({})` only lets promises settle. */
  readonly advance: (by: { readonly seconds?: number; readonly ms?: number }) => Promise<void>;
  /** Timers that wait. */
  readonly timerCount: () => number;
};

type Timer = { readonly at: Instant; readonly fire: () => void };

/** One advance fires at most so many timers: beyond it something sets a timer that is always due. */
const timersPerAdvanceMax = 100_000;

export const manualStart = instant(Date.UTC(2026, 0, 1));

export function manualClock(start: Instant = manualStart): ManualClock {
  const timers = new Set<Timer>();
  let now = start;

  const nextDue = (until: Instant): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) if (timer.at <= until && (next === undefined || timer.at < next.at)) next = timer;
    return next;
  };

  const fireUntil = async (until: Instant) => {
    for (let fired = 0; ; fired += 1) {
      const timer = nextDue(until);
      if (timer === undefined) return;
      if (fired === timersPerAdvanceMax)
        throw new Error(`More than ${timersPerAdvanceMax} timers fired in one advance.`);
      timers.delete(timer);
      if (timer.at > now) now = timer.at;
      timer.fire();
      await settle();
    }
  };

  return {
    now: () => now,
    elapsedMs: () => now - start,
    timerCount: () => timers.size,
    at(when, callback) {
      const timer = { at: when, fire: callback };
      timers.add(timer);
      // As with the system's clock, what is due already fires without anybody moving time.
      if (when <= now) setImmediate(() => timers.delete(timer) && callback());
      return () => timers.delete(timer);
    },
    async advance({ seconds = 0, ms = 0 }) {
      const until = instant(now + seconds * 1000 + ms);
      await settle();
      await fireUntil(until);
      now = until;
      await settle();
    },
  };
}

/** Lets promises and finished input and output run; a few turns, since one often leads to the next. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
