/**
 * The promise of a storage engine: every operation of the queue service, each one atomic and durable when its promise
 * resolves, over plain data alone. No closure, statement or live object crosses, so an engine can live on another
 * thread or another machine.
 *
 * Every operation that looks at time takes `now`. Every operation on messages takes a list and answers one outcome per
 * entry, in order: a fault of one entry does not touch the others unless `atomic` says so. A fault means "no effect";
 * a promise that rejects with anything but a Fault, or with storageFailed, means "unknown".
 */
import type { StoredKey, StoredSecret } from '../domain/access-key.ts';
import type { FaultData } from '../domain/errors.ts';
import type { Instant } from '../domain/instant.ts';
import type { Draft, Message, MessageState, Receipt, ReceivedMessage } from '../domain/message.ts';
import type { Scope } from '../domain/principal.ts';
import type { GroupView, Queue, QueueRef, QueueStats } from '../domain/queue.ts';
import type { QueueKind, QueueSettingsPatch } from '../domain/queue-attributes.ts';
import type { RedrivePlan, RedriveTask } from '../domain/redrive.ts';

export type Page<T> = { readonly items: readonly T[]; readonly nextCursor: string | null };
export type PageAsk = { readonly cursor?: string | undefined; readonly limit: number };

export type Sent = {
  readonly messageId: string;
  /** FIFO queues only. */
  readonly sequence: number | null;
  /** True when a deduplication id or idempotency key named an earlier message, which is the one told. */
  readonly isDuplicate: boolean;
};

export type PutQueueAsk = {
  readonly queue: QueueRef;
  readonly kind: QueueKind;
  readonly settings: QueueSettingsPatch;
  /** What SQS lets pass: dead-letter queues that lead back to where they began, a delay longer than the retention. */
  readonly isLenient?: boolean | undefined;
  /** A new queue is refused so long after one of its name was deleted. */
  readonly quietSeconds?: number | undefined;
  readonly now: Instant;
};

export type UpdateQueueAsk = Pick<PutQueueAsk, 'queue' | 'settings' | 'isLenient' | 'now'> & {
  readonly ifVersion?: number | undefined;
};

export type SendAsk = {
  readonly queue: QueueRef;
  readonly drafts: readonly Draft[];
  /** All or nothing: when one draft is refused, the others get batchAborted. */
  readonly isAtomic: boolean;
  /** Sends with the same key within 24 hours store once; another fingerprint under the key is refused. */
  readonly idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
  /** Who sends: kept with the messages. */
  readonly senderId?: string | undefined;
  readonly now: Instant;
};

export type PeekAsk = {
  readonly queue: QueueRef;
  readonly state: MessageState | 'all';
  /** Sum of message bytes to stop at; at least one message is told. Absent: limits.receiveBytesMax. */
  readonly bytesMax?: number | undefined;
  readonly now: Instant;
};

export type ReceiveAsk = {
  readonly queue: QueueRef;
  /** 1 to limits.receiveMessagesMax. */
  readonly limit: number;
  /** Sum of message bytes (bodies and attributes) to stop at; at least one message is handed out. */
  readonly bytesMax: number;
  /** Absent: the queue's setting. */
  readonly visibilitySeconds?: number | undefined;
  /** FIFO: the same id within 300 s answers the same messages with the same receipts. */
  readonly attemptId?: string | undefined;
  readonly now: Instant;
};

export type ReceiveAnswer = {
  readonly messages: readonly ReceivedMessage[];
  /** The messages of an earlier receive with the same attempt id. */
  readonly isReplay: boolean;
  readonly queueId: number;
  /** The queue's own `waitSeconds`. */
  readonly waitSeconds: number;
  /** When the next message becomes visible if nothing else happens; `now` or earlier: more can be had at once. */
  readonly nextVisibleAt: Instant | null;
  /** Where messages among these should have gone instead, having been received too often, had it not been deleted. */
  readonly missingDeadLetterQueue?: string | undefined;
};

export type UnreceiveAsk = {
  readonly queue: QueueRef;
  readonly receipts: readonly Receipt[];
  /** That of the receive: it may be used again. */
  readonly attemptId?: string | undefined;
  readonly now: Instant;
};

/** One thing to do with a held message. */
export type Settlement =
  | { readonly does: 'delete'; readonly receipt: Receipt }
  | { readonly does: 'extend'; readonly receipt: Receipt; readonly visibilitySeconds: number }
  | {
      readonly does: 'release';
      readonly receipt: Receipt;
      /** Absent: the queue's back-off. */
      readonly delaySeconds?: number | undefined;
      readonly reason?: string | undefined;
    }
  | { readonly does: 'deadLetter'; readonly receipt: Receipt; readonly reason?: string | undefined };

