/**
 * Receive: who gets what next.
 *
 * A receive walks the messages that are due, in order, and decides one by one: expired ones are removed, those received
 * too often move to the dead-letter queue, damaged ones are set aside, all others are handed out. What is done with a
 * message is done in this very transaction.
 */
import { Fault } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { hideFor, type Receipt, type ReceivedMessage, withFailure } from '../../domain/message.ts';
import type { ReceiveAnswer, ReceiveAsk, UnreceiveAsk } from '../port.ts';
import type { Attempts } from './attempts.ts';
import type { Db } from './database.ts';
import { type Groups, isFifo, type NextGroup } from './groups.ts';
import type { Book, Ledger } from './ledger.ts';
import { uuidText } from './message-id.ts';
import {
  decodeHistory,
  isExpired,
  isSound,
  type MessageFacts,
  type MessageRow,
  type MessageRows,
  messageColumns,
  messageOf,
} from './messages.ts';
import type { FairShares } from './shares.ts';

/** The messages without a group that can be received, the longest visible first. Index messages_visible. */
const selectVisible = /* sql */ `
  select ${messageColumns} from messages
   where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id = '' and visible_at <= @now + 0
     and (visible_at, id) > (@afterVisibleAt, @afterId)
   order by visible_at, id limit @limit + 0`;

/** The same of those with a group. Index messages_grouped_visible. */
const selectGroupedVisible = /* sql */ `
  select ${messageColumns} from messages
   where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id <> '' and visible_at <= @now + 0
     and (visible_at, id) > (@afterVisibleAt, @afterId)
   order by visible_at, id limit @limit + 0`;

/** Fair queues: the messages of one group of a standard queue. Index messages_tenant. */
const selectOfTenant = /* sql */ `
  select ${messageColumns} from messages
   where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id = @groupId || '' and group_id <> ''
     and visible_at <= @now + 0
   order by visible_at, id limit @limit + 0`;

/** Fair queues: the next group of a standard queue by name: one step in index messages_tenant. */
const selectNextTenant = /* sql */ `
  select group_id from messages
   where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id <> '' and group_id > @after || ''
   order by group_id limit 1`;

/** The messages of a group, in order. Index messages_group. */
const selectGroupMessages = /* sql */ `
  select ${messageColumns} from messages
   where backlog_id = @backlogId + 0 and is_fifo = 1 and group_id = @groupId || '' and sequence > @after + 0
   order by sequence limit @limit + 0`;

/** When the next message of a standard queue becomes visible, or did. Both indexes of visible messages. */
const selectNextVisibleAt = /* sql */ `
  select min(at) from (
    select min(visible_at) as at from messages where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id = ''
    union all
    select min(visible_at) from messages where backlog_id = @backlogId + 0 and is_fifo = 0 and group_id <> '')`;

/** For the plan test. */
export const receiveStatements = {
  selectVisible,
  selectGroupedVisible,
  selectOfTenant,
  selectNextTenant,
  selectGroupMessages,
  selectNextVisibleAt,
};

/** What one receive has taken and how far it may go. */
type Basket = {
  readonly ask: ReceiveAsk;
  readonly book: Book;
  readonly taken: ReceivedMessage[];
  bytes: number;
  examinedCount: number;
  /** A message that was received too often had nowhere to go. */
  lacksDeadLetterQueue: boolean;
};

/** What became of a message that was looked at. */
type Verdict = 'taken' | 'gone' | 'enough';

type Parts = {
  readonly ledger: Ledger;
  readonly rows: MessageRows;
  readonly groups: Groups;
  readonly attempts: Attempts;
  readonly shares: FairShares;
};

type After = { readonly backlogId: number; readonly now: number; afterVisibleAt: number; afterId: number };

