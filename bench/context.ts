/** What the rows share: options, folders, the load generator, servers that end with the bench, and interleaved rounds. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { benchAuthorization } from './key.ts';
import type { Drive } from './load.ts';
import {
  choosePlaces,
  coresInUse,
  type Driveable,
  type Driven,
  LoadProcess,
  type Places,
  type ServerOptions,
  ServerProcess,
} from './processes.ts';
import { type Run, runOf } from './result.ts';

export type BenchOptions = {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  /** Rounds that do not count: V8 goes on compiling for about ten seconds of load. */
  readonly warmUpRounds: number;
  readonly connections: number;
  /** Messages that wait where the table says a million. */
  readonly manyMessages: number;
  readonly bodyBytes: number;
  /** Where the data of the servers lies. */
  readonly directory: string;
  readonly logLevel: string;
  /** Where V8's processor profiles of the servers go; undefined: none are made. */
  readonly profileFolder?: string | undefined;
  /** How long the bench waits, in all, for other programs of the machine to be quiet. */
  readonly patienceSeconds: number;
};

/** Cores that other programs may use: beyond it a run waits, and a round is made again. */
const foreignCoresMax = 0.25;

type DriveOptions = Omit<Drive, 'port' | 'connections' | 'warmSeconds' | 'seconds' | 'bodyBytes'> & Partial<Drive>;

/** A server on whose queue many messages wait. */
export type Crowded = {
  readonly server: ServerProcess;
  readonly directory: string;
  readonly queue: string;
};

export class Context {
  readonly options: BenchOptions;
  readonly places: Places;
  readonly load: LoadProcess;
  readonly runs: Run[] = [];
  readonly #folder: string;
  readonly #servers = new Set<ServerProcess>();
  #crowded: Promise<Crowded> | undefined;
  #patienceLeftMs: number;

  private constructor(options: BenchOptions, places: Places, load: LoadProcess) {
    this.options = options;
    this.places = places;
    this.load = load;
    this.#patienceLeftMs = options.patienceSeconds * 1_000;
    mkdirSync(options.directory, { recursive: true });
    this.#folder = mkdtempSync(join(options.directory, 'bench-'));
  }

  static async open(options: BenchOptions): Promise<Context> {
    const places = choosePlaces();
    return new Context(options, places, await LoadProcess.start(places.load));
  }

