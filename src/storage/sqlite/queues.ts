/** Queues in SQLite: their rows, how they are found and changed. */
import { distance } from 'fastest-levenshtein';
import { Fault, isFault } from '../../domain/errors.ts';
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
  type QueueSettingsPatch,
} from '../../domain/queue-attributes.ts';
import type { Db } from './database.ts';
import type { Groups } from './groups.ts';
import type { Book, Ledger } from './ledger.ts';

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
};

export const queueColumns =
  'id, account, name, kind, settings, deduplication_scope, backlog_id, version, created_at, modified_at';

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

/** FIFO messages that still wait for the queue's delay. Index messages_enqueued; the range is the delay, not the backlog. */
const selectDelayed = /* sql */ `
  select id, group_id as groupId, enqueued_at as enqueuedAt, visible_at as visibleAt
    from messages
   where backlog_id = @backlogId and enqueued_at > @since and receives = 0 and visible_at > @now and is_fifo = 1`;

export type QueueOperations = ReturnType<typeof queueOperations>;

/** The writing operations on queues. */
export function queueOperations(db: Db, ledger: Ledger, groups: Groups) {
  const statements = {
    countQueues: db
      .prepare<[{ account: string }], number>('select count(*) from queues where account = @account')
      .pluck(),
    insertQueue: db.prepare<[Record<string, unknown>], { id: number }>(insertQueue),
    insertCounters: db.prepare(insertCounters),
    updateSettings: db.prepare(updateSettings),
    setBacklog: db.prepare('update queues set backlog_id = @backlogId where id = @id'),
    deadBacklog: db.prepare('insert into dead_backlogs (backlog_id) values (@backlogId)'),
    deleteQueue: db.prepare('delete from queues where id = @id'),
    deleteCounters: db.prepare('delete from queue_counters where queue_id = @id'),
    deleteKeys: db.prepare('delete from idempotency_keys where queue_id = @id'),
    selectDelayed: db.prepare<
      [{ backlogId: number; since: number; now: number }],
      { id: number; groupId: string; enqueuedAt: number; visibleAt: number }
    >(selectDelayed),
    setVisible: db.prepare('update messages set visible_at = @visibleAt where id = @id'),
  };

  return {
    putQueue(ask: { queue: QueueRef; kind: QueueKind; settings: QueueSettingsPatch; now: Instant }): {
      queue: Queue;
      isNew: boolean;
    } {
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
      const settings = checkedSettings(ask.queue, ask.kind, initialSettings, ask.settings);
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
      return { queue: ledger.book(ask.queue).queue, isNew: true };
    },

    updateQueue(ask: {
      queue: QueueRef;
      settings: QueueSettingsPatch;
      ifVersion?: number | undefined;
      now: Instant;
    }): Queue {
      const book = ledger.book(ask.queue);
      const { queue } = book;
      if (ask.ifVersion !== undefined && ask.ifVersion !== queue.version) {
        throw Fault.of('queueChanged', { queue: queue.name, version: queue.version });
      }
      const settings = checkedSettings(ask.queue, queue.kind, queue.settings, ask.settings);
      if (differingSettings(queue.settings, settings).length === 0) return queue;
      if (queue.kind === 'fifo' && settings.delaySeconds !== queue.settings.delaySeconds) {
        moveDelays(book, Math.max(settings.delaySeconds, queue.settings.delaySeconds), settings.delaySeconds, ask.now);
      }
      statements.updateSettings.run({ id: queue.id, settings: JSON.stringify(settings), now: ask.now });
      ledger.forget(ask.queue);
      return ledger.book(ask.queue).queue;
    },

    deleteQueue(ask: { queue: QueueRef; now: Instant }): null {
      const { queue, backlogId } = ledger.book(ask.queue);
      ledger.forget(ask.queue);
      statements.deadBacklog.run({ backlogId });
      statements.deleteQueue.run({ id: queue.id });
      statements.deleteCounters.run({ id: queue.id });
      statements.deleteKeys.run({ id: queue.id });
      ledger.gone(queue.id, ask.now);
      return null;
    },

    purgeQueue(ask: { queue: QueueRef; now: Instant }): { purgedCount: number } {
      const book = ledger.book(ask.queue);
      const purgedCount = book.messageCount;
      ledger.count(book, 'purged', purgedCount);
      ledger.keep(book, -purgedCount, -book.bytes);
      statements.deadBacklog.run({ backlogId: book.backlogId });
      statements.setBacklog.run({ id: book.queue.id, backlogId: ledger.number() });
      ledger.forget(ask.queue);
      return { purgedCount };
    },
  };

  /** @throws settingNotForKind, settingInvalid, deadLetterQueueInvalid */
  function checkedSettings(
    ref: QueueRef,
    kind: QueueKind,
    present: QueueSettings,
    patch: QueueSettingsPatch,
  ): QueueSettings {
    const settings = mergeSettings(kind, present, patch);
    if (isFault(settings)) throw new Fault(settings);
    if (patch.deadLetter !== undefined && patch.deadLetter !== null) checkDeadLetter(ref, kind, patch.deadLetter);
    return settings;
  }

  /** A dead-letter queue exists, is of the same type, allows this source, and leads back to nobody. */
  function checkDeadLetter(ref: QueueRef, kind: QueueKind, policy: DeadLetterPolicy): void {
    const refuse = (problem: string) => Fault.of('deadLetterQueueInvalid', { queue: policy.queue, problem });
    if (policy.queue === ref.name) throw refuse('it is the queue itself');
    const target = ledger.findBook({ account: ref.account, name: policy.queue });
    if (target === undefined) throw refuse('it does not exist');
    if (target.queue.kind !== kind) throw refuse(`it is a ${target.queue.kind} queue, this one is ${kind}`);
    const allow = target.queue.settings.redriveAllow;
    const isAllowed =
      allow === null ||
      allow.permission === 'allowAll' ||
      (allow.permission === 'byQueue' && allow.queues?.includes(ref.name) === true);
    if (!isAllowed) throw refuse('its redriveAllow does not allow this queue');
    let next: DeadLetterPolicy | null | undefined = target.queue.settings.deadLetter;
    for (const seen = new Set<string>(); next && !seen.has(next.queue); ) {
      if (next.queue === ref.name) throw refuse('its own dead-letter queues lead back to this queue');
      seen.add(next.queue);
      next = ledger.findBook({ account: ref.account, name: next.queue })?.queue.settings.deadLetter;
    }
  }

  /** A FIFO queue's delay holds for the messages that wait already, too. @see SQS, DelaySeconds of SetQueueAttributes */
  function moveDelays(book: Book, longestSeconds: number, delaySeconds: number, now: Instant): void {
    const since = now - longestSeconds * 1000;
    for (const row of statements.selectDelayed.all({ backlogId: book.backlogId, since, now })) {
      const visibleAt = Math.max(row.enqueuedAt + delaySeconds * 1000, now);
      ledger.hide(book, { visibleAt: row.visibleAt, heldUntil: 0 }, now, -1);
      statements.setVisible.run({ id: row.id, visibleAt });
      ledger.hide(book, { visibleAt, heldUntil: 0 }, now, 1);
      groups.refresh(book, row.groupId, now);
    }
  }
}

/** The name that was probably meant: at most two letters away. */
export function similarName(name: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((other) => ({ other, edits: distance(name, other) }))
    .filter(({ edits }) => edits <= 2)
    .sort((a, b) => a.edits - b.edits);
  return best?.other;
}
