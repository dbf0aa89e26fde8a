/**
 * The only reader of time. Everything else gets a Clock.
 *
 * The system clock reads the wall once, at start, and from then on adds what the monotonic clock measured: a step of
 * the wall clock moves neither visibility timeouts nor deduplication windows. It never starts before the latest
 * instant in the data.
 */
import { type Instant, instant } from './domain/instant.ts';

/** Ends a timer; harmless afterwards. */
export type Cancel = () => void;

export interface Clock {
  now(): Instant;
  /** Milliseconds for measuring, from an arbitrary start, with fractions. */
  elapsedMs(): number;
  /** Calls back once at or after the instant; far instants are fine. */
  at(when: Instant, callback: () => void): Cancel;
}

/** Longer timers fire at once in Node.js. @see https://nodejs.org/api/timers.html#settimeoutcallback-delay-args */
const timerMsMax = 2 ** 31 - 1;

export type SystemClock = Clock & {
  /** When the machine's monotonic clock was at zero, by this clock: with it another thread tells the same time. */
  readonly monotonicZeroAt: number;
};

/** `performance.now()` begins anew in each thread; the machine's own monotonic clock, which it follows, does not. */
const threadBeganMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** @param atLeast the latest instant known from the data */
export const systemClock = (atLeast: Instant): SystemClock =>
  clockFrom(Math.max(Date.now(), atLeast) - (threadBeganMs + performance.now()));

/** The clock of another thread of this process. */
export function clockFrom(monotonicZeroAt: number): SystemClock {
  const base = monotonicZeroAt + threadBeganMs;
  const now = () => instant(base + performance.now());
  return {
    monotonicZeroAt,
    now,
    elapsedMs: () => performance.now(),
    at(when, callback) {
      let timer: NodeJS.Timeout;
      const arm = () => {
        // A timer may fire up to a millisecond early: what is due is decided by the clock.
        timer = setTimeout(() => (now() < when ? arm() : callback()), Math.min(Math.max(when - now(), 0), timerMsMax));
      };
      arm();
      return () => clearTimeout(timer);
    },
  };
}
