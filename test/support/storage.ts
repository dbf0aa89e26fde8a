/**
 * The bench on which an engine is judged through the port alone: each trial has its own storage and a time that only
 * the case moves. What a trial opens, the harness audits and closes after the case.
 */
import { afterEach, expect, it } from 'vitest';
import { Fault, type FaultCode, type FaultData, isFault, orThrow } from '../../src/domain/errors.ts';
import { type Instant, instant } from '../../src/domain/instant.ts';
import { limits } from '../../src/domain/limits.ts';
import {
  type Attributes,
  type Draft,
  type Message,
  type MessageState,
  noAttributes,
  type Receipt,
  type ReceivedMessage,
} from '../../src/domain/message.ts';
import { defaultAccount } from '../../src/domain/principal.ts';
import { kindOfName, type Queue, type QueueRef, type QueueStats } from '../../src/domain/queue.ts';
import { QueueName, type QueueSettingsPatch } from '../../src/domain/queue-attributes.ts';
import type { RedriveTask } from '../../src/domain/redrive.ts';
import type {
  ReadyNotice,
  ReceiveAnswer,
  ReceiveAsk,
  SendAsk,
  Sent,
  Settled,
  Settlement,
  Storage,
} from '../../src/storage/port.ts';

export type EngineOptions = {
  /** What the engine may keep on disk before it refuses sends. */
  readonly dataBytesMax?: number;
};

/** A way to get storages of one kind. */
export type Engine = {
  readonly name: string;
  /** Fresh and empty. */
  readonly open: (options?: EngineOptions) => Promise<Storage>;
  /** Closes the storage and opens its data again; absent where the data ends with the storage. */
  readonly reopen?: (storage: Storage) => Promise<Storage>;
  /** Removes what a closed storage left. */
  readonly discard?: (storage: Storage) => Promise<void>;
};

/** A draft in short: its body, or the parts that matter. */
export type DraftText = string | (Partial<Omit<Draft, 'body'>> & { readonly body: string | Uint8Array });

export const draftOf = (text: DraftText): Draft => {
  const { body, ...rest } = typeof text === 'string' ? { body: text } : text;
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return { contentType: 'text/plain', attributes: noAttributes, ...rest, body: bytes };
};

/** A FIFO draft whose deduplication id is its body unless told otherwise. */
export const fifo = (groupId: string, body: string, deduplicationId = body): DraftText => ({
  body,
  groupId,
  deduplicationId,
});

export const attributes = (entries: Record<string, { type: string; value: string }>): Attributes =>
  new Map(Object.entries(entries));

export const bodyOf = (message: Pick<Message, 'body'>): string => Buffer.from(message.body).toString();
export const bodiesOf = (messages: readonly Pick<Message, 'body'>[]): readonly string[] => messages.map(bodyOf);

/** The only one, or the one asked for; fails the case where there is none. */
export function nth<T>(items: readonly T[], index = 0): T {
  const item = items[index];
  if (item === undefined) throw new Error(`There is no item ${index} among ${items.length}.`);
  return item;
}

/** The fault that a promise rejects with; anything else fails the case. */
export async function faultOf(promise: Promise<unknown>): Promise<FaultData> {
  const error = await promise.then(
    (value) => new Error(`Expected a fault, not ${JSON.stringify(value)}.`),
    (reason: unknown) => reason,
  );
  if (error instanceof Fault) return error.data;
  throw error;
}

export const expectRejection = async (promise: Promise<unknown>, code: FaultCode): Promise<FaultData> => {
  const data = await faultOf(promise);
  expect(data.fault).toBe(code);
  return data;
};

export const expectFault = (outcome: object | undefined, code: FaultCode): void => {
  expect(outcome).toMatchObject({ fault: code });
};

/** The code of an entry's outcome, or 'ok'. */
export const codeOf = (outcome: object | FaultData): FaultCode | 'ok' => (isFault(outcome) ? outcome.fault : 'ok');

type Held = Receipt | { readonly receipt: Receipt };
const receiptOf = (held: Held): Receipt => ('receipt' in held ? held.receipt : held);

