/** A real server in a process of its own, on a folder of its own; a test waits for what it says, never for a time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';

/** The program as it is built, where built.ts has built it before the first test; else its source. */
const program = fileURLToPath(new URL(`../../${inject('program') ?? 'src/cli/index.ts'}`, import.meta.url));

export type Ended = { readonly code: number | null; readonly signal: string | null; readonly errorText: string };

export type ServerProcess = {
  readonly child: ChildProcess;
  /** Where it listens; rejects when it ends before it serves. */
  readonly url: Promise<string>;
  readonly ended: Promise<Ended>;
  /** Resolves with the first log line of that text, also if it was written before. */
  readonly logged: (text: string) => Promise<Readonly<Record<string, unknown>>>;
};

/** A folder that is removed when the test has finished. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the program; it is killed when the test has finished, should it still run. */
export function runProgram(args: readonly string[], env: Readonly<Record<string, string>> = {}): ServerProcess {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH ?? '', SLUICE_PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errorText = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errorText += text;
  });
  const ended = once(child, 'close').then(([code, signal]): Ended => ({ code, signal, errorText }));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const logged = readLog(child, ended);
  const url = logged('serving').then((line) => String(line.url));
  // A program that is meant to fail serves never; who asks for the url still sees why.
  url.catch(() => undefined);
  return { child, url, ended, logged };
}

/** `sluice serve` on a folder. */
export const startServer = (dataDir: string, env: Readonly<Record<string, string>> = {}): ServerProcess =>
  runProgram(['serve'], { SLUICE_DATA_DIR: dataDir, ...env });

/** Memory of a running server that is in use (resident), in bytes. */
export function memoryOf({ child }: ServerProcess): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
  if (kibibytes === undefined) throw new Error('The process does not tell its memory.');
  return Number(kibibytes) * 1_024;
}

function readLog(child: ChildProcess, ended: Promise<Ended>): ServerProcess['logged'] {
  const lines: Record<string, unknown>[] = [];
  const waiting: { readonly text: string; readonly tell: (line: Record<string, unknown>) => void }[] = [];
  if (child.stdout === null) throw new Error('The program has no standard output.');
  createInterface(child.stdout).on('line', (written) => {
    if (!written.startsWith('{"level"')) return;
    const line = JSON.parse(written) as Record<string, unknown>;
    lines.push(line);
    for (const { text, tell } of waiting) if (text === line.msg) tell(line);
  });
  return (text) => {
    const found = lines.find(({ msg }) => msg === text);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      waiting.push({ text, tell: resolve });
      void ended.then(({ code, errorText }) =>
        reject(new Error(`It ended with ${code} before "${text}": ${errorText}`)),
      );
    });
  };
}
