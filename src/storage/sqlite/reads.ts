/**
 * Reads: each a short transaction of its own on a connection that cannot write, so that looking never waits for the
 * writer and never holds it up.
 */
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { type Message, type MessageState, messageState } from '../../domain/message.ts';
import type { GroupView, Queue, QueueRef, QueueStats } from '../../domain/queue.ts';
import type { RedrivePlan } from '../../domain/redrive.ts';
import type { Page, PageAsk, PeekAsk, Storage } from '../port.ts';
import type { Db } from './database.ts';
import { groupReads, groupStatements } from './groups.ts';
import { keyReads } from './keys.ts';
import { sumHidden } from './ledger.ts';
import { parseMessageId } from './message-id.ts';
import { isExpired, type MessageRow, messageColumns, messageOf } from './messages.ts';
import { type QueueRow, queueColumns, queueNotFound, queueOf, selectSimilarNames } from './queues.ts';
import { receiveStatements } from './receive.ts';
import { type PlanSource, redriveReads } from './redrive.ts';

/** Rows that one page of a peek may look at: those of another state or past their retention are passed over. */
const peekRowsExaminedMax = 2_000;

/** Without texts and bodies, which may be a mebibyte each: what is shown is fetched one by one. Index messages_enqueued. */
const selectPeek = /* sql */ `
  select id, enqueued_at as enqueuedAt, visible_at as visibleAt, held_until as heldUntil, bytes from messages
   where backlog_id = @backlogId and (enqueued_at, id) > (@enqueuedAt, @id)
   order by enqueued_at, id limit @limit`;

type PeekRow = Pick<MessageRow, 'id' | 'enqueuedAt' | 'visibleAt' | 'heldUntil' | 'bytes'>;

const selectStats = /* sql */ `
  select q.backlog_id as backlogId, q.settings ->> '$.retentionSeconds' as retentionSeconds,
         c.message_count as messageCount, c.bytes, c.sent as sentTotal,
         c.received as receivedTotal, c.deleted as deletedTotal, c.redelivered as redeliveredTotal,
         c.dead_lettered as deadLetteredTotal, c.expired as expiredTotal, c.purged as purgedTotal,
         c.redriven as redrivenTotal, c.quarantined as quarantinedTotal
    from queues q join queue_counters c on c.queue_id = q.id
   where q.id = @id`;

/** The message kept longest. Index messages_enqueued. */
const selectOldestSentAt = /* sql */ `
  select sent_at from messages
   where backlog_id = @backlogId and enqueued_at > @until order by enqueued_at, id limit 1`;

/** Expired messages that upkeep has not met yet are in the sums, but no longer in the queue. Index messages_enqueued. */
const sumExpired = /* sql */ `
  select count(*) as messageCount, coalesce(sum(bytes), 0) as bytes,
         coalesce(sum(visible_at > @now), 0) as hiddenCount, coalesce(sum(held_until > @now), 0) as heldCount
    from (select bytes, visible_at, held_until from messages
           where backlog_id = @backlogId and enqueued_at <= @until limit @limit)`;
/** Upkeep is behind when there are more: then the counts show what it still has to remove. */
const expiredSummedMax = 2_000;

/** Queues whose numbers are read in one go: mostly half a millisecond, at worst ten. */
const statsPerTurn = 10;

type StatsRow = Omit<QueueStats, 'availableCount' | 'inFlightCount' | 'delayedCount' | 'oldestSentAt'> & {
  readonly backlogId: number;
  readonly messageCount: number;
  readonly retentionSeconds: number;
};

type Sums = {
  readonly messageCount: number;
  readonly bytes: number;
  readonly hiddenCount: number;
  readonly heldCount: number;
};
const noSums: Sums = { messageCount: 0, bytes: 0, hiddenCount: 0, heldCount: 0 };

/** The reading half of the port. */
export type Reads = Pick<
  Storage,
  | 'findQueue'
  | 'getQueue'
  | 'listQueues'
  | 'queueStats'
  | 'listGroups'
  | 'listDeadLetterSources'
  | 'glance'
  | 'peek'
  | 'findMessage'
  | 'planRedrive'
  | 'findTask'
  | 'listTasks'
  | 'findKey'
  | 'listKeys'
>;

