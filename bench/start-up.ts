/** `sluice serve` as `npm start` and the image start it, as built, and how long it takes to the first good answer of `/readyz`. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { asStarted, type Driveable, projectPath } from './processes.ts';
import type { Watch } from './server.ts';

/** Builds the program into a folder of its own. @returns its entry */
export function buildProgram(folder: string): string {
  const bundler = join(projectPath, 'node_modules/rolldown/bin/cli.mjs');
  const options = ['--config', 'rolldown.config.ts', '--dir', join(folder, 'dist'), '--log-level', 'warn'];
  execFileSync(process.execPath, [bundler, ...options], { cwd: projectPath });
  for (const beside of ['package.json', 'node_modules', 'migrations']) {
    symlinkSync(join(projectPath, beside), join(folder, beside));
  }
  return join(folder, 'dist/cli/index.js');
}

const readyMsMax = 60_000;

/** A server as its users start it. */
export type Program = Driveable & {
  /** From its start to the first good answer of `/readyz`. */
  readonly readyMs: number;
  readonly stop: () => Promise<void>;
};

/** It tells nothing of its event loop and its commits. */
const unseen: Watch = {
  delayP99Ms: Number.NaN,
  delayMaxMs: Number.NaN,
  commits: Number.NaN,
  requestsPerCommit: Number.NaN,
};

/** @param program its entry, see buildProgram */
export async function startProgram(program: string, directory: string): Promise<Program> {
  const port = await freePort();
  const startedAt = performance.now();
  const server = spawn(process.execPath, [...asStarted.args, program, 'serve'], {
    cwd: projectPath,
    env: { ...process.env, ...asStarted.env, SLUICE_PORT: String(port), SLUICE_DATA_DIR: directory },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  // A bench that was interrupted leaves no server behind.
  const kill = () => server.kill('SIGKILL');
  process.once('exit', kill);
  const ended = once(server, 'exit').finally(() => process.off('exit', kill));
  const readyMs = await msUntilReady(server, port, startedAt);
  return {
    pid: server.pid ?? 0,
    port,
    readyMs,
    beginWatch: () => undefined,
    endWatch: async () => unseen,
    async stop() {
      server.kill('SIGTERM');
      await ended;
    },
  };
}

async function msUntilReady(server: ChildProcess, port: number, startedAt: number): Promise<number> {
  while (server.exitCode === null) {
    const isReady = await asksReady(port);
    const ms = performance.now() - startedAt;
    if (isReady) return ms;
    if (ms > readyMsMax) throw new Error(`The server was not ready after ${readyMsMax} ms.`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`The server ended with ${server.exitCode} before it was ready.`);
}

/** @param program as in startProgram */
export async function startMs(program: string, directory: string): Promise<number> {
  const started = await startProgram(program, directory);
  await started.stop();
  return started.readyMs;
}

function asksReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('connect', () => socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'));
    socket.once('data', (bytes) => {
      resolve(bytes.toString('latin1').startsWith('HTTP/1.1 200'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** A port that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
