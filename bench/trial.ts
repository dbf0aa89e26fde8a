/** The engine alone, on a directory of its own: what the micro benchmarks send through it, and what it writes. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { instant } from '../src/domain/instant.ts';
import { limits } from '../src/domain/limits.ts';
import { type Draft, noAttributes, type Receipt } from '../src/domain/message.ts';
import { defaultAccount } from '../src/domain/principal.ts';
import { kindOfName, type QueueRef } from '../src/domain/queue.ts';
import { QueueName } from '../src/domain/queue-attributes.ts';
import { randomIds } from '../src/ids.ts';
import type { ReceiveAsk, SendAsk, Settlement } from '../src/storage/port.ts';
import { databasePath } from '../src/storage/sqlite/data-directory.ts';
import { openStore, type Request, type Store } from '../src/storage/sqlite/store.ts';

/** How messages come together: requests per commit, messages per request. */
export type Shape = { readonly requests: number; readonly each: number };
const groupsCount = 10_000;

export const now = () => instant(Date.now());
const ref = (name: string): QueueRef => ({ account: defaultAccount, name: QueueName.parse(name) });

export type Trial = { readonly store: Store; readonly directory: string; readonly queue: QueueRef };

/** @param place where a folder for the data is made */
export function openTrial(place: string, name: string): Trial {
  const directory = mkdtempSync(join(place, 'sluice-micro-'));
  const store = openStore({ directory, ids: randomIds(), now: now() });
  const queue = ref(name);
  run(store, [{ name: 'putQueue', ask: { queue, kind: kindOfName(name), settings: {}, now: now() } as never }]);
  return { store, directory, queue };
}

export function closeTrial({ store, directory }: Trial): void {
  store.close();
  rmSync(directory, { recursive: true, force: true });
}

/** The values of the requests, which must all succeed. */
export function run(store: Store, requests: readonly Request[]): readonly unknown[] {
  return store.run(requests).outcomes.map((outcome) => {
    if (outcome.does === 'value') return outcome.value;
    throw new Error(`A request of the micro benchmark failed: ${JSON.stringify(outcome)}`);
  });
}

let drawn = 0;
function draftOf(bytes: number, isFifo: boolean): Draft {
  drawn += 1;
  const body = new Uint8Array(Buffer.alloc(bytes, 'x'));
  const fifo = isFifo ? { groupId: `group-${drawn % groupsCount}`, deduplicationId: `d-${drawn}` } : {};
  return { body, contentType: 'text/plain', attributes: noAttributes, ...fifo };
}

export const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);

export const sends = (queue: QueueRef, { requests, each }: Shape, bytes: number, isFifo: boolean): readonly Request[] =>
  times(requests, () => {
    const ask: SendAsk = { queue, drafts: times(each, () => draftOf(bytes, isFifo)), isAtomic: false, now: now() };
    return { name: 'send', ask };
  });
export const receives = (queue: QueueRef, { requests, each }: Shape): readonly Request[] =>
  times(requests, () => {
    const ask: ReceiveAsk = { queue, limit: each, bytesMax: limits.receiveBytesMax, now: now() };
    return { name: 'receive', ask };
  });
export const deletes = (queue: QueueRef, each: number, receipts: readonly Receipt[]): readonly Request[] => {
  const requests: Request[] = [];
  for (let i = 0; i < receipts.length; i += each) {
    const settlements = receipts.slice(i, i + each).map((receipt): Settlement => ({ does: 'delete', receipt }));
    requests.push({ name: 'settle', ask: { queue, settlements, now: now() } as Request['ask'] });
  }
  return requests;
};

export const walSize = ({ directory }: Trial): number => statSync(`${databasePath(directory)}-wal`).size;
