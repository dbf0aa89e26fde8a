/**
 * Builds the program before the first test of a project that starts many servers. What is built is what `npm start` runs,
 * and its start costs half the time of that from source.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** From the top of the tree; absent: the tests of this project run the source. */
    program?: string;
  }
}

export function setup(project: TestProject): void {
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const { status, stderr } = spawnSync('npm', ['run', '-s', 'built'], { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`The program does not build: ${stderr}`);
  project.provide('program', 'dist/cli/index.js');
}
