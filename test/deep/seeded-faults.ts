/**
 * `npm run test:faults [-- name …]`: proof that the tests can fail. Each fault is an edit of the source, made in a copy of
 * the tree; the test beside it must turn red. Prints fault, test, what came of it, seconds; ends with 1 when one stayed
 * green. Takes some minutes, so it is no part of the checks of every change.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What stands in the source exactly once in this place, and what a tired programmer might have written instead. */
type Edit = { readonly file: string; readonly from: string; readonly to: string };
type Fault = { readonly edits: readonly Edit[]; readonly test: string; readonly project: 'fast' | 'deep' };

const sqlite = 'src/storage/sqlite';
const powerLoss = { test: 'test/deep/power-loss.test.ts', project: 'deep' } as const;

const faults: Readonly<Record<string, Fault>> = {
  'commits do not wait for the disk': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/database.ts`,
        from: "db.pragma('journal_mode = WAL');\n  db.pragma('synchronous = FULL');",
        to: "db.pragma('journal_mode = WAL');",
      },
      { file: `${sqlite}/database.ts`, from: 'if (mode !== 2) {', to: 'if (mode === 0) {' },
    ],
  },
  'requests are answered before the commit': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/store.ts`,
        from: 'begin.run();\n    const changesBefore',
        to: 'if (db.inTransaction) commit.run();\n    begin.run();\n    const changesBefore',
      },
      { file: `${sqlite}/store.ts`, from: 'commit.run();\n    afterCommit', to: 'afterCommit' },
    ],
  },
  'a failed disk is told as a refusal': {
    test: 'test/deep/disk-faults.test.ts',
    project: 'deep',
    edits: [
      {
        file: 'src/rest/errors.ts',
        from: 'storageFailed: {\n    status: 500',
        to: 'storageFailed: {\n    status: 400',
      },
    ],
  },
  'a receipt is compared by message alone': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [
      {
        file: `${sqlite}/settle.ts`,
        from: 'row.receives !== receipt.receive || row.heldUntil <= now',
        to: 'row.heldUntil <= now',
      },
    ],
  },
  'who holds a message is forgotten at a restart': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/store.ts`,
        from: '  ensureState(db, options);',
        to: "  ensureState(db, options);\n  db.exec('update messages set visible_at = enqueued_at, held_until = 0');",
      },
    ],
  },
  'a message moves in two transactions': {
    ...powerLoss,
    edits: [
      {
        file: `${sqlite}/messages.ts`,
        from: 'left(from, row, now);\n      ledger.keep',
        to: "left(from, row, now);\n      db.exec('commit; begin immediate');\n      ledger.keep",
      },
    ],
  },
  'deduplication looks at the clock of the machine': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/send.ts`, from: 'first.expiresAt >= now', to: 'first.expiresAt >= Date.now()' }],
  },
  'the clock follows the wall': {
    test: 'test/deep/machine.test.ts',
    project: 'deep',
    edits: [{ file: 'src/clock.ts', from: 'instant(base + performance.now())', to: 'instant(Date.now())' }],
  },
  'numbers are given again after a restart': {
    test: 'test/storage/sqlite-file.test.ts',
    project: 'fast',
    edits: [{ file: `${sqlite}/ledger.ts`, from: ' next_number = @nextNumber,', to: '' }],
  },
  'checksums are not looked at': {
    test: 'test/deep/damage.test.ts',
    project: 'deep',
    edits: [
      {
        file: `${sqlite}/messages.ts`,
        from: 'messageChecksum({ ...row, body }) === row.checksum',
        to: 'body !== null',
      },
    ],
  },
  'the horizon is not written': {
    test: 'test/deep/damage.test.ts',
    project: 'deep',
    edits: [{ file: `${sqlite}/store.ts`, from: '      horizon?.write(commitNumber);\n', to: '' }],
  },
  'long polls go on while the server stops': {
    test: 'test/main.test.ts',
    project: 'fast',
    edits: [{ file: 'src/frontend.ts', from: '      broker.drain();\n', to: '' }],
  },
  'the hash of a signed body is taken from its header': {
    test: 'test/sqs/signature.test.ts',
    project: 'fast',
    edits: [
      {
        file: 'src/sqs/signature.ts',
        from: "const payloadHash = hash('sha256', request.rawBody, 'hex');",
        to: "const payloadHash = claim.headers.get('x-amz-content-sha256') ?? hash('sha256', request.rawBody, 'hex');",
      },
    ],
  },
};

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
