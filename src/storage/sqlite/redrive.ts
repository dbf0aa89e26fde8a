/**
 * Redrive tasks: a walk along the source's messages in the order they came, a slice per transaction.
 *
 * Only messages that were there at the start are moved (their sequence is not above the task's), so what is dead-lettered
 * again meanwhile is left alone. Messages that are hidden are passed over; when the walk has come to the end, it begins
 * again at the instant when the first of them becomes visible. Progress is stored in the transaction of each slice.
 */
import { Fault, type FaultData, fault } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { QueueRef } from '../../domain/queue.ts';
import type { RedrivePlan, RedriveTask, TaskStatus } from '../../domain/redrive.ts';
import type { Ids } from '../../ids.ts';
import type { Page, PageAsk } from '../port.ts';
import type { Db } from './database.ts';
import { type Groups, isFifo } from './groups.ts';
import type { IdempotencyKeys } from './idempotency.ts';
import type { Book, Ledger } from './ledger.ts';
import { makeMessageId } from './message-id.ts';
import {
  decodeHistory,
  isExpired,
  isSound,
  type MessageRow,
  type MessageRows,
  messageColumns,
  messageOf,
} from './messages.ts';

const taskColumns = /* sql */ `
  number, task_id as taskId, account, source_queue_id as sourceQueueId, source, destination,
  rate_per_second as ratePerSecond, move_limit as moveLimit, status, moved_count as movedCount,
  to_move_count as toMoveCount, sequence_max as sequenceMax, cursor_enqueued_at as cursorEnqueuedAt,
  cursor_id as cursorId, skipped_until as skippedUntil, next_at as nextAt, started_at as startedAt,
  finished_at as finishedAt, failure, renews_messages as renewsMessages`;

const insertTask = /* sql */ `
  insert into tasks (number, task_id, account, source_queue_id, source, destination, rate_per_second, move_limit, status,
                     moved_count, to_move_count, sequence_max, cursor_enqueued_at, cursor_id, skipped_until, next_at,
                     started_at, finished_at, failure, renews_messages)
  values (@number, @taskId, @account, @sourceQueueId, @source, @destination, @ratePerSecond, @moveLimit, 'running',
          0, @toMoveCount, @sequenceMax, -1, -1, 0, @now, @now, null, null, @renewsMessages)`;

const updateTask = /* sql */ `
  update tasks
     set status = @status, moved_count = @movedCount, cursor_enqueued_at = @cursorEnqueuedAt, cursor_id = @cursorId,
         skipped_until = @skippedUntil, next_at = @nextAt, finished_at = @finishedAt, failure = @failure
   where number = @number`;

/** Tasks are kept for a while after their end: the oldest finished ones beyond the limit go. */
const deleteOldTasks = /* sql */ `
  delete from tasks where number in (select number from tasks where account = @account and status <> 'running'
                                      order by number desc limit -1 offset @kept)`;

/** The walk. Index messages_enqueued. */
const selectWalk = /* sql */ `
  select ${messageColumns} from messages
   where backlog_id = @backlogId and (enqueued_at, id) > (@cursorEnqueuedAt, @cursorId)
   order by enqueued_at, id limit @limit`;

const selectRunning = /* sql */ `select task_id from tasks where source_queue_id = @id and status = 'running'`;

/** The task that is due longest. Index tasks_due. */
const selectDue = /* sql */ `
  select ${taskColumns} from tasks where status = 'running' and next_at <= @now order by next_at limit 1`;

/** For the plan test. */
export const redriveStatements = { selectWalk, selectDue };

type TaskRow = {
  readonly number: number;
  readonly taskId: string;
  readonly account: string;
  readonly sourceQueueId: number;
  readonly source: string;
  readonly destination: string | null;
  readonly ratePerSecond: number | null;
  readonly moveLimit: number | null;
  readonly status: TaskStatus;
  readonly movedCount: number;
  readonly toMoveCount: number;
  readonly sequenceMax: number;
  readonly cursorEnqueuedAt: number;
  readonly cursorId: number;
  readonly skippedUntil: number;
  readonly nextAt: number;
  readonly startedAt: number;
  readonly finishedAt: number | null;
  readonly failure: string | null;
  readonly renewsMessages: number;
};

type Progress = { -readonly [K in keyof TaskRow]: TaskRow[K] };

