/**
 * Access keys in SQLite. They are few, and the broker keeps them in memory: nothing here is hot.
 *
 * Every operation checks first and writes then, since a refusal after a write would leave half of it.
 */
import type { StoredKey, StoredSecret } from '../../domain/access-key.ts';
import { Fault } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { Scope } from '../../domain/principal.ts';
import type { Storage } from '../port.ts';
import type { Db } from './database.ts';
import type { Ledger } from './ledger.ts';

type KeyRow = {
  readonly keyId: string;
  readonly account: string;
  readonly name: string;
  readonly scopes: string;
  readonly isDeclared: number;
  readonly createdAt: number;
  readonly createdBy: string | null;
  readonly expiresAt: number | null;
};
type SecretRow = {
  readonly keyId: string;
  readonly number: number;
  readonly hash: Buffer;
  readonly sealed: Buffer;
  readonly createdAt: number;
  readonly expiresAt: number | null;
};

const keyColumns = `key_id as keyId, account, name, scopes, is_declared as isDeclared, created_at as createdAt,
  created_by as createdBy, expires_at as expiresAt`;

const selectKey = /* sql */ `select ${keyColumns} from access_keys where key_id = @keyId`;

/** Of one account, or of all (@account is null), by id. Index access_keys_account, or the primary key. */
const selectKeys = /* sql */ `
  select ${keyColumns} from access_keys
   where (@account is null or account = @account) and key_id > @after order by key_id limit @limit`;

const selectSecrets = /* sql */ `
  select key_id as keyId, number, hash, sealed, created_at as createdAt, expires_at as expiresAt
    from access_key_secrets where key_id = @keyId order by number desc`;

/** A key that is there is written anew: its secrets are replaced by those that follow. */
const upsertKey = /* sql */ `
  insert into access_keys (key_id, account, name, scopes, is_declared, created_at, created_by, expires_at)
  values (@keyId, @account, @name, @scopes, @isDeclared, @createdAt, @createdBy, @expiresAt)
  on conflict do update set account = excluded.account, name = excluded.name, scopes = excluded.scopes,
    is_declared = excluded.is_declared, expires_at = excluded.expires_at`;

const updateKey = /* sql */ `
  update access_keys set name = @name, scopes = @scopes, expires_at = @expiresAt where key_id = @keyId`;

const insertSecret = /* sql */ `
  insert into access_key_secrets (key_id, number, hash, sealed, created_at, expires_at)
  values (@keyId, @number, @hash, @sealed, @createdAt, @expiresAt)`;

/** Secrets that would outlast the rotation end with it; those that end earlier do so. */
const endSecrets = /* sql */ `
  update access_key_secrets set expires_at = min(coalesce(expires_at, @at), @at) where key_id = @keyId`;

const instantOrNull = (at: number | null): Instant | null => (at === null ? null : instant(at));

function statementsOf(db: Db) {
  return {
    key: db.prepare<[{ keyId: string }], KeyRow>(selectKey),
    secrets: db.prepare<[{ keyId: string }], SecretRow>(selectSecrets),
    keys: db.prepare<[{ account: string | null; after: string; limit: number }], KeyRow>(selectKeys),
  };
}

function keyOf(row: KeyRow, secrets: readonly SecretRow[]): StoredKey {
  return {
    ...row,
    // Written by this program from what its schema had checked.
    scopes: JSON.parse(row.scopes) as readonly Scope[],
    isDeclared: row.isDeclared === 1,
    createdAt: instant(row.createdAt),
    expiresAt: instantOrNull(row.expiresAt),
    secrets: secrets.map(({ keyId: _key, ...secret }) => ({
      ...secret,
      createdAt: instant(secret.createdAt),
      expiresAt: instantOrNull(secret.expiresAt),
    })),
  };
}

