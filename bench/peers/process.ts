/** A peer that runs: in a process group of its own, on the cores where servers run, with its output in its folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { memoryMB, type Watched } from '../processes.ts';
import type { Watch } from '../server.ts';
import type { Command, Peer, Place } from './table.ts';

const readyMsMax = 60_000;
const stopMsMax = 15_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Others do not tell what they see of themselves. */
const unknownWatch: Watch = {
  delayP99Ms: Number.NaN,
  delayMaxMs: Number.NaN,
  commits: Number.NaN,
  requestsPerCommit: Number.NaN,
};

export class PeerProcess implements Watched {
  readonly peer: Peer;
  readonly place: Place;
  readonly #child: ChildProcess;
  readonly #beside: ChildProcess | undefined;
  #pid = 0;

  private constructor(peer: Peer, place: Place, child: ChildProcess, beside: ChildProcess | undefined) {
    this.peer = peer;
    this.place = place;
    this.#child = child;
    this.#beside = beside;
  }

  /** Resolves when it takes connections. @throws with the end of what it said when it does not */
  static async start(peer: Peer, place: Place, cores: string | undefined): Promise<PeerProcess> {
    const command = peer.start(place);
    for (const [name, text] of Object.entries(command.files ?? {})) {
      const path = join(place.folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    const output = openSync(join(place.folder, 'output'), 'a');
    const launch = ({ program, args, env = {} }: Pick<Command, 'program' | 'args' | 'env'>) => {
      const [first = '', ...rest] =
        cores === undefined ? [program, ...args] : ['taskset', '-c', cores, program, ...args];
      return spawn(first, rest, {
        cwd: place.folder,
        env: { ...process.env, ...env },
        stdio: ['ignore', output, output],
        detached: true,
      });
    };
    const beside = command.beside === undefined ? undefined : launch(command.beside);
    const started = new PeerProcess(peer, place, launch(command), beside);
    try {
      await started.#ready();
    } catch (cause) {
      started.killNow();
      throw cause;
    }
    return started;
  }

  /** The process that does the work: of its group, the one with the most memory. */
  get pid(): number {
    return this.#pid;
  }

  beginWatch(): void {
    this.#pid = this.#largest();
  }
  async endWatch(): Promise<Watch> {
    return unknownWatch;
  }

  /** As an operator stops it. */
  async stop(): Promise<void> {
    if (this.#isOver()) return;
    const ended = once(this.#child, 'exit');
    this.#signal(this.peer.stop);
    await Promise.race([ended, pause(stopMsMax)]);
    this.killNow();
  }

  /** As a crash ends it: the whole group, at once. */
  async kill(): Promise<void> {
    const ended = this.#isOver() ? undefined : once(this.#child, 'exit');
    this.killNow();
    await ended;
  }

  killNow(): void {
    this.#signal('SIGKILL');
    this.#beside?.kill('SIGKILL');
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, signal);
    } catch {
      // The group is gone already.
    }
  }

  #isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #ready(): Promise<void> {
    let failure: Error | undefined;
    this.#child.on('error', (cause) => {
      failure = cause;
    });
    const startedAt = performance.now();
    while (!(await takesConnections(this.place.port))) {
      if (failure !== undefined) throw failure;
      if (this.#isOver()) throw new Error(`It ended before it was ready: ${this.#lastWords()}`);
      if (performance.now() - startedAt > readyMsMax)
        throw new Error(`It was not ready after ${readyMsMax / 1_000} s.`);
      await pause(50);
    }
    this.#pid = this.#largest();
  }

  #lastWords(): string {
    return readFileSync(join(this.place.folder, 'output'), 'utf8').trim().split('\n').slice(-2).join(' ').slice(-300);
  }

  #largest(): number {
    const own = this.#child.pid ?? 0;
    const members = processIds().filter((pid) => groupOf(pid) === own);
    const sized = members.map((pid) => ({ pid, size: memoryOf(pid) })).sort((a, b) => b.size - a.size);
    return sized[0]?.pid ?? own;
  }
}

function processIds(): readonly number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** The process group; NaN of a process that is gone. @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function groupOf(pid: number): number {
  try {
    // The name, in parentheses, may hold anything.
    return Number(
      readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[2],
    );
  } catch {
    return Number.NaN;
  }
}

function memoryOf(pid: number): number {
  try {
    return memoryMB(pid).now;
  } catch {
    return 0;
  }
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
  });
}
