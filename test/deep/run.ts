/** `npm run test:deep -- [--full] [what vitest takes]`: the deep tests, at the size of every change or at full size. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fullVariable } from '../support/sizes.ts';

const flag = '--full';
/** A test of full size may take all night. */
const fullTimeoutMs = 12 * 3_600_000;
const isFull = process.argv.includes(flag);
const args = [
  ...process.argv.slice(2).filter((arg) => arg !== flag),
  ...(isFull ? [`--testTimeout=${fullTimeoutMs}`] : []),
];
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'deep', ...args], {
  stdio: 'inherit',
  env: { ...process.env, [fullVariable]: String(isFull) },
});
process.exitCode = status ?? 1;
