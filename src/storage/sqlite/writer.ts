/**
 * Group commit: whatever waits while a commit is under way goes into the next one. No timer: load makes commits grow by
 * themselves, and a request alone is committed at once.
 *
 * Where the single writer runs is decided here. On a thread of its own the event loop goes on while the disk works, and
 * further threads can join: each has a Writer of its own, and the thread commits together what they ask for at once.
 * In the same thread (tests, data in memory) everything happens in order.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { Fault } from '../../domain/errors.ts';
import { type Instant, instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import { programFile } from '../../package.ts';
import type { Change, CommitNotice, ReadyNotice } from '../port.ts';
import { StartupError } from '../startup-error.ts';
import { type PackedAnswer, type PackedRequests, packRequests, transferOf, unpackAnswer } from './crossing.ts';
import {
  type BatchAnswer,
  FatalError,
  type OperationName,
  type Operations,
  type Outcome,
  openStore,
  type Request,
  type Store,
  type StoreOptions,
} from './store.ts';

/** What a commit brought that others than those who asked for it are to know. */
export type News = Pick<BatchAnswer, 'ready' | 'changes'>;

/** Runs batches one at a time, here or elsewhere. */
export type Executor = {
  /** Present when the writer runs in this thread: its reads share the connection when the data is in memory. */
  readonly store: Store | undefined;
  readonly sealSecret: Uint8Array;
  readonly highWaterAt: Instant;
  /** Calls back once with the answer, unless it breaks. */
  readonly execute: (requests: readonly Request[], done: (answer: BatchAnswer) => void) => void;
  /** Told once when nothing can be executed any more, also while nothing is under way. */
  readonly onBroken: (listener: (cause: FatalError) => void) => void;
  /** Told of the commits that others asked for. */
  readonly onNews: (listener: (news: News) => void) => void;
  /** A port for one more thread; absent where the writer has no thread of its own. */
  readonly join?: () => MessagePort;
  readonly close: () => Promise<void>;
};

export function executeHere(options: StoreOptions): Executor {
  const store = openStore(options);
  const broken = breaking();
  return {
    store,
    sealSecret: store.state.sealSecret,
    highWaterAt: instant(store.state.highWaterAt),
    execute(requests, done) {
      const orBreak = <T>(run: () => T): T | undefined => {
        try {
          return run();
        } catch (cause) {
          broken.break(cause instanceof FatalError ? cause : new FatalError('The writer broke.', { cause }));
          return undefined;
        }
      };
      const answer = orBreak(() => store.run(requests));
      if (answer === undefined) return;
      done(answer);
      orBreak(store.afterBatch);
    },
    onBroken: broken.listen,
    // Nobody else can ask this writer.
    onNews: () => undefined,
    async close() {
      store.close();
    },
  };
}

/** A break is told once, whoever comes first: the break or the listener. */
function breaking() {
  let cause: FatalError | undefined;
  let listener: ((cause: FatalError) => void) | undefined;
  return {
    break(why: FatalError): void {
      if (cause !== undefined) return;
      cause = why;
      listener?.(why);
    },
    listen(told: (cause: FatalError) => void): void {
      listener = told;
      if (cause !== undefined) told(cause);
    },
  };
}

/** What the thread says. */
export type ThreadSays =
  | { readonly says: 'open'; readonly sealSecret: Uint8Array; readonly highWaterAt: Instant }
  | { readonly says: 'cannotOpen'; readonly message: string; readonly isExpected: boolean }
  | { readonly says: 'done'; readonly answer: PackedAnswer }
  | { readonly says: 'news'; readonly news: News }
  | { readonly says: 'fatal'; readonly message: string };
export type ThreadHears =
  | { readonly hears: 'run'; readonly requests: PackedRequests }
  /** From now on this port may ask, too; it leaves by being closed. */
  | { readonly hears: 'join'; readonly port: MessagePort }
  | { readonly hears: 'close' };

/** What was read when the data was opened, the same for all who use it. */
export type Opened = Pick<Executor, 'sealSecret' | 'highWaterAt'>;

