/** `npm run test:deep -- [--full] [what vitest takes]`: the deep tests, at the size of every change or at full size. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fullVariable } from '../support/sizes.ts';

const flag = '--full';
const args = process.argv.slice(2);
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--project', 'deep', ...args.filter((arg) => arg !== flag)],
  { stdio: 'inherit', env: { ...process.env, [fullVariable]: String(args.includes(flag)) } },
);
process.exitCode = status ?? 1;
