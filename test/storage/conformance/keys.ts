/** What every engine promises of access keys. */
import { describe, expect, it } from 'vitest';
import type { StoredKey, StoredSecret } from '../../../src/domain/access-key.ts';
import { type Instant, instant } from '../../../src/domain/instant.ts';
import { limits } from '../../../src/domain/limits.ts';
import { defaultAccount } from '../../../src/domain/principal.ts';
import type { Change } from '../../../src/storage/port.ts';
import {
  type Engine,
  expectRejection,
  pages,
  restartCase,
  type Trial,
  trialStart,
  trialsOf,
} from '../../support/storage.ts';

const secret = (number: number, expiresAt: Instant | null = null): StoredSecret => ({
  number,
  hash: new Uint8Array(32).fill(number),
  sealed: new Uint8Array(61).fill(number),
  createdAt: trialStart,
  expiresAt,
});

const key = (keyId: string, more: Partial<StoredKey> = {}): StoredKey => ({
  keyId,
  account: defaultAccount,
  name: 'orders',
  scopes: [{ actions: ['send'], queues: ['orders-*'] }],
  isDeclared: false,
  createdAt: trialStart,
  createdBy: null,
  expiresAt: null,
  secrets: [secret(1)],
  ...more,
});

/** Bytes as bytes, whichever class they come in. */
const plain = (stored: StoredKey | null) =>
  stored === null
    ? null
    : {
        ...stored,
        secrets: stored.secrets.map((one) => ({ ...one, hash: [...one.hash], sealed: [...one.sealed] })),
      };

const put = ({ storage, now }: Trial, stored: StoredKey, isNew = true) => storage.putKey({ key: stored, isNew, now });
const find = async ({ storage }: Trial, keyId: string) => plain(await storage.findKey({ keyId }));
const asks = (trial: Trial, keyId: string, account = defaultAccount) => ({ account, keyId, now: trial.now });

