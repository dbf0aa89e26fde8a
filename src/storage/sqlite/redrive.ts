/**
 * Redrive tasks: their rows, how they begin and end, what one would do. How they move messages: see redrive-walk.ts.
 */
import { Fault, type FaultData } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Message } from '../../domain/message.ts';
import type { QueueRef } from '../../domain/queue.ts';
import type { RedrivePlan, RedriveTask, TaskStatus } from '../../domain/redrive.ts';
import type { Page, PageAsk } from '../port.ts';
import type { Db } from './database.ts';
import type { IdempotencyKeys } from './idempotency.ts';
import type { Ledger } from './ledger.ts';
import { decodeHistory } from './messages.ts';
import type { RedriveWalk } from './redrive-walk.ts';

const taskColumns = /* sql */ `
  number, task_id as taskId, account, source_queue_id as sourceQueueId, source, destination,
  rate_per_second as ratePerSecond, move_limit as moveLimit, status, moved_count as movedCount,
  to_move_count as toMoveCount, sequence_max as sequenceMax, cursor_at as cursorAt, cursor_number as cursorNumber,
  cursor_sequence as cursorSequence, again_at as againAt, examined_count as examinedCount, fresh_turn as freshTurn,
  skipped_count as skippedCount, walk_skipped_count as walkSkippedCount, next_at as nextAt, started_at as startedAt,
  finished_at as finishedAt, failure, renews_messages as renewsMessages, requires_origins as requiresOrigins`;

const insertTask = /* sql */ `
  insert into tasks (number, task_id, account, source_queue_id, source, destination, rate_per_second, move_limit, status,
                     moved_count, to_move_count, sequence_max, cursor_at, cursor_number, again_at, next_at, started_at,
                     finished_at, failure, renews_messages, requires_origins)
  values (@number, @taskId, @account, @sourceQueueId, @source, @destination, @ratePerSecond, @moveLimit, 'running',
          0, @toMoveCount, @sequenceMax, -1, -1, 0, @now, @now, null, null, @renewsMessages, @requiresOrigins)`;

const updateTask = /* sql */ `
  update tasks
     set status = @status, moved_count = @movedCount, cursor_at = @cursorAt, cursor_number = @cursorNumber,
         cursor_sequence = @cursorSequence, again_at = @againAt, examined_count = @examinedCount,
         fresh_turn = @freshTurn, skipped_count = @skippedCount, walk_skipped_count = @walkSkippedCount,
         next_at = @nextAt, finished_at = @finishedAt, failure = @failure
   where number = @number`;

/** Tasks are kept for a while after their end: the oldest finished ones beyond the limit go. */
const deleteOldTasks = /* sql */ `
  delete from tasks where number in (select number from tasks where account = @account and status <> 'running'
                                      order by number desc limit -1 offset @kept)`;

const selectRunning = /* sql */ `select task_id from tasks where source_queue_id = @id and status = 'running'`;

/** The task that is due longest. Index tasks_due. */
const selectDue = /* sql */ `
  select ${taskColumns} from tasks where status = 'running' and next_at <= @now order by next_at limit 1`;

/** Where messages came from, in the order they came. Index messages_enqueued. */
const selectOrigins = /* sql */ `
  select id, enqueued_at as enqueuedAt, history from messages
   where backlog_id = @backlogId and (enqueued_at, id) > (@enqueuedAt, @id) order by enqueued_at, id limit @limit`;

/** For the plan test. */
export const redriveStatements = { selectOrigins, selectDue };

export type TaskRow = {
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
  readonly cursorAt: number;
  readonly cursorNumber: number;
  readonly cursorSequence: number;
  readonly againAt: number;
  readonly examinedCount: number;
  readonly freshTurn: number;
  readonly skippedCount: number;
  readonly walkSkippedCount: number;
  readonly nextAt: number;
  readonly startedAt: number;
  readonly finishedAt: number | null;
  readonly failure: string | null;
  readonly renewsMessages: number;
  readonly requiresOrigins: number;
};

const taskOf = (row: TaskRow): RedriveTask => ({
  taskId: row.taskId,
  account: row.account,
  source: row.source,
  destination: row.destination,
  ratePerSecond: row.ratePerSecond,
  limit: row.moveLimit,
  status: row.status,
  movedCount: row.movedCount,
  skippedCount: row.skippedCount,
  toMoveCount: row.toMoveCount,
  startedAt: instant(row.startedAt),
  finishedAt: row.finishedAt === null ? null : instant(row.finishedAt),
  failure: row.failure === null ? null : (JSON.parse(row.failure) as FaultData),
});