  /** An empty folder that goes away with the bench. */
  folder(): string {
    return mkdtempSync(join(this.#folder, 'data-'));
  }

  async server(options: Partial<ServerOptions> = {}, cores = this.places.server): Promise<ServerProcess> {
    const { logLevel: log, profileFolder } = this.options;
    const nodeArgs = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
    const server = await ServerProcess.start({ directory: this.folder(), log, nodeArgs, ...options }, cores);
    this.#servers.add(server);
    return server;
  }

  async stop(server: ServerProcess): Promise<void> {
    this.#servers.delete(server);
    await server.stop();
  }

  async drive(server: Driveable, what: DriveOptions): Promise<Driven> {
    const { connections, warmSeconds, seconds, bodyBytes } = this.options;
    return await this.load.run({ port: server.port, connections, warmSeconds, seconds, bodyBytes, ...what }, server);
  }

  /** Sends so many messages, by the hundred. */
  async fill(server: Driveable, queue: string, count: number, groups?: number): Promise<Driven> {
    const job = { does: 'fill', queue, groups, batch: 250, connections: 4, warmSeconds: 0, seconds: 3_600 } as const;
    return await this.drive(server, { ...job, unitsMax: count });
  }

  /**
   * Runs every kind of load once per round, in turning order, so that what else the machine does falls on all alike. The
   * first rounds warm up and do not count; one that other programs disturbed is made again, as long as there is patience.
   * @returns the rounds of each, and notes their medians
   */
  async interleave<K extends string>(
    row: string,
    unit: string,
    loads: Readonly<Record<K, () => Promise<Driven>>>,
  ): Promise<Record<K, readonly Driven[]>> {
    const names = Object.keys(loads) as K[];
    const rounds = Object.fromEntries(names.map((name) => [name, [] as Driven[]])) as Record<K, Driven[]>;
    for (let round = 1 - this.options.warmUpRounds; round <= this.options.rounds; ) {
      const startedAt = performance.now();
      const driven = new Map<K, Driven>();
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        await this.quiet();
        driven.set(name, await loads[name]());
      }
      const values = [...driven].map(([name, { unitsPerSecond }]) => `${name} ${Math.round(unitsPerSecond)}/s`);
      const foreign = Math.max(...[...driven.values()].map((one) => one.foreign));
      const isDisturbed = foreign > foreignCoresMax && this.#patienceLeftMs > 0;
      const what = round < 1 ? 'warm-up' : `round ${round} of ${this.options.rounds}`;
      const shareText = `others used ${foreign.toFixed(2)} cores`;
      progress(`${row}, ${what}: ${values.join(', ')}; ${shareText}${isDisturbed && round > 0 ? ': again' : ''}`);
      if (round > 0 && isDisturbed) {
        this.#patienceLeftMs -= performance.now() - startedAt;
        continue;
      }
      if (round > 0) for (const [name, one] of driven) rounds[name].push(one);
      round += 1;
    }
    for (const name of names) this.runs.push(runOf(row, name, unit, rounds[name]));
    return rounds;
  }

  /** Resolves when other programs are quiet, or when the patience is used up. */
  async quiet(): Promise<void> {
    const startedAt = performance.now();
    while (this.#patienceLeftMs > 0 && (await coresInUse()) > foreignCoresMax) {
      if (performance.now() - startedAt > this.#patienceLeftMs) break;
    }
    // Half a second is the look itself.
    this.#patienceLeftMs -= Math.max(0, performance.now() - startedAt - 500);
  }

  /** The server with many messages waiting; made when it is first asked for. */
  async crowded(): Promise<Crowded> {
    this.#crowded ??= this.#makeCrowded();
    return await this.#crowded;
  }

  async #makeCrowded(): Promise<Crowded> {
    const directory = this.folder();
    const server = await this.server({ directory });
    const queue = 'crowded';
    await createQueue(server, queue);
    progress(`sending ${this.options.manyMessages} messages that wait`);
    await this.fill(server, queue, this.options.manyMessages);
    return { server, directory, queue };
  }

  /** The data of the crowded server, which ends. */
  async crowdedData(): Promise<string> {
    const { server, directory } = await this.crowded();
    this.#crowded = undefined;
    await this.stop(server);
    return directory;
  }

  /** What in the conditions speaks against the numbers. */
  doubts(): readonly string[] {
    const disturbed = this.runs.filter(({ foreign }) => foreign > foreignCoresMax);
    const names = new Set(disturbed.map(({ row }) => row));
    const most = Math.max(...disturbed.map(({ foreign }) => foreign)).toFixed(1);
    return [
      ...(names.size === 0
        ? []
        : [`Doubtful: other programs used up to ${most} cores during ${[...names].join(', ')}.`]),
      ...this.runs
        .filter(({ generator }) => generator > 0.9)
        .map(({ row, load }) => `Doubtful: the generator's own core was full (${row}, ${load}).`),
    ];
  }

  /** Ends every process and removes every folder, whatever has happened. */
  close(): void {
    this.load.stop();
    for (const server of this.#servers) server.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function progress(text: string): void {
  process.stderr.write(`  ${text}\n`);
}

export async function createQueue(
  server: Pick<Driveable, 'port'>,
  queue: string,
  settings: object = {},
): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/queues/${queue}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json', authorization: benchAuthorization },
    body: JSON.stringify(settings),
  });
  if (!answer.ok) throw new Error(`Queue ${queue} could not be created: ${await answer.text()}`);
}

export async function availableIn(server: Pick<Driveable, 'port'>, queue: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/queues/${queue}/stats`);
  const { available }: { readonly available?: unknown } = (await answer.json()) as object;
  if (typeof available !== 'number') throw new Error(`Queue ${queue} does not tell how many messages are available.`);
  return available;
}
