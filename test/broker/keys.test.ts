/** Access keys at a start: all of them are known, and declared ones are as their declaration says. */
import { afterEach, expect, it } from 'vitest';
import { createKeys, type Keys } from '../../src/broker/keys.ts';
import type { KeyDefinition } from '../../src/config.ts';
import { defaultAccount, everything, openPrincipal } from '../../src/domain/principal.ts';
import { masterKeyBytes, secretSeal } from '../../src/domain/seal.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { manualClock } from '../support/clock.ts';
import { countingIds } from '../support/ids.ts';
import { recordingLog } from '../support/log.ts';

const open: Storage[] = [];
afterEach(async () => {
  for (const storage of open.splice(0)) await storage.close();
});

const clock = manualClock();
const ids = countingIds();
const log = recordingLog();
const seal = secretSeal(Buffer.alloc(masterKeyBytes, 7));

async function openStorage(): Promise<Storage> {
  const storage = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  open.push(storage);
  return storage;
}
/** The keys as a server that starts now knows them. */
async function started(storage: Storage): Promise<Keys> {
  const keys = createKeys({ storage, clock, ids, log, seal });
  await keys.load();
  return keys;
}

it('are all known after a start, however many pages they are', async () => {
  const storage = await openStorage();
  const before = await started(storage);
  const made: string[] = [];
  for (const name of ['a', 'b', 'c']) {
    const { key } = await before.create(openPrincipal(defaultAccount), { name, scopes: everything, expiresAt: null });
    made.push(key.keyId);
  }
  const inPages: Storage = { ...storage, listKeys: (ask) => storage.listKeys({ ...ask, limit: 2 }) };
  const after = await started(inPages);
  expect(made.filter((keyId) => after.isKnown(keyId))).toEqual(made);
});

it('that are declared have the secret of their declaration, the new one when it changes, and are gone without one', async () => {
  const storage = await openStorage();
  const declared: KeyDefinition = {
    keyId: 'SLUICEDECLAREDKEY234',
    name: 'declared',
    scopes: everything,
    expiresAt: null,
    secret: 'the first secret of this key',
  };
  const secrets = [declared.secret, 'another secret of the same key'];
  for (const secret of secrets) {
    await (await started(storage)).declare(defaultAccount, [{ ...declared, secret }]);
    const keys = await started(storage);
    const good = secrets.filter((one) => keys.check(declared.keyId, one) !== undefined);
    expect(good).toEqual([secret]);
  }
  await (await started(storage)).declare(defaultAccount, []);
  expect((await started(storage)).isKnown(declared.keyId)).toBe(false);
});
