/** Receive attempt ids: a FIFO receive whose answer was lost can be asked for again for 300 seconds. */
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { ReceivedMessage } from '../../domain/message.ts';
import type { Db } from './database.ts';

const selectAttempt = /* sql */ `
  select id, answer, expires_at as expiresAt from receive_attempts
   where backlog_id = @backlogId and attempt_id = @attemptId`;

const insertAttempt = /* sql */ `
  insert into receive_attempts (backlog_id, attempt_id, answer, expires_at)
  values (@backlogId, @attemptId, @answer, @expiresAt)`;

const updateAttempt = /* sql */ `
  update receive_attempts set answer = @answer where backlog_id = @backlogId and attempt_id = @attemptId`;

/** Stands behind what was handed out more than once. */
const repeated = 1;

/** What was handed out: unchanged as long as these three are. */
export type HeldThen = { readonly message: number; readonly receive: number; readonly heldUntil: number };

export type Attempts = ReturnType<typeof receiveAttempts>;

export function receiveAttempts(db: Db) {
  const statements = {
    select: db.prepare<[{ backlogId: number; attemptId: string }], { id: number; answer: string; expiresAt: number }>(
      selectAttempt,
    ),
    insert: db.prepare(insertAttempt),
    update: db.prepare(updateAttempt),
    delete: db.prepare('delete from receive_attempts where id = @id'),
    forget: db.prepare('delete from receive_attempts where backlog_id = @backlogId and attempt_id = @attemptId'),
  };
  const answerOf = (messages: readonly ReceivedMessage[], isRepeated: boolean): string =>
    JSON.stringify(
      messages.map(({ receipt, heldUntil }) => [
        receipt.message,
        receipt.receive,
        heldUntil,
        ...(isRepeated ? [repeated] : []),
      ]),
    );

  return {
    /** What was handed out under the id, if that was less than 300 seconds ago. */
    find(backlogId: number, attemptId: string, now: Instant): readonly HeldThen[] | undefined {
      const row = statements.select.get({ backlogId, attemptId });
      if (row === undefined) return undefined;
      if (row.expiresAt <= now) {
        statements.delete.run({ id: row.id });
        return undefined;
      }
      const held = JSON.parse(row.answer) as [number, number, number][];
      return held.map(([message, receive, heldUntil]) => ({ message, receive, heldUntil }));
    },
    store(backlogId: number, attemptId: string, messages: readonly ReceivedMessage[], now: Instant): void {
      const expiresAt = now + limits.attemptSeconds * 1000;
      statements.insert.run({ backlogId, attemptId, answer: answerOf(messages, false), expiresAt });
    },
    /** Whether it was asked for again: whoever did so has the same messages, by the same receipts. */
    wasRepeated(backlogId: number, attemptId: string): boolean {
      const row = statements.select.get({ backlogId, attemptId });
      return row !== undefined && (JSON.parse(row.answer) as number[][]).some((held) => held[3] === repeated);
    },
    forget(backlogId: number, attemptId: string): void {
      statements.forget.run({ backlogId, attemptId });
    },
    /** The same messages, held until later. */
    replace(backlogId: number, attemptId: string, messages: readonly ReceivedMessage[]): void {
      statements.update.run({ backlogId, attemptId, answer: answerOf(messages, true) });
    },
  };
}
