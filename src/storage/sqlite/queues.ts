/** Queues in SQLite: their rows, how they are found and changed. */
import { distance } from 'fastest-levenshtein';
import { type DeadLetterProblem, Fault, isFault } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Queue, QueueRef } from '../../domain/queue.ts';
import {
  type DeadLetterPolicy,
  differingSettings,
  initialSettings,
  mergeSettings,
  type QueueKind,
  type QueueName,
  type QueueSettings,
} from '../../domain/queue-attributes.ts';
import type { PutQueueAsk, UpdateQueueAsk } from '../port.ts';
import type { Db } from './database.ts';
import type { Delays } from './delays.ts';
import type { Ledger } from './ledger.ts';

export type QueueRow = {
  readonly id: number;
  readonly account: string;
  readonly name: string;
  readonly kind: QueueKind;
  readonly settings: string;
  readonly deduplication_scope: string;
  readonly backlog_id: number;
  readonly version: number;
  readonly created_at: number;
  readonly modified_at: number;
  readonly purged_at: number;
};

export const queueColumns =
  'id, account, name, kind, settings, deduplication_scope, backlog_id, version, created_at, modified_at, purged_at';

/** A stored queue; a setting that is newer than the row has its initial value. */
export const queueOf = (row: QueueRow): Queue => ({
  id: row.id,
  account: row.account,
  name: row.name as QueueName,
  kind: row.kind,
  settings: { ...initialSettings, ...(JSON.parse(row.settings) as QueueSettings) },
  version: row.version,
  createdAt: instant(row.created_at),
  modifiedAt: instant(row.modified_at),
});

const insertQueue = /* sql */ `
  insert into queues (account, name, kind, settings, deduplication_scope, backlog_id, version, created_at, modified_at)
  values (@account, @name, @kind, @settings, @scope, @backlogId, 1, @now, @now)
  returning id`;

const insertCounters = /* sql */ `
  insert into queue_counters (queue_id, message_count, bytes, sent, received, deleted, redelivered, dead_lettered,
                              expired, purged, redriven, quarantined)
  values (@queueId, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)`;

const updateSettings = /* sql */ `
  update queues set settings = @settings, version = version + 1, modified_at = @now where id = @id`;

const selectDeletedAt = /* sql */ `
  select deleted_at from deleted_queues where account = @account and name = @name`;

const insertDeleted = /* sql */ `
  insert into deleted_queues (account, name, deleted_at) values (@account, @name, @now)
  on conflict do update set deleted_at = excluded.deleted_at`;

/** Names are free again; each deletion clears away a few of those before it. Index deleted_queues_at. */
const deletePassed = /* sql */ `
  delete from deleted_queues
   where (account, name) in (select account, name from deleted_queues
                              where deleted_at <= @until order by deleted_at limit 10)`;

export type QueueOperations = ReturnType<typeof queueOperations>;

