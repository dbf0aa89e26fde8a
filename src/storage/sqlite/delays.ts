/**
 * A changed delay of a FIFO queue holds for the messages that wait already, too. The first of them get their new time with
 * the change, the others by upkeep, slice by slice in the order they came; until then the time they had holds.
 * @see SQS, DelaySeconds of SetQueueAttributes
 */
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Db } from './database.ts';
import type { Groups } from './groups.ts';
import type { Book, Ledger } from './ledger.ts';

/** Messages by the time they came: those that came before the longest delay are visible. Index messages_enqueued. */
const selectEnqueued = /* sql */ `
  select id, group_id as groupId, enqueued_at as enqueuedAt, visible_at as visibleAt, receives from messages
   where backlog_id = @backlogId and (enqueued_at, id) > (@cursorEnqueuedAt, @cursorId)
   order by enqueued_at, id limit @limit`;

const putChange = /* sql */ `
  insert into delay_changes (queue_id, backlog_id, longest_seconds, cursor_enqueued_at, cursor_id)
  values (@queueId, @backlogId, @longestSeconds, @cursorEnqueuedAt, @cursorId)
  on conflict do update
     set backlog_id = @backlogId, longest_seconds = @longestSeconds, cursor_enqueued_at = @cursorEnqueuedAt,
         cursor_id = @cursorId`;

const changeColumns = /* sql */ `
  queue_id as queueId, backlog_id as backlogId, longest_seconds as longestSeconds,
  cursor_enqueued_at as cursorEnqueuedAt, cursor_id as cursorId`;

/** For the plan test. */
export const delayStatements = { selectEnqueued };

type Change = {
  readonly queueId: number;
  readonly backlogId: number;
  readonly longestSeconds: number;
  readonly cursorEnqueuedAt: number;
  readonly cursorId: number;
};
type Waiting = { id: number; groupId: string; enqueuedAt: number; visibleAt: number; receives: number };

export type Delays = ReturnType<typeof delayChanges>;

export function delayChanges(db: Db, ledger: Ledger, groups: Groups) {
  const statements = {
    enqueued: db.prepare<[{ backlogId: number; cursorEnqueuedAt: number; cursorId: number; limit: number }], Waiting>(
      selectEnqueued,
    ),
    ofQueue: db.prepare<[{ id: number }], Change>(`select ${changeColumns} from delay_changes where queue_id = @id`),
    first: db.prepare<[], Change>(`select ${changeColumns} from delay_changes order by queue_id limit 1`),
    put: db.prepare<[Change]>(putChange),
    delete: db.prepare('delete from delay_changes where queue_id = @id'),
    setVisible: db.prepare('update messages set visible_at = @visibleAt where id = @id'),
  };

  return {
    /** The queue's delay becomes this one. */
    change(book: Book, delaySeconds: number, now: Instant): void {
      const { id, settings } = book.queue;
      const earlier = statements.ofQueue.get({ id });
      const longestSeconds = Math.max(settings.delaySeconds, delaySeconds, earlier?.longestSeconds ?? 0);
      const cursorEnqueuedAt = now - longestSeconds * 1000;
      advance(
        book,
        { queueId: id, backlogId: book.backlogId, longestSeconds, cursorEnqueuedAt, cursorId: -1 },
        delaySeconds,
        now,
      );
    },

    /** One slice of a change that is under way. @returns whether there was one */
    step(now: Instant): boolean {
      const change = statements.first.get();
      if (change === undefined) return false;
      const book = ledger.bookById(change.queueId);
      // Purged or deleted: nothing that waited is left.
      if (book?.backlogId !== change.backlogId) statements.delete.run({ id: change.queueId });
      else advance(book, change, book.queue.settings.delaySeconds, now);
      return true;
    },
  };

  function advance(book: Book, change: Change, delaySeconds: number, now: Instant): void {
    const { backlogId, cursorEnqueuedAt, cursorId } = change;
    const limit = limits.upkeepRowsPerSliceMax;
    const page = statements.enqueued.all({ backlogId, cursorEnqueuedAt, cursorId, limit });
    for (const row of page) if (row.receives === 0 && row.visibleAt > now) setDelay(book, row, delaySeconds, now);
    const last = page.at(-1);
    if (last === undefined || page.length < limit) statements.delete.run({ id: change.queueId });
    else statements.put.run({ ...change, cursorEnqueuedAt: last.enqueuedAt, cursorId: last.id });
  }

  function setDelay(book: Book, row: Waiting, delaySeconds: number, now: Instant): void {
    const visibleAt = Math.max(row.enqueuedAt + delaySeconds * 1000, now);
    if (visibleAt === row.visibleAt) return;
    ledger.hide(book, { visibleAt: row.visibleAt, heldUntil: 0 }, now, -1);
    statements.setVisible.run({ id: row.id, visibleAt });
    ledger.hide(book, { visibleAt, heldUntil: 0 }, now, 1);
    groups.refresh(book, row.groupId, now);
  }
}
