/**
 * What can be done with the service, by noun. The edges decode, call one operation here, and encode.
 *
 * The broker owns what is neither wire nor storage: who may do what, long polling, sealing of receipts, upkeep. Time
 * and chance are passed in.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { receiptSeal } from '../domain/receipt-handle.ts';
import { secretSeal } from '../domain/seal.ts';
import type { Ids } from '../ids.ts';
import type { Storage } from '../storage/port.ts';
import { createKeys, type Keys } from './keys.ts';
import { createMessages, type Messages } from './messages.ts';
import { createQueues, type Queues } from './queues.ts';
import { createRedrive, type Redrive } from './redrive.ts';
import { createUpkeep, type Upkeep } from './upkeep.ts';
import { createWaiters, type Waiters } from './waiters.ts';

export type BrokerDeps = {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  /** Seals the secrets of access keys: 32 bytes that do not lie with the data. Absent (data in memory): made with them. */
  readonly masterKey?: Uint8Array | undefined;
  /** The upkeep loop, where it is another thread's. Absent: one is made, to be started by the caller. */
  readonly upkeep?: Upkeep | undefined;
};

export type Broker = {
  readonly queues: Queues;
  readonly messages: Messages;
  readonly redrive: Redrive;
  readonly keys: Keys;
  readonly waiters: Waiters;
  readonly upkeep: Upkeep;
  /** Ends every long poll with what it has: the first step of an orderly stop. */
  readonly drain: () => void;
};

export function createBroker(deps: BrokerDeps): Broker {
  const { storage, clock, ids, log, masterKey } = deps;
  const waiters = createWaiters(clock);
  const upkeep = deps.upkeep ?? createUpkeep({ storage, clock, log });
  const keys = createKeys({ storage, clock, ids, log, seal: secretSeal(masterKey ?? storage.sealSecret) });
  storage.onReady(waiters.ring);
  return {
    queues: createQueues({ storage, clock, upkeep }),
    messages: createMessages({ storage, clock, log, waiters, keys, seal: receiptSeal(storage.sealSecret) }),
    redrive: createRedrive({ storage, clock, ids, upkeep }),
    keys,
    waiters,
    upkeep,
    drain: waiters.close,
  };
}
