/** Messages: send, receive (with long polling), settle what is held, and look without touching. */
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { Fault, type FaultData, isFault, orThrow } from '../domain/errors.ts';
import { type Instant, secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import {
  bytesOfAll,
  type Draft,
  type Message,
  type MessageState,
  type Receipt,
  type ReceivedMessage,
} from '../domain/message.ts';
import { anonymousId, authorize, type Principal } from '../domain/principal.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import type { ReceiptSeal } from '../domain/receipt-handle.ts';
import type { Page, PageAsk, ReceiveAnswer, Sent, Settled, Settlement, Storage } from '../storage/port.ts';
import type { Keys } from './keys.ts';
import type { Waiters } from './waiters.ts';

/** A message in the hands of a receiver. */
export type HeldMessage = ReceivedMessage & { readonly receiptHandle: string };

/** What to do with the message that a receipt handle stands for. */
export type SettlementAsk =
  | { readonly does: 'delete'; readonly receiptHandle: string }
  | { readonly does: 'extend'; readonly receiptHandle: string; readonly visibilitySeconds: number }
  | {
      readonly does: 'release';
      readonly receiptHandle: string;
      readonly delaySeconds?: number | undefined;
      readonly reason?: string | undefined;
    }
  | { readonly does: 'deadLetter'; readonly receiptHandle: string; readonly reason?: string | undefined };

export type SendOptions = {
  readonly isAtomic?: boolean;
  readonly idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
};

/** Lenient: receipts hold as long as SQS lets them. */
export type SettleOptions = { readonly isLenient?: boolean };

export type ReceiveOptions = {
  /** 1 to 100. */
  readonly max: number;
  /** Absent: the queue's `waitSeconds`. */
  readonly waitSeconds?: number | undefined;
  /** Absent: the queue's `visibilityTimeoutSeconds`. */
  readonly visibilitySeconds?: number | undefined;
  readonly attemptId?: string | undefined;
  /** Aborted when the client has gone: nothing is received for it any more, and what was received goes back. */
  readonly signal?: AbortSignal | undefined;
  /** Absent: there is room for whatever comes. */
  readonly room?: AnswerRoom | undefined;
};

/** Memory for messages that their receiver has not read yet. */
export type AnswerRoom = {
  /** So many bytes are asked for at most; one message always is. */
  readonly freeBytes: () => number;
  /** There is none: nothing is asked for. */
  readonly isFull: () => boolean;
  /** Told how many bytes have come; the fault says that there is no room, and they go back. */
  readonly hold: (bytes: number) => Fault | undefined;
};

export type Messages = {
  /** One outcome per draft. @throws queueNotFound, idempotencyKeyReused, storageFull, overloaded */
  readonly send: (
    principal: Principal,
    queue: QueueName,
    drafts: readonly Draft[],
    options?: SendOptions,
  ) => Promise<readonly (Sent | FaultData)[]>;
  /** Up to `max` messages, waiting for the first; empty when the wait ends without one.
   *  @throws queueNotFound, tooManyInFlight, tooManyWaiters, attemptIdReused, overloaded; credentialsInvalid when the key
   *  ends */
  readonly receive: (
    principal: Principal,
    queue: QueueName,
    options: ReceiveOptions,
  ) => Promise<readonly HeldMessage[]>;
  /** One outcome per ask; a handle that is not this data's own fails with receiptInvalid. @throws queueNotFound */
  readonly settle: (
    principal: Principal,
    queue: QueueName,
    asks: readonly SettlementAsk[],
    options?: SettleOptions,
  ) => Promise<readonly (Settled | FaultData)[]>;
  /** @throws queueNotFound */
  readonly peek: (
    principal: Principal,
    queue: QueueName,
    ask: { state: MessageState | 'all'; bytesMax?: number | undefined } & PageAsk,
  ) => Promise<Page<Message>>;
  /** @throws queueNotFound, messageNotFound */
  readonly get: (principal: Principal, queue: QueueName, messageId: string) => Promise<Message>;
  /** @throws queueNotFound, messageNotFound */
  readonly remove: (principal: Principal, queue: QueueName, messageId: string) => Promise<void>;
};

type Deps = {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly log: Logger;
  readonly waiters: Waiters;
  readonly keys: Pick<Keys, 'watch' | 'requireInForce'>;
  readonly seal: ReceiptSeal;
};

/** What one look into a queue brought. */
type Look = Pick<ReceiveAnswer, 'messages' | 'nextVisibleAt' | 'isReplay'>;

/** One costs about 100 bytes. */
const queuesKnownMax = 10_000;

export function createMessages({ storage, clock, log, waiters, keys, seal }: Deps): Messages {
  const ref = (principal: Principal, name: QueueName) => ({ account: principal.account, name });

  /** Ids of queues by name, as they were last seen: a hint, never trusted. */
  const queueIds = new LRUCache<string, number>({ max: queuesKnownMax });
  const keyOf = ({ account }: Principal, name: QueueName) => `${account}/${name}`;

  const receiveOnce = async (principal: Principal, queue: QueueName, options: ReceiveOptions) => {
    if (options.room?.isFull() === true) throw Fault.of('overloaded', {});
    const answer = await storage.receive({
      queue: ref(principal, queue),
      limit: options.max,
      bytesMax: Math.min(limits.receiveBytesMax, options.room?.freeBytes() ?? limits.receiveBytesMax),
      visibilitySeconds: options.visibilitySeconds,
      attemptId: options.attemptId,
      now: clock.now(),
    });
    const { queueId, missingDeadLetterQueue: missing } = answer;
    if (missing !== undefined) warnOfMissing(queue, queueId, missing);
    const refusal = answer.messages.length === 0 ? undefined : options.room?.hold(bytesOfAll(answer.messages));
    if (refusal === undefined) return answer;
    await giveBack(principal, queue, options, answer);
    throw refusal;
  };

  /** When each queue was last warned of. */
  const warnedAt = new LRUCache<number, Instant>({ max: limits.deadLetterWarningsKept });
  const warnOfMissing = (queue: QueueName, queueId: number, deadLetterQueue: string) => {
    const now = clock.now();
    const before = warnedAt.get(queueId);
    if (before !== undefined && now < secondsAfter(before, limits.deadLetterWarningSeconds)) return;
    warnedAt.set(queueId, now);
    log.warn({ queue, deadLetterQueue }, 'messages are received past their maximum: the dead-letter queue is gone');
  };

  /**
   * Nobody reads the answer any more: its messages go to others at once instead of staying hidden for nothing. Those of
   * a repeated attempt stay, since whoever had the first answer may be at work on them.
   */
  const giveBack = async (principal: Principal, queue: QueueName, options: ReceiveOptions, answer: Look) => {
    if (answer.messages.length === 0 || answer.isReplay) return;
    const receipts = answer.messages.map(({ receipt }) => receipt);
    const { attemptId } = options;
    await storage.unreceive({ queue: ref(principal, queue), receipts, attemptId, now: clock.now() });
  };

  const held = (message: ReceivedMessage): HeldMessage => ({ ...message, receiptHandle: seal.seal(message.receipt) });

  return {
    send(principal, queue, drafts, options = {}) {
      const now = clock.now();
      const { isAtomic = false, idempotency } = options;
      const senderId = principal.id ?? anonymousId;
      return storage.send({ queue: ref(principal, queue), drafts, isAtomic, idempotency, senderId, now });
    },

    receive,

    async settle(principal, queue, asks, { isLenient } = {}) {
      const opened = asks.map(({ receiptHandle }) => seal.open(receiptHandle));
      const settlements = asks.flatMap((ask, i): Settlement[] => {
        const receipt = opened[i];
        return receipt === undefined || isFault(receipt) ? [] : [settlementOf(ask, receipt)];
      });
      const settled = await storage.settle({ queue: ref(principal, queue), settlements, isLenient, now: clock.now() });
      let next = 0;
      return opened.map((receipt) => (isFault(receipt) ? receipt : orMissing(settled[next++])));
    },

    async peek(principal, queue, ask) {
      authorize(principal, 'peek', queue);
      return storage.peek({ queue: ref(principal, queue), now: clock.now(), ...ask });
    },

    async get(principal, queue, messageId) {
      const message = await storage.findMessage({ queue: ref(principal, queue), messageId, now: clock.now() });
      if (message === null) throw Fault.of('messageNotFound', { messageId, queue });
      return message;
    },

    remove: (principal, queue, messageId) =>
      storage.removeMessage({ queue: ref(principal, queue), messageId, now: clock.now() }),
  };

  async function receive(
    principal: Principal,
    queue: QueueName,
    options: ReceiveOptions,
  ): Promise<readonly HeldMessage[]> {
    const isGone = () => options.signal?.aborted === true;
    if (isGone()) return [];
    const waitedFor = knownToBeWaitedFor(principal, queue, options);
    if (waitedFor !== undefined) return wait(principal, queue, options, waitedFor, options.waitSeconds ?? 0);
    const first = await receiveOnce(principal, queue, options);
    queueIds.set(keyOf(principal, queue), first.queueId);
    if (first.messages.length > 0) {
      if (first.nextVisibleAt !== null) waiters.ring({ queueId: first.queueId, at: first.nextVisibleAt, count: 1 });
      if (isGone()) {
        await giveBack(principal, queue, options, first);
        return [];
      }
      return first.messages.map(held);
    }
    const waitSeconds = options.waitSeconds ?? first.waitSeconds;
    if (waitSeconds === 0) return [];
    return wait(principal, queue, options, first.queueId, waitSeconds);
  }

  /**
   * Where others wait in vain, one more need not ask the writer: it stands in line and glances. Of 5,000 idle long polls
   * that are asked again every 20 seconds this is most of the work.
   * @returns the queue's id; undefined when the writer is to be asked first
   */
  function knownToBeWaitedFor(principal: Principal, queue: QueueName, options: ReceiveOptions): number | undefined {
    if ((options.waitSeconds ?? 0) === 0 || options.attemptId !== undefined) return undefined;
    const queueId = queueIds.get(keyOf(principal, queue));
    return queueId !== undefined && waiters.areIn(queueId) ? queueId : undefined;
  }

  /** Asks the writer only when there is something to have. @returns undefined when the name now stands for another queue */
  async function lookAndReceive(
    principal: Principal,
    queue: QueueName,
    options: ReceiveOptions,
    queueId: number,
  ): Promise<Look | undefined> {
    if (options.attemptId !== undefined) return receiveOnce(principal, queue, options);
    const seen = await storage.glance({ queue: ref(principal, queue) });
    if (seen.queueId !== queueId) return undefined;
    const isVain = seen.nextVisibleAt === null || seen.nextVisibleAt > clock.now();
    return isVain
      ? { messages: [], nextVisibleAt: seen.nextVisibleAt, isReplay: false }
      : receiveOnce(principal, queue, options);
  }

  /**
   * Waits for a message without asking again and again: the waiter stands in line before it looks once more, so a
   * message that comes between the look and the wait rings it.
   */
  async function wait(
    principal: Principal,
    queue: QueueName,
    options: ReceiveOptions,
    queueId: number,
    waitSeconds: number,
  ): Promise<readonly HeldMessage[]> {
    const deadline = secondsAfter(clock.now(), waitSeconds);
    // Over when the client goes, and when its access key ends or changes: nobody waits on the rights of before.
    const over = new AbortController();
    const end = () => over.abort();
    options.signal?.addEventListener('abort', end, { once: true });
    if (options.signal?.aborted === true) end();
    const waiter = waiters.join(queueId, over.signal);
    const unwatch = keys.watch(principal, end);
    /** The ring that woke us stands for a message: when we do not look, somebody else must. */
    let owesLook = false;
    try {
      while (true) {
        keys.requireInForce(principal);
        if (over.signal.aborted) return [];
        const answer = await lookAndReceive(principal, queue, options, queueId);
        if (answer === undefined) {
          queueIds.delete(keyOf(principal, queue));
          return receive(principal, queue, options);
        }
        if (answer.nextVisibleAt !== null) waiters.ring({ queueId, at: answer.nextVisibleAt, count: 1 });
        if (over.signal.aborted) {
          await giveBack(principal, queue, options, answer);
          continue;
        }
        owesLook = false;
        if (answer.messages.length > 0) return answer.messages.map(held);
        if ((await waiter.rung(deadline)) === 'over') {
          keys.requireInForce(principal);
          return [];
        }
        owesLook = true;
      }
    } finally {
      waiter.leave();
      if (owesLook) waiters.ring({ queueId, at: clock.now(), count: 1 });
      unwatch();
      options.signal?.removeEventListener('abort', end);
    }
  }
}

/** The settlement of one handle or its fault thrown. @throws receiptInvalid and the faults of Storage.settle */
export const settleOne = async (outcomes: Promise<readonly (Settled | FaultData)[]>): Promise<Settled> =>
  orThrow(orMissing((await outcomes)[0]));

function settlementOf(ask: SettlementAsk, receipt: Receipt): Settlement {
  const { receiptHandle: _sealed, ...what } = ask;
  return { ...what, receipt };
}

function orMissing<T>(outcome: T | undefined): T {
  if (outcome === undefined) throw new Error('The engine answered fewer outcomes than it was asked for.');
  return outcome;
}