export function receiveOperation(db: Db, { ledger, rows, groups, attempts, shares }: Parts) {
  const statements = {
    visible: db.prepare<[After & { limit: number }], MessageRow>(selectVisible),
    groupedVisible: db.prepare<[After & { limit: number }], MessageRow>(selectGroupedVisible),
    ofTenant: db.prepare<[{ backlogId: number; groupId: string; now: number; limit: number }], MessageRow>(
      selectOfTenant,
    ),
    nextTenant: db.prepare<[{ backlogId: number; after: string }], string>(selectNextTenant).pluck(),
    ofGroup: db.prepare<[{ backlogId: number; groupId: string; after: number; limit: number }], MessageRow>(
      selectGroupMessages,
    ),
    nextVisibleAt: db.prepare<[{ backlogId: number }], number | null>(selectNextVisibleAt).pluck(),
  };

  return {
    receive(asked: ReceiveAsk): ReceiveAnswer {
      const book = ledger.book(asked.queue);
      const ask = { ...asked, limit: Math.min(asked.limit, roomInFlight(book, asked)) };
      const basket: Basket = { ask, book, taken: [], bytes: 0, examinedCount: 0, lacksDeadLetterQueue: false };
      const isReplay = ask.attemptId !== undefined && isFifo(book.queue) && replay(basket, ask.attemptId);
      if (!isReplay) {
        if (ask.limit <= 0) {
          throw Fault.of('tooManyInFlight', { queue: book.queue.name, countMax: limits.inFlightPerQueueMax });
        }
        if (isFifo(book.queue)) takeFromGroups(basket);
        else takeVisible(basket);
        if (ask.attemptId !== undefined && isFifo(book.queue) && basket.taken.length > 0) {
          attempts.store(book.backlogId, ask.attemptId, basket.taken, ask.now);
        }
      }
      return {
        messages: basket.taken,
        isReplay,
        queueId: book.queue.id,
        waitSeconds: book.queue.settings.waitSeconds,
        nextVisibleAt: nextVisibleAt(book),
        missingDeadLetterQueue: basket.lacksDeadLetterQueue ? book.queue.settings.deadLetter?.queue : undefined,
      };
    },

    unreceive({ queue, receipts, attemptId, now }: UnreceiveAsk): { undoneCount: number } {
      const book = ledger.book(queue);
      if (attemptId !== undefined) {
        if (attempts.wasRepeated(book.backlogId, attemptId)) return { undoneCount: 0 };
        attempts.forget(book.backlogId, attemptId);
      }
      return { undoneCount: receipts.filter((receipt) => undo(book, receipt, now)).length };
    },
  };

  /** @returns whether the message was still as the receive left it */
  function undo(book: Book, { message, receive }: Receipt, now: Instant): boolean {
    const row = rows.factsById(message);
    if (row?.backlogId !== book.backlogId || row.receives !== receive || isExpired(book, row, now)) return false;
    // Given back by its holder, or come back by a redrive.
    if (row.heldUntil === 0) return false;
    rows.unhold(book, row, now);
    return true;
  }

  function nextVisibleAt(book: Book): Instant | null {
    if (isFifo(book.queue)) return groups.nextReadyAt(book.backlogId);
    const at = statements.nextVisibleAt.get({ backlogId: book.backlogId }) ?? null;
    return at === null ? null : instant(at);
  }

  /** How many more may be held. An upper estimate is looked at first; only when it leaves no room, the sum is taken. */
  function roomInFlight(book: Book, ask: ReceiveAsk): number {
    const estimate = limits.inFlightPerQueueMax - book.heldCountAtMost;
    return estimate >= ask.limit ? estimate : limits.inFlightPerQueueMax - ledger.heldCount(book, ask.now);
  }

  function takeVisible(basket: Basket): void {
    const { ask, book } = basket;
    const noisy = shares.noisy(book.queue.id, ask.now);
    if (noisy.length > 0 && !takeQuietFirst(basket, noisy)) return;
    const after = (): After => ({ backlogId: book.backlogId, now: ask.now, afterVisibleAt: -1, afterId: -1 });
    const [plain, grouped] = [after(), after()];
    while (hasRoom(basket)) {
      const limit = ask.limit - basket.taken.length;
      const due = inTurn(
        statements.visible.all({ ...plain, limit }),
        statements.groupedVisible.all({ ...grouped, limit }),
        limit,
      );
      for (const row of due) {
        if (decide(basket, row) === 'enough') return;
        const passed = row.groupId === '' ? plain : grouped;
        passed.afterVisibleAt = row.visibleAt;
        passed.afterId = row.id;
      }
      if (due.length < limit) return;
    }
  }

  /**
   * Fair queues: messages without a group first, then those of quiet groups, one group after the other, then those of
   * noisy ones. Whatever is left is taken in the order of time: nobody waits while there is a message.
   * @returns whether there may be room for more
   */
  function takeQuietFirst(basket: Basket, noisy: readonly string[]): boolean {
    const { ask, book } = basket;
    const { backlogId } = book;
    const from = { backlogId, now: ask.now, afterVisibleAt: -1, afterId: -1 };
    if (!takeAll(basket, statements.visible.all({ ...from, limit: ask.limit }))) return false;
    const start = shares.lastQuiet(book.queue.id);
    let last = start;
    let isRound = false;
    for (let count = 0; count < limits.quietGroupsExaminedMax && hasRoom(basket); count += 1) {
      const groupId = statements.nextTenant.get({ backlogId, after: last });
      if (groupId === undefined ? isRound || start === '' : isRound && groupId > start) break;
      isRound ||= groupId === undefined;
      last = groupId ?? '';
      if (groupId === undefined || noisy.includes(groupId)) continue;
      if (!takeTenant(basket, groupId)) break;
    }
    shares.setLastQuiet(book.queue.id, last);
    return noisy.every((groupId) => takeTenant(basket, groupId));
  }

  function takeTenant(basket: Basket, groupId: string): boolean {
    const { ask, book, taken } = basket;
    const limit = ask.limit - taken.length;
    return takeAll(
      basket,
      limit <= 0 ? [] : statements.ofTenant.all({ backlogId: book.backlogId, groupId, now: ask.now, limit }),
    );
  }

  /** @returns whether there is room for more */
  function takeAll(basket: Basket, due: readonly MessageRow[]): boolean {
    return !due.some((row) => decide(basket, row) === 'enough') && hasRoom(basket);
  }

  /** One group after the other, as many as possible of each; a group just served goes behind the others. */
  function takeFromGroups(basket: Basket): void {
    const { ask, book } = basket;
    const firstFreshTurn = ledger.nextNumber;
    let last: NextGroup | undefined;
    while (hasRoom(basket)) {
      last = groups.next(book, ask.now, last);
      if (last === undefined || last.turn >= firstFreshTurn) return;
      takeFromGroup(basket, last.groupId);
    }
  }

  function takeFromGroup(basket: Basket, groupId: string): void {
    const { ask, book } = basket;
    const takenBefore = basket.taken.length;
    let after = -1;
    while (hasRoom(basket)) {
      const limit = ask.limit - basket.taken.length;
      const next = statements.ofGroup.all({ backlogId: book.backlogId, groupId, after, limit });
      // A message that is hidden blocks all behind it.
      const end = next.findIndex((row) => row.visibleAt > ask.now);
      const due = end === -1 ? next : next.slice(0, end);
      const enough = due.some((row) => decide(basket, row) === 'enough');
      after = due.at(-1)?.sequence ?? after;
      if (enough || due.length < limit) break;
    }
    if (basket.taken.length > takenBefore) groups.served(book, groupId, ask.now);
  }

  function hasRoom({ ask, taken, examinedCount }: Basket): boolean {
    return taken.length < ask.limit && examinedCount < limits.receiveRowsExaminedMax;
  }

  function decide(basket: Basket, row: MessageRow): Verdict {
    const { ask, book } = basket;
    // A visibility timeout of 0 puts a message that was just taken behind all others that are due.
    if (basket.taken.some(({ receipt }) => receipt.message === row.id)) return 'gone';
    basket.examinedCount += 1;
    if (isExpired(book, row, ask.now)) {
      rows.remove(book, row, ask.now);
      ledger.count(book, 'expired', 1);
      return 'gone';
    }
    const body = rows.fullBody(row);
    if (basket.taken.length > 0 && basket.bytes + row.bytes > ask.bytesMax) return 'enough';
    if (!isSound(row, body)) {
      rows.quarantine(book, row, ask.now);
      return 'gone';
    }
    if (isReceivedTooOften(book, row)) {
      const deadLetterQueue = deadLetterBook(ledger, book);
      if (deadLetterQueue !== undefined) {
        deadLetter(rows, ledger, book, deadLetterQueue, row, undefined, ask.now);
        return 'gone';
      }
      // As on SQS it is delivered again and again; whoever runs the server is told.
      basket.lacksDeadLetterQueue = true;
    }
    take(basket, row, body);
    return 'taken';
  }

  function take(basket: Basket, row: MessageRow, body: Buffer): void {
    const { ask, book } = basket;
    const { settings } = book.queue;
    const receiveCount = row.receiveCount + 1;
    const seconds = ask.visibilitySeconds ?? settings.visibilityTimeoutSeconds;
    const times = hideFor(settings, receiveCount, ask.now, seconds);
    rows.hold(book, row, times, ask.now);
    basket.bytes += row.bytes;
    basket.taken.push({
      ...messageOf(row, body),
      ...times,
      receiveCount,
      firstReceivedAt: row.firstReceivedAt === 0 ? ask.now : instant(row.firstReceivedAt),
      receipt: { queueId: book.queue.id, message: row.id, receive: row.receives + 1 },
    });
  }

  /** The messages of an earlier receive with this attempt id, their visibility timeout begun anew. */
  function replay(basket: Basket, attemptId: string): boolean {
    const { ask, book } = basket;
    const earlier = attempts.find(book.backlogId, attemptId, ask.now);
    if (earlier === undefined) return false;
    const found = earlier.map((held) => ({ held, row: rows.byId(held.message) }));
    const isIntact = found.every(
      ({ held, row }) =>
        row !== undefined &&
        row.backlogId === book.backlogId &&
        row.receives === held.receive &&
        row.heldUntil === held.heldUntil &&
        !isExpired(book, row, ask.now) &&
        isSound(row, rows.fullBody(row)),
    );
    if (!isIntact) throw Fault.of('attemptIdReused', {});
    for (const { row } of found) if (row !== undefined) replayOne(basket, row);
    attempts.replace(book.backlogId, attemptId, basket.taken);
    return true;
  }

  function replayOne(basket: Basket, row: MessageRow): void {
    const { ask, book } = basket;
    const { settings } = book.queue;
    const body = rows.fullBody(row);
    const seconds = ask.visibilitySeconds ?? settings.visibilityTimeoutSeconds;
    const times = hideFor(settings, row.receiveCount, ask.now, seconds);
    rows.rehide(book, row, times, decodeHistory(row.history), ask.now);
    const receipt = { queueId: book.queue.id, message: row.id, receive: row.receives };
    basket.taken.push({ ...messageOf(row, body), ...times, receipt });
  }
}