export type ReceiveOptions = Partial<Omit<ReceiveAsk, 'queue' | 'now'>>;

/** Where every trial begins. */
export const trialStart = instant(Date.UTC(2026, 0, 31, 12));

/** One storage under trial, with short forms of the port's operations at the trial's own time. */
export class Trial {
  readonly #engine: Engine;
  #storage: Storage;
  #now = trialStart;
  readonly #account: string;
  readonly #notices: ReadyNotice[] = [];

  constructor(engine: Engine, storage: Storage, account = defaultAccount) {
    this.#engine = engine;
    this.#storage = storage;
    this.#account = account;
    storage.onReady((notice) => this.#notices.push(notice));
  }

  get storage(): Storage {
    return this.#storage;
  }
  get now(): Instant {
    return this.#now;
  }
  get account(): string {
    return this.#account;
  }

  /** Moves time on by seconds; thousandths count, and time never goes back. */
  advance(seconds: number): Instant {
    this.#now = instant(this.#now + Math.round(seconds * 1000));
    return this.#now;
  }
  advanceTo(at: Instant): Instant {
    this.#now = instant(Math.max(this.#now, at));
    return this.#now;
  }
  /** The instant so many seconds from now. */
  in(seconds: number): Instant {
    return instant(this.#now + Math.round(seconds * 1000));
  }

  /** The same storage as another account sees it, from now on with a time of its own. */
  as(account: string): Trial {
    const other = new Trial(this.#engine, this.#storage, account);
    other.advanceTo(this.#now);
    return other;
  }

  /** Ends the storage and opens its data again. */
  async reopen(): Promise<void> {
    if (this.#engine.reopen === undefined) throw new Error(`The engine ${this.#engine.name} keeps no data.`);
    this.#storage = await this.#engine.reopen(this.#storage);
    this.#storage.onReady((notice) => this.#notices.push(notice));
  }
  /** Whether cases that go over a restart can run. */
  get canReopen(): boolean {
    return this.#engine.reopen !== undefined;
  }

  ref(name: string): QueueRef {
    return { account: this.#account, name: QueueName.parse(name) };
  }
  async put(name: string, settings: QueueSettingsPatch = {}, kind = kindOfName(name)): Promise<Queue> {
    return (await this.#storage.putQueue({ queue: this.ref(name), kind, settings, now: this.#now })).queue;
  }
  /** A queue and its dead-letter queue, named `<name>-dlq`. */
  async putPair(name: string, maxReceiveCount: number, settings: QueueSettingsPatch = {}): Promise<string> {
    const dlq = dlqOf(name);
    await this.put(dlq);
    await this.put(name, { ...settings, deadLetter: { queue: QueueName.parse(dlq), maxReceiveCount } });
    return dlq;
  }
  update(name: string, settings: QueueSettingsPatch, ifVersion?: number): Promise<Queue> {
    return this.#storage.updateQueue({ queue: this.ref(name), settings, ifVersion, now: this.#now });
  }
  deleteQueue(name: string): Promise<void> {
    return this.#storage.deleteQueue({ queue: this.ref(name), now: this.#now });
  }
  async purge(name: string): Promise<number> {
    return (await this.#storage.purgeQueue({ queue: this.ref(name), now: this.#now })).purgedCount;
  }
  find(name: string): Promise<Queue | null> {
    return this.#storage.findQueue(this.ref(name));
  }

  /** Sends as the port has it: one outcome per draft. */
  trySend(
    name: string,
    drafts: readonly DraftText[],
    options: Partial<Pick<SendAsk, 'isAtomic' | 'idempotency'>> = {},
  ): Promise<readonly (Sent | FaultData)[]> {
    const ask = { isAtomic: false, ...options, drafts: drafts.map(draftOf), queue: this.ref(name), now: this.#now };
    return this.#storage.send(ask);
  }
  /** Sends what must be taken. */
  async send(name: string, ...drafts: readonly DraftText[]): Promise<readonly Sent[]> {
    return (await this.trySend(name, drafts)).map(orThrow);
  }
  async sendOne(name: string, draft: DraftText): Promise<Sent> {
    return nth(await this.send(name, draft));
  }

  look(name: string, options: ReceiveOptions = {}): Promise<ReceiveAnswer> {
    const ask = { limit: limits.receiveMessagesMax, bytesMax: limits.receiveBytesMax, ...options };
    return this.#storage.receive({ ...ask, queue: this.ref(name), now: this.#now });
  }
  async receive(name: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    return (await this.look(name, options)).messages;
  }
  async receiveOne(name: string, options: ReceiveOptions = {}): Promise<ReceivedMessage> {
    return nth(await this.receive(name, { limit: 1, ...options }));
  }
  /** The bodies that a receive hands out. */
  async receiveBodies(name: string, options: ReceiveOptions = {}): Promise<readonly string[]> {
    return bodiesOf(await this.receive(name, options));
  }

  /** Undoes the receive of these messages; how many it undid. */
  async unreceive(name: string, held: readonly Held[], attemptId?: string): Promise<number> {
    const ask = { queue: this.ref(name), receipts: held.map(receiptOf), attemptId, now: this.#now };
    return (await this.#storage.unreceive(ask)).undoneCount;
  }

  settle(name: string, ...settlements: readonly Settlement[]): Promise<readonly (Settled | FaultData)[]> {
    return this.#storage.settle({ queue: this.ref(name), settlements, now: this.#now });
  }
  async delete(name: string, held: Held): Promise<Settled | FaultData> {
    return nth(await this.settle(name, { does: 'delete', receipt: receiptOf(held) }));
  }
  async extend(name: string, held: Held, visibilitySeconds: number): Promise<Settled | FaultData> {
    return nth(await this.settle(name, { does: 'extend', receipt: receiptOf(held), visibilitySeconds }));
  }
  async release(
    name: string,
    held: Held,
    options: { delaySeconds?: number; reason?: string } = {},
  ): Promise<Settled | FaultData> {
    return nth(await this.settle(name, { does: 'release', receipt: receiptOf(held), ...options }));
  }
  async deadLetter(name: string, held: Held, reason?: string): Promise<Settled | FaultData> {
    return nth(await this.settle(name, { does: 'deadLetter', receipt: receiptOf(held), reason }));
  }

  async stats(name: string): Promise<QueueStats> {
    const queue = await this.find(name);
    if (queue === null) throw new Error(`There is no queue ${name}.`);
    const stats = nth(await this.#storage.queueStats({ queueIds: [queue.id], now: this.#now }));
    if (stats === null) throw new Error(`There are no stats of ${name}.`);
    return stats;
  }
  /** [available, in flight, delayed]. */
  async counts(name: string): Promise<readonly [number, number, number]> {
    const { availableCount, inFlightCount, delayedCount } = await this.stats(name);
    return [availableCount, inFlightCount, delayedCount];
  }
  /** All messages of a state, page by page. */
  async peek(name: string, state: MessageState | 'all' = 'all', limit = 100): Promise<readonly Message[]> {
    return pages((cursor) => this.#storage.peek({ queue: this.ref(name), state, now: this.#now, limit, cursor }));
  }
  findMessage(name: string, messageId: string): Promise<Message | null> {
    return this.#storage.findMessage({ queue: this.ref(name), messageId, now: this.#now });
  }

  async redrive(
    source: string,
    options: { to?: string; rate?: number; limit?: number; taskId?: string; requiresOrigins?: boolean } = {},
  ): Promise<RedriveTask> {
    const { task } = await this.#storage.startRedrive({
      taskId: options.taskId ?? nextTaskId(),
      source: this.ref(source),
      destination: options.to ?? null,
      ratePerSecond: options.rate ?? null,
      limit: options.limit ?? null,
      requiresOrigins: options.requiresOrigins,
      now: this.#now,
    });
    return task;
  }
  async task(taskId: string): Promise<RedriveTask> {
    const task = await this.#storage.findTask({ account: this.#account, taskId });
    if (task === null) throw new Error(`There is no task ${taskId}.`);
    return task;
  }

  /** Does all upkeep that is due now. */
  async upkeep(): Promise<{ expiredCount: number; nextAt: Instant | null }> {
    let expiredCount = 0;
    for (let slice = 0; slice < upkeepSlicesMax; slice += 1) {
      const answer = await this.#storage.upkeep({ now: this.#now });
      expiredCount += answer.expiredCount;
      if (answer.nextAt === null || answer.nextAt > this.#now) return { expiredCount, nextAt: answer.nextAt };
    }
    throw new Error(`Upkeep is still due after ${upkeepSlicesMax} slices.`);
  }
  /** Does upkeep as the broker's loop does, moving time from one due instant to the next, until the instant. */
  async upkeepUntil(until: Instant): Promise<void> {
    for (let step = 0; step < upkeepSlicesMax; step += 1) {
      const { nextAt } = await this.#storage.upkeep({ now: this.#now });
      const latest = instant(this.#now + limits.upkeepSleepMsMax);
      const next = instant(Math.min(nextAt ?? latest, latest));
      if (next > until) {
        this.advanceTo(until);
        return;
      }
      this.advanceTo(next);
    }
    throw new Error(`Upkeep came no further than ${this.#now} after ${upkeepSlicesMax} slices.`);
  }

  /** What was told of ready messages so far; taken out, so that the next look sees only what is new. */
  takeNotices(): readonly ReadyNotice[] {
    return this.#notices.splice(0);
  }
  /** The notice of the queue that fits, which comes within a few turns of the event loop after the commit. */
  async notice(queue: Pick<Queue, 'id'>, fits: (notice: ReadyNotice) => boolean = () => true): Promise<ReadyNotice> {
    for (let turn = 0; turn < noticeTurnsMax; turn += 1) {
      const found = this.#notices.find((notice) => notice.queueId === queue.id && fits(notice));
      if (found !== undefined) return found;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`No such notice of queue ${queue.id} among ${JSON.stringify(this.#notices)}.`);
  }

  audit(): Promise<readonly string[]> {
    return this.#storage.audit({ now: this.#now });
  }
}

const upkeepSlicesMax = 20_000;
/** Enough for a writer on another thread, too: a turn without work ends at once. */
const noticeTurnsMax = 10_000;

export const dlqOf = (name: string): string =>
  name.endsWith('.fifo') ? name.replace(/\.fifo$/, '-dlq.fifo') : `${name}-dlq`;

let taskCount = 0;
/** A task id as ids.ts would make it: unlike all others, later ones greater. */
export function nextTaskId(): string {
  taskCount += 1;
  return `018f0000-0000-7000-8000-${taskCount.toString(16).padStart(12, '0')}`;
}

type Paged<T> = { readonly items: readonly T[]; readonly nextCursor: string | null };

/** Walks a list to its end. */
export async function pages<T>(page: (cursor: string | undefined) => Promise<Paged<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let count = 0; count < 10_000; count += 1) {
    const answer = await page(cursor);
    items.push(...answer.items);
    if (answer.nextCursor === null) return items;
    cursor = answer.nextCursor;
  }
  throw new Error('A list has no end.');
}

/** Opens trials for the cases of the surrounding `describe`; after each case audits and closes them. */
export function trialsOf(engine: Engine): (options?: EngineOptions) => Promise<Trial> {
  const open = new Set<Trial>();
  afterEach(async () => {
    const trials = [...open];
    open.clear();
    const findings: string[] = [];
    for (const trial of trials) {
      try {
        findings.push(...(await trial.audit()));
      } finally {
        await trial.storage.close();
        await engine.discard?.(trial.storage);
      }
    }
    expect(findings, 'the audit after the case').toEqual([]);
  });
  return async (options) => {
    const trial = new Trial(engine, await engine.open(options));
    open.add(trial);
    return trial;
  };
}

/** A case that goes over a restart: runs where data outlives the storage, and says so by name elsewhere. */
export function restartCase(engine: Engine, name: string, run: () => Promise<void>): void {
  if (engine.reopen === undefined) it.skip(`${name} (left out: ${engine.name} keeps nothing over a restart)`, run);
  else it(name, run);
}