/** The writing operations on queues. */
export function queueOperations(db: Db, ledger: Ledger, delays: Delays) {
  const statements = {
    countQueues: db
      .prepare<[{ account: string }], number>('select count(*) from queues where account = @account')
      .pluck(),
    insertQueue: db.prepare<[Record<string, unknown>], { id: number }>(insertQueue),
    insertCounters: db.prepare(insertCounters),
    updateSettings: db.prepare(updateSettings),
    setBacklog: db.prepare('update queues set backlog_id = @backlogId, purged_at = @purgedAt where id = @id'),
    deletedAt: db.prepare<[{ account: string; name: string }], number>(selectDeletedAt).pluck(),
    insertDeleted: db.prepare(insertDeleted),
    deletePassed: db.prepare(deletePassed),
    deadBacklog: db.prepare('insert into dead_backlogs (backlog_id, queue_id) values (@backlogId, @queueId)'),
    deleteQueue: db.prepare('delete from queues where id = @id'),
    deleteCounters: db.prepare('delete from queue_counters where queue_id = @id'),
  };

  return {
    putQueue(ask: PutQueueAsk): { queue: Queue; isNew: boolean } {
      const present = ledger.findBook(ask.queue);
      if (present !== undefined) {
        const differing = [
          ...(present.queue.kind === ask.kind ? [] : ['type']),
          ...differingSettings(present.queue.settings, ask.settings),
        ];
        if (differing.length > 0) throw Fault.of('queueExists', { queue: ask.queue.name, differing });
        return { queue: present.queue, isNew: false };
      }
      const { account, name } = ask.queue;
      if ((statements.countQueues.get({ account }) ?? 0) >= limits.queuesPerAccountMax) {
        throw Fault.of('tooManyQueues', { countMax: limits.queuesPerAccountMax });
      }
      refuseTooEarly(ask);
      const settings = checkedSettings(ask, ask.kind, initialSettings);
      const backlogId = ledger.number();
      const row = statements.insertQueue.get({
        account,
        name,
        kind: ask.kind,
        settings: JSON.stringify(settings),
        scope: settings.deduplicationScope,
        backlogId,
        now: ask.now,
      });
      statements.insertCounters.run({ queueId: row?.id });
      ledger.changed({ of: 'queue', account, name });
      return { queue: ledger.book(ask.queue).queue, isNew: true };
    },

    updateQueue(ask: UpdateQueueAsk): Queue {
      const book = ledger.book(ask.queue);
      const { queue } = book;
      if (ask.ifVersion !== undefined && ask.ifVersion !== queue.version) {
        throw Fault.of('queueChanged', { queue: queue.name, version: queue.version });
      }
      const settings = checkedSettings(ask, queue.kind, queue.settings);
      if (differingSettings(queue.settings, settings).length === 0) return queue;
      if (queue.kind === 'fifo' && settings.delaySeconds !== queue.settings.delaySeconds) {
        delays.change(book, settings.delaySeconds, ask.now);
      }
      statements.updateSettings.run({ id: queue.id, settings: JSON.stringify(settings), now: ask.now });
      ledger.forget(ask.queue);
      ledger.changed({ of: 'queue', account: queue.account, name: queue.name });
      return ledger.book(ask.queue).queue;
    },

    deleteQueue(ask: { queue: QueueRef; now: Instant }): null {
      const { queue, backlogId } = ledger.book(ask.queue);
      ledger.forget(ask.queue);
      statements.deadBacklog.run({ backlogId, queueId: queue.id });
      statements.deleteQueue.run({ id: queue.id });
      statements.deleteCounters.run({ id: queue.id });
      const { account, name } = ask.queue;
      statements.deletePassed.run({ until: ask.now - limits.recreateSeconds * 1000 });
      statements.insertDeleted.run({ account, name, now: ask.now });
      ledger.gone(queue.id, ask.now);
      ledger.changed({ of: 'queue', account, name });
      return null;
    },

    purgeQueue(ask: { queue: QueueRef; intervalSeconds?: number | undefined; now: Instant }): { purgedCount: number } {
      const book = ledger.book(ask.queue);
      const { intervalSeconds: seconds } = ask;
      if (seconds !== undefined && ask.now < book.purgedAt + seconds * 1000) {
        throw Fault.of('purgeInProgress', { queue: ask.queue.name, seconds });
      }
      const purgedAt = seconds === undefined ? book.purgedAt : ask.now;
      const purgedCount = book.messageCount;
      ledger.count(book, 'purged', purgedCount);
      ledger.keep(book, -purgedCount, -book.bytes);
      statements.deadBacklog.run({ backlogId: book.backlogId, queueId: null });
      statements.setBacklog.run({ id: book.queue.id, backlogId: ledger.number(), purgedAt });
      ledger.forget(ask.queue);
      return { purgedCount };
    },
  };

  /** @throws settingNotForKind, settingInvalid, deadLetterQueueInvalid */
  function checkedSettings(ask: UpdateQueueAsk, kind: QueueKind, present: QueueSettings): QueueSettings {
    const settings = mergeSettings(kind, present, ask.settings, ask);
    if (isFault(settings)) throw new Fault(settings);
    const { deadLetter } = ask.settings;
    if (deadLetter !== undefined && deadLetter !== null) {
      checkDeadLetter(ask.queue, kind, settings, deadLetter);
      if (ask.isLenient !== true) refuseCircle(ask.queue, deadLetter);
    }
    return settings;
  }

  /** @throws queueDeletedRecently */
  function refuseTooEarly({ queue: { account, name }, quietSeconds: seconds, now }: PutQueueAsk): void {
    if (seconds === undefined) return;
    const deletedAt = statements.deletedAt.get({ account, name });
    if (deletedAt === undefined || now >= deletedAt + seconds * 1000) return;
    throw Fault.of('queueDeletedRecently', { queue: name, seconds });
  }

  /** A dead-letter queue exists, is of the same type and allows this source; the queue itself is there in time. */
  function checkDeadLetter(ref: QueueRef, kind: QueueKind, settings: QueueSettings, policy: DeadLetterPolicy): void {
    const refuse = (reason: DeadLetterProblem, problem: string) =>
      Fault.of('deadLetterQueueInvalid', { queue: policy.queue, problem, reason });
    const isSelf = policy.queue === ref.name;
    const target = isSelf ? undefined : ledger.findBook({ account: ref.account, name: policy.queue })?.queue;
    if (target === undefined && !isSelf) throw refuse('missing', 'it does not exist');
    if (target !== undefined && target.kind !== kind) {
      throw refuse('otherKind', `it is a ${target.kind} queue, this one is ${kind}`);
    }
    const allow = (target?.settings ?? settings).redriveAllow;
    const isAllowed =
      allow === null ||
      allow.permission === 'allowAll' ||
      (allow.permission === 'byQueue' && allow.queues?.includes(ref.name) === true);
    if (!isAllowed) throw refuse('forbidden', 'its redriveAllow does not allow this queue');
  }

  /** Dead-letter queues lead back to nobody: a circle is mostly a mistake, which our own API finds. */
  function refuseCircle(ref: QueueRef, policy: DeadLetterPolicy): void {
    const refuse = (problem: string) =>
      Fault.of('deadLetterQueueInvalid', { queue: policy.queue, problem, reason: 'circle' });
    if (policy.queue === ref.name) throw refuse('it is the queue itself');
    let next: DeadLetterPolicy | null | undefined = policy;
    for (const seen = new Set<string>(); next && !seen.has(next.queue); ) {
      seen.add(next.queue);
      next = ledger.findBook({ account: ref.account, name: next.queue })?.queue.settings.deadLetter;
      if (next?.queue === ref.name) throw refuse('its own dead-letter queues lead back to this queue');
    }
  }
}

/** Names that begin like @from or come after it. */
export const selectSimilarNames = /* sql */ `
  select name from queues where account = @account and name >= @from order by name limit 200`;

/** That the queue is not there, and which was probably meant. @param names some that begin alike */
export function queueNotFound({ name }: QueueRef, names: readonly string[]): Fault {
  const similar = similarName(name, names);
  return Fault.of('queueNotFound', { queue: name, ...(similar === undefined ? {} : { similar }) });
}

/** At most two letters away, and no more than a third of the name: among short ones everything is similar. */
function similarName(name: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((other) => ({ other, edits: distance(name, other) }))
    .filter(({ other, edits }) => edits <= Math.min(2, Math.floor(Math.min(name.length, other.length) / 3)))
    .sort((a, b) => a.edits - b.edits);
  return best?.other;
}
