/** What is kept of queues while operations run: not all of it lies in the file before the commit. */
import { afterEach, expect, it } from 'vitest';
import { defaultAccount } from '../../../src/domain/principal.ts';
import type { QueueRef } from '../../../src/domain/queue.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import { Ledger } from '../../../src/storage/sqlite/ledger.ts';
import { openStore, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { trialStart as now } from '../../support/storage.ts';

let store: Store | undefined;
afterEach(() => {
  store?.close();
  store = undefined;
});

const cachedMax = 3;
const queueOf = (n: number): QueueRef => ({ account: defaultAccount, name: QueueName.parse(`q${n}`) });

function openWith(queueCount: number): Ledger {
  store = openStore({ directory: ':memory:', ids: countingIds(), now });
  for (let n = 1; n <= queueCount; n += 1) {
    const ask = { queue: queueOf(n), kind: 'standard', settings: {}, now } as const;
    store.run([{ name: 'putQueue', ask }]);
  }
  return new Ledger(store.db, cachedMax);
}

it('keeps what came into a queue and is not written yet, though so many others came between', () => {
  const ledger = openWith(cachedMax + 1);
  const bookOf = (n: number) => ledger.book(queueOf(n));
  const first = bookOf(1);
  ledger.keep(first, 2, 300);
  for (let n = 2; n <= cachedMax; n += 1) bookOf(n);
  expect(bookOf(1)).toBe(first);
  for (let n = 2; n <= cachedMax + 1; n += 1) bookOf(n);
  const again = bookOf(1);
  expect(again).not.toBe(first);
  expect(again).toMatchObject({ messageCount: 2, bytes: 300 });
  ledger.keep(again, -1, -100);
  ledger.flush();
  ledger.reset();
  expect(bookOf(1)).toMatchObject({ messageCount: 1, bytes: 200 });
});