export type SettleAsk = {
  readonly queue: QueueRef;
  readonly settlements: readonly Settlement[];
  /** As SQS has it: on standard queues a receipt stands for its message as long as that lies in the queue, also when its
   *  visibility timeout has passed or the message was received again. FIFO queues are as strict as ever. */
  readonly isLenient?: boolean | undefined;
  readonly now: Instant;
};

/** When the message can be received again; null when it cannot, because it is gone. */
export type Settled = { readonly visibleAt: Instant | null; readonly messageId: string | null };

/** A queue in which messages became, or will become, receivable. */
export type ReadyNotice = {
  readonly queueId: number;
  /** The earliest instant at which one can be received. */
  readonly at: Instant;
  /** How many at most. */
  readonly count: number;
};

/** A queue or an access key that was created, changed or deleted. */
export type Change =
  | { readonly of: 'queue'; readonly account: string; readonly name: string }
  | { readonly of: 'key'; readonly keyId: string };

export type UpkeepAnswer = {
  /** When there is something to do again; null: nothing that is known now. */
  readonly nextAt: Instant | null;
  /** Messages expired in this slice. */
  readonly expiredCount: number;
};

/** Figures of the engine itself, for metrics and readiness. */
export type StorageHealth = {
  readonly canWrite: boolean;
  /** Out of space: sends are refused, receives and deletes go on. */
  readonly isFull: boolean;
  readonly pendingRequestCount: number;
  readonly pendingBytes: number;
  readonly walBytes: number;
  readonly dataBytes: number;
  /** Milliseconds since the writer last answered while work is waiting for it; 0 when none waits. */
  readonly stalledMs: number;
};

/** Told of every commit. */
export type CommitNotice = { readonly requestCount: number; readonly seconds: number };

export interface Storage {
  readonly name: string;
  /** 32 random bytes, made with the data, that seal receipt handles. */
  readonly sealSecret: Uint8Array;
  /** The latest instant that was ever stored: time must not start before it. */
  readonly highWaterAt: Instant;

  /** Creates the queue, or confirms that an existing one has the named settings.
   *  @throws queueExists (names the differing settings), settingInvalid, settingNotForKind, deadLetterQueueInvalid,
   *  tooManyQueues, queueDeletedRecently */
  putQueue(ask: PutQueueAsk): Promise<{ queue: Queue; isNew: boolean }>;
  /** Changes the named settings. A FIFO queue's delay holds for the messages that wait already, too: where they are many,
   *  upkeep gets to them bit by bit. @throws queueNotFound, queueChanged when `ifVersion` is not the present one, and as putQueue */
  updateQueue(ask: UpdateQueueAsk): Promise<Queue>;
  /** Removes the queue and all in it. @throws queueNotFound */
  deleteQueue(ask: { queue: QueueRef; now: Instant }): Promise<void>;
  /** Removes all messages and forgets deduplication ids.
   *  @throws queueNotFound, purgeInProgress when an interval is given and one with an interval was done within it */
  purgeQueue(ask: {
    queue: QueueRef;
    intervalSeconds?: number | undefined;
    now: Instant;
  }): Promise<{ purgedCount: number }>;
  findQueue(queue: QueueRef): Promise<Queue | null>;
  /** @throws queueNotFound, with the name that was probably meant */
  getQueue(queue: QueueRef): Promise<Queue>;
  /** By name. */
  listQueues(ask: { account: string; prefix: string } & PageAsk): Promise<Page<Queue>>;
  /** The stats of each queue, in order; null for one that is gone. */
  queueStats(ask: { queueIds: readonly number[]; now: Instant }): Promise<readonly (QueueStats | null)[]>;
  /** FIFO: message groups by group id. @throws queueNotFound */
  listGroups(ask: { queue: QueueRef; now: Instant } & PageAsk): Promise<Page<GroupView>>;
  /** Queues whose dead-letter queue this is, by name. @throws queueNotFound */
  listDeadLetterSources(ask: { queue: QueueRef } & PageAsk): Promise<Page<Queue>>;

