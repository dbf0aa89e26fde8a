/**
 * Upkeep: what becomes due without anybody asking. One call is one bounded slice, a few milliseconds of the writer; the
 * answer says when to come again.
 *
 * Nothing depends on its being prompt: expired messages are never handed out, passed windows no longer deduplicate.
 */
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { UpkeepAnswer } from '../port.ts';
import type { Db } from './database.ts';
import type { Delays } from './delays.ts';
import { type Book, hiddenWidths, type Ledger } from './ledger.ts';
import { factColumns, type MessageFacts, type MessageRows } from './messages.ts';
import type { RedriveOperations } from './redrive.ts';

/** Queues looked at per slice. */
const queuesPerSliceMax = 200;
/** A walk over all queues begins at most this often; expired messages are not handed out meanwhile. */
const walkEveryMs = 1_000;
/** Sums of the past are kept for so long, since requests may carry an instant that lies a little behind. */
const pastKeptMs = 60_000;

/** A queue's messages whose retention has passed, without texts and bodies. Index messages_enqueued. */
const selectExpired = /* sql */ `
  select ${factColumns} from messages
   where backlog_id = @backlogId + 0 and enqueued_at <= @until + 0 order by enqueued_at, id limit @limit + 0`;

const selectOldest = /* sql */ `
  select enqueued_at from messages where backlog_id = @backlogId + 0 order by enqueued_at, id limit 1`;

const deletePastHidden = /* sql */ `
  delete from hidden_counts
   where backlog_id = @backlogId and width = @width
     and at in (select at from hidden_counts
                 where backlog_id = @backlogId and width = @width and at < @before order by at limit @limit)`;

/** For the plan test. */
export const upkeepStatements = { selectExpired, selectOldest, deletePastHidden };

/** Rows in the order of time; those at the front are the first to pass. */
const deletePassed = (table: 'deduplications' | 'idempotency_keys' | 'receive_attempts') => /* sql */ `
  delete from ${table}
   where id in (select id from (select id, expires_at from ${table} order by id limit @limit) where expires_at < @now)`;

/** The tables of a dead backlog, and the keys of a queue that is gone, each emptied slice by slice. Bodies go with their messages. */
const deleteDead = [
  /* sql */ `delete from message_bodies
              where message_id in (select id from messages where backlog_id = @backlogId
                                    order by enqueued_at, id limit @limit)`,
  /* sql */ `delete from messages where id in (select id from messages where backlog_id = @backlogId
                                           order by enqueued_at, id limit @limit)`,
  /* sql */ `delete from message_groups
              where (backlog_id, group_id) in (select backlog_id, group_id from message_groups
                                                where backlog_id = @backlogId limit @limit)`,
  /* sql */ `delete from hidden_counts
              where (backlog_id, width, at) in (select backlog_id, width, at from hidden_counts
                                                 where backlog_id = @backlogId limit @limit)`,
  /* sql */ `delete from deduplications
              where id in (select id from deduplications where backlog_id = @backlogId limit @limit)`,
  /* sql */ `delete from receive_attempts
              where id in (select id from receive_attempts where backlog_id = @backlogId limit @limit)`,
  /* sql */ `delete from idempotency_keys
              where id in (select id from idempotency_keys where queue_id = @queueId limit @limit)`,
];

