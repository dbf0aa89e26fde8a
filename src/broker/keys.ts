/**
 * Access keys: who has one, and making, changing, rotating and ending them.
 *
 * All keys are in memory; storage is written first and memory after it, so what was answered holds across a restart. Who
 * waits (a long poll) is told when its key ends or changes.
 *
 *     create ─▶ IN FORCE ── expiresAt passes ──▶ EXPIRED      rotate: a second secret; the older one ends
 *                  │                                │         after the overlap
 *                  └───────── delete ───────────────┴──▶ (gone)
 *
 * Nobody gives what they do not have: a key is made, changed, rotated and deleted only by one whose scopes hold all of
 * its scopes.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { KeyDefinition } from '../config.ts';
import {
  bearerOf,
  hashOf,
  isInForce,
  isSecretOf,
  keyIdOf,
  randomBytesOf,
  type StoredKey,
  type StoredSecret,
  secretOf,
} from '../domain/access-key.ts';
import { Fault } from '../domain/errors.ts';
import { type Instant, secondsAfter } from '../domain/instant.ts';
import { may, mayGive, type Principal, type Scope } from '../domain/principal.ts';
import { type Seal, sealIvBytes } from '../domain/seal.ts';
import type { Ids } from '../ids.ts';
import type { Page, PageAsk, Storage } from '../storage/port.ts';
import { KeyBook, type Signer } from './key-book.ts';

/** What is told once, when a secret is made. */
export type NewSecret = { readonly key: StoredKey; readonly secret: string; readonly bearer: string };

export type KeyChange = {
  readonly name?: string | undefined;
  readonly scopes?: readonly Scope[] | undefined;
  readonly expiresAt?: Instant | null | undefined;
};

export type Keys = {
  /** Reads all keys; to be awaited before the first request. */
  readonly load: () => Promise<void>;
  /** Whether there is none, not even an expired one. */
  readonly isEmpty: () => boolean;
  readonly isKnown: (keyId: string) => boolean;
  /** Whose secret it is; undefined when it is not one in force. */
  readonly check: (keyId: string, secret: string) => Principal | undefined;
  /** The secrets in force of a key in force. */
  readonly signer: (keyId: string) => Signer | undefined;
  /** Calls back once when the principal's key ends or changes. @returns a function that ends the watch */
  readonly watch: (principal: Principal, changed: () => void) => () => void;
  /** @throws credentialsInvalid when the principal's key has ended since */
  readonly requireInForce: (principal: Principal) => void;
  /** @throws accessDenied, keyNeeded, tooManyKeys, settingInvalid */
  readonly create: (
    principal: Principal,
    ask: { name: string; scopes: readonly Scope[]; expiresAt: Instant | null },
  ) => Promise<NewSecret>;
  /** By id. */
  readonly list: (principal: Principal, ask: PageAsk) => Page<StoredKey>;
  /** @throws keyNotFound */
  readonly get: (principal: Principal, keyId: string) => StoredKey;
  /** @throws keyNotFound, keyDeclared, keyNeeded, accessDenied */
  readonly update: (principal: Principal, keyId: string, change: KeyChange) => Promise<StoredKey>;
  /** A new secret; the present one stays good for the overlap. @throws keyNotFound, keyDeclared, accessDenied */
  readonly rotate: (principal: Principal, keyId: string, ask: { overlapSeconds: number }) => Promise<NewSecret>;
  /** @throws keyNotFound, keyDeclared, keyNeeded, accessDenied */
  readonly delete: (principal: Principal, keyId: string) => Promise<void>;
  /** Brings the declared keys into being, and ends those that are declared no longer. */
  readonly declare: (account: string, definitions: readonly KeyDefinition[]) => Promise<void>;
  /** Ids of keys whose secrets were sealed under another master key. */
  readonly sealedElsewhere: () => readonly string[];
};

type Deps = {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly seal: Seal;
};

