/**
 * Long polling: who waits for which queue, and who is woken.
 *
 * Nobody polls. A waiter joins its queue's line before it looks into the queue; a commit that makes messages
 * receivable rings as many waiters as there are messages, and one timer per queue rings when the next hidden message
 * becomes visible. A rung waiter looks again, and rings the next one if there is more to have. A ring that finds a
 * waiter still looking is kept for it, so no wake-up is lost between the look and the wait.
 */
import type { Cancel, Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import type { Instant } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import type { ReadyNotice } from '../storage/port.ts';

export type Waiter = {
  /** Resolves at the next ring, or with 'over' at the deadline, when the client is gone, or when the server stops. */
  readonly rung: (deadline: Instant) => Promise<'rung' | 'over'>;
  /** Steps out of the line; a ring that came too late goes to the next in line. */
  readonly leave: () => void;
};

export type Waiters = {
  /** @param signal aborted when the client has gone. @throws tooManyWaiters */
  readonly join: (queueId: number, signal?: AbortSignal) => Waiter;
  readonly ring: (notice: ReadyNotice) => void;
  /** Ends all waits and refuses none: whoever comes later looks once and does not wait. */
  readonly close: () => void;
  /** Whether somebody waits there, who would have been rung if there were something to have. */
  readonly areIn: (queueId: number) => boolean;
  /** Long polls open now. */
  readonly count: () => number;
};

type Place = { isRung: boolean; wake: ((why: 'rung' | 'over') => void) | undefined };
type Line = { readonly places: Set<Place>; timer: { readonly at: Instant; readonly cancel: Cancel } | undefined };

export function createWaiters(clock: Clock): Waiters {
  const lines = new Map<number, Line>();
  let waiterCount = 0;
  let isClosed = false;

  const ringNow = (line: Line, count: number) => {
    let left = count;
    for (const place of line.places) {
      if (left === 0) return;
      if (place.isRung) continue;
      place.isRung = true;
      left -= 1;
      place.wake?.('rung');
    }
  };

  const ringAt = (queueId: number, line: Line, at: Instant) => {
    if (line.timer !== undefined && line.timer.at <= at) return;
    line.timer?.cancel();
    const cancel = clock.at(at, () => {
      line.timer = undefined;
      ringNow(line, 1);
    });
    line.timer = { at, cancel };
    if (!lines.has(queueId)) cancel();
  };

  return {
    join(queueId, signal) {
      const line = lines.get(queueId) ?? { places: new Set(), timer: undefined };
      if (line.places.size >= limits.waitersPerQueueMax || waiterCount >= limits.waitersMax) {
        const countMax = waiterCount >= limits.waitersMax ? limits.waitersMax : limits.waitersPerQueueMax;
        throw Fault.of('tooManyWaiters', { countMax });
      }
      lines.set(queueId, line);
      const place: Place = { isRung: false, wake: undefined };
      line.places.add(place);
      waiterCount += 1;

      return {
        rung(deadline) {
          if (place.isRung) {
            place.isRung = false;
            return Promise.resolve('rung');
          }
          if (isClosed || signal?.aborted === true || clock.now() >= deadline) return Promise.resolve('over');
          return new Promise((resolve) => {
            const over = () => place.wake?.('over');
            const cancelDeadline = clock.at(deadline, over);
            signal?.addEventListener('abort', over, { once: true });
            place.wake = (why) => {
              place.wake = undefined;
              cancelDeadline();
              signal?.removeEventListener('abort', over);
              if (why === 'rung') place.isRung = false;
              // To the end of the line: who was rung longest ago is rung next.
              line.places.delete(place);
              line.places.add(place);
              resolve(why);
            };
          });
        },
        leave() {
          if (!line.places.delete(place)) return;
          waiterCount -= 1;
          if (place.isRung) ringNow(line, 1);
          if (line.places.size === 0) {
            line.timer?.cancel();
            line.timer = undefined;
            lines.delete(queueId);
          }
        },
      };
    },

    ring({ queueId, at, count }) {
      const line = lines.get(queueId);
      if (line === undefined) return;
      if (at > clock.now()) ringAt(queueId, line, at);
      else ringNow(line, count === 0 ? line.places.size : count);
    },

    close() {
      isClosed = true;
      for (const line of lines.values()) for (const place of [...line.places]) place.wake?.('over');
    },

    areIn: (queueId) => lines.has(queueId),

    count: () => waiterCount,
  };
}