/** Receives in an earlier queue do not count here, or a dead-letter queue's own policy would never see its messages. */
const isReceivedTooOften = (book: Book, row: MessageRow): boolean => {
  const { deadLetter: policy } = book.queue.settings;
  if (policy === null || row.receiveCount < policy.maxReceiveCount) return false;
  const before = decodeHistory(row.history).deadLetter?.receiveCount ?? 0;
  return row.receiveCount - before >= policy.maxReceiveCount;
};

/** Two lists of messages as one, the longest visible first. */
function inTurn(a: readonly MessageRow[], b: readonly MessageRow[], limit: number): readonly MessageRow[] {
  if (b.length === 0) return a;
  if (a.length === 0) return b;
  return [...a, ...b].sort((x, y) => x.visibleAt - y.visibleAt || x.id - y.id).slice(0, limit);
}

/** The dead-letter queue of a queue, if it has one that is there and of its type. */
export function deadLetterBook(ledger: Ledger, book: Book): Book | undefined {
  const policy = book.queue.settings.deadLetter;
  if (policy === null) return undefined;
  const target = ledger.findBook({ account: book.queue.account, name: policy.queue });
  return target?.queue.kind === book.queue.kind ? target : undefined;
}

/**
 * Moves a message to the dead-letter queue with its story: where from, how often received, what went wrong last.
 * Its receive count goes on there. On standard queues so does its retention; on FIFO queues that begins anew, and the
 * message's id becomes its deduplication id, so that the dead-letter queue never swallows it.
 * @see sections 6.3 and 6.4 of the SQS developer guide's chapter on dead-letter queues
 */
export function deadLetter(
  rows: MessageRows,
  ledger: Ledger,
  from: Book,
  to: Book,
  row: MessageFacts,
  reason: string | undefined,
  now: Instant,
): void {
  const before = decodeHistory(row.history);
  const story =
    reason === undefined && before.lastFailure !== undefined
      ? before
      : withFailure(before, {
          at: now,
          reason: reason ?? `Received ${timesOf(row.receiveCount)} without being deleted.`,
        });
  const { receiveCount } = row;
  const change = {
    receiveCount,
    enqueuedAt: isFifo(to.queue) ? now : row.enqueuedAt,
    deduplicationId: isFifo(to.queue) ? uuidText(row.messageId) : '',
    history: { ...story, deadLetter: { queue: from.queue.name, receiveCount, at: now } },
  };
  rows.move(from, to, row, change, now);
  ledger.count(from, 'dead_lettered', 1);
}

const timesOf = (count: number): string => (count === 1 ? 'once' : `${count} times`);