const taskOf = (row: TaskRow): RedriveTask => ({
  taskId: row.taskId,
  account: row.account,
  source: row.source,
  destination: row.destination,
  ratePerSecond: row.ratePerSecond,
  limit: row.moveLimit,
  status: row.status,
  movedCount: row.movedCount,
  toMoveCount: row.toMoveCount,
  startedAt: instant(row.startedAt),
  finishedAt: row.finishedAt === null ? null : instant(row.finishedAt),
  failure: row.failure === null ? null : (JSON.parse(row.failure) as FaultData),
});

export type RedriveOperations = ReturnType<typeof redriveOperations>;

export function redriveOperations(
  db: Db,
  ledger: Ledger,
  rows: MessageRows,
  groups: Groups,
  keys: IdempotencyKeys,
  ids: Ids,
) {
  const statements = {
    insert: db.prepare(insertTask),
    update: db.prepare(updateTask),
    deleteOld: db.prepare(deleteOldTasks),
    byTaskId: db.prepare<[{ account: string; taskId: string }], TaskRow>(
      `select ${taskColumns} from tasks where account = @account and task_id = @taskId`,
    ),
    running: db.prepare<[{ id: number }], string>(selectRunning).pluck(),
    due: db.prepare<[{ now: number }], TaskRow>(selectDue),
    nextAt: db.prepare<[], number | null>("select min(next_at) from tasks where status = 'running'").pluck(),
    walk: db.prepare<[{ backlogId: number; cursorEnqueuedAt: number; cursorId: number; limit: number }], MessageRow>(
      selectWalk,
    ),
  };

  return {
    startRedrive(ask: {
      taskId: string;
      source: QueueRef;
      destination: string | null;
      ratePerSecond: number | null;
      limit: number | null;
      renewsMessages?: boolean | undefined;
      idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
      now: Instant;
    }): { task: RedriveTask; isNew: boolean } {
      const source = ledger.book(ask.source);
      const { account } = ask.source;
      if (ask.idempotency !== undefined) {
        const earlier = keys.find(source.queue.id, 'redrive', ask.idempotency, ask.now) as string | undefined;
        const row = earlier === undefined ? undefined : statements.byTaskId.get({ account, taskId: earlier });
        if (row !== undefined) return { task: taskOf(row), isNew: false };
      }
      checkDestination(source, ask.destination);
      const running = statements.running.get({ id: source.queue.id });
      if (running !== undefined) throw Fault.of('redriveRunning', { queue: source.queue.name, task: running });
      const { messageCount } = source;
      statements.insert.run({
        number: ledger.number(),
        taskId: ask.taskId,
        account,
        sourceQueueId: source.queue.id,
        source: source.queue.name,
        destination: ask.destination,
        ratePerSecond: ask.ratePerSecond,
        moveLimit: ask.limit,
        toMoveCount: ask.limit === null ? messageCount : Math.min(ask.limit, messageCount),
        sequenceMax: ledger.nextNumber - 1,
        renewsMessages: ask.renewsMessages === true ? 1 : 0,
        now: ask.now,
      });
      statements.deleteOld.run({ account, kept: limits.tasksKeptMax });
      if (ask.idempotency !== undefined) {
        keys.store(source.queue.id, 'redrive', ask.idempotency, ask.taskId, ask.now);
      }
      return { task: taskOf(present(account, ask.taskId)), isNew: true };
    },

    cancelTask(ask: { account: string; taskId: string; now: Instant }): RedriveTask {
      const row = present(ask.account, ask.taskId);
      if (row.status !== 'running') throw Fault.of('taskNotActive', { task: ask.taskId, status: row.status });
      statements.update.run({ ...row, status: 'cancelled', finishedAt: ask.now });
      return taskOf(present(ask.account, ask.taskId));
    },

    /** One slice of the task that is due longest. @returns whether there was one */
    step(now: Instant): boolean {
      const row = statements.due.get({ now });
      if (row === undefined) return false;
      const progress: Progress = { ...row };
      advance(progress, now);
      statements.update.run(progress);
      return true;
    },

    nextAt: (): number | null => statements.nextAt.get() ?? null,
  };

  function present(account: string, taskId: string): TaskRow {
    const row = statements.byTaskId.get({ account, taskId });
    if (row === undefined) throw Fault.of('taskNotFound', { task: taskId });
    return row;
  }

  /** @throws redriveInvalid */
  function checkDestination(source: Book, destination: string | null): void {
    checkRedrive(source.queue, destination, (name) => ledger.findBook({ account: source.queue.account, name })?.queue);
  }

  /** Moves what the rate allows, then says when to go on. */
  function advance(task: Progress, now: Instant): void {
    const source = ledger.bookById(task.sourceQueueId);
    if (source === undefined) return fail(task, fault('queueNotFound', { queue: task.source }), now);
    if (now - task.startedAt > limits.redriveHoursMax * 3_600_000) {
      return fail(task, fault('redriveInvalid', { problem: `it ran for ${limits.redriveHoursMax} hours` }), now);
    }
    const movesMax = Math.min(allowance(task, now), limits.redriveRowsPerSliceMax);
    const movedBefore = task.movedCount;
    const isAtEnd = walk(task, source, movesMax, now);
    if (task.status !== 'running') return;
    if (task.moveLimit !== null && task.movedCount >= task.moveLimit) return finish(task, 'completed', now);
    if (isAtEnd && task.skippedUntil === 0) return finish(task, 'completed', now);
    pace(task, task.movedCount - movedBefore, now);
    if (!isAtEnd) return;
    task.nextAt = Math.max(task.skippedUntil, task.nextAt, now + 1);
    task.skippedUntil = 0;
    task.cursorEnqueuedAt = -1;
    task.cursorId = -1;
  }

  /** @returns whether the end of the source was reached */
  function walk(task: Progress, source: Book, movesMax: number, now: Instant): boolean {
    const limit = limits.redriveRowsExaminedPerSliceMax;
    const { cursorEnqueuedAt, cursorId } = task;
    const page = statements.walk.all({ backlogId: source.backlogId, cursorEnqueuedAt, cursorId, limit });
    let moves = 0;
    for (const row of page) {
      if (moves === movesMax || (task.moveLimit !== null && task.movedCount >= task.moveLimit)) return false;
      task.cursorEnqueuedAt = row.enqueuedAt;
      task.cursorId = row.id;
      if (row.sequence > task.sequenceMax || isExpired(source, row, now)) continue;
      // Only the head of a group moves: a message that the walk passed over must not be overtaken.
      const isBlocked = isFifo(source.queue) && !groups.isHead(source, row.groupId, row.id);
      if (row.visibleAt > now || isBlocked) {
        // When the head of its group will have moved is not known better than by looking again soon.
        const until = row.visibleAt > now ? row.visibleAt : now + 1_000;
        task.skippedUntil = task.skippedUntil === 0 ? until : Math.min(task.skippedUntil, until);
        continue;
      }
      const refusal = moveOne(task, source, row, now);
      if (refusal !== undefined) {
        fail(task, refusal, now);
        return false;
      }
      moves += 1;
    }
    return page.length < limit;
  }

  function moveOne(task: Progress, source: Book, row: MessageRow, now: Instant): FaultData | undefined {
    const { deadLetter: cameFrom, ...history } = decodeHistory(row.history);
    const name = task.destination ?? cameFrom?.queue;
    if (name === undefined) {
      return fault('redriveSourceUnknown', { queue: task.source, messageId: messageOf(row, row.body).messageId });
    }
    const target = ledger.findBook({ account: task.account, name });
    if (target === undefined || target.queue.kind !== source.queue.kind) return fault('queueNotFound', { queue: name });
    if (target.queue.id === source.queue.id) {
      return fault('redriveInvalid', { problem: `"${name}" is the queue itself` });
    }
    const refusal = isFull(target, row);
    if (refusal !== undefined) return refusal;
    if (task.renewsMessages === 1) {
      if (!isSound(row, rows.fullBody(row))) {
        rows.quarantine(source, row, now);
        return undefined;
      }
      rows.renew(row, makeMessageId(now, row.id, ids.salt()), now);
    }
    const change = { receiveCount: 0, enqueuedAt: now, deduplicationId: row.deduplicationId, history };
    rows.move(source, target, row, change, now);
    ledger.count(source, 'redriven', 1);
    task.movedCount += 1;
    return undefined;
  }

  /** What a send of the message would be refused with, where the queue has limits. */
  function isFull({ queue, messageCount, bytes }: Book, row: MessageRow): FaultData | undefined {
    const { maxMessages, maxBytes } = queue.settings;
    if (maxMessages !== null && messageCount + 1 > maxMessages) {
      return fault('queueFull', { queue: queue.name, limit: 'maxMessages', value: maxMessages });
    }
    if (maxBytes !== null && bytes + row.bytes > maxBytes) {
      return fault('queueFull', { queue: queue.name, limit: 'maxBytes', value: maxBytes });
    }
    return undefined;
  }

  /** How many messages the rate allows now; what was missed while the server was down is not made up for. */
  function allowance(task: Progress, now: Instant): number {
    if (task.ratePerSecond === null) return limits.redriveRowsPerSliceMax;
    task.nextAt = Math.max(task.nextAt, now - 1_000);
    return Math.floor(((now - task.nextAt) * task.ratePerSecond) / 1_000) + 1;
  }

  function pace(task: Progress, moved: number, now: Instant): void {
    if (task.ratePerSecond === null) task.nextAt = now;
    else task.nextAt += Math.ceil((moved * 1_000) / task.ratePerSecond);
  }

  function finish(task: Progress, status: TaskStatus, now: Instant): void {
    task.status = status;
    task.finishedAt = now;
  }

  function fail(task: Progress, failure: FaultData, now: Instant): void {
    finish(task, 'failed', now);
    task.failure = JSON.stringify(failure);
  }
}

