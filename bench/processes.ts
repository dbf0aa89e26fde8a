/** The processes of the bench: servers under test and the load generator, where they may run, and what they use. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { LoadResult, LoadSays } from './generator.ts';
import type { Job } from './load.ts';
import type { ServerHears, ServerSays, Watch } from './server.ts';

/** How `npm start` and the image start the server. */
export const asStarted = { args: ['--max-semi-space-size=4'], env: { MALLOC_ARENA_MAX: '2' } } as const;

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
export const projectPath = pathOf('..');

/** Who may run on which cores, as lists for taskset; undefined: anywhere. */
export type Places = {
  readonly server: string | undefined;
  readonly load: string | undefined;
  readonly all: string | undefined;
  readonly text: string;
};

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/**
 * The generator gets the last core for itself, the server all others; on two cores its threads share one core, so that
 * a ratio tells what all of the server's work costs.
 */
export function choosePlaces(): Places {
  const cores = availableParallelism();
  if (cores < 2 || !hasTaskset()) {
    const places = { server: undefined, load: undefined, all: undefined };
    return { ...places, text: 'server and generator on the same cores (no taskset or one core)' };
  }
  const server = cores === 2 ? '0' : `0-${cores - 2}`;
  const load = String(cores - 1);
  const all = `0-${cores - 1}`;
  return { server, load, all, text: `server on core ${server} (all its threads), generator on core ${load}` };
}

