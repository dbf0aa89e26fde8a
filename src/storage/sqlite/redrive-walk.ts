/**
 * How a redrive task moves messages: a walk along what can be moved from the source, a slice per transaction.
 *
 * A standard queue is walked message by message in the order they came; hidden ones are passed over. A FIFO queue is
 * walked group by group in the order in which the groups are ready, so that a blocked group costs nothing however many
 * messages wait in it; within a group messages move in order, up to the first that is hidden. When a walk has come to the
 * end and something was passed over, the next one begins when that can be had.
 *
 * Only messages that were there at the start are moved (their sequence is not above the task's), so what is dead-lettered
 * again meanwhile is left alone. Where the walk stands is stored in the transaction of each slice.
 */
import { type FaultData, fault } from '../../domain/errors.ts';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Ids } from '../../ids.ts';
import type { Db } from './database.ts';
import { isFifo } from './groups.ts';
import type { Book, Ledger } from './ledger.ts';
import { makeMessageId, uuidText } from './message-id.ts';
import { decodeHistory, factColumns, isExpired, isSound, type MessageFacts, type MessageRows } from './messages.ts';
import type { TaskRow } from './redrive.ts';

/** Standard queues. Without texts and bodies, which may be a mebibyte each. Index messages_enqueued. */
const selectWalk = /* sql */ `
  select ${factColumns}, sequence, deduplication_id as deduplicationId from messages
   where backlog_id = @backlogId and (enqueued_at, id) > (@cursorAt, @cursorNumber)
   order by enqueued_at, id limit @limit`;

/** FIFO queues: the next group, the ready ones first. Index message_groups_ready. */
const selectGroup = /* sql */ `
  select group_id as groupId, ready_at as readyAt, turn from message_groups
   where backlog_id = @backlogId and (ready_at, turn) >= (@cursorAt, @cursorNumber)
   order by ready_at, turn limit 1`;

/** The earliest message of a group. Index messages_group. */
const selectFirstSequence = /* sql */ `
  select sequence from messages
   where backlog_id = @backlogId and group_id = @groupId and is_fifo = 1 order by sequence limit 1`;

/** The messages of a group, in order. Index messages_group. */
const selectOfGroup = /* sql */ `
  select ${factColumns}, sequence, deduplication_id as deduplicationId from messages
   where backlog_id = @backlogId and group_id = @groupId and is_fifo = 1 and sequence > @after
   order by sequence limit @limit`;

/** For the plan test. */
export const walkStatements = { selectWalk, selectGroup, selectFirstSequence, selectOfGroup };

type WalkRow = MessageFacts & { readonly sequence: number; readonly deduplicationId: string };
type Group = { readonly groupId: string; readonly readyAt: number; readonly turn: number };

/** A task while its slice is under way. */
type Progress = { -readonly [K in keyof TaskRow]: TaskRow[K] };

/** What a slice has done and may still do. */
type Slice = { readonly now: Instant; readonly movesMax: number; moves: number; bytes: number; examinedCount: number };

/** Messages of a group that are read at once. */
const groupPageRows = 100;

/** Moves what the rate allows, then says when to go on. */
export type RedriveWalk = (task: Progress, now: Instant) => void;

