/**
 * Redrive: a task that moves the messages of one queue (mostly a dead-letter queue) back to where they came from, or
 * to a named queue, slice by slice. Its progress is stored in the transaction of each slice, so that a restart goes on
 * where it stopped and no message moves twice.
 *
 *     RUNNING ─▶ completed: of the messages that were there at the start none is left, but for those skipped
 *        ├─────▶ cancelled: somebody asked
 *        └─────▶ failed: the destination is gone or refuses; on request, when a message's origin is unknown
 *
 * Without a destination, a message that was not dead-lettered from a queue that is still there has nowhere to go: it is
 * skipped, stays where it is, and is counted.
 */
import type { FaultData } from './errors.ts';
import type { Instant } from './instant.ts';
import type { Message } from './message.ts';

export type TaskStatus = 'running' | 'completed' | 'cancelled' | 'failed';

export type RedriveTask = {
  readonly taskId: string;
  readonly account: string;
  readonly source: string;
  /** Null: each message goes to the queue it was dead-lettered from. */
  readonly destination: string | null;
  readonly ratePerSecond: number | null;
  readonly limit: number | null;
  readonly status: TaskStatus;
  readonly movedCount: number;
  /** Messages that stay because they have nowhere to go; final when the task is. */
  readonly skippedCount: number;
  /** Messages in the source at the start, or the limit if that is smaller. */
  readonly toMoveCount: number;
  readonly startedAt: Instant;
  readonly finishedAt: Instant | null;
  /** Why it failed. */
  readonly failure: FaultData | null;
};

/** What a redrive would do. */
export type RedrivePlan = {
  /** Messages that would move, now or when they can be received. */
  readonly toMoveCount: number;
  /** Messages that would stay because they have nowhere to go. */
  readonly skippedCount: number;
  /** The first of those that would move. */
  readonly samples: readonly Message[];
};
