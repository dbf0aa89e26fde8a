/**
 * Message groups of FIFO queues: which can be received, and in which turn.
 *
 * A group's row says from when on its head (its earliest message) can be received, so the next group to serve is one
 * step in an index however many groups or messages wait. A group becomes ready at a new instant when its head changes:
 * it then stands behind the groups that became ready before it, so no group starves another.
 */
import { type Instant, instant } from '../../domain/instant.ts';
import { messageState } from '../../domain/message.ts';
import type { GroupView, Queue } from '../../domain/queue.ts';
import type { Page, PageAsk } from '../port.ts';
import type { Db } from './database.ts';
import type { Book, Ledger } from './ledger.ts';
import { uuidText } from './message-id.ts';

/** A message joins its group; a new group is ready when its first message is. */
const joinGroup = /* sql */ `
  insert into message_groups (backlog_id, group_id, ready_at, turn, message_count)
  values (@backlogId, @groupId, @visibleAt, @turn, 1)
  on conflict do update set message_count = message_count + 1`;

/** The last message takes the row with it: deleteEmpty is tried first. */
const deleteLast = /* sql */ `
  delete from message_groups where backlog_id = @backlogId and group_id = @groupId and message_count = 1`;

const leaveGroup = /* sql */ `
  update message_groups set message_count = message_count - 1 where backlog_id = @backlogId and group_id = @groupId`;

/** The earliest message of a group. Index messages_group. */
const selectHead = /* sql */ `
  select id, visible_at as visibleAt from messages
   where backlog_id = @backlogId + 0 and group_id = @groupId || '' and is_fifo = 1 order by sequence limit 1`;

const selectGroup = /* sql */ `
  select ready_at as readyAt from message_groups where backlog_id = @backlogId and group_id = @groupId`;

const setReady = /* sql */ `
  update message_groups set ready_at = @readyAt, turn = @turn where backlog_id = @backlogId and group_id = @groupId`;

/** The next group to serve after the one served last. Index message_groups_ready. */
const selectNext = /* sql */ `
  select group_id as groupId, ready_at as readyAt, turn from message_groups
   where backlog_id = @backlogId + 0 and ready_at <= @now + 0 and (ready_at, turn) > (@readyAt, @turn)
   order by ready_at, turn limit 1`;

const selectNextReadyAt = /* sql */ `
  select min(ready_at) from message_groups where backlog_id = @backlogId + 0`;

const listGroups = /* sql */ `
  select g.group_id as groupId, g.message_count as messageCount, m.message_id as headId, m.visible_at as visibleAt,
         m.held_until as heldUntil, max(g.ready_at, m.visible_at) as readyAt
    from message_groups g
    join messages m on m.id = (select id from messages
                                where backlog_id = g.backlog_id and group_id = g.group_id and is_fifo = 1
                                order by sequence limit 1)
   where g.backlog_id = @backlogId and g.group_id > @after
   order by g.group_id limit @limit`;

export type NextGroup = { readonly groupId: string; readonly readyAt: number; readonly turn: number };
/** For the plan test. */
export const groupStatements = { selectNext, selectNextReadyAt, selectHead, selectGroup };

export type Groups = ReturnType<typeof groupRows>;

export function groupRows(db: Db, ledger: Ledger) {
  type Key = { readonly backlogId: number; readonly groupId: string };
  const statements = {
    join: db.prepare(joinGroup),
    deleteLast: db.prepare<[Key]>(deleteLast),
    leave: db.prepare<[Key]>(leaveGroup),
    head: db.prepare<[Key], { id: number; visibleAt: number }>(selectHead),
    group: db.prepare<[Key], { readyAt: number }>(selectGroup),
    setReady: db.prepare<[Key & { readyAt: number; turn: number }]>(setReady),
    next: db.prepare<[{ backlogId: number; now: number; readyAt: number; turn: number }], NextGroup>(selectNext),
    nextReadyAt: db.prepare<[{ backlogId: number }], number | null>(selectNextReadyAt).pluck(),
  };

  return {
    /** A message was put behind the others of its group. */
    join(book: Book, groupId: string, visibleAt: number): void {
      statements.join.run({ backlogId: book.backlogId, groupId, visibleAt, turn: ledger.number() });
    },

    /** A message has left its group; its row is gone already. */
    leave(book: Book, groupId: string, now: Instant): void {
      const key = { backlogId: book.backlogId, groupId };
      if (statements.deleteLast.run(key).changes > 0) return;
      statements.leave.run(key);
      this.refresh(book, groupId, now);
    },

    /** To be called when the head of a group may have changed, or when it can be received. */
    refresh(book: Book, groupId: string, now: Instant): void {
      const key = { backlogId: book.backlogId, groupId };
      const head = statements.head.get(key);
      const group = statements.group.get(key);
      if (head === undefined || group === undefined) return;
      // Ready before and ready still: it keeps its turn.
      if (group.readyAt <= now && head.visibleAt <= now) return;
      const readyAt = Math.max(head.visibleAt, now);
      if (readyAt === group.readyAt) return;
      statements.setReady.run({ ...key, readyAt, turn: ledger.number() });
      ledger.ready(book, readyAt);
    },

    /** Messages of the group were just handed out: it goes behind the others. */
    served(book: Book, groupId: string, now: Instant): void {
      const key = { backlogId: book.backlogId, groupId };
      const head = statements.head.get(key);
      if (head === undefined) return;
      statements.setReady.run({ ...key, readyAt: Math.max(head.visibleAt, now), turn: ledger.number() });
    },

    /** The group to serve after `last`, or the first one. */
    next(book: Book, now: Instant, last: NextGroup | undefined): NextGroup | undefined {
      return statements.next.get({
        backlogId: book.backlogId,
        now,
        readyAt: last?.readyAt ?? -1,
        turn: last?.turn ?? -1,
      });
    },

    /** When the next group can be served; in the past when one can be now. */
    nextReadyAt(backlogId: number): Instant | null {
      const at = statements.nextReadyAt.get({ backlogId }) ?? null;
      return at === null ? null : instant(at);
    },

    /** Whether the message is the earliest of its group. */
    isHead(book: Book, groupId: string, id: number): boolean {
      return statements.head.get({ backlogId: book.backlogId, groupId })?.id === id;
    },
  };
}

/** Reads of groups for operators. */
export function groupReads(db: Db) {
  const list = db.prepare<
    [{ backlogId: number; after: string; limit: number }],
    { groupId: string; messageCount: number; headId: Buffer; visibleAt: number; heldUntil: number; readyAt: number }
  >(listGroups);
  return {
    list(backlogId: number, ask: PageAsk & { now: Instant }): Page<GroupView> {
      const rows = list.all({ backlogId, after: ask.cursor ?? '', limit: ask.limit + 1 });
      const items = rows.slice(0, ask.limit).map((row) => ({
        groupId: row.groupId,
        messageCount: row.messageCount,
        headMessageId: uuidText(row.headId),
        headState: messageState({ visibleAt: instant(row.visibleAt), heldUntil: instant(row.heldUntil) }, ask.now),
        availableAt: instant(row.readyAt),
      }));
      return { items, nextCursor: rows.length > ask.limit ? (items.at(-1)?.groupId ?? null) : null };
    },
  };
}

/** Whether groups are of interest at all. */
export const isFifo = (queue: Pick<Queue, 'kind'>): boolean => queue.kind === 'fifo';