export function redriveWalk(db: Db, ledger: Ledger, rows: MessageRows, ids: Ids): RedriveWalk {
  const statements = {
    walk: db.prepare<[{ backlogId: number; cursorAt: number; cursorNumber: number; limit: number }], WalkRow>(
      selectWalk,
    ),
    group: db.prepare<[{ backlogId: number; cursorAt: number; cursorNumber: number }], Group>(selectGroup),
    firstSequence: db.prepare<[{ backlogId: number; groupId: string }], number>(selectFirstSequence).pluck(),
    ofGroup: db.prepare<[{ backlogId: number; groupId: string; after: number; limit: number }], WalkRow>(selectOfGroup),
  };

  return (task, now) => {
    const source = ledger.bookById(task.sourceQueueId);
    if (source === undefined) return fail(task, fault('queueNotFound', { queue: task.source }), now);
    if (now - task.startedAt > limits.redriveHoursMax * 3_600_000) {
      return fail(task, fault('redriveInvalid', { problem: `it ran for ${limits.redriveHoursMax} hours` }), now);
    }
    const movesMax = Math.min(allowance(task, now), limits.redriveRowsPerSliceMax);
    const slice: Slice = { now, movesMax, moves: 0, bytes: 0, examinedCount: 0 };
    const movedBefore = task.movedCount;
    const isAtEnd = isFifo(source.queue) ? walkGroups(task, source, slice) : walkMessages(task, source, slice);
    if (task.status !== 'running') return;
    task.skippedCount = isAtEnd ? task.walkSkippedCount : Math.max(task.skippedCount, task.walkSkippedCount);
    if (hasReachedLimit(task) || (isAtEnd && task.againAt === 0)) return finish(task, 'completed', now);
    pace(task, task.movedCount - movedBefore, now);
    task.examinedCount += slice.examinedCount;
    if (isAtEnd) beginAgain(task, now);
  };

  /** @returns whether the end of the source was reached */
  function walkMessages(task: Progress, source: Book, slice: Slice): boolean {
    const { cursorAt, cursorNumber } = task;
    const limit = limits.redriveRowsExaminedPerSliceMax;
    const page = statements.walk.all({ backlogId: source.backlogId, cursorAt, cursorNumber, limit });
    for (const row of page) {
      if (isOver(task, slice)) return false;
      slice.examinedCount += 1;
      task.cursorAt = row.enqueuedAt;
      task.cursorNumber = row.id;
      if (row.sequence > task.sequenceMax || isExpired(source, row, slice.now)) continue;
      if (isHomeless(task, source, row)) skip(task, source, row, slice.now);
      else if (row.visibleAt > slice.now) passOver(task, row.visibleAt, slice.now);
      else move(task, source, row, slice);
    }
    return page.length < limit && task.status === 'running';
  }

  /** @returns whether every group was looked at that is ready, and every one before the first that blocks */
  function walkGroups(task: Progress, source: Book, slice: Slice): boolean {
    const { backlogId } = source;
    if (task.freshTurn === 0) task.freshTurn = ledger.nextNumber;
    while (true) {
      const { cursorAt, cursorNumber } = task;
      const group = statements.group.get({ backlogId, cursorAt, cursorNumber });
      if (group === undefined) return true;
      if (isOver(task, slice)) return false;
      slice.examinedCount += 1;
      if (group.readyAt !== cursorAt || group.turn !== cursorNumber) placeCursor(task, group.readyAt, group.turn);
      const first = statements.firstSequence.get({ backlogId, groupId: group.groupId }) ?? Number.POSITIVE_INFINITY;
      if (first <= task.sequenceMax) {
        if (group.readyAt > slice.now) {
          // All others become ready later.
          passOver(task, group.readyAt, slice.now);
          return true;
        }
        // Changed during this walk, which may have been there before.
        if (group.turn >= task.freshTurn) passOver(task, slice.now, slice.now);
        else if (!walkGroup(task, source, group.groupId, slice)) return false;
      }
      placeCursor(task, group.readyAt, group.turn + 1);
    }
  }

  /** @returns whether the group is done with for this walk */
  function walkGroup(task: Progress, source: Book, groupId: string, slice: Slice): boolean {
    while (true) {
      const page = statements.ofGroup.all({
        backlogId: source.backlogId,
        groupId,
        after: task.cursorSequence,
        limit: groupPageRows,
      });
      for (const row of page) {
        if (isOver(task, slice)) return false;
        if (row.sequence > task.sequenceMax) return true;
        slice.examinedCount += 1;
        if (isExpired(source, row, slice.now)) expire(source, row, slice.now);
        else if (row.visibleAt > slice.now) {
          passOver(task, row.visibleAt, slice.now);
          return true;
        } else if (isHomeless(task, source, row)) skip(task, source, row, slice.now);
        else move(task, source, row, slice);
        task.cursorSequence = row.sequence;
      }
      if (page.length < groupPageRows) return task.status === 'running';
    }
  }

  function isOver(task: Progress, slice: Slice): boolean {
    const isFull =
      slice.moves === slice.movesMax ||
      slice.bytes >= limits.redriveBytesPerSliceMax ||
      slice.examinedCount >= limits.redriveRowsExaminedPerSliceMax;
    return isFull || task.status !== 'running' || hasReachedLimit(task);
  }

  function expire(source: Book, row: WalkRow, now: Instant): void {
    rows.remove(source, row, now);
    ledger.count(source, 'expired', 1);
  }

  /** Whether there is nowhere for the message to go. Only a task without a destination asks where one came from. */
  function isHomeless(task: Progress, source: Book, row: WalkRow): boolean {
    if (task.destination !== null) return false;
    const home = originOf(row);
    return home === undefined || findTarget(task, source, home) === undefined;
  }

  function findTarget(task: Progress, source: Book, name: string): Book | undefined {
    const target = ledger.findBook({ account: task.account, name });
    return target?.queue.kind === source.queue.kind && target.queue.id !== source.queue.id ? target : undefined;
  }

  function skip(task: Progress, source: Book, row: WalkRow, now: Instant): void {
    if (task.requiresOrigins === 1) return fail(task, whyHomeless(task, source, row), now);
    task.walkSkippedCount += 1;
  }

  function move(task: Progress, source: Book, row: WalkRow, slice: Slice): void {
    const refusal = moveOne(task, source, row, slice.now);
    if (refusal !== undefined) return fail(task, refusal, slice.now);
    slice.moves += 1;
    slice.bytes += row.bytes;
  }

  function moveOne(task: Progress, source: Book, row: WalkRow, now: Instant): FaultData | undefined {
    const { deadLetter: cameFrom, ...history } = decodeHistory(row.history);
    const name = task.destination ?? cameFrom?.queue ?? '';
    const target = findTarget(task, source, name);
    if (target === undefined) {
      return name === source.queue.name ? isItself(name) : fault('queueNotFound', { queue: name });
    }
    const refusal = isFull(target, row);
    if (refusal !== undefined) return refusal;
    if (task.renewsMessages === 1 && !renew(source, row, now)) return undefined;
    const change = { receiveCount: 0, enqueuedAt: now, deduplicationId: row.deduplicationId, history };
    rows.move(source, target, row, change, now);
    ledger.count(source, 'redriven', 1);
    task.movedCount += 1;
    return undefined;
  }

  /** A new id and a new time of sending. @returns false when the message was damaged and is set aside */
  function renew(source: Book, { id }: WalkRow, now: Instant): boolean {
    const whole = rows.byId(id);
    if (whole === undefined) throw new Error('A message is gone in the middle of its move.');
    if (!isSound(whole, rows.fullBody(whole))) {
      rows.quarantine(source, whole, now);
      return false;
    }
    rows.renew(whole, makeMessageId(now, id, ids.salt()), now);
    return true;
  }
}