export type RedriveOperations = ReturnType<typeof redriveOperations>;

export function redriveOperations(db: Db, ledger: Ledger, walk: RedriveWalk, keys: IdempotencyKeys) {
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
  };

  return {
    startRedrive(ask: {
      taskId: string;
      source: QueueRef;
      destination: string | null;
      ratePerSecond: number | null;
      limit: number | null;
      renewsMessages?: boolean | undefined;
      requiresOrigins?: boolean | undefined;
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
      const destination = ask.destination as QueueRef['name'] | null;
      checkRedrive(source.queue, destination === null ? null : ledger.book({ account, name: destination }).queue);
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
        requiresOrigins: ask.requiresOrigins === true ? 1 : 0,
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

    /** One slice of the task that is due longest, if any is. */
    step(now: Instant): void {
      const row = statements.due.get({ now });
      if (row === undefined) return;
      const progress = { ...row };
      walk(progress, now);
      statements.update.run(progress);
    },

    nextAt: (): number | null => statements.nextAt.get() ?? null,
  };

  function present(account: string, taskId: string): TaskRow {
    const row = statements.byTaskId.get({ account, taskId });
    if (row === undefined) throw Fault.of('taskNotFound', { task: taskId });
    return row;
  }
}

export type RedriveEnd = { readonly id: number; readonly kind: string; readonly name: string };
type Find = (name: string) => RedriveEnd | undefined;

/** The queue that a message goes home to; undefined when it was sent directly, or when that queue is gone. */
function homeOf(source: RedriveEnd, history: string, find: Find): RedriveEnd | undefined {
  const name = decodeHistory(history).deadLetter?.queue;
  const home = name === undefined ? undefined : find(name);
  return home?.kind === source.kind && home.id !== source.id ? home : undefined;
}

/** Where a redrive may go; null: home. @throws redriveInvalid */
function checkRedrive(source: RedriveEnd, target: RedriveEnd | null): void {
  if (target === null) return;
  if (target.id === source.id) {
    throw Fault.of('redriveInvalid', { problem: 'source and destination are the same queue' });
  }
  if (target.kind !== source.kind) {
    const problem = `"${target.name}" is a ${target.kind} queue, "${source.name}" is ${source.kind}`;
    throw Fault.of('redriveInvalid', { problem });
  }
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
    origins: db.prepare<[{ backlogId: number; enqueuedAt: number; id: number; limit: number }], OriginRow>(
      selectOrigins,
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
    /** What a redrive would do, found step by step, each in a read of its own. @throws redriveInvalid */
    planner(source: PlanSource, destination: RedriveEnd | null, limit: number, find: Find): Planner {
      checkRedrive(source, destination);
      const samplesMax = Math.min(limits.redriveSamplesMax, limit);
      const samples: Message[] = [];
      let { expiredUntil: enqueuedAt } = source;
      let id = Number.MAX_SAFE_INTEGER;
      let examinedCount = 0;
      let skippedCount = 0;
      return {
        step(wholeMessage) {
          const page = statements.origins.all({ backlogId: source.backlogId, enqueuedAt, id, limit: planRowsPerStep });
          for (const row of page) {
            if (examinedCount - skippedCount === limit) return true;
            ({ enqueuedAt, id } = row);
            examinedCount += 1;
            if (destination === null && homeOf(source, row.history, find) === undefined) skippedCount += 1;
            else if (samples.length < samplesMax) samples.push(wholeMessage(id));
          }
          const isEnough = destination !== null && samples.length === samplesMax;
          return isEnough || page.length < planRowsPerStep || examinedCount >= limits.redrivePlanRowsMax;
        },
        plan: () => ({ toMoveCount: Math.min(limit, source.messageCount - skippedCount), skippedCount, samples }),
      };
    },
  };
}

/** Messages that one step of a plan looks at: a millisecond or two. */
const planRowsPerStep = 1_000;

type OriginRow = { readonly id: number; readonly enqueuedAt: number; readonly history: string };

/** The source of a plan; its count is without the messages whose retention has passed. */
export type PlanSource = RedriveEnd & {
  readonly backlogId: number;
  readonly messageCount: number;
  readonly expiredUntil: number;
};

export type Planner = {
  /** @returns whether all is known */
  readonly step: (wholeMessage: (id: number) => Message) => boolean;
  readonly plan: () => RedrivePlan;
};
