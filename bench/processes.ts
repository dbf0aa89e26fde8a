/** The processes of the bench: servers under test and the load generator, where they may run, and what they use. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Job, LoadResult, LoadSays } from './load.ts';
import type { ServerHears, ServerSays, Watch } from './server.ts';

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

/** The next message that fits. @throws when the process ends before */
async function heard<T extends { says: string }, S extends T['says']>(
  child: ChildProcess,
  says: readonly S[],
): Promise<Extract<T, { says: S }>> {
  const abort = new AbortController();
  const ended = once(child, 'exit', { signal: abort.signal }).then(([code, signal]) => {
    throw new Error(`A process of the bench ended early (${code ?? signal}).`);
  });
  ended.catch(() => undefined);
  const message = (async () => {
    while (true) {
      const [said] = (await once(child, 'message', { signal: abort.signal })) as [T];
      if ((says as readonly string[]).includes(said.says)) return said as Extract<T, { says: S }>;
    }
  })();
  message.catch(() => undefined);
  try {
    return await Promise.race([message, ended]);
  } finally {
    abort.abort();
  }
}

export type ServerOptions = {
  readonly directory: string;
  readonly writer?: 'thread' | 'main';
  readonly log?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
};

export class ServerProcess {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(options: ServerOptions, cores: string | undefined): Promise<ServerProcess> {
    const { directory, writer = 'thread', log = 'info', env = {}, nodeArgs = [] } = options;
    const args = [...nodeArgs, pathOf('server.ts'), '--dir', directory, '--writer', writer, '--log', log];
    const child = startNode(args, cores, env);
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
export type Driven = LoadResult & { readonly server: Usage; readonly watch: Watch };

export class LoadProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(cores: string | undefined): Promise<LoadProcess> {
    const child = startNode([pathOf('load.ts')], cores);
    await heard<LoadSays, 'ready'>(child, ['ready']);
    return new LoadProcess(child);
  }

  /** @param server whose processor time is read at the beginning and the end of the measured part */
  async run(job: Job, server: ServerProcess): Promise<Driven> {
    let begun: ThreadTimes | undefined;
    let ended: ThreadTimes | undefined;
    let watch: Promise<Watch> | undefined;
    const read = ({ says }: LoadSays) => {
      if (says === 'begin') {
        server.beginWatch();
        begun = threadTimes(server.pid);
      }
      if (says === 'end') {
        ended = threadTimes(server.pid);
        watch = server.endWatch();
        // Whoever awaits the job awaits this too.
        watch.catch(() => undefined);
      }
    };
    this.#child.on('message', read);
    const answer = heard<LoadSays, 'done' | 'failed'>(this.#child, ['done', 'failed']);
    this.#child.send(job);
    const said = await answer.finally(() => this.#child.off('message', read));
    if (said.says === 'failed') throw new Error(`The load generator failed: ${said.message}`);
    if (watch === undefined) throw new Error('The load generator told no end.');
    return { ...said.result, server: usageBetween(begun, ended), watch: await watch };
  }

  stop(): void {
    this.#child.disconnect();
  }
}

type ThreadTimes = { readonly at: number; readonly main: number; readonly all: number };

/** Processor nanoseconds of a process's threads; none where the system has no /proc. */
function threadTimes(pid: number): ThreadTimes | undefined {
  const folder = `/proc/${pid}/task`;
  try {
    const times = readdirSync(folder).map((thread) => {
      const [ns = 0] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ').map(Number);
      return { isMain: Number(thread) === pid, ns };
    });
    const sum = (some: typeof times) => some.reduce((total, { ns }) => total + ns, 0);
    return { at: performance.now(), main: sum(times.filter(({ isMain }) => isMain)), all: sum(times) };
  } catch {
    return undefined;
  }
}

function usageBetween(begun: ThreadTimes | undefined, ended: ThreadTimes | undefined): Usage {
  if (begun === undefined || ended === undefined) return { main: Number.NaN, otherThreads: Number.NaN };
  const ns = (ended.at - begun.at) * 1e6;
  const main = (ended.main - begun.main) / ns;
  return { main, otherThreads: (ended.all - begun.all) / ns - main };
}

/** Resident memory of a process in MB (10⁶ bytes): now, and at most so far. */
export function memoryMB(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
  return { now: (kib('VmRSS') * 1024) / 1e6, peak: (kib('VmHWM') * 1024) / 1e6 };
}
