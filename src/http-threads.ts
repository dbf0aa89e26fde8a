/**
 * Further HTTP threads beside the main one. All of them listen on one port, over which the kernel spreads connections
 * (SO_REUSEPORT), and use one storage, whose single writer has a thread of its own. The main thread starts them, adds up
 * what they count, and stops them; when one breaks, the process does.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { SystemClock } from './clock.ts';
import type { Config } from './config.ts';
import type { Instant } from './domain/instant.ts';
import type { Counted } from './metrics/metrics.ts';
import { programFile } from './package.ts';
import type { SqliteShare } from './storage/sqlite/engine.ts';
import { StartupError } from './storage/startup-error.ts';

/** What a thread begins with. */
export type HttpThreadData = {
  readonly config: Config;
  readonly port: number;
  readonly share: SqliteShare;
  readonly monotonicZeroAt: SystemClock['monotonicZeroAt'];
  readonly masterKey: Uint8Array;
};

export type HttpThreadHears =
  /** To be answered with what it has counted. */
  { readonly hears: 'count'; readonly reply: MessagePort } | { readonly hears: 'stop' };

export type HttpThreadSays =
  | { readonly says: 'serving' }
  /** Upkeep is due at this instant. */
  | { readonly says: 'expect'; readonly at: Instant }
  /** To be answered with the metrics of the process. */
  | { readonly says: 'render'; readonly reply: MessagePort };

export type HttpThreads = {
  readonly counted: () => Promise<readonly Counted[]>;
  /** Each ends its long polls and finishes its requests. */
  readonly stop: () => Promise<void>;
};

type Thread = { readonly counted: () => Promise<Counted | undefined>; readonly stop: () => Promise<void> };

type Deps = Omit<HttpThreadData, 'share'> & {
  readonly share: () => SqliteShare;
  readonly expect: (at: Instant) => void;
  readonly render: () => Promise<string>;
  readonly onBroken: (cause: Error) => void;
};

/**
 * Starts those that the configuration asks for beside the main thread; resolves when all of them listen. When one does
 * not, the others are stopped. @throws StartupError
 */
export async function startHttpThreads(deps: Deps): Promise<HttpThreads> {
  const starts = await Promise.allSettled(Array.from({ length: deps.config.httpThreads - 1 }, () => startThread(deps)));
  const threads = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const failure = starts.find((start) => start.status === 'rejected');
  if (failure !== undefined) {
    await Promise.all(threads.map((thread) => thread.stop()));
    const { reason: cause } = failure;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StartupError(
      `One of the ${deps.config.httpThreads} HTTP threads (SLUICE_HTTP_THREADS) did not start (${why}).`,
      {
        cause,
      },
    );
  }
  return {
    async counted() {
      const all = await Promise.all(threads.map((thread) => thread.counted()));
      return all.filter((counted) => counted !== undefined);
    },
    async stop() {
      await Promise.all(threads.map((thread) => thread.stop()));
    },
  };
}

async function startThread({ share: makeShare, expect, render, onBroken, ...rest }: Deps): Promise<Thread> {
  const share = makeShare();
  const workerData: HttpThreadData = { ...rest, share };
  const thread = new Worker(programFile('http-thread'), { workerData, transferList: [share.port], name: 'http' });
  const tell = (message: HttpThreadHears, transfer: MessagePort[] = []) => thread.postMessage(message, transfer);
  let isServing = false;
  let isStopping = false;
  // Not events.once, which would reject at an error, too.
  const ended = new Promise((resolve) => thread.once('exit', resolve));
  await new Promise<void>((resolve, reject) => {
    thread.on('message', (message: HttpThreadSays) => {
      if (message.says === 'serving') {
        isServing = true;
        resolve();
      } else if (message.says === 'expect') expect(message.at);
      else render().then((text) => message.reply.postMessage(text), onBroken);
    });
    // One that never served is a failed start, which is told in order.
    const broken = (cause: Error) => (isServing ? onBroken(cause) : reject(cause));
    thread.on('error', broken);
    thread.on('exit', () => {
      if (!isStopping) broken(new Error('An HTTP thread ended.'));
    });
  });
  return {
    async counted() {
      return answerTo<Counted>((reply) => tell({ hears: 'count', reply }, [reply]));
    },
    async stop() {
      isStopping = true;
      tell({ hears: 'stop' });
      await ended;
    },
  };
}

/** What another thread answers to a question; undefined when it ends before. @param ask sends the port for the answer */
export function answerTo<T>(ask: (reply: MessagePort) => void): Promise<T | undefined> {
  const { port1: reply, port2: answer } = new MessageChannel();
  return new Promise((resolve) => {
    answer.once('message', (value: T) => {
      resolve(value);
      answer.close();
    });
    answer.once('close', () => resolve(undefined));
    ask(reply);
  });
}
