/** How long `sluice serve` takes from its start to the first good answer of `/readyz`. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { asStarted, projectPath } from './processes.ts';

/** Compiles the program as the image has it, into a folder of its own. @returns its entry */
export function buildProgram(folder: string): string {
  const compiler = join(projectPath, 'node_modules/typescript/bin/tsc');
  const project = join(projectPath, 'tsconfig.build.json');
  execFileSync(process.execPath, [compiler, '-p', project, '--outDir', join(folder, 'dist')], { cwd: projectPath });
  for (const beside of ['package.json', 'node_modules', 'migrations']) {
    symlinkSync(join(projectPath, beside), join(folder, beside));
  }
  return join(folder, 'dist/cli/index.js');
}

const readyMsMax = 60_000;

/** @param program the entry as built; undefined: from source */
export async function startMs(program: string | undefined, directory: string): Promise<number> {
  const port = await freePort();
  const startedAt = performance.now();
  const server = spawn(
    process.execPath,
    [...asStarted.args, program ?? join(projectPath, 'src/cli/index.ts'), 'serve'],
    {
      cwd: projectPath,
      env: { ...process.env, ...asStarted.env, SLUICE_PORT: String(port), SLUICE_DATA_DIR: directory },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  const ended = once(server, 'exit');
  let ms = Number.NaN;
  while (server.exitCode === null) {
    const isReady = await asksReady(port);
    ms = performance.now() - startedAt;
    if (isReady) break;
    if (ms > readyMsMax) throw new Error(`The server was not ready after ${readyMsMax} ms.`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  if (server.exitCode !== null) throw new Error(`The server ended with ${server.exitCode} before it was ready.`);
  server.kill('SIGTERM');
  await ended;
  return ms;
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