export function keysConform(engine: Engine): void {
  describe('access keys', () => {
    const trial = trialsOf(engine);

    it('are found as they were put', async () => {
      const one = await trial();
      const stored = key('KEY_OF_SOMEBODY_1', {
        expiresAt: instant(trialStart + 1),
        createdBy: 'KEY_OF_SOMEBODY_2',
        isDeclared: true,
      });
      expect(plain(await put(one, stored))).toEqual(plain(stored));
      expect(await find(one, 'KEY_OF_SOMEBODY_1')).toEqual(plain(stored));
      expect(await find(one, 'KEY_OF_SOMEBODY_2')).toBeNull();
    });

    it('are refused as new ones when the id is taken, also by another account', async () => {
      const one = await trial();
      await put(one, key('KEY_OF_SOMEBODY_1'));
      await expectRejection(
        put(one, key('KEY_OF_SOMEBODY_1', { account: '111111111111', name: 'other' })),
        'keyExists',
      );
      expect(await find(one, 'KEY_OF_SOMEBODY_1')).toMatchObject({ account: defaultAccount, name: 'orders' });
    });

    it('are replaced with their secrets when they are put again', async () => {
      const one = await trial();
      await put(one, key('KEY_OF_SOMEBODY_1', { secrets: [secret(2), secret(1)] }));
      const again = key('KEY_OF_SOMEBODY_1', { name: 'again', scopes: [], secrets: [secret(3)], isDeclared: true });
      await put(one, again, false);
      expect(await find(one, 'KEY_OF_SOMEBODY_1')).toEqual(plain(again));
    });

    it('are listed by id, of one account or of all', async () => {
      const one = await trial();
      const foreign = { account: '111111111111' };
      for (const [keyId, more] of [
        ['C', {}],
        ['A', {}],
        ['B', foreign],
        ['D', foreign],
        ['E', {}],
      ] as const)
        await put(one, key(keyId, more));
      const ids = async (account: string | null) =>
        (await pages((cursor) => one.storage.listKeys({ account, cursor, limit: 2 }))).map(({ keyId }) => keyId);
      expect(await ids(defaultAccount)).toEqual(['A', 'C', 'E']);
      expect(await ids('111111111111')).toEqual(['B', 'D']);
      expect(await ids('222222222222')).toEqual([]);
      expect(await ids(null)).toEqual(['A', 'B', 'C', 'D', 'E']);
    });

    it('change what is named and keep the rest', async () => {
      const one = await trial();
      await put(one, key('A'));
      const later = instant(trialStart + 5_000);
      await one.storage.updateKey({ ...asks(one, 'A'), expiresAt: later });
      expect(await find(one, 'A')).toEqual(plain(key('A', { expiresAt: later })));
      const scopes = [{ actions: ['receive' as const], queues: ['a', 'b*'] }];
      await one.storage.updateKey({ ...asks(one, 'A'), name: 'other', scopes });
      expect(await find(one, 'A')).toEqual(plain(key('A', { expiresAt: later, name: 'other', scopes })));
      await one.storage.updateKey({ ...asks(one, 'A'), expiresAt: null });
      expect(await find(one, 'A')).toMatchObject({ expiresAt: null, name: 'other' });
    });

    it('get a second secret by a rotation, and never a third', async () => {
      const one = await trial();
      await put(one, key('A'));
      const rotate = (number: number, othersExpireAt: Instant) =>
        one.storage.rotateKey({ ...asks(one, 'A'), secret: { ...secret(number), number: 0 }, othersExpireAt });
      const until = instant(trialStart + 60_000);
      await rotate(2, until);
      const withTwo = [{ ...secret(2) }, { ...secret(1), expiresAt: until }];
      expect(await find(one, 'A')).toEqual(plain(key('A', { secrets: withTwo })));
      // The first one's end is not put off; it ends now, since it is the older of two.
      const longer = instant(trialStart + 120_000);
      await rotate(3, longer);
      expect(await find(one, 'A')).toEqual(plain(key('A', { secrets: [secret(3), secret(2, longer)] })));
      await rotate(4, one.now);
      expect(await find(one, 'A')).toEqual(plain(key('A', { secrets: [secret(4)] })));
    });

    it('are gone with their secrets when they are deleted, and can be put again', async () => {
      const one = await trial();
      await put(one, key('A'));
      await one.storage.deleteKey(asks(one, 'A'));
      expect(await find(one, 'A')).toBeNull();
      await put(one, key('A', { secrets: [secret(1)] }));
      expect(await find(one, 'A')).toEqual(plain(key('A')));
    });

    it('are unknown to other accounts', async () => {
      const one = await trial();
      await put(one, key('A'));
      const foreign = asks(one, 'A', '111111111111');
      await expectRejection(one.storage.updateKey({ ...foreign, name: 'mine' }), 'keyNotFound');
      await expectRejection(
        one.storage.rotateKey({ ...foreign, secret: secret(0), othersExpireAt: one.now }),
        'keyNotFound',
      );
      await expectRejection(one.storage.deleteKey(foreign), 'keyNotFound');
      await expectRejection(one.storage.deleteKey(asks(one, 'B')), 'keyNotFound');
      expect(await find(one, 'A')).toEqual(plain(key('A')));
    });

    it(`are ${limits.keysPerAccountMax} at most per account`, async () => {
      const one = await trial();
      const ids = Array.from({ length: limits.keysPerAccountMax }, (_, i) => `KEY_${String(i).padStart(4, '0')}`);
      await Promise.all(ids.map((keyId) => put(one, key(keyId))));
      await expectRejection(put(one, key('ONE_MORE')), 'tooManyKeys');
      await put(one, key('FOREIGN', { account: '111111111111' }));
      await put(one, key('KEY_0000', { name: 'changed' }), false);
      expect(await find(one, 'KEY_0000')).toMatchObject({ name: 'changed' });
    });

    it('are told of when they were put, changed, rotated or deleted, and not when that was refused', async () => {
      const one = await trial();
      const told: Change[] = [];
      one.storage.onChange((change) => told.push(change));
      await put(one, key('A'));
      await one.storage.updateKey({ ...asks(one, 'A'), name: 'changed' });
      await one.storage.rotateKey({ ...asks(one, 'A'), secret: secret(0), othersExpireAt: one.now });
      await put(one, key('B'));
      await expectRejection(put(one, key('B')), 'keyExists');
      await expectRejection(one.storage.deleteKey(asks(one, 'NOBODY')), 'keyNotFound');
      await one.storage.deleteKey(asks(one, 'A'));
      expect(told).toEqual(['A', 'A', 'A', 'B', 'A'].map((keyId) => ({ of: 'key', keyId })));
    });

    restartCase(engine, 'outlive a restart', async () => {
      const one = await trial();
      await put(one, key('A', { secrets: [secret(2), secret(1, instant(trialStart + 1))] }));
      const before = await find(one, 'A');
      await one.reopen();
      expect(await find(one, 'A')).toEqual(before);
    });
  });
}