/** The reading operations on keys. */
export function keyReads(db: Db): Pick<Storage, 'findKey' | 'listKeys'> {
  const statements = statementsOf(db);
  const whole = (row: KeyRow): StoredKey => keyOf(row, statements.secrets.all({ keyId: row.keyId }));
  return {
    async findKey({ keyId }) {
      const row = statements.key.get({ keyId });
      return row === undefined ? null : whole(row);
    },
    async listKeys({ account, cursor, limit }) {
      const rows = statements.keys.all({ account, after: cursor ?? '', limit: limit + 1 });
      const kept = rows.slice(0, limit);
      return { items: kept.map(whole), nextCursor: rows.length > limit ? (kept.at(-1)?.keyId ?? null) : null };
    },
  };
}

/** The writing operations on keys. */
export function keyOperations(db: Db, ledger: Ledger) {
  const statements = {
    ...statementsOf(db),
    count: db
      .prepare<[{ account: string }], number>('select count(*) from access_keys where account = @account')
      .pluck(),
    upsertKey: db.prepare(upsertKey),
    updateKey: db.prepare(updateKey),
    insertSecret: db.prepare(insertSecret),
    endSecrets: db.prepare(endSecrets),
    deleteSecrets: db.prepare('delete from access_key_secrets where key_id = @keyId'),
    deleteOlder: db.prepare('delete from access_key_secrets where key_id = @keyId and number < @number'),
    deleteEnded: db.prepare('delete from access_key_secrets where key_id = @keyId and expires_at <= @now'),
    deleteKey: db.prepare('delete from access_keys where key_id = @keyId'),
  };

  const find = (account: string, keyId: string): KeyRow => {
    const row = statements.key.get({ keyId });
    if (row === undefined || row.account !== account) throw Fault.of('keyNotFound', { key: keyId });
    return row;
  };
  const written = (keyId: string): StoredKey => {
    ledger.changed({ of: 'key', keyId });
    const row = statements.key.get({ keyId });
    if (row === undefined) throw new Error('A key that was just written is not there.');
    return keyOf(row, statements.secrets.all({ keyId }));
  };

  return {
    putKey({ key, isNew }: { key: StoredKey; isNew: boolean; now: Instant }): StoredKey {
      const { secrets, scopes, isDeclared, ...row } = key;
      const present = statements.key.get({ keyId: key.keyId });
      if (present !== undefined && isNew) throw Fault.of('keyExists', { key: key.keyId });
      if (present === undefined && (statements.count.get({ account: key.account }) ?? 0) >= limits.keysPerAccountMax) {
        throw Fault.of('tooManyKeys', { countMax: limits.keysPerAccountMax });
      }
      statements.upsertKey.run({ ...row, scopes: JSON.stringify(scopes), isDeclared: isDeclared ? 1 : 0 });
      statements.deleteSecrets.run({ keyId: key.keyId });
      for (const secret of secrets) statements.insertSecret.run({ keyId: key.keyId, ...secret });
      return written(key.keyId);
    },

    updateKey({ account, keyId, name, scopes, expiresAt }: Parameters<Storage['updateKey']>[0]): StoredKey {
      const row = find(account, keyId);
      statements.updateKey.run({
        keyId,
        name: name ?? row.name,
        scopes: scopes === undefined ? row.scopes : JSON.stringify(scopes),
        expiresAt: expiresAt === undefined ? row.expiresAt : expiresAt,
      });
      return written(keyId);
    },

    rotateKey(ask: {
      account: string;
      keyId: string;
      secret: StoredSecret;
      othersExpireAt: Instant;
      now: Instant;
    }): StoredKey {
      const { account, keyId, secret, othersExpireAt: at, now } = ask;
      find(account, keyId);
      const [newest] = statements.secrets.all({ keyId });
      // Two at most are in force: what an earlier rotation left ends now.
      statements.deleteOlder.run({ keyId, number: newest?.number ?? 0 });
      statements.endSecrets.run({ keyId, at });
      statements.deleteEnded.run({ keyId, now });
      statements.insertSecret.run({ keyId, ...secret, number: (newest?.number ?? 0) + 1 });
      return written(keyId);
    },

    deleteKey({ account, keyId }: { account: string; keyId: string; now: Instant }): void {
      find(account, keyId);
      statements.deleteKey.run({ keyId });
      ledger.changed({ of: 'key', keyId });
    },
  };
}