type RedriveEnd = { readonly id: number; readonly kind: string; readonly name: string };

/** Where a redrive may go. @throws redriveInvalid */
function checkRedrive(
  source: RedriveEnd,
  destination: string | null,
  find: (name: string) => RedriveEnd | undefined,
): void {
  if (destination === null) return;
  const target = find(destination);
  const problem =
    target === undefined
      ? `the destination "${destination}" does not exist`
      : target.id === source.id
        ? 'source and destination are the same queue'
        : target.kind !== source.kind
          ? `"${destination}" is a ${target.kind} queue, "${source.name}" is ${source.kind}`
          : undefined;
  if (problem !== undefined) throw Fault.of('redriveInvalid', { problem });
}

/** Reads of tasks, and the plan of one. */
export function redriveReads(db: Db) {
  const statements = {
    byTaskId: db.prepare<[{ account: string; taskId: string }], TaskRow>(
      `select ${taskColumns} from tasks where account = @account and task_id = @taskId`,
    ),
    ofSource: db.prepare<[{ account: string; sourceQueueId: number; before: number; limit: number }], TaskRow>(
      `select ${taskColumns} from tasks
        where source_queue_id = @sourceQueueId and account = @account and number < @before
        order by number desc limit @limit`,
    ),
    list: db.prepare<[{ account: string; before: number; limit: number }], TaskRow>(
      `select ${taskColumns} from tasks where account = @account and number < @before order by number desc limit @limit`,
    ),
    walk: db.prepare<[{ backlogId: number; cursorEnqueuedAt: number; cursorId: number; limit: number }], MessageRow>(
      selectWalk,
    ),
  };
  return {
    find(ask: { account: string; taskId: string }): RedriveTask | null {
      const row = statements.byTaskId.get(ask);
      return row === undefined ? null : taskOf(row);
    },
    list(ask: { account: string; sourceQueueId?: number | undefined } & PageAsk): Page<RedriveTask> {
      const before = ask.cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(ask.cursor);
      const { account, sourceQueueId } = ask;
      const limit = ask.limit + 1;
      const found =
        sourceQueueId === undefined
          ? statements.list.all({ account, before, limit })
          : statements.ofSource.all({ account, sourceQueueId, before, limit });
      const page = found.slice(0, ask.limit);
      return {
        items: page.map(taskOf),
        nextCursor: found.length > ask.limit ? String(page.at(-1)?.number) : null,
      };
    },
    /** @throws redriveInvalid */
    plan(
      source: RedriveEnd & { readonly backlogId: number; readonly messageCount: number },
      destination: string | null,
      limit: number | null,
      find: (name: string) => RedriveEnd | undefined,
      bodyOf: (row: MessageRow) => Buffer,
    ): RedrivePlan {
      checkRedrive(source, destination, find);
      const toMoveCount = limit === null ? source.messageCount : Math.min(limit, source.messageCount);
      const samples = statements.walk.all({
        backlogId: source.backlogId,
        cursorEnqueuedAt: -1,
        cursorId: -1,
        limit: Math.min(limits.redriveSamplesMax, toMoveCount),
      });
      return { toMoveCount, samples: samples.map((row) => messageOf(row, bodyOf(row))) };
    },
  };
}