export function createKeys({ storage, clock, ids, log, seal }: Deps): Keys {
  const book = new KeyBook({ storage, clock, seal });
  let last: Promise<unknown> = Promise.resolve();

  /** One change after the other: whether a key is the last one is only true until the next change. */
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const done = last.then(change);
    last = done.catch(() => undefined);
    return done;
  };

  const sealed = (keyId: string, secret: string, number: number, now: Instant): StoredSecret => ({
    number,
    hash: hashOf(secret),
    sealed: seal.seal(secret, keyId, ids.secret(sealIvBytes)),
    createdAt: now,
    expiresAt: null,
  });

  const find = ({ account }: Principal, keyId: string): StoredKey => {
    const key = book.get(keyId)?.stored;
    if (key === undefined || key.account !== account) throw Fault.of('keyNotFound', { key: keyId });
    return key;
  };

  /** A key that the principal may change. @throws keyNotFound, keyDeclared, accessDenied */
  const findOwn = (principal: Principal, keyId: string): StoredKey => {
    const key = find(principal, keyId);
    requireGivable(principal, key.scopes);
    if (key.isDeclared) throw Fault.of('keyDeclared', { key: keyId });
    return key;
  };

  /**
   * Keys that can manage keys must remain, or nobody could let anybody in again. On a server that runs without keys
   * (`principal` is nobody in particular) the operator may take away the last one.
   */
  const requireManagerAfter = (
    principal: Principal,
    changed: string,
    scopes: readonly Scope[],
    expiresAt: Instant | null,
  ) => {
    if (principal.id === undefined) return;
    const now = clock.now();
    const isManager = (key: Pick<StoredKey, 'scopes' | 'expiresAt'>) => isInForce(key, now) && may(key, 'manageKeys');
    const others = book.stored().filter(({ keyId, account }) => keyId !== changed && account === principal.account);
    if (isManager({ scopes, expiresAt }) || others.some(isManager)) return;
    throw Fault.of('keyNeeded', { problem: 'It is the last key in force that may manage keys' });
  };

  return {
    load: () => book.load(),
    isEmpty: () => book.size === 0,
    isKnown: (keyId) => book.get(keyId) !== undefined,

    check(keyId, secret) {
      const known = book.get(keyId);
      return isSecretOf(known?.stored, secret, clock.now()) ? known?.principal : undefined;
    },

    signer(keyId) {
      const known = book.get(keyId);
      const now = clock.now();
      if (known === undefined || !isInForce(known.stored, now)) return undefined;
      if (known.secrets.every((secret) => isInForce(secret, now))) return known;
      return { principal: known.principal, secrets: known.secrets.filter((secret) => isInForce(secret, now)) };
    },

    watch: ({ id }, changed) => (id === undefined ? () => undefined : book.watch(id, changed)),

    requireInForce({ id }) {
      if (id === undefined) return;
      const key = book.get(id)?.stored;
      if (key === undefined || !isInForce(key, clock.now())) throw Fault.of('credentialsInvalid', {});
    },

    create: (principal, { name, scopes, expiresAt }) =>
      inTurn(async () => {
        requireGivable(principal, scopes);
        requireFuture(expiresAt, clock.now());
        if (book.size === 0 && !may({ scopes }, 'manageKeys')) {
          throw Fault.of('keyNeeded', {
            problem: 'The first key must be able to manage keys, since without a key nobody is let in from then on',
          });
        }
        const now = clock.now();
        const keyId = keyIdOf(ids.secret(randomBytesOf.keyId));
        const secret = secretOf(keyId, ids.secret(randomBytesOf.secret));
        const key = await storage.putKey({
          key: {
            keyId,
            account: principal.account,
            name,
            scopes,
            isDeclared: false,
            createdAt: now,
            createdBy: principal.id ?? null,
            expiresAt,
            secrets: [sealed(keyId, secret, 1, now)],
          },
          isNew: true,
          now,
        });
        return told(principal, key, secret, 'access key created');
      }),

    list({ account }, { cursor = '', limit }) {
      const own = book
        .stored()
        .filter((key) => key.account === account && key.keyId > cursor)
        .sort((a, b) => (a.keyId < b.keyId ? -1 : 1));
      const items = own.slice(0, limit);
      return { items, nextCursor: own.length > limit ? (items.at(-1)?.keyId ?? null) : null };
    },

    get: find,

    update: (principal, keyId, change) =>
      inTurn(async () => {
        const key = findOwn(principal, keyId);
        const { name, scopes, expiresAt } = change;
        if (scopes !== undefined) requireGivable(principal, scopes);
        requireManagerAfter(
          principal,
          keyId,
          scopes ?? key.scopes,
          expiresAt === undefined ? key.expiresAt : expiresAt,
        );
        const now = clock.now();
        const changed = await storage.updateKey({ account: key.account, keyId, name, scopes, expiresAt, now });
        log.info({ key: keyId, by: principal.id, scopes: changed.scopes }, 'access key changed');
        return book.remember(changed);
      }),

    rotate: (principal, keyId, { overlapSeconds }) =>
      inTurn(async () => {
        const { account } = findOwn(principal, keyId);
        const now = clock.now();
        const secret = secretOf(keyId, ids.secret(randomBytesOf.secret));
        const key = await storage.rotateKey({
          account,
          keyId,
          // The engine gives the number.
          secret: sealed(keyId, secret, 0, now),
          othersExpireAt: secondsAfter(now, overlapSeconds),
          now,
        });
        return told(principal, key, secret, 'access key rotated');
      }),

    delete: (principal, keyId) =>
      inTurn(async () => {
        const { account } = findOwn(principal, keyId);
        requireManagerAfter(principal, keyId, [], null);
        await storage.deleteKey({ account, keyId, now: clock.now() });
        book.forget(keyId);
        log.info({ key: keyId, by: principal.id }, 'access key deleted');
      }),

    declare: (account, definitions) =>
      inTurn(async () => {
        for (const definition of definitions) {
          const present = book.get(definition.keyId)?.stored;
          if (present !== undefined && isAsDeclared(present, definition, account)) continue;
          const now = clock.now();
          const { secret, ...rest } = definition;
          const number = (present?.secrets[0]?.number ?? 0) + 1;
          const key = await storage.putKey({
            key: {
              ...rest,
              account,
              isDeclared: true,
              createdAt: present?.createdAt ?? now,
              createdBy: null,
              secrets: [sealed(definition.keyId, secret, number, now)],
            },
            isNew: false,
            now,
          });
          book.remember(key);
          log.info(
            { key: key.keyId },
            present === undefined ? 'declared key created' : 'key brought to its declaration',
          );
        }
        const declared = new Set(definitions.map(({ keyId }) => keyId));
        for (const { keyId, account: owner, isDeclared } of book.stored()) {
          if (!isDeclared || declared.has(keyId)) continue;
          await storage.deleteKey({ account: owner, keyId, now: clock.now() });
          book.forget(keyId);
          log.info({ key: keyId }, 'key that is declared no longer deleted');
        }
      }),

    sealedElsewhere: () =>
      book
        .stored()
        .filter(({ secrets }) => secrets.some((secret) => !seal.isOurs(secret.sealed)))
        .map(({ keyId }) => keyId),
  };

  /** The one answer that holds the secret; the log says who made what, never with which secret. */
  function told({ id }: Principal, key: StoredKey, secret: string, what: string): NewSecret {
    log.info({ key: key.keyId, by: id, scopes: key.scopes }, what);
    return { key: book.remember(key), secret, bearer: bearerOf(key.keyId, secret) };
  }

  function isAsDeclared(key: StoredKey, { name, scopes, expiresAt, secret }: KeyDefinition, account: string): boolean {
    const [newest, ...older] = key.secrets;
    return (
      key.isDeclared &&
      key.account === account &&
      key.name === name &&
      key.expiresAt === expiresAt &&
      JSON.stringify(key.scopes) === JSON.stringify(scopes) &&
      older.length === 0 &&
      newest !== undefined &&
      seal.open(newest.sealed, key.keyId) === secret
    );
  }
}

function requireGivable(principal: Principal, scopes: readonly Scope[]): void {
  if (!mayGive(principal, scopes)) throw Fault.of('accessDenied', { action: 'manageKeys beyond its own scopes' });
}

function requireFuture(expiresAt: Instant | null, now: Instant): void {
  if (expiresAt === null || expiresAt > now) return;
  throw Fault.of('invalidArgument', { name: 'expiresAt', problem: 'has passed' });
}
