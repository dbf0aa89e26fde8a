/**
 * schemathesis makes requests from the OpenAPI documents, good and bad, and compares the answers of a real server with
 * what they promise: on an open server, and with access keys in force. What it is told of the API, and each exception
 * with its reason, stands in the folder beside this file.
 *
 * It is installed by its own list of exact versions into node_modules/.cache, and stays there until that list changes.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';
import { isFull, sizeOf } from '../support/sizes.ts';
import { isToolLeftOut, versionOf } from '../support/tools.ts';

const run = promisify(execFile);
const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const folder = path('test/deep/schemathesis');
const requirements = join(folder, 'requirements.txt');
/** The same requests on every change; another seed makes others. */
const seed = Number(process.env.SLUICE_FUZZ_SEED ?? 1);
/** The report of a run that finds much is long. */
const outputBytesMax = 64 * 1_048_576;

/** Where schemathesis is: a virtual environment of Python that is whole when it has its name. */
async function installed(): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const home = path(`node_modules/.cache/schemathesis-${hash}`);
  const isWhole = join(home, 'whole');
  if (existsSync(isWhole)) return home;
  rmSync(home, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', home]);
  await run(join(home, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--no-compile', '-r', requirements]);
  writeFileSync(`${isWhole}.part`, '');
  renameSync(`${isWhole}.part`, isWhole);
  return home;
}

/** What schemathesis says of a server; it fails with all of that when it has found something. */
async function report(home: string, document: string, url: string, args: readonly string[]): Promise<string> {
  const options = ['--checks', 'all', '--seed', String(seed), '-n', String(sizeOf('casesOfOperation')), '--no-color'];
  const where = ['--config-file', join(folder, 'schemathesis.toml'), 'run', path(`openapi/${document}`), '--url', url];
  const { stdout } = await run(join(home, 'bin/python'), ['-m', 'schemathesis.cli', ...where, ...options, ...args], {
    // It keeps notes of its runs in the folder in which it is started.
    cwd: temporaryFolder(),
    env: {
      ...process.env,
      PYTHONPATH: folder,
      PYTHONDONTWRITEBYTECODE: '1',
      // Else the order of sets, and with it what is asked, is another in every run.
      PYTHONHASHSEED: String(seed),
      SCHEMATHESIS_HOOKS: 'hooks',
    },
    maxBuffer: outputBytesMax,
  }).catch((error: { readonly stdout: string; readonly stderr: string }) => {
    throw new Error(`${error.stdout}\n${error.stderr}`);
  });
  return stdout;
}

/** All, or those without the search through every schema, which says nothing new of a server with keys. */
const phasesWithKey = isFull ? 'examples,coverage,fuzzing,stateful' : 'examples,fuzzing,stateful';

const keyId = 'SLUICESCHEMATHESIS01';
const secret = 'a-secret-that-schemathesis-has-0123456789';

/** Declared, so that no request can change or delete it. */
function settingsWithKey(): string {
  const file = join(temporaryFolder(), 'sluice.yaml');
  const scope = '{ actions: ["*"], queues: ["*"] }';
  writeFileSync(file, `definitions: { keys: { ${keyId}: { secret: ${secret}, scopes: [${scope}] } } }\n`);
  return file;
}

describe('the answers of a server', () => {
  it.skipIf(isToolLeftOut('python'))(
    'are what the OpenAPI documents promise, with access keys and without',
    async () => {
      await versionOf('python');
      const home = await installed();
      const open = startServer(temporaryFolder(), { SLUICE_AUTH: 'off', SLUICE_LOG_LEVEL: 'info' });
      const keyed = startServer(temporaryFolder(), { SLUICE_CONFIG: settingsWithKey() });
      const withKey = ['--header', `Authorization: Bearer ${keyId}.${secret}`, '--phases', phasesWithKey];
      // Side by side: most of the time is schemathesis's own.
      const reports = await Promise.all([
        report(home, 'openapi.json', await open.url, []),
        report(home, 'openapi-3.0.json', await keyed.url, withKey),
      ]);
      for (const said of reports) {
        console.log(said.slice(said.indexOf('SUMMARY')));
        expect(said).toMatch(/Tested: [1-9]\d*$/m);
      }
      for (const server of [open, keyed]) {
        server.child.kill('SIGTERM');
        expect(await server.ended).toMatchObject({ code: 0, errorText: '' });
      }
    },
  );
});
