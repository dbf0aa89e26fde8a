/** Settle: what a holder does with the message in its hands. A receipt holds until its visibility timeout ends. */
import { Fault, type FaultData, fault } from '../../domain/errors.ts';
import { type Instant, instant, secondsAfter } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { hideFor, type Receipt, retryDelayOf, withFailure } from '../../domain/message.ts';
import type { QueueRef } from '../../domain/queue.ts';
import type { SettleAsk, Settled, Settlement } from '../port.ts';
import type { Db } from './database.ts';
import { isFifo } from './groups.ts';
import type { Book, Ledger } from './ledger.ts';
import { parseMessageId, uuidText } from './message-id.ts';
import { decodeHistory, isExpired, type MessageFacts, type MessageRows } from './messages.ts';
import { deadLetter, deadLetterBook } from './receive.ts';

/** Whether a backlog is some queue's present one. Index queues_backlog. */
const selectIsLive = /* sql */ `select 1 from queues where backlog_id = @backlogId`;

/** For the plan test. */
export const settleStatements = { selectIsLive };

const isHeld = (row: MessageFacts | FaultData | undefined): row is MessageFacts =>
  row !== undefined && !('fault' in row);

export function settleOperations(db: Db, ledger: Ledger, rows: MessageRows) {
  const isLive = db.prepare<[{ backlogId: number }], number>(selectIsLive).pluck();

  return {
    settle(ask: SettleAsk): readonly (Settled | FaultData)[] {
      const book = ledger.book(ask.queue);
      const find = ask.isLenient === true && !isFifo(book.queue) ? meant : held;
      return ask.settlements.map((settlement) => settleOne(book, settlement, find, ask.now));
    },

    removeMessage(ask: { queue: QueueRef; messageId: string; now: Instant }): null {
      const book = ledger.book(ask.queue);
      const row = rowOf(book, ask.messageId, ask.now);
      if (row === undefined) {
        throw Fault.of('messageNotFound', { messageId: ask.messageId, queue: book.queue.name });
      }
      rows.remove(book, row, ask.now);
      ledger.count(book, 'deleted', 1);
      return null;
    },
  };

  function rowOf(book: Book, messageId: string, now: Instant): MessageFacts | undefined {
    const parsed = parseMessageId(messageId);
    const row = parsed === undefined ? undefined : rows.factsById(parsed.number);
    if (row === undefined || row.backlogId !== book.backlogId || isExpired(book, row, now)) return undefined;
    return parsed?.hex === row.messageId ? row : undefined;
  }

  /** The message that the receipt holds now; undefined when it is gone for good. */
  function held(book: Book, receipt: Receipt, now: Instant): MessageFacts | FaultData | undefined {
    if (receipt.queueId !== book.queue.id) return fault('receiptForeign', { queue: book.queue.name });
    const row = rows.factsById(receipt.message);
    if (row === undefined) return undefined;
    if (row.backlogId !== book.backlogId) {
      // Moved to another queue, where it lives on; or left behind by a purge, which is gone.
      return isLive.get({ backlogId: row.backlogId }) === undefined ? undefined : fault('receiptExpired', {});
    }
    // Past its retention a message is gone, whether upkeep has met it or not.
    if (isExpired(book, row, now)) return undefined;
    if (row.receives !== receipt.receive || row.heldUntil <= now) return fault('receiptExpired', {});
    return row;
  }

  /** The message that the receipt stands for, held by it or not; undefined when it is no longer in the queue. */
  function meant(book: Book, receipt: Receipt, now: Instant): MessageFacts | FaultData | undefined {
    if (receipt.queueId !== book.queue.id) return fault('receiptForeign', { queue: book.queue.name });
    const row = rows.factsById(receipt.message);
    // In the same queue again after a redrive it is another message to whoever received it before.
    const isThere = row?.backlogId === book.backlogId && row.receives >= receipt.receive && row.receiveCount > 0;
    return isThere && !isExpired(book, row, now) ? row : undefined;
  }

  function settleOne(book: Book, settlement: Settlement, find: typeof held, now: Instant): Settled | FaultData {
    const row = find(book, settlement.receipt, now);
    if (!isHeld(row)) {
      if (row !== undefined) return row;
      if (settlement.does === 'delete') return { visibleAt: null, messageId: null };
      return fault('messageNotFound', { messageId: '', queue: book.queue.name });
    }
    switch (settlement.does) {
      case 'delete':
        rows.remove(book, row, now);
        ledger.count(book, 'deleted', 1);
        return { visibleAt: null, messageId: uuidText(row.messageId) };
      case 'extend':
        return extend(book, row, settlement.visibilitySeconds, now);
      case 'release':
        return release(book, row, settlement.delaySeconds, settlement.reason, now);
      case 'deadLetter':
        return giveUp(book, row, settlement.reason, now);
    }
  }

  /** The new timeout counts from now; the total since the receive is bounded. */
  function extend(book: Book, row: MessageFacts, seconds: number, now: Instant): Settled | FaultData {
    const secondsMax = limits.visibilityTimeoutSecondsMax;
    const secondsLeft = Math.floor((row.lastReceivedAt + secondsMax * 1000 - now) / 1000);
    if (seconds > secondsLeft) return fault('visibilityTooLong', { secondsMax, secondsLeft });
    const times = hideFor(book.queue.settings, row.receiveCount, now, seconds);
    rows.rehide(book, row, times, decodeHistory(row.history), now);
    return { visibleAt: times.visibleAt, messageId: uuidText(row.messageId) };
  }

  function release(
    book: Book,
    row: MessageFacts,
    delaySeconds: number | undefined,
    reason: string | undefined,
    now: Instant,
  ): Settled | FaultData {
    const { settings } = book.queue;
    if (delaySeconds !== undefined && delaySeconds > settings.retentionSeconds) {
      return fault('delayTooLong', { delaySeconds, delaySecondsMax: settings.retentionSeconds });
    }
    // The queue's own back-off is no fault of the holder's, however long it is.
    const delay = delaySeconds ?? retryDelayOf(settings, row.receiveCount);
    const before = decodeHistory(row.history);
    const history = reason === undefined ? before : withFailure(before, { at: now, reason });
    const visibleAt = secondsAfter(now, delay);
    rows.rehide(book, row, { visibleAt, heldUntil: instant(0) }, history, now);
    return { visibleAt, messageId: uuidText(row.messageId) };
  }

  function giveUp(book: Book, row: MessageFacts, reason: string | undefined, now: Instant): Settled | FaultData {
    const to = deadLetterBook(ledger, book);
    if (to === undefined) {
      const configured = book.queue.settings.deadLetter?.queue;
      return fault('deadLetterQueueMissing', { queue: book.queue.name, configured });
    }
    deadLetter(rows, ledger, book, to, row, reason, now);
    return { visibleAt: null, messageId: uuidText(row.messageId) };
  }
}
