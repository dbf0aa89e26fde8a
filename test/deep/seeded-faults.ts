/**
 * `npm run test:faults [-- name …]`: proof that the tests can fail. Each fault of faults.ts is an edit of the source, made
 * in a copy of the tree; the test beside it must turn red. Prints fault, test, what came of it, seconds; ends with 1 when
 * one stayed green. Takes some minutes, so it is no part of the checks of every change.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Edit, type Fault, faults } from './faults.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** All that is kept under version control, as it stands now; packages are shared. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'sluice-faults-'));
  const { stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
  for (const path of stdout.split('\0').filter((name) => name !== '')) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(root, path), join(copy, path));
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

function apply(tree: string, { file, from, to }: Edit): void {
  const text = readFileSync(join(tree, file), 'utf8');
  if (text.split(from).length !== 2) throw new Error(`${file} does not have exactly once: ${from}`);
  writeFileSync(
    join(tree, file),
    text.replace(from, () => to),
  );
}

/** @returns whether the test saw it */
function isSeen(tree: string, { edits, test, project }: Fault): boolean {
  for (const edit of edits) apply(tree, edit);
  try {
    const args = ['node_modules/vitest/vitest.mjs', 'run', '--bail=1', '--project', project, test];
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: tree, encoding: 'utf8' });
    // A run that finds no test fails, too.
    return status === 1 && /Tests .*failed/.test(stdout);
  } finally {
    for (const { file } of edits) cpSync(join(root, file), join(tree, file));
  }
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in faults));
if (unknown.length > 0)
  throw new Error(`There is no fault ${unknown.join(', ')}; there are: ${Object.keys(faults).join(', ')}`);
const tree = copyTree();
try {
  for (const [name, fault] of Object.entries(faults)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const startedMs = performance.now();
    const seen = isSeen(tree, fault);
    const seconds = Math.round((performance.now() - startedMs) / 1_000);
    console.log(`${name} → ${fault.test} → ${seen ? 'red' : 'STAYED GREEN'} → ${seconds} s`);
    if (!seen) process.exitCode = 1;
  }
} finally {
  rmSync(tree, { recursive: true, force: true });
}
