/**
 * Clients that generators make from the OpenAPI documents run the order pipeline against a real server. Each is a
 * project of its own, as a user's would be: installed and generated in a temporary folder, so nothing of it stays.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';
import { isToolLeftOut, versionOf } from '../support/tools.ts';

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

/** What both pipelines print, and the only thing they may. */
const printed = {
  deadLetterQueue: 'orders-dlq',
  misspelt: 'queue_not_found',
  sentCount: 200,
  processedBefore: 199,
  dead: [{ order: 137, source: 'orders', receiveCount: 3, reason: 'the amount is not a number' }],
  task: { source: 'orders-dlq', status: 'completed', moved: 1 },
  settledCount: 1,
  processed: 200,
  // 199 orders once; the poison one three times, and once more after the redrive.
  orders: stats({ sent: 200, received: 203, deleted: 200, redelivered: 2, deadLettered: 1 }),
  deadLetters: stats({ redriven: 1 }),
};

function stats(totals: Readonly<Record<string, number>>) {
  const now = { available: 0, inFlight: 0, delayed: 0, bytes: 0 };
  const none = { sent: 0, received: 0, deleted: 0, redelivered: 0, deadLettered: 0, redriven: 0 };
  return { ...now, ...none, expired: 0, purged: 0, quarantined: 0, ...totals };
}

type Options = { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> };

/** Standard output of a command that succeeds; all that it wrote, as an error, of one that does not. */
async function run(command: string, args: readonly string[], { cwd, env }: Options = {}): Promise<string> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output}${errors}`);
  return output;
}

/** A copy of `test/deep/clients/<name>` that is removed with the test. */
function project(name: string): string {
  const folder = temporaryFolder();
  cpSync(path(`test/deep/clients/${name}`), folder, { recursive: true });
  return folder;
}

/** What a pipeline prints when it runs against a new server. */
async function runPipeline(command: string, args: readonly string[], options: Options): Promise<unknown> {
  const server = startServer(temporaryFolder());
  const output = await run(command, args, { ...options, env: { ...options.env, SLUICE_URL: await server.url } });
  server.child.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0, errorText: '' });
  return JSON.parse(output);
}

describe('the order pipeline', () => {
  it('runs with the types of openapi-typescript, which hold in strict TypeScript', async () => {
    const cwd = project('typescript');
    const bin = (name: string): string => join(cwd, 'node_modules/.bin', name);
    await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd });
    await run(process.execPath, [bin('openapi-typescript'), path('openapi/openapi.json'), '-o', 'sluice.ts'], { cwd });
    await run(process.execPath, [bin('tsc'), '--project', '.'], { cwd });
    expect(await runPipeline(process.execPath, ['order-pipeline.ts'], { cwd })).toEqual(printed);
  });

  it.skipIf(isToolLeftOut('python') || isToolLeftOut('java'))(
    'runs with the Python client of openapi-generator',
    async () => {
      await Promise.all([versionOf('python'), versionOf('java')]);
      const cwd = project('python');
      const client = join(cwd, 'client');
      const python = join(cwd, 'venv/bin/python');
      await Promise.all([generatePython(client), run('python3', ['-m', 'venv', 'venv'], { cwd })]);
      // Both lists at once: the pinned versions must be ones that the generated client takes.
      const requirements = ['-r', 'requirements.txt', '-r', join(client, 'requirements.txt')];
      await run(python, ['-m', 'pip', 'install', '--no-compile', ...requirements], { cwd });
      expect(await runPipeline(python, ['order_pipeline.py'], { cwd, env: { PYTHONPATH: client } })).toEqual(printed);
    },
  );
});

const generator = 'openapi-generator-cli';
const generatorVersion = '7.25.0';
const cache = path('node_modules/.cache/openapi-generator');
const jar = join(cache, `${generator}-${generatorVersion}.jar`);

/** Maven takes seconds even for a file that it has, so it is asked once. */
async function fetchGenerator(): Promise<void> {
  if (existsSync(jar)) return;
  const partial = join(cache, 'partial');
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
  const artifact = `org.openapitools:${generator}:${generatorVersion}`;
  await run('mvn', ['--quiet', '--batch-mode', goal, `-Dartifact=${artifact}`, `-DoutputDirectory=${partial}`]);
  renameSync(join(partial, basename(jar)), jar);
}

async function generatePython(folder: string): Promise<void> {
  await fetchGenerator();
  const document = path('openapi/openapi-3.0.json');
  const options = ['-g', 'python', '-i', document, '-o', folder, '--package-name', 'sluice_client'];
  await run('java', ['-jar', jar, 'generate', ...options]);
}