/** The side of a link to the writer's thread that asks. */
function asking(port: Pick<MessagePort, 'postMessage'>, broken: ReturnType<typeof breaking>) {
  let done: ((answer: PackedAnswer) => void) | undefined;
  let news: ((news: News) => void) | undefined;
  return {
    hear(message: ThreadSays): void {
      if (message.says === 'done') done?.(message.answer);
      else if (message.says === 'news') news?.(message.news);
      else if (message.says === 'fatal') broken.break(new FatalError(message.message));
    },
    executor: {
      store: undefined,
      execute(requests, callback) {
        done = (answer) => callback(unpackAnswer(requests, answer));
        const packed = packRequests(requests);
        port.postMessage({ hears: 'run', requests: packed } satisfies ThreadHears, transferOf(packed));
      },
      onBroken: broken.listen,
      onNews(listener) {
        news = listener;
      },
    } satisfies Partial<Executor>,
  };
}

/** @throws StartupError */
export async function executeInThread(options: Omit<StoreOptions, 'ids'>): Promise<Executor> {
  const thread = new Worker(programFile('storage/sqlite/writer-thread'), { workerData: options, name: 'writer' });
  const broken = breaking();
  const { hear, executor } = asking(thread, broken);
  let hasEnded = false;
  let isClosing = false;
  const ended = new Promise<void>((resolve) => {
    thread.on('exit', () => {
      hasEnded = true;
      if (!isClosing) broken.break(new FatalError('The writer thread ended.'));
      resolve();
    });
  });

  const opened = await new Promise<Opened>((resolve, reject) => {
    thread.on('message', (message: ThreadSays) => {
      if (message.says === 'open') resolve(message);
      else if (message.says === 'cannotOpen') {
        reject(message.isExpected ? new StartupError(message.message) : new Error(message.message));
      } else hear(message);
    });
    thread.on('error', (cause) => {
      reject(cause);
      broken.break(new FatalError('The writer thread broke.', { cause }));
    });
  });

  return {
    ...executor,
    sealSecret: opened.sealSecret,
    highWaterAt: opened.highWaterAt,
    join() {
      const { port1, port2 } = new MessageChannel();
      thread.postMessage({ hears: 'join', port: port1 } satisfies ThreadHears, [port1]);
      return port2;
    },
    // Never terminate(): a thread that is stopped in the middle of a call takes the process with it.
    async close() {
      isClosing = true;
      if (!hasEnded) thread.postMessage({ hears: 'close' } satisfies ThreadHears);
      await ended;
    },
  };
}

/** Runs batches in the thread that the port leads to. */
export function executeThrough(port: MessagePort, opened: Opened): Executor {
  const broken = breaking();
  const { hear, executor } = asking(port, broken);
  let isClosing = false;
  port.on('message', hear);
  port.on('close', () => {
    if (!isClosing) broken.break(new FatalError('The writer thread ended.'));
  });
  return {
    ...executor,
    ...opened,
    async close() {
      isClosing = true;
      port.close();
    },
  };
}

