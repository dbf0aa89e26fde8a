/** Idempotency keys: the answer of the first request under a key, for 24 hours. */
import { Fault } from '../../domain/errors.ts';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Db } from './database.ts';

const selectKey = /* sql */ `
  select id, fingerprint, answer, expires_at as expiresAt from idempotency_keys
   where queue_id = @queueId and operation = @operation and key = @key`;

const insertKey = /* sql */ `
  insert into idempotency_keys (queue_id, operation, key, fingerprint, answer, expires_at)
  values (@queueId, @operation, @key, @fingerprint, @answer, @expiresAt)
  on conflict do update set fingerprint = @fingerprint, answer = @answer, expires_at = @expiresAt`;

type KeyRow = {
  readonly id: number;
  readonly fingerprint: string;
  readonly answer: string;
  readonly expiresAt: number;
};
type Idempotency = { readonly key: string; readonly fingerprint: string };
type Operation = 'send' | 'redrive';

export type IdempotencyKeys = ReturnType<typeof idempotencyKeys>;

export function idempotencyKeys(db: Db) {
  const statements = {
    select: db.prepare<[{ queueId: number; operation: string; key: string }], KeyRow>(selectKey),
    insert: db.prepare(insertKey),
    delete: db.prepare('delete from idempotency_keys where id = @id'),
  };
  return {
    /** The answer given before. @throws idempotencyKeyReused when the key stood for another request */
    find(queueId: number, operation: Operation, { key, fingerprint }: Idempotency, now: Instant): unknown {
      const row = statements.select.get({ queueId, operation, key });
      if (row === undefined) return undefined;
      if (row.expiresAt <= now) {
        statements.delete.run({ id: row.id });
        return undefined;
      }
      if (row.fingerprint !== fingerprint) throw Fault.of('idempotencyKeyReused', {});
      return JSON.parse(row.answer);
    },

    store(
      queueId: number,
      operation: Operation,
      { key, fingerprint }: Idempotency,
      answer: unknown,
      now: Instant,
    ): void {
      const expiresAt = now + limits.idempotencySeconds * 1000;
      statements.insert.run({ queueId, operation, key, fingerprint, answer: JSON.stringify(answer), expiresAt });
    },
  };
}
