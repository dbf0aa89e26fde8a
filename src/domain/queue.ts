/** A queue: its identity, its settings, and the numbers that describe what is in it. */
import type { Instant } from './instant.ts';
import type { QueueKind, QueueName, QueueSettings } from './queue-attributes.ts';

/** How a request names a queue: names are unique within an account. */
export type QueueRef = { readonly account: string; readonly name: QueueName };

export type Queue = {
  /** Never used again, not even for a later queue of the same name. */
  readonly id: number;
  readonly account: string;
  readonly name: QueueName;
  readonly kind: QueueKind;
  readonly settings: QueueSettings;
  /** Rises with every change of a setting: the ETag. */
  readonly version: number;
  readonly createdAt: Instant;
  readonly modifiedAt: Instant;
};

/** What is in a queue at one instant. The three are disjoint and sum to all messages kept. */
export type QueueCounts = {
  /** Can be received now; in a FIFO queue also those that wait behind an earlier one of their group. */
  readonly availableCount: number;
  readonly inFlightCount: number;
  readonly delayedCount: number;
  /** Bytes of all messages kept. */
  readonly bytes: number;
  /** First sent time of the message kept longest, or null in an empty queue. */
  readonly oldestSentAt: Instant | null;
};

/** Totals since the queue was created. They never fall, but for a receive that is undone because nobody was left to have it. */
export type QueueTotals = {
  readonly sentTotal: number;
  readonly receivedTotal: number;
  readonly deletedTotal: number;
  readonly redeliveredTotal: number;
  readonly deadLetteredTotal: number;
  readonly expiredTotal: number;
  readonly purgedTotal: number;
  /** Messages that a redrive took out of this queue. */
  readonly redrivenTotal: number;
  /** Messages whose checksum failed: set aside, never delivered. */
  readonly quarantinedTotal: number;
};

export type QueueStats = QueueCounts & QueueTotals;

/** What a FIFO queue is by its name. */
export const kindOfName = (name: string): QueueKind => (name.endsWith('.fifo') ? 'fifo' : 'standard');

/** A FIFO queue's message group, as an operator sees it. */
export type GroupView = {
  readonly groupId: string;
  readonly messageCount: number;
  /** The message at the head: all others of the group wait behind it. */
  readonly headMessageId: string;
  readonly headState: 'available' | 'inFlight' | 'delayed';
  /** When the head can be received. */
  readonly availableAt: Instant;
};