type Pending = {
  /** Rises with every request. */
  readonly number: number;
  readonly request: Request;
  readonly bytes: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

export type WriterListeners = {
  readonly ready: (notice: ReadyNotice) => void;
  readonly commit: (notice: CommitNotice) => void;
  readonly change: (change: Change) => void;
  readonly fatal: (cause: Error) => void;
};

export class Writer {
  readonly #executor: Executor;
  readonly #listeners: WriterListeners;
  readonly #elapsedMs: () => number;
  #waiting: Pending[] = [];
  #waitingBytes = 0;
  #submittedCount = 0;
  #isOldestNext = false;
  #underWay: readonly Pending[] = [];
  #underWaySinceMs = 0;
  #isScheduled = false;
  #isFull = false;
  #failure: Error | undefined;
  #idle: (() => void) | undefined;
  #isClosing = false;

  constructor(executor: Executor, listeners: WriterListeners, elapsedMs: () => number) {
    this.#executor = executor;
    this.#listeners = listeners;
    this.#elapsedMs = elapsedMs;
    executor.onBroken((cause) => this.#fail(cause));
    executor.onNews((news) => this.#spread(news));
  }

  /**
   * @param bytes what the request carries, for the bounds of memory and commits
   * @throws overloaded, shuttingDown before anything was accepted; storageFailed when the outcome is unknown
   */
  submit<N extends OperationName>(
    name: N,
    ask: Parameters<Operations[N]>[0],
    bytes = 0,
  ): Promise<ReturnType<Operations[N]>> {
    if (this.#failure !== undefined) return Promise.reject(Fault.of('storageFailed', {}, { cause: this.#failure }));
    if (this.#isClosing) return Promise.reject(Fault.of('shuttingDown', {}));
    const isTooMuch =
      this.#waiting.length >= limits.writerPendingRequestsMax ||
      this.#waitingBytes + bytes > limits.writerPendingBytesMax;
    if (isTooMuch) return Promise.reject(Fault.of('overloaded', {}));
    return new Promise((resolve, reject) => {
      this.#submittedCount += 1;
      this.#waiting.push({
        number: this.#submittedCount,
        request: { name, ask },
        bytes,
        resolve: resolve as (value: unknown) => void,
        reject,
      });
      this.#waitingBytes += bytes;
      this.#schedule();
    });
  }

  get pendingRequestCount(): number {
    return this.#waiting.length + this.#underWay.length;
  }
  get pendingBytes(): number {
    return this.#waitingBytes;
  }
  get isFull(): boolean {
    return this.#isFull;
  }
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }
  /** How long the commit under way has been so. */
  get stalledMs(): number {
    return this.#underWay.length === 0 ? 0 : this.#elapsedMs() - this.#underWaySinceMs;
  }

  /** Finishes what waits; refuses what comes later. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.pendingRequestCount > 0 && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await this.#executor.close();
  }

  /**
   * After the present turn of the event loop and one more, so that all requests that have arrived go together: also those
   * of clients who were answered in this turn and ask again at once. With 64 of them a commit holds 57 to 64 requests
   * instead of 32, which are two halves that take turns; the writer's thread then works a fifth less for each.
   */
  #schedule(): void {
    if (this.#isScheduled || this.#underWay.length > 0) return;
    this.#isScheduled = true;
    setImmediate(() => setImmediate(this.#begin));
  }

  readonly #begin = (): void => {
    this.#isScheduled = false;
    this.#start();
  };

  #start(): void {
    if (this.#underWay.length > 0 || this.#waiting.length === 0) return;
    this.#underWay = this.#takeBatch();
    this.#underWaySinceMs = this.#elapsedMs();
    this.#executor.execute(
      this.#underWay.map(({ request }) => request),
      (answer) => this.#finish(answer),
    );
  }

  #takeBatch(): readonly Pending[] {
    let bytes = 0;
    let count = 0;
    for (const pending of this.#waiting) {
      if (count === limits.commitRequestsMax || (count > 0 && bytes + pending.bytes > limits.commitBytesMax)) break;
      bytes += pending.bytes;
      count += 1;
    }
    const batch = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#waitingBytes -= bytes;
    return batch;
  }

  #finish(answer: BatchAnswer): void {
    const batch = this.#underWay;
    this.#underWay = [];
    this.#isFull = answer.isFull;
    const later: Pending[] = [];
    for (const [i, pending] of batch.entries()) {
      const outcome = answer.outcomes[i];
      if (outcome?.does === 'later') later.push(pending);
      else settle(pending, outcome);
    }
    if (later.length > 0) this.#putOff(later);
    const seconds = (this.#elapsedMs() - this.#underWaySinceMs) / 1000;
    this.#listeners.commit({ requestCount: batch.length - later.length, seconds });
    this.#spread(answer);
    if (this.#waiting.length > 0) this.#schedule();
    else this.#idle?.();
  }

  /**
   * Behind the others, so that small requests do not wait until all large receives are done; but every other time who has
   * waited longest goes first, so that those who come meanwhile do not keep it waiting for ever.
   */
  #putOff(later: readonly Pending[]): void {
    const line = [...this.#waiting, ...later];
    const oldest = later.reduce((first, pending) => (pending.number < first.number ? pending : first));
    this.#waiting = this.#isOldestNext ? [oldest, ...line.filter((pending) => pending !== oldest)] : line;
    this.#isOldestNext = !this.#isOldestNext;
  }

  #spread({ ready, changes }: News): void {
    for (const change of changes) this.#listeners.change(change);
    for (const notice of ready) this.#listeners.ready(notice);
  }

  /** What was in hand is unknown; what comes later is refused as unknown, too, since nobody can tell. */
  #fail(cause: FatalError): void {
    this.#failure = cause;
    const all = [...this.#underWay, ...this.#waiting];
    this.#underWay = [];
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const pending of all) pending.reject(Fault.of('storageFailed', {}, { cause }));
    this.#listeners.fatal(cause);
    this.#idle?.();
  }
}

function settle(pending: Pending, outcome: Exclude<Outcome, { does: 'later' }> | undefined): void {
  switch (outcome?.does) {
    case 'value':
      return pending.resolve(outcome.value);
    case 'refuse':
      return pending.reject(new Fault(outcome.fault));
    case 'break':
      return pending.reject(new Error(outcome.message));
    case undefined:
      return pending.reject(new Error('The writer answered fewer outcomes than it was asked for.'));
  }
}
