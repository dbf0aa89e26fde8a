/**
 * The container without a container engine: the Dockerfile is linted, and its own instructions are carried out in
 * folders instead of layers. The service then runs as another user who may write to its data folder and nowhere else.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { validate } from 'dockerfile-utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');

type Instruction = { readonly name: string; readonly text: string };
type Stage = readonly Instruction[];

/** The instructions of each stage; the first of each is its FROM. */
function stagesOf(text: string): readonly Stage[] {
  const lines = text
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const instructions = lines.map((line): Instruction => {
    const at = line.indexOf(' ');
    return { name: line.slice(0, at), text: line.slice(at + 1).trim() };
  });
  const starts = instructions.flatMap(({ name }, i) => (name === 'FROM' ? [i] : []));
  return starts.map((start, i) => instructions.slice(start, starts[i + 1]));
}
const [buildStage = [], runStage = []] = stagesOf(dockerfile);
const textOf = (stage: Stage, name: string): string =>
  stage.find((instruction) => instruction.name === name)?.text ?? `no ${name}`;
const listOf = (stage: Stage, name: string): readonly string[] => JSON.parse(textOf(stage, name)) as string[];

/** What COPY copies from: the repository as a clone has it, or the folder of the build stage. */
function copy({ text }: Instruction, context: string, built: string, target: string): void {
  const words = text.split(/\s+/);
  const isFromBuild = words[0]?.startsWith('--from=') === true;
  const [to = '', ...from] = (isFromBuild ? words.slice(1) : words).reverse();
  for (const path of from) {
    const source = isFromBuild ? join(built, path.replace(/^\/app\//, '')) : join(context, path);
    cpSync(source, to.endsWith('/') ? join(target, to, basename(path)) : join(target, to), {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
}

/** The repository's files without what git ignores: what `docker build` would be given. */
function contextFolder(folder: string): string {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  for (const file of files
    .toString()
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)))) {
    cpSync(join(root, file), join(folder, file));
  }
  return folder;
}

const temp = mkdtempSync(join(tmpdir(), 'sluice-container-'));
const isRoot = process.getuid?.() === 0;
/** Of the image's USER; only root can become somebody else, others stay themselves. */
const user = Number(textOf(runStage, 'USER').split(':')[0]);

function folder(name: string): string {
  const path = join(temp, name);
  mkdirSync(path, { mode: 0o755 });
  return path;
}

const context = folder('context');
const built = folder('build');
const app = folder('app');
const data = folder('data');

beforeAll(() => {
  chmodSync(temp, 0o755);
  chmodSync(data, 0o700);
  if (isRoot) chownSync(data, user, user);
  contextFolder(context);
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));

/** Packages that this machine has are not asked for again. */
const npmEnvironment = { ...process.env, npm_config_prefer_offline: 'true', npm_config_audit: 'false' };

/** The environment that the image sets, its data folder and host replaced by ones of this machine. */
const imageEnvironment = (): Record<string, string> => ({
  ...Object.fromEntries(
    textOf(runStage, 'ENV')
      .split(/\s+/)
      .map((pair) => pair.split('=') as [string, string]),
  ),
  PATH: process.env.PATH ?? '',
  SLUICE_DATA_DIR: data,
  SLUICE_AUTH: 'off',
  SLUICE_PORT: '18080',
});

const run = (command: readonly string[]) =>
  spawn(process.execPath, command.slice(1), {
    cwd: app,
    env: imageEnvironment(),
    ...(isRoot ? { uid: user, gid: user } : {}),
    stdio: ['ignore', 'pipe', 'pipe'],
  });

describe('the Dockerfile', () => {
  it('has no findings of the linter', () => {
    expect(validate(dockerfile).map(({ message, range }) => `${range.start.line + 1}: ${message}`)).toEqual([]);
  });

  it('builds with its own instructions', () => {
    for (const instruction of buildStage) {
      if (instruction.name === 'COPY') copy(instruction, context, built, built);
      if (instruction.name === 'RUN')
        execFileSync('sh', ['-c', instruction.text], { cwd: built, env: npmEnvironment, stdio: 'pipe' });
    }
    for (const instruction of runStage) if (instruction.name === 'COPY') copy(instruction, context, built, app);
    expect(existsSync(join(app, 'node_modules/typescript'))).toBe(false);
    expect(existsSync(join(app, 'src'))).toBe(false);
  });

  it('runs as a user without rights, writes to its data folder alone, is healthy, and stops on its signal', async () => {
    expect(user).toBeGreaterThan(0);
    const server = run([...listOf(runStage, 'ENTRYPOINT'), ...listOf(runStage, 'CMD')]);
    const ended = once(server, 'close');
    let output = '';
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise<void>((resolve, reject) => {
      server.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (output.includes('"msg":"serving"')) resolve();
      });
      void ended.then(() => reject(new Error(output)));
    });
    const before = filesOf(app);
    const health = run(JSON.parse(textOf(runStage, 'HEALTHCHECK').replace(/^.*CMD /, '')) as string[]);
    expect((await once(health, 'close'))[0]).toBe(0);
    expect((await fetch('http://127.0.0.1:18080/v1/queues/q', { method: 'PUT' })).status).toBe(201);
    server.kill(textOf(runStage, 'STOPSIGNAL') as NodeJS.Signals);
    expect((await ended)[0], output).toBe(0);
    expect(filesOf(app)).toEqual(before);
    const dead = run(JSON.parse(textOf(runStage, 'HEALTHCHECK').replace(/^.*CMD /, '')) as string[]);
    expect((await once(dead, 'close'))[0]).toBe(1);
  });
});

/** Files with their times of change, without the installed packages. */
const filesOf = (path: string): string =>
  execFileSync('find', [path, '-path', '*/node_modules', '-prune', '-o', '-printf', '%p %T@\n']).toString();

describe('the compose file', () => {
  it('runs the image without rights, on a read-only root, on loopback, with a volume for its data', () => {
    const { services } = parse(readFileSync(join(root, 'deploy/compose.yaml'), 'utf8')) as {
      services: { sluice: Record<string, unknown> };
    };
    expect(services.sluice).toMatchObject({
      build: '..',
      read_only: true,
      cap_drop: ['ALL'],
      ports: ['127.0.0.1:8080:8080'],
      volumes: ['data:/data', './sluice.yaml:/etc/sluice.yaml:ro'],
      environment: { SLUICE_AUTH: 'off', SLUICE_CONFIG: '/etc/sluice.yaml' },
    });
  });
});