const originOf = ({ history }: WalkRow): string | undefined => decodeHistory(history).deadLetter?.queue;

function whyHomeless(task: Progress, source: Book, row: WalkRow): FaultData {
  const origin = originOf(row);
  if (origin === source.queue.name) return isItself(origin);
  if (origin !== undefined) return fault('queueNotFound', { queue: origin });
  return fault('redriveSourceUnknown', { queue: task.source, messageId: uuidText(row.messageId) });
}

const isItself = (name: string): FaultData => fault('redriveInvalid', { problem: `"${name}" is the queue itself` });

const hasReachedLimit = ({ moveLimit, movedCount }: Progress): boolean => moveLimit !== null && movedCount >= moveLimit;

/** What a send of the message would be refused with, where the queue has limits. */
function isFull({ queue, messageCount, bytes }: Book, row: WalkRow): FaultData | undefined {
  const { maxMessages, maxBytes } = queue.settings;
  if (maxMessages !== null && messageCount + 1 > maxMessages) {
    return fault('queueFull', { queue: queue.name, limit: 'maxMessages', value: maxMessages });
  }
  if (maxBytes !== null && bytes + row.bytes > maxBytes) {
    return fault('queueFull', { queue: queue.name, limit: 'maxBytes', value: maxBytes });
  }
  return undefined;
}

/** Something is hidden until then: the next walk may have it. It may be released or deleted before, so do not wait long. */
function passOver(task: Progress, until: number, now: Instant): void {
  const at = Math.min(until, now + limits.redriveLookMsMax);
  task.againAt = task.againAt === 0 ? at : Math.min(task.againAt, at);
}

function placeCursor(task: Progress, at: number, number: number): void {
  task.cursorAt = at;
  task.cursorNumber = number;
  task.cursorSequence = -1;
}

/** The next walk: when something can be had, after a pause that keeps walks over many messages from filling the writer. */
function beginAgain(task: Progress, now: Instant): void {
  const pauseMs = Math.min(Math.ceil(task.examinedCount * limits.redrivePauseMsPerRow), limits.redriveLookMsMax);
  task.nextAt = Math.max(task.againAt, task.nextAt, now + 1, now + pauseMs);
  task.againAt = 0;
  task.examinedCount = 0;
  task.freshTurn = 0;
  task.walkSkippedCount = 0;
  placeCursor(task, -1, -1);
}

/** Above it a slice takes the messages of ten milliseconds: pauses are whole milliseconds, and one of 1.7 would be 2. */
const singlesPerSecondMax = 100;

/** How many messages the rate allows now; what was missed while the server was down is not made up for. */
function allowance(task: Progress, now: Instant): number {
  if (task.ratePerSecond === null) return limits.redriveRowsPerSliceMax;
  task.nextAt = Math.max(task.nextAt, now - 1_000);
  const atOnce = Math.ceil(task.ratePerSecond / singlesPerSecondMax);
  return Math.floor(((now - task.nextAt) * task.ratePerSecond) / 1_000) + atOnce;
}

function pace(task: Progress, moved: number, now: Instant): void {
  if (task.ratePerSecond === null) task.nextAt = now;
  else task.nextAt += Math.ceil((moved * 1_000) / task.ratePerSecond);
}

function finish(task: Progress, status: TaskRow['status'], now: Instant): void {
  task.status = status;
  task.finishedAt = now;
}

function fail(task: Progress, failure: FaultData, now: Instant): void {
  finish(task, 'failed', now);
  task.failure = JSON.stringify(failure);
}