export function createReads(db: Db): Reads {
  const statements = {
    queue: db.prepare<[QueueRef], QueueRow>(
      `select ${queueColumns} from queues where account = @account and name = @name`,
    ),
    queues: db.prepare<[{ account: string; prefix: string; after: string; until: string; limit: number }], QueueRow>(
      `select ${queueColumns} from queues
        where account = @account and name > @after and name >= @prefix and name < @until
        order by name limit @limit`,
    ),
    sources: db.prepare<[{ account: string; name: string; after: string; limit: number }], QueueRow>(
      `select ${queueColumns} from queues
        where account = @account and dead_letter_queue = @name and name > @after order by name limit @limit`,
    ),
    similar: db.prepare<[{ account: string; from: string }], string>(selectSimilarNames).pluck(),
    stats: db.prepare<[{ id: number }], StatsRow>(selectStats),
    hidden: db.prepare<[{ backlogId: number; now: number }], { hiddenCount: number; heldCount: number }>(sumHidden),
    expired: db.prepare<[{ backlogId: number; now: number; until: number; limit: number }], Sums>(sumExpired),
    oldest: db.prepare<[{ backlogId: number; until: number }], number>(selectOldestSentAt).pluck(),
    nextVisibleAt: db.prepare<[{ backlogId: number }], number | null>(receiveStatements.selectNextVisibleAt).pluck(),
    nextReadyAt: db.prepare<[{ backlogId: number }], number | null>(groupStatements.selectNextReadyAt).pluck(),
    peek: db.prepare<[{ backlogId: number; enqueuedAt: number; id: number; limit: number }], PeekRow>(selectPeek),
    message: db.prepare<[{ id: number }], MessageRow>(`select ${messageColumns} from messages where id = @id`),
    body: db.prepare<[{ id: number }], Buffer>('select body from message_bodies where message_id = @id').pluck(),
  };
  const groups = groupReads(db);
  const redrive = redriveReads(db);

  /** Runs the reads of one answer on one snapshot. */
  const atOnce = <T>(read: () => T): T => (db.inTransaction ? read() : db.transaction(read).deferred());

  const rowOf = (ref: QueueRef): QueueRow => {
    const row = statements.queue.get({ account: ref.account, name: ref.name });
    if (row !== undefined) return row;
    throw queueNotFound(ref, statements.similar.all({ account: ref.account, from: ref.name.slice(0, 1) }));
  };

  const bodyOf = (row: MessageRow): Buffer =>
    row.isLarge === 1 ? (statements.body.get({ id: row.id }) ?? Buffer.alloc(0)) : row.body;

  const statsOf = (id: number, now: Instant): QueueStats | null => {
    const row = statements.stats.get({ id });
    if (row === undefined) return null;
    const { backlogId, messageCount, retentionSeconds, ...totals } = row;
    const until = now - retentionSeconds * 1000;
    const expired = statements.expired.get({ backlogId, now, until, limit: expiredSummedMax }) ?? noSums;
    const all = statements.hidden.get({ backlogId, now });
    const hiddenCount = (all?.hiddenCount ?? 0) - expired.hiddenCount;
    const heldCount = (all?.heldCount ?? 0) - expired.heldCount;
    const oldest = statements.oldest.get({ backlogId, until });
    return {
      ...totals,
      bytes: totals.bytes - expired.bytes,
      availableCount: messageCount - expired.messageCount - hiddenCount,
      inFlightCount: heldCount,
      delayedCount: hiddenCount - heldCount,
      oldestSentAt: oldest === undefined ? null : instant(oldest),
    };
  };

  const page = <R, T>(rows: readonly R[], limit: number, item: (row: R) => T, cursor: (row: R) => string): Page<T> => {
    const kept = rows.slice(0, limit);
    const last = kept.at(-1);
    return { items: kept.map(item), nextCursor: rows.length > limit && last !== undefined ? cursor(last) : null };
  };

  return {
    ...keyReads(db),
    async findQueue(ref): Promise<Queue | null> {
      const row = statements.queue.get({ account: ref.account, name: ref.name });
      return row === undefined ? null : queueOf(row);
    },

    async getQueue(ref): Promise<Queue> {
      return queueOf(rowOf(ref));
    },

    async listQueues({ account, prefix, cursor, limit }) {
      const until = `${prefix}\u{10ffff}`;
      const rows = statements.queues.all({ account, prefix, until, after: cursor ?? '', limit: limit + 1 });
      return page(rows, limit, queueOf, (row) => row.name);
    },

    async queueStats({ queueIds, now }) {
      const stats: (QueueStats | null)[] = [];
      while (true) {
        const part = queueIds.slice(stats.length, stats.length + statsPerTurn);
        stats.push(...atOnce(() => part.map((id) => statsOf(id, now))));
        if (stats.length === queueIds.length) return stats;
        await turn();
      }
    },

    async listGroups({ queue, ...ask }): Promise<Page<GroupView>> {
      return atOnce(() => groups.list(rowOf(queue).backlog_id, ask));
    },

    async listDeadLetterSources({ queue, cursor, limit }) {
      const { account, name } = rowOf(queue);
      return page(
        statements.sources.all({ account, name, after: cursor ?? '', limit: limit + 1 }),
        limit,
        queueOf,
        (row) => row.name,
      );
    },

    async glance({ queue }) {
      return atOnce(() => {
        const { id, kind, backlog_id: backlogId } = rowOf(queue);
        const at = (kind === 'fifo' ? statements.nextReadyAt : statements.nextVisibleAt).get({ backlogId }) ?? null;
        return { queueId: id, nextVisibleAt: at === null ? null : instant(at) };
      });
    },

    async peek(ask) {
      return atOnce(() => peekPage(rowOf(ask.queue), ask));
    },

    async findMessage({ queue, messageId, now }): Promise<Message | null> {
      return atOnce(() => {
        const row = rowOf(queue);
        const parsed = parseMessageId(messageId);
        const found = parsed === undefined ? undefined : statements.message.get({ id: parsed.number });
        if (found === undefined || found.backlogId !== row.backlog_id) return null;
        if (parsed?.hex !== found.messageId) return null;
        return isExpired({ queue: queueOf(row) }, found, now) ? null : messageOf(found, bodyOf(found));
      });
    },

    async planRedrive({ source, destination, limit, now }): Promise<RedrivePlan> {
      const find = (name: string) =>
        statements.queue.get({ account: source.account, name: name as QueueRef['name'] }) ?? undefined;
      const planner = atOnce(() => {
        const from = planSource(rowOf(source), now);
        const to =
          destination === null ? null : rowOf({ account: source.account, name: destination as QueueRef['name'] });
        return redrive.planner(from, to, limit ?? Number.POSITIVE_INFINITY, find);
      });
      while (!atOnce(() => planner.step(wholeMessage))) await turn();
      return planner.plan();
    },

    async findTask(ask) {
      return redrive.find(ask);
    },
    async listTasks(ask) {
      return redrive.list(ask);
    },
  };

  /** As many as are asked for and as fit; always at least one. */
  function peekPage(
    row: QueueRow,
    { state, now, cursor, limit, bytesMax = limits.receiveBytesMax }: PeekAsk & PageAsk,
  ): Page<Message> {
    const book = { queue: queueOf(row) };
    const items: Message[] = [];
    let bytes = 0;
    let [enqueuedAt = -1, id = -1] = (cursor ?? '-1.-1').split('.').map(Number);
    for (let examinedCount = 0; examinedCount < peekRowsExaminedMax; ) {
      const found = statements.peek.all({ backlogId: row.backlog_id, enqueuedAt, id, limit });
      for (const one of found) {
        const isShown = !isExpired(book, one, now) && (state === 'all' || stateOf(one, now) === state);
        if (isShown) {
          bytes += one.bytes;
          if (items.length > 0 && bytes > bytesMax) return { items, nextCursor: `${enqueuedAt}.${id}` };
          items.push(wholeMessage(one.id));
        }
        ({ enqueuedAt, id } = one);
        if (items.length === limit) return { items, nextCursor: `${enqueuedAt}.${id}` };
      }
      if (found.length < limit) return { items, nextCursor: null };
      examinedCount += found.length;
    }
    return { items, nextCursor: `${enqueuedAt}.${id}` };
  }

  function planSource(row: QueueRow, now: Instant): PlanSource {
    const stats = statsOf(row.id, now);
    const messageCount = stats === null ? 0 : stats.availableCount + stats.inFlightCount + stats.delayedCount;
    const expiredUntil = now - queueOf(row).settings.retentionSeconds * 1000;
    return { id: row.id, kind: row.kind, name: row.name, backlogId: row.backlog_id, messageCount, expiredUntil };
  }

  function wholeMessage(id: number): Message {
    const row = statements.message.get({ id });
    if (row === undefined) throw new Error('A message is gone from the snapshot it was seen in.');
    return messageOf(row, bodyOf(row));
  }
}

/** Lets others have the thread between two parts of a long read. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const stateOf = (row: Pick<MessageRow, 'visibleAt' | 'heldUntil'>, now: Instant): MessageState =>
  messageState({ visibleAt: instant(row.visibleAt), heldUntil: instant(row.heldUntil) }, now);
