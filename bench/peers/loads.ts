/** The work that every peer does, and how it is asked for: by the generator of HTTP, or through a client library. */
import type { Context } from '../context.ts';
import type { Drive, Job } from '../load.ts';
import { type Driven, LoadProcess } from '../processes.ts';
import { openClient, type Speaks } from './client.ts';
import type { ClientJob } from './load.ts';
import type { PeerProcess } from './process.ts';
import { authorization, queueUrl } from './sqs.ts';
import { titleOf } from './table.ts';

type Work = {
  readonly head: string;
  readonly unit: string;
  readonly batch: number;
  readonly client: ClientJob['does'];
  readonly sqs: Readonly<Record<'sqs-json' | 'sqs-query', Drive['does']>>;
};

/** A life is sent, received, deleted; with other protocols: published with confirm, consumed, acknowledged. */
export const works = {
  send: {
    head: 'sends/s',
    unit: 'request',
    batch: 1,
    client: 'send',
    sqs: { 'sqs-json': 'sqsSend', 'sqs-query': 'sqsQuerySend' },
  },
  life: {
    head: 'lives/s',
    unit: 'life',
    batch: 1,
    client: 'life',
    sqs: { 'sqs-json': 'sqsLife', 'sqs-query': 'sqsQueryLife' },
  },
  'life-by-ten': {
    head: 'lives/s by ten',
    unit: 'life',
    batch: 10,
    client: 'life',
    sqs: { 'sqs-json': 'sqsBatchLife', 'sqs-query': 'sqsQueryBatchLife' },
  },
} as const satisfies Record<string, Work>;

export type WorkName = keyof typeof works;

/** So many receives of one client in a row may find nothing: what others hold a moment is not the queue's end. */
const emptyMax = 100;
/** A run that takes so much longer than it should is given up. */
const overtimeSeconds = 40;

const nothing = { units: 0, requests: 0, seconds: 0, cpu: Number.NaN, foreign: 0 };
const rates = { unitsPerSecond: Number.NaN, requestsPerSecond: Number.NaN, p50Ms: Number.NaN, p99Ms: Number.NaN };
const failedRun: Driven = {
  ...nothing,
  ...rates,
  server: { main: Number.NaN, otherThreads: Number.NaN },
  watch: { delayP99Ms: Number.NaN, delayMaxMs: Number.NaN, commits: Number.NaN, requestsPerCommit: Number.NaN },
};

const isSqs = (speaks: Speaks): speaks is 'sqs-json' | 'sqs-query' => speaks.startsWith('sqs-');

export class Loads {
  readonly #context: Context;
  readonly #packages: string;
  /** A generator that failed ends, and the next one takes its place. */
  #http: Promise<LoadProcess> | undefined;
  #clients: Promise<LoadProcess<ClientJob>> | undefined;
  readonly #givenUp = new Set<string>();
  #runCount = 0;

  constructor(context: Context, packages: string) {
    this.#context = context;
    this.#packages = packages;
  }

  /** @param failed told why, when a peer fails; its later rounds of this work are left out, and others go on */
  async run(
    work: WorkName,
    server: PeerProcess | undefined,
    failed: (reason: string) => void,
    seconds = this.#context.options.seconds,
  ): Promise<Driven> {
    if (server === undefined) return failedRun;
    const key = `${work}, ${titleOf(server.peer)}`;
    if (this.#givenUp.has(key)) return failedRun;
    try {
      return await this.#run(work, server, seconds);
    } catch (cause) {
      this.#givenUp.add(key);
      failed((cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? '');
      return failedRun;
    }
  }

  stop(): void {
    for (const generator of [this.#http, this.#clients]) generator?.then((one) => one.stop()).catch(() => undefined);
  }

  async #run(work: WorkName, server: PeerProcess, seconds: number): Promise<Driven> {
    const { peer, place } = server;
    const { connections, warmSeconds, bodyBytes } = this.#context.options;
    this.#runCount += 1;
    // Sends fill a queue: each run has its own, so that the last one does not carry what the first one left.
    const queue = work === 'send' ? `send-${this.#runCount}` : work;
    const { batch, client, sqs } = works[work];
    const shared = { port: place.port, queue, connections, warmSeconds, seconds, bodyBytes, batch, emptyMax };
    const packages = this.#packages;
    const maker = await openClient(peer.speaks, { ...shared, ask: peer.ask, max: batch, packages });
    await maker.createQueue();
    await maker.close();
    if (isSqs(peer.speaks)) {
      const protocol = peer.speaks === 'sqs-json' ? 'json' : 'query';
      const url = await queueUrl(protocol, place.port, queue);
      const job: Job = { ...shared, does: sqs[peer.speaks], queueUrl: url, authorization };
      this.#http ??= LoadProcess.start(this.#context.places.load);
      return await this.#inTime((await this.#http).run(job, server), seconds).catch((cause) => {
        this.#http = this.#discard(this.#http);
        throw cause;
      });
    }
    const job: ClientJob = { ...shared, does: client, speaks: peer.speaks, ask: peer.ask, packages };
    this.#clients ??= LoadProcess.start<ClientJob>(this.#context.places.load, 'peers/load.ts');
    return await this.#inTime((await this.#clients).run(job, server), seconds).catch((cause) => {
      this.#clients = this.#discard(this.#clients);
      throw cause;
    });
  }

  async #inTime(run: Promise<Driven>, seconds: number): Promise<Driven> {
    const secondsMax = this.#context.options.warmSeconds + seconds + overtimeSeconds;
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`not over after ${secondsMax} s`)), secondsMax * 1_000);
    try {
      return await Promise.race([run, tooLate]);
    } finally {
      clearTimeout(timer);
      run.catch(() => undefined);
    }
  }

  #discard(generator: Promise<{ stop(): void }> | undefined): undefined {
    generator?.then((one) => one.stop()).catch(() => undefined);
    return undefined;
  }
}