  /** One outcome per draft: emptyBody, messageTooLarge, delayTooLong, delayNotAllowed, groupRequired,
   *  deduplicationIdRequired, deduplicationIdNotAllowed, queueFull, batchAborted.
   *  @throws queueNotFound, idempotencyKeyReused, storageFull, overloaded */
  send(ask: SendAsk): Promise<readonly (Sent | FaultData)[]>;
  /** Hands out up to `limit` messages, counts the receive and hides each. A message received too often moves to the
   *  dead-letter queue here, an expired one is removed, a damaged one set aside. Order on standard queues: the longest
   *  visible first. @throws queueNotFound, tooManyInFlight, attemptIdReused */
  receive(ask: ReceiveAsk): Promise<ReceiveAnswer>;
  /** Undoes a receive whose answer will never be read: its messages can be received at once, and neither they nor the
   *  totals know of it; its receipts are void. Those that no longer are as that receive left them are passed over; so are
   *  all when its attempt was repeated, since who repeated it holds them by the same receipts. @throws queueNotFound */
  unreceive(ask: UnreceiveAsk): Promise<{ readonly undoneCount: number }>;
  /** When the next message can be had, in the past or now when one can be; null: none is there. Changes nothing, asks
   *  nothing of the writer, and sees every commit that anybody was told of. @throws queueNotFound */
  glance(ask: { queue: QueueRef }): Promise<{ readonly queueId: number; readonly nextVisibleAt: Instant | null }>;
  /** One outcome per settlement: receiptForeign, receiptExpired, messageNotFound; visibilityTooLong of extend, delayTooLong
   *  of release, deadLetterQueueMissing of deadLetter. Deleting what is gone already is a success. @throws queueNotFound */
  settle(ask: SettleAsk): Promise<readonly (Settled | FaultData)[]>;
  /** Oldest first; changes nothing. A page ends early when it holds `bytesMax`, or when many messages were
   *  passed over: only `nextCursor` tells whether there are more. @throws queueNotFound */
  peek(ask: PeekAsk & PageAsk): Promise<Page<Message>>;
  findMessage(ask: { queue: QueueRef; messageId: string; now: Instant }): Promise<Message | null>;
  /** An operator removes one message, held or not. @throws queueNotFound, messageNotFound */
  removeMessage(ask: { queue: QueueRef; messageId: string; now: Instant }): Promise<void>;

  /** What a redrive would move. @throws queueNotFound (source or destination), redriveInvalid */
  planRedrive(ask: {
    source: QueueRef;
    destination: string | null;
    limit: number | null;
    now: Instant;
  }): Promise<RedrivePlan>;
  /** @throws queueNotFound (source or destination), redriveInvalid, redriveRunning, idempotencyKeyReused */
  startRedrive(ask: {
    taskId: string;
    source: QueueRef;
    destination: string | null;
    ratePerSecond: number | null;
    limit: number | null;
    /** Moved messages get a new id and a new time of sending. */
    renewsMessages?: boolean | undefined;
    /** Without a destination: a message that has nowhere to go ends the task. Else it is skipped and counted. */
    requiresOrigins?: boolean | undefined;
    idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
    now: Instant;
  }): Promise<{ task: RedriveTask; isNew: boolean }>;
  findTask(ask: { account: string; taskId: string }): Promise<RedriveTask | null>;
  /** Newest first. */
  listTasks(ask: { account: string; sourceQueueId?: number | undefined } & PageAsk): Promise<Page<RedriveTask>>;
  /** @throws taskNotFound, taskNotActive */
  cancelTask(ask: { account: string; taskId: string; now: Instant }): Promise<RedriveTask>;

  /** Writes the key with its secrets. @throws keyExists when `isNew` and the id is taken; tooManyKeys */
  putKey(ask: { key: StoredKey; isNew: boolean; now: Instant }): Promise<StoredKey>;
  /** Changes what is named. @throws keyNotFound, also for a key of another account */
  updateKey(ask: {
    account: string;
    keyId: string;
    name?: string | undefined;
    scopes?: readonly Scope[] | undefined;
    /** Null: never. */
    expiresAt?: Instant | null | undefined;
    now: Instant;
  }): Promise<StoredKey>;
  /** Adds the secret, under the next number, and ends the newest one before it at that instant, older ones now.
   *  @throws keyNotFound */
  rotateKey(ask: {
    account: string;
    keyId: string;
    secret: StoredSecret;
    othersExpireAt: Instant;
    now: Instant;
  }): Promise<StoredKey>;
  /** @throws keyNotFound */
  deleteKey(ask: { account: string; keyId: string; now: Instant }): Promise<void>;
  /** Ids are unique among all accounts. */
  findKey(ask: { keyId: string }): Promise<StoredKey | null>;
  /** By id; null: of all accounts. */
  listKeys(ask: { account: string | null } & PageAsk): Promise<Page<StoredKey>>;

  /** One bounded slice of all duties: expiry, deduplication windows, purged messages, redrive tasks. */
  upkeep(ask: { now: Instant }): Promise<UpkeepAnswer>;

  /** Told, after the commit, of queues in which something became receivable, and of queues that are gone (count 0). */
  onReady(listener: (notice: ReadyNotice) => void): void;
  onCommit(listener: (notice: CommitNotice) => void): void;
  /** Told, after the commit, of what others may know and is no longer so, whoever changed it. */
  onChange(listener: (change: Change) => void): void;
  /** Told once when the engine can no longer be trusted: the process must end. */
  onFatal(listener: (cause: Error) => void): void;
  health(): StorageHealth;
  /** Every broken invariant of the data as a sentence; empty when all hold. Reads everything: for tests and operators. */
  audit(ask: { now: Instant }): Promise<readonly string[]>;
  /** Finishes what waits, tidies up, releases the lock. */
  close(): Promise<void>;
}