/** @param env variables beside the present ones */
export function startNode(
  args: readonly string[],
  cores: string | undefined,
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const command = [process.execPath, ...args];
  const [program = '', ...rest] = cores === undefined ? command : ['taskset', '-c', cores, ...command];
  return spawn(program, rest, {
    cwd: projectPath,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

/**
 * The next message that fits. It listens all the time: two messages may arrive at once.
 * @throws when the process ends before
 */
function heard<T extends { says: string }, S extends T['says']>(
  child: ChildProcess,
  says: readonly S[],
): Promise<Extract<T, { says: S }>> {
  return new Promise((resolve, reject) => {
    const listen = (said: T) => {
      if (!(says as readonly string[]).includes(said.says)) return;
      leave();
      resolve(said as Extract<T, { says: S }>);
    };
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      leave();
      reject(new Error(`A process of the bench ended early (${code ?? signal}).`));
    };
    const leave = () => {
      child.off('message', listen);
      child.off('exit', ended);
    };
    child.on('message', listen);
    child.on('exit', ended);
  });
}

export type ServerOptions = {
  readonly directory: string;
  readonly writer?: 'thread' | 'main';
  readonly log?: string;
  /** `keys`: nobody is let in without the bench's own access key. */
  readonly auth?: 'open' | 'keys';
  readonly httpThreads?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
};

/** What is driven: where it listens, and what it tells of itself. */
export type Driveable = Watched & { readonly port: number };

export class ServerProcess implements Watched {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(options: ServerOptions, cores: string | undefined): Promise<ServerProcess> {
    const {
      directory,
      writer = 'thread',
      log = 'info',
      auth = 'open',
      httpThreads = 1,
      env = {},
      nodeArgs = [],
    } = options;
    const args = [
      ...asStarted.args,
      ...nodeArgs,
      pathOf('server.ts'),
      '--dir',
      directory,
      '--writer',
      writer,
      '--log',
      log,
      '--auth',
      auth,
      '--http-threads',
      String(httpThreads),
    ];
    const child = startNode(args, cores, { ...asStarted.env, ...env });
    const { port } = await heard<ServerSays, 'serving'>(child, ['serving']);
    return new ServerProcess(child, port);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  beginWatch(): void {
    this.#tell({ hears: 'beginWatch' });
  }
  async endWatch(): Promise<Watch> {
    const answer = heard<ServerSays, 'watched'>(this.#child, ['watched']);
    this.#tell({ hears: 'endWatch' });
    return (await answer).watch;
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#tell({ hears: 'stop' });
    await ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #tell(message: ServerHears): void {
    this.#child.send(message);
  }
}

/** Shares of one core. */
export type Usage = { readonly main: number; readonly otherThreads: number };
export type Driven = LoadResult & {
  readonly server: Usage;
  /** What all other programs used meanwhile, in cores. */
  readonly foreign: number;
  readonly watch: Watch;
};

/** A server whose processor time is told while load runs. */
export interface Watched {
  readonly pid: number;
  beginWatch(): void;
  endWatch(): Promise<Watch>;
}

export class LoadProcess<J = Job> {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param program a load generator, as a path from the bench's folder */
  static async start<J = Job>(cores: string | undefined, program = 'load.ts'): Promise<LoadProcess<J>> {
    const child = startNode([pathOf(program)], cores);
    await heard<LoadSays, 'ready'>(child, ['ready']);
    return new LoadProcess<J>(child);
  }

  /** @param server whose processor time is read at the beginning and the end of the measured part */
  async run(job: J, server: Watched): Promise<Driven> {
    let begun: Times | undefined;
    let ended: Times | undefined;
    let watch: Promise<Watch> | undefined;
    const read = ({ says }: LoadSays) => {
      if (says === 'begin') {
        server.beginWatch();
        begun = times(server.pid);
      }
      if (says === 'end') {
        ended = times(server.pid);
        watch = server.endWatch();
        // Whoever awaits the job awaits this too.
        watch.catch(() => undefined);
      }
    };
    this.#child.on('message', read);
    const answer = heard<LoadSays, 'done' | 'failed'>(this.#child, ['done', 'failed']);
    this.#child.send(job as object);
    const said = await answer.finally(() => this.#child.off('message', read));
    if (said.says === 'failed') throw new Error(`The load generator failed: ${said.message}`);
    if (watch === undefined) throw new Error('The load generator told no end.');
    const usage = usageBetween(begun, ended);
    const foreign = Math.max(0, usage.machine - usage.server.main - usage.server.otherThreads - said.result.cpu);
    return { ...said.result, server: usage.server, foreign, watch: await watch };
  }

  stop(): void {
    this.#child.disconnect();
  }
}

type Times = { readonly at: number; readonly main: number; readonly all: number; readonly machine: number };

/** Processor nanoseconds of a process's threads and of the whole machine; none where the system has no /proc. */
function times(pid: number): Times | undefined {
  const folder = `/proc/${pid}/task`;
  try {
    const threads = readdirSync(folder).map((thread) => {
      const [ns = 0] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ').map(Number);
      return { isMain: Number(thread) === pid, ns };
    });
    const sum = (some: typeof threads) => some.reduce((total, { ns }) => total + ns, 0);
    const main = sum(threads.filter(({ isMain }) => isMain));
    // The process's own count includes threads that have ended, in steps of 10 ms.
    return { at: performance.now(), main, all: Math.max(sum(threads), processNs(pid)), machine: machineBusyNs() };
  } catch {
    return undefined;
  }
}

/** @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function processNs(pid: number): number {
  // The name, in parentheses, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 1e7;
}

/** Nanoseconds that all cores have worked, in steps of 10 ms. @see https://man7.org/linux/man-pages/man5/proc_stat.5.html */
function machineBusyNs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    /^cpu +(.+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]?.split(' ').map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) * 1e7;
}

function usageBetween(begun: Times | undefined, ended: Times | undefined): { server: Usage; machine: number } {
  const unknown = { server: { main: Number.NaN, otherThreads: Number.NaN }, machine: Number.NaN };
  if (begun === undefined || ended === undefined) return unknown;
  const ns = (ended.at - begun.at) * 1e6;
  const main = (ended.main - begun.main) / ns;
  const otherThreads = (ended.all - begun.all) / ns - main;
  return { server: { main, otherThreads }, machine: (ended.machine - begun.machine) / ns };
}

/** Cores that the machine uses just now, looked at for half a second; 0 where it cannot be told. */
export async function coresInUse(): Promise<number> {
  try {
    const before = machineBusyNs();
    const startedAt = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 500));
    return (machineBusyNs() - before) / ((performance.now() - startedAt) * 1e6);
  } catch {
    return 0;
  }
}

/** Resident memory of a process in MB (10⁶ bytes): now, and at most so far. */
export function memoryMB(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
  return { now: (kib('VmRSS') * 1024) / 1e6, peak: (kib('VmHWM') * 1024) / 1e6 };
}
