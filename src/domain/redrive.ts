/**
 * Redrive: a task that moves the messages of one queue (mostly a dead-letter queue) back to where they came from, or
 * to a named queue, slice by slice. Its progress is stored in the transaction of each slice, so that a restart goes on
 * where it stopped and no message moves twice.
 *
 *     RUNNING ─▶ completed: none of the messages that were there at the start is left
 *        ├─────▶ cancelled: somebody asked
 *        └─────▶ failed: the destination is gone, refuses, or a message's source is unknown
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
  /** Messages in the source at the start, or the limit if that is smaller. */
  readonly toMoveCount: number;
  readonly startedAt: Instant;
  readonly finishedAt: Instant | null;
  /** Why it failed. */
  readonly failure: FaultData | null;
};

/** What a redrive would do. */
export type RedrivePlan = { readonly toMoveCount: number; readonly samples: readonly Message[] };