export function upkeepOperation(db: Db, ledger: Ledger, rows: MessageRows, redrive: RedriveOperations, delays: Delays) {
  const statements = {
    queuesAfter: db
      .prepare<[{ id: number; limit: number }], number>('select id from queues where id > @id order by id limit @limit')
      .pluck(),
    expired: db.prepare<[{ backlogId: number; until: number; limit: number }], MessageFacts>(selectExpired),
    oldest: db.prepare<[{ backlogId: number }], number>(selectOldest).pluck(),
    deletePastHidden: db.prepare(deletePastHidden),
    deletePassed: (['deduplications', 'idempotency_keys', 'receive_attempts'] as const).map((table) =>
      db.prepare(deletePassed(table)),
    ),
    deadBacklog: db.prepare<[], { backlogId: number; queueId: number | null }>(
      'select backlog_id as backlogId, queue_id as queueId from dead_backlogs order by backlog_id limit 1',
    ),
    deleteDead: deleteDead.map((sql) => db.prepare(sql)),
    forgetBacklog: db.prepare('delete from dead_backlogs where backlog_id = @backlogId'),
  };
  /** Where the walk over the queues stands; in memory, since a walk may begin again at any time. */
  const walk = { afterId: 0, isUnderWay: false, nextAt: 0, earliestAt: Number.POSITIVE_INFINITY };

  return {
    upkeep({ now }: { now: Instant }): UpkeepAnswer {
      redrive.step(now);
      let isMore = delays.step(now);
      isMore = emptyDeadBacklog() || isMore;
      for (const statement of statements.deletePassed) {
        isMore =
          statement.run({ now, limit: limits.upkeepRowsPerSliceMax }).changes === limits.upkeepRowsPerSliceMax ||
          isMore;
      }
      const expiredCount = walk.isUnderWay || now >= walk.nextAt ? walkQueues(now) : 0;
      const nextAt = Math.min(redrive.nextAt() ?? Number.POSITIVE_INFINITY, walk.nextAt);
      return { nextAt: instant(isMore || walk.isUnderWay ? now : Math.max(nextAt, now)), expiredCount };
    },

    /** A change of settings may have made something due. */
    expectWalk(): void {
      walk.nextAt = 0;
    },
  };

  function emptyDeadBacklog(): boolean {
    const dead = statements.deadBacklog.get();
    if (dead === undefined) return false;
    let changes = 0;
    for (const statement of statements.deleteDead) {
      changes += statement.run({ ...dead, limit: limits.upkeepRowsPerSliceMax }).changes;
    }
    if (changes === 0) statements.forgetBacklog.run({ backlogId: dead.backlogId });
    return true;
  }

  function walkQueues(now: Instant): number {
    if (!walk.isUnderWay) {
      walk.isUnderWay = true;
      walk.afterId = 0;
      walk.earliestAt = now + limits.upkeepSleepMsMax;
    }
    let budget: number = limits.upkeepRowsPerSliceMax;
    let expiredCount = 0;
    const queueIds = statements.queuesAfter.all({ id: walk.afterId, limit: queuesPerSliceMax });
    for (const id of queueIds) {
      const book = ledger.bookById(id);
      const tidied = book === undefined ? nothing : tidyQueue(book, now, budget);
      expiredCount += tidied.expiredCount;
      budget -= tidied.expiredCount + tidied.sumCount;
      // Out of budget: this queue once more in the next slice.
      if (budget <= 0) return expiredCount;
      walk.afterId = id;
    }
    if (queueIds.length < queuesPerSliceMax) {
      walk.isUnderWay = false;
      walk.nextAt = Math.max(walk.earliestAt, now + walkEveryMs);
    }
    return expiredCount;
  }

  /** Removes what has expired and the sums of the past, so many of each at most. */
  function tidyQueue(book: Book, now: Instant, limit: number): Tidied {
    const { backlogId, queue } = book;
    const retentionMs = queue.settings.retentionSeconds * 1000;
    const expired = statements.expired.all({ backlogId, until: now - retentionMs, limit });
    for (const row of expired) {
      rows.remove(book, row, now);
      ledger.count(book, 'expired', 1);
    }
    let sumCount = 0;
    for (const width of hiddenWidths) {
      const before = Math.floor((now - pastKeptMs) / width);
      sumCount += statements.deletePastHidden.run({ backlogId, width, before, limit }).changes;
    }
    const oldest = statements.oldest.get({ backlogId });
    if (oldest !== undefined) walk.earliestAt = Math.min(walk.earliestAt, oldest + retentionMs);
    return { expiredCount: expired.length, sumCount };
  }
}

type Tidied = { readonly expiredCount: number; readonly sumCount: number };
const nothing: Tidied = { expiredCount: 0, sumCount: 0 };
