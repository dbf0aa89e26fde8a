/**
 * Clients as their makers ship them, each with a small program in a folder beside this file. A program is copied to
 * node_modules/.cache/clients, what it needs is installed there by its own lock, and both stay until its files change.
 * It learns the server's address and its credentials from the environment alone, as it would with AWS.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isToolLeftOut, type Tool, versionOf } from '../support/tools.ts';

const sources = fileURLToPath(new URL('.', import.meta.url));
const workspaces = fileURLToPath(new URL('../../node_modules/.cache/clients', import.meta.url));

/** Whether a client is left out because its tool is: `SLUICE_TEST_WITHOUT`. */
export const isLeftOut = ({ needs }: Pick<Client, 'needs'>): boolean => isToolLeftOut(needs);

export type Client = {
  /** Of the workspace. */
  readonly name: string;
  /** Of the program; several clients may run the same. */
  readonly folder: string;
  readonly needs: Tool;
  /** Shell command that installs and compiles; it runs in the workspace. */
  readonly install: string;
};

const npm = 'npm ci --ignore-scripts --no-audit --no-fund --loglevel=error';
const pip = (requirements: string) =>
  `python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: -r ${requirements}`;
const maven = 'mvn --quiet --batch-mode compile dependency:copy-dependencies';

export const clients = {
  js: { name: 'js', folder: 'js', needs: 'npm', install: npm },
  jsQuery: { name: 'js-query', folder: 'js-query', needs: 'npm', install: npm },
  sqsConsumer: { name: 'sqs-consumer', folder: 'sqs-consumer', needs: 'npm', install: npm },
  python: { name: 'python', folder: 'python', needs: 'python', install: pip('requirements.txt') },
  pythonQuery: { name: 'python-query', folder: 'python', needs: 'python', install: pip('requirements-query.txt') },
  celery: { name: 'celery', folder: 'celery', needs: 'python', install: pip('requirements.txt') },
  go: { name: 'go', folder: 'go', needs: 'go', install: 'go build -o orders .' },
  java: { name: 'java', folder: 'java', needs: 'java', install: maven },
  spring: { name: 'spring', folder: 'spring', needs: 'java', install: maven },
} as const satisfies Record<string, Client>;

const shell = promisify(execFile);

type Environment = Readonly<Record<string, string | undefined>>;

/** Gives what a shell command wrote to standard output. @throws with everything that it wrote */
async function run(command: string, cwd: string, env: Environment, timeoutSeconds: number): Promise<string> {
  try {
    const options = { cwd, env, timeout: timeoutSeconds * 1000, maxBuffer: 1 << 26 };
    return (await shell('bash', ['-c', command], options)).stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${command}\n${stdout}${stderr}`, { cause: error });
  }
}

const installSeconds = 500;
const programSeconds = 180;

/** Installs a client unless that is done already. @throws when its tool is missing */
export async function install(client: Client): Promise<void> {
  const version = await versionOf(client.needs);
  const source = join(sources, client.folder);
  const workspace = join(workspaces, client.name);
  const stamp = stampOf(source, `${client.install}\n${version}`);
  if (readStamp(workspace) === stamp) return;
  rmSync(workspace, { recursive: true, force: true });
  mkdirSync(workspace, { recursive: true });
  cpSync(source, workspace, { recursive: true });
  await run(client.install, workspace, process.env, installSeconds);
  writeFileSync(join(workspace, stampName), stamp);
}

const stampName = '.installed';

function readStamp(workspace: string): string | undefined {
  try {
    return readFileSync(join(workspace, stampName), 'utf8');
  } catch {
    return undefined;
  }
}

/** Changes when a file of the folder, the way of installing or a tool does. */
function stampOf(folder: string, how: string): string {
  const hash = createHash('sha256').update(how);
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  for (const path of paths.filter((name) => statSync(join(folder, name)).isFile())) {
    hash.update(`\0${path}\0`).update(readFileSync(join(folder, path)));
  }
  return hash.digest('hex');
}

export type Credentials = { readonly keyId: string; readonly secret: string };
/** What people write when nobody checks. */
export const dummy: Credentials = { keyId: 'test', secret: 'test' };

/** Runs a command in the workspace of a client; gives the last line that it wrote to standard output. */
export async function story(
  client: Client,
  command: string,
  url: string,
  { keyId, secret }: Credentials = dummy,
): Promise<string> {
  const workspace = join(workspaces, client.name);
  const output = await run(command, workspace, environment(workspace, url, keyId, secret), programSeconds);
  return output.trimEnd().split('\n').at(-1) ?? '';
}

/** The machine's, without its settings for AWS, with the server's. */
function environment(workspace: string, url: string, keyId: string, secret: string): Environment {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:AWS|SLUICE)_/.test(name));
  return {
    ...Object.fromEntries(own),
    PATH: [join(workspace, 'venv/bin'), dirname(process.execPath), process.env.PATH].join(delimiter),
    NO_PROXY: '127.0.0.1,localhost',
    AWS_ENDPOINT_URL: url,
    AWS_ACCESS_KEY_ID: keyId,
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_CONFIG_FILE: join(workspace, 'no-config'),
    AWS_SHARED_CREDENTIALS_FILE: join(workspace, 'no-credentials'),
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}
