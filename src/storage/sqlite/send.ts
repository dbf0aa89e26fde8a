/** Send: admission, deduplication, idempotency, storing. */
import { type FaultData, fault, isFault } from '../../domain/errors.ts';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { type Admitted, admit, type Draft, encodeAttributes } from '../../domain/message.ts';
import type { Ids } from '../../ids.ts';
import type { SendAsk, Sent } from '../port.ts';
import type { Db } from './database.ts';
import { isFifo } from './groups.ts';
import type { IdempotencyKeys } from './idempotency.ts';
import type { Book, Ledger } from './ledger.ts';
import { makeMessageId, uuidText } from './message-id.ts';
import type { MessageRows } from './messages.ts';

const selectDuplicate = /* sql */ `
  select message_id as messageId, sequence, expires_at as expiresAt from deduplications
   where backlog_id = @backlogId and scope = @scope and deduplication_id = @deduplicationId`;

const insertDeduplication = /* sql */ `
  insert into deduplications (id, backlog_id, scope, deduplication_id, message_id, sequence, expires_at)
  values (@id, @backlogId, @scope, @deduplicationId, @messageId, @id, @expiresAt)`;

const deleteDeduplication = /* sql */ `
  delete from deduplications
   where backlog_id = @backlogId and scope = @scope and deduplication_id = @deduplicationId`;

/** For the plan test. */
export const sendStatements = { selectDuplicate };

type DeduplicationKey = { readonly backlogId: number; readonly scope: string; readonly deduplicationId: string };

export function sendOperation(db: Db, ledger: Ledger, rows: MessageRows, keys: IdempotencyKeys, ids: Ids) {
  const statements = {
    duplicate: db.prepare<[DeduplicationKey], { messageId: Buffer; sequence: number; expiresAt: number }>(
      selectDuplicate,
    ),
    insertDeduplication: db.prepare(insertDeduplication),
    deleteDeduplication: db.prepare<[DeduplicationKey]>(deleteDeduplication),
  };

  return {
    send(ask: SendAsk): readonly (Sent | FaultData)[] {
      const book = ledger.book(ask.queue);
      if (ask.idempotency === undefined) return sendAll(book, ask);
      const earlier = keys.find(book.queue.id, 'send', ask.idempotency, ask.now);
      if (earlier !== undefined) {
        return (earlier as (Sent | FaultData)[]).map((one) => (isFault(one) ? one : { ...one, isDuplicate: true }));
      }
      const outcomes = sendAll(book, ask);
      // A send that stored nothing leaves no trace, so a corrected retry may use its key.
      if (!outcomes.every(isFault)) keys.store(book.queue.id, 'send', ask.idempotency, outcomes, ask.now);
      return outcomes;
    },
  };

  function sendAll(book: Book, ask: SendAsk): readonly (Sent | FaultData)[] {
    const admitted = ask.drafts.map((draft) => admit(book.queue, draft, ask.now));
    const full = whatIsFull(book, admitted, ask.now);
    const refusals = admitted.map((one, i) => (isFault(one) ? one : full[i]));
    if (ask.isAtomic && refusals.some((one) => one !== undefined)) {
      return refusals.map((one) => one ?? fault('batchAborted', {}));
    }
    return ask.drafts.map((draft, i) => {
      const refusal = refusals[i];
      const one = admitted[i];
      if (refusal !== undefined) return refusal;
      if (one === undefined || isFault(one)) throw new Error('An entry is neither admitted nor refused.');
      return store(book, draft, one, ask);
    });
  }

  /** Which entries do not fit under the queue's own limits. A duplicate stores nothing, so it always fits. */
  function whatIsFull(
    book: Book,
    admitted: readonly (Admitted | FaultData)[],
    now: Instant,
  ): readonly (FaultData | undefined)[] {
    const { maxMessages, maxBytes } = book.queue.settings;
    if (maxMessages === null && maxBytes === null) return [];
    let messages = book.messageCount;
    let bytes = book.bytes;
    const inBatch = new Set<string>();
    return admitted.map((one) => {
      if (isFault(one) || firstOf(book, one, now) !== undefined) return undefined;
      const key = isFifo(book.queue) ? JSON.stringify(deduplicationKey(book, one)) : undefined;
      if (key !== undefined && inBatch.has(key)) return undefined;
      const { name } = book.queue;
      if (maxMessages !== null && messages + 1 > maxMessages) {
        return fault('queueFull', { queue: name, limit: 'maxMessages', value: maxMessages });
      }
      if (maxBytes !== null && bytes + one.bytes > maxBytes) {
        return fault('queueFull', { queue: name, limit: 'maxBytes', value: maxBytes });
      }
      messages += 1;
      bytes += one.bytes;
      if (key !== undefined) inBatch.add(key);
      return undefined;
    });
  }

  function store(book: Book, draft: Draft, admitted: Admitted, ask: SendAsk): Sent {
    const { now } = ask;
    if (!isFifo(book.queue)) {
      const { messageId } = storeNew(book, draft, admitted, ask);
      return { messageId: uuidText(messageId), sequence: null, isDuplicate: false };
    }
    const first = firstOf(book, admitted, now);
    if (first !== undefined) {
      return { messageId: uuidText(first.messageId), sequence: first.sequence, isDuplicate: true };
    }
    const key = deduplicationKey(book, admitted);
    const { id, messageId } = storeNew(book, draft, admitted, ask);
    const expiresAt = now + limits.deduplicationSeconds * 1000;
    // A row whose window has passed, and which upkeep has not met yet, makes room.
    statements.deleteDeduplication.run(key);
    statements.insertDeduplication.run({ ...key, id, messageId, expiresAt });
    return { messageId: uuidText(messageId), sequence: id, isDuplicate: false };
  }

  /** The send that this one repeats: the first accepted one of its deduplication id within the window, end included. */
  function firstOf(book: Book, admitted: Admitted, now: Instant): { messageId: Buffer; sequence: number } | undefined {
    if (!isFifo(book.queue)) return undefined;
    const first = statements.duplicate.get(deduplicationKey(book, admitted));
    return first !== undefined && first.expiresAt >= now ? first : undefined;
  }

  function storeNew(
    book: Book,
    draft: Draft,
    admitted: Admitted,
    { now, senderId = '' }: SendAsk,
  ): { id: number; messageId: Buffer } {
    const id = ledger.number();
    const messageId = makeMessageId(now, id, ids.salt());
    const message = {
      id,
      messageId,
      visibleAt: admitted.visibleAt,
      bytes: admitted.bytes,
      groupId: admitted.groupId,
      deduplicationId: admitted.deduplicationId,
      contentType: draft.contentType,
      attributes: encodeAttributes(draft.attributes),
      traceHeader: draft.traceHeader ?? '',
      senderId,
      body: draft.body,
    };
    rows.store(book, message, now);
    return { id, messageId };
  }
}

/** What must be equal for a send to be a duplicate: the scope is the one the queue was created with. */
const deduplicationKey = (book: Book, admitted: Admitted): DeduplicationKey => ({
  backlogId: book.backlogId,
  scope: book.deduplicationScope === 'messageGroup' ? admitted.groupId : '',
  deduplicationId: admitted.deduplicationId,
});
