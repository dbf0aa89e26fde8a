import { describe, expect, it } from 'vitest';
import {
  bearerOf,
  hashOf,
  isSecretOf,
  keyIdOf,
  parseBearer,
  type StoredKey,
  secretOf,
} from '../../src/domain/access-key.ts';
import { instant } from '../../src/domain/instant.ts';
import {
  defaultAccount,
  may,
  mayGive,
  patternsFor,
  type Scope,
  Scope as ScopeSchema,
} from '../../src/domain/principal.ts';
import { parseMasterKey, secretSeal } from '../../src/domain/seal.ts';

const at = instant(1_000);
const random = (byte: number, length: number) => new Uint8Array(length).fill(byte);

describe('a key', () => {
  it('is written so that a bearer token holds both parts', () => {
    const keyId = keyIdOf(random(255, 14));
    expect(keyId).toBe('SLUICE77777777777777');
    const secret = secretOf(keyId, random(255, 32));
    expect(secret).toMatch(/^slk_[\w-]{49}$/);
    expect(parseBearer(bearerOf(keyId, secret))).toEqual({ keyId, secret });
  });

  it.each([
    '',
    '.',
    'SLUICE77777777777777',
    'SLUICE77777777777777.',
    'short.slk_aaaaaaaaaaaaaaaaaaaaaaaa',
    'SLUICE77777777777777.slk_aaaaaaaaaaaaaaaa aaaa',
  ])('is not %j', (text) => {
    expect(parseBearer(text)).toBeUndefined();
  });

  const secrets = [
    { number: 2, hash: hashOf('the new one'), sealed: random(0, 1), createdAt: at, expiresAt: null },
    { number: 1, hash: hashOf('the old one'), sealed: random(0, 1), createdAt: at, expiresAt: instant(2_000) },
  ];
  const key: StoredKey = {
    keyId: 'SLUICE77777777777777',
    account: defaultAccount,
    name: 'a',
    scopes: [],
    isDeclared: false,
    createdAt: at,
    createdBy: null,
    expiresAt: instant(3_000),
    secrets,
  };

  it.each([
    ['the new one', 1_000, true],
    ['the old one', 1_999, true],
    ['the old one', 2_000, false],
    ['the new one', 2_999, true],
    ['the new one', 3_000, false],
    ['another', 1_000, false],
    ['', 1_000, false],
  ])('has the secret %j at %d: %s', (secret, now, isRight) => {
    expect(isSecretOf(key, secret, instant(now))).toBe(isRight);
  });

  it('that nobody has has no secret', () => {
    expect(isSecretOf(undefined, '', at)).toBe(false);
    expect(isSecretOf({ ...key, secrets: [] }, '', at)).toBe(false);
  });
});

describe('scopes', () => {
  const scopes: readonly Scope[] = [
    { actions: ['send', 'receive'], queues: ['orders', 'orders-*'] },
    { actions: ['readQueue'], queues: ['*'] },
  ];

  it.each([
    ['send', 'orders', true],
    ['send', 'orders-', true],
    ['send', 'orders-eu.fifo', true],
    ['send', 'orders.fifo', false],
    ['send', 'order', false],
    ['send', 'ordersx', false],
    ['send', 'x-orders-a', false],
    ['settle', 'orders', false],
    ['readQueue', 'anything', true],
    ['look', 'anything', true],
    ['send', undefined, true],
    ['purge', undefined, false],
    ['readMetrics', undefined, false],
    ['manageKeys', undefined, false],
  ] as const)('allow %s on %s: %s', (action, queue, isAllowed) => {
    expect(may({ scopes }, action, queue)).toBe(isAllowed);
  });

  it('allow nothing when there are none', () => {
    for (const action of ['look', 'send', 'manageKeys'] as const) expect(may({ scopes: [] }, action)).toBe(false);
  });

  it('need every queue for what is done to the server', () => {
    expect(may({ scopes: [{ actions: ['*'], queues: ['a*'] }] }, 'manageKeys')).toBe(false);
    expect(may({ scopes: [{ actions: ['manageKeys'], queues: ['*'] }] }, 'manageKeys')).toBe(true);
    expect(may({ scopes: [{ actions: ['*'], queues: ['*'] }] }, 'readMetrics')).toBe(true);
  });

  it('give what they hold, also in parts', () => {
    expect(mayGive({ scopes }, [{ actions: ['send'], queues: ['orders-a', 'orders-b*', 'orders'] }])).toBe(true);
    expect(mayGive({ scopes }, [{ actions: ['send'], queues: ['orders*'] }])).toBe(false);
    expect(mayGive({ scopes }, [{ actions: ['*'], queues: ['orders'] }])).toBe(false);
    expect(mayGive({ scopes }, [])).toBe(true);
  });

  it('name parts of the names without overlap', () => {
    const overlapping: readonly Scope[] = [
      { actions: ['send'], queues: ['b-1', 'a*', 'b*', 'a-1', 'c'] },
      { actions: ['receive'], queues: ['d'] },
      { actions: ['*'], queues: ['c', 'c-*'] },
    ];
    expect(patternsFor({ scopes: overlapping }, 'send')).toEqual(['a*', 'b*', 'c', 'c-*']);
    expect(patternsFor({ scopes: overlapping }, 'look')).toEqual(['a*', 'b*', 'c', 'c-*', 'd']);
    expect(patternsFor({ scopes: [...overlapping, { actions: ['send'], queues: ['*'] }] }, 'send')).toEqual(['*']);
  });

  it.each(['', 'a*b', '*a', '**', 'a b', 'a/b', 'é', 'a.fifo*', `${'a'.repeat(81)}`])(
    'have no pattern %j',
    (pattern) => {
      expect(ScopeSchema.safeParse({ actions: ['send'], queues: [pattern] }).success).toBe(false);
    },
  );
});

describe('a seal', () => {
  const seal = secretSeal(random(7, 32));
  const sealed = seal.seal('slk_secret', 'KEY', random(1, 12));

  it('opens what it sealed, for what it was bound to', () => {
    expect(Buffer.from(sealed).includes('slk_')).toBe(false);
    expect(seal.open(sealed, 'KEY')).toBe('slk_secret');
    expect(seal.open(sealed, 'OTHER')).toBeUndefined();
  });

  it('does not open what was changed, cut or sealed under another master key', () => {
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Uint8Array.from(sealed);
      changed[i] = (changed[i] ?? 0) ^ 1;
      expect(seal.open(changed, 'KEY'), `byte ${i}`).toBeUndefined();
    }
    expect(seal.open(sealed.subarray(1), 'KEY')).toBeUndefined();
    expect(seal.open(new Uint8Array(0), 'KEY')).toBeUndefined();
    const other = secretSeal(random(8, 32));
    expect(other.open(sealed, 'KEY')).toBeUndefined();
    expect([seal.isOurs(sealed), other.isOurs(sealed)]).toEqual([true, false]);
  });

  it.each([
    ['0'.repeat(64), 32],
    [`${'aF'.repeat(32)}\n`, 32],
    [Buffer.alloc(32, 9).toString('base64'), 32],
    ['0'.repeat(63), undefined],
    ['g'.repeat(64), undefined],
    ['', undefined],
    ['password', undefined],
  ])('takes %j for a master key of %s bytes', (text, length) => {
    expect(parseMasterKey(text)?.length).toBe(length);
  });
});
