import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runProgram, startServer, temporaryFolder } from './support/process.ts';

const send = (url: string, queue: string, body: string) =>
  fetch(`${url}/v1/queues/${queue}/messages`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } });
const create = (url: string, queue: string) => fetch(`${url}/v1/queues/${queue}`, { method: 'PUT' });
const next = (url: string, queue: string, wait: string) =>
  fetch(`${url}/v1/queues/${queue}/messages/next?wait=${wait}`, { method: 'POST' });

describe('the service', () => {
  it('says where it listens, where its data is, and that it is open on loopback', async () => {
    const folder = temporaryFolder();
    const server = startServer(folder);
    expect(await server.logged('serving')).toMatchObject({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      dataDir: folder,
      access: 'open, on loopback only',
    });
    expect((await fetch(`${await server.url}/readyz`)).status).toBe(200);
  });

  it('keeps its data from one run to the next', async () => {
    const folder = temporaryFolder();
    const first = startServer(folder);
    const url = await first.url;
    await create(url, 'kept');
    expect((await send(url, 'kept', 'still here')).status).toBe(201);
    first.child.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0, errorText: '' });

    const second = startServer(folder);
    const received = await next(await second.url, 'kept', '0s');
    expect(await received.text()).toBe('still here');
  });

  it('ends long polls and exits with 0 when it is told to stop', async () => {
    const server = startServer(temporaryFolder());
    const url = await server.url;
    await create(url, 'empty');
    const poll = next(url, 'empty', '20s');
    await waitUntil(async () => (await metric(url, 'sluice_long_polls')) === 1);
    server.child.kill('SIGTERM');
    // npm passes on what the terminal has sent already; the second must not cut the stop short.
    server.child.kill('SIGTERM');
    expect((await poll).status).toBe(204);
    expect(await server.ended).toMatchObject({ code: 0, errorText: '' });
    expect(await server.logged('stopped')).toBeDefined();
  });

  it('tells who asks while it stops that it is not ready', async () => {
    const server = startServer(temporaryFolder());
    const url = new URL(await server.url);
    // Connections that have asked for something are closed with the listener; this one has its request before it.
    const socket = connect(Number(url.port), url.hostname);
    await once(socket, 'connect');
    await fetch(new URL('/livez', url));
    server.child.kill('SIGTERM');
    await server.logged('stopping');
    socket.end('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const answer = (await socket.setEncoding('utf8').toArray()).join('');
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toContain('{"ready":false,"reasons":["the server is stopping"]}');
    expect((await server.ended).code).toBe(0);
  });

  it('ends with 1 when its stop hangs, even in a call of the system', async () => {
    const pipe = join(temporaryFolder(), 'pipe');
    execFileSync('mkfifo', [pipe]);
    // The writer's thread opens a pipe that nobody writes to, and never comes back.
    const planted = `import { readFileSync } from 'node:fs';
      import { parentPort } from 'node:worker_threads';
      parentPort?.on('message', ({ hears }) => hears === 'close' && readFileSync(${JSON.stringify(pipe)}));`;
    const server = startServer(temporaryFolder(), {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(planted)}`,
      SLUICE_SHUTDOWN_SECONDS: '1',
    });
    await server.url;
    server.child.kill('SIGTERM');
    expect(await server.ended).toEqual({ code: 1, signal: null, errorText: '' });
    expect(await server.logged('the orderly stop took too long')).toMatchObject({ level: 'fatal' });
  });

  it('stops on Ctrl-C too', async () => {
    const server = startServer(temporaryFolder());
    await server.url;
    server.child.kill('SIGINT');
    expect((await server.ended).code).toBe(0);
  });

  it('ends at once with 1 and a last log line after an uncaught error', async () => {
    const planted = "process.on('SIGUSR2', () => { throw new Error('planted'); })";
    const server = startServer(temporaryFolder(), {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(planted)}`,
    });
    await server.url;
    server.child.kill('SIGUSR2');
    expect(await server.ended).toMatchObject({ code: 1, signal: null });
    expect(await server.logged('uncaught error')).toMatchObject({ level: 'fatal', err: { message: 'planted' } });
  });

  it('keeps its files to its own user', async () => {
    const folder = join(temporaryFolder(), 'made');
    const server = startServer(folder);
    await server.url;
    for (const path of [folder, ...readdirSync(folder).map((file) => join(folder, file))]) {
      expect(statSync(path).mode & 0o077, path).toBe(0);
    }
  });
});

describe('the start', () => {
  it('is refused in one sentence while another server has the data', async () => {
    const folder = temporaryFolder();
    await startServer(folder).url;
    const { code, errorText } = await startServer(folder).ended;
    expect(code).toBe(1);
    expect(errorText).toContain(folder);
    expect(errorText.trimEnd().split('\n')).toHaveLength(1);
  });

  it('is refused in one sentence when the port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    onTestFinished(() => void taken.close());
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? String(address.port) : '';
    const { code, errorText } = await startServer(temporaryFolder(), { SLUICE_PORT: port }).ended;
    expect(code).toBe(1);
    expect(errorText).toBe(
      `sluice: Port ${port} of 127.0.0.1 is taken by another program; stop that one, or set SLUICE_PORT to another.\n`,
    );
  });

  it('is refused in one sentence when the settings are wrong', async () => {
    const { code, errorText } = await startServer(temporaryFolder(), { SLUICE_PROT: '1' }).ended;
    expect(code).toBe(1);
    expect(errorText).toBe('sluice: SLUICE_PROT is not a setting; did you mean SLUICE_PORT?\n');
  });

  it('is refused in one sentence when the data folder cannot be made', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    const { code, errorText } = await startServer(join(file, 'data')).ended;
    expect(code).toBe(1);
    expect(errorText).toContain(join(file, 'data'));
    expect(errorText).not.toContain('    at ');
  });

  it.each([
    ['can never exist', '/proc/sluice', 'cannot be created: ENOENT'],
    ['is not its own to write in', '/proc', 'cannot be used: unable to open database file'],
  ])('is refused in one sentence when the data folder %s', async (_what, folder, problem) => {
    const { code, errorText } = await startServer(folder).ended;
    expect(code).toBe(1);
    expect(errorText).toMatch(new RegExp(`^sluice: The data directory ${folder} ${problem}.*\\n$`));
  });
});

describe('declared queues', () => {
  const declare = (settings: string) => {
    const path = join(temporaryFolder(), 'sluice.yaml');
    writeFileSync(path, `definitions: { queues: { ${settings} } }`);
    return path;
  };
  const settingsOf = async (url: string, queue: string) =>
    (await (await fetch(`${url}/v1/queues/${queue}`)).json()) as Record<string, unknown>;

  it('exist when the server listens, in whatever order they are declared', async () => {
    const config = declare('orders: { deadLetter: { queue: orders-dlq, maxReceiveCount: 3 } }, orders-dlq: {}');
    const url = await startServer(temporaryFolder(), { SLUICE_CONFIG: config }).url;
    expect(await settingsOf(url, 'orders')).toMatchObject({ deadLetter: { queue: 'orders-dlq', maxReceiveCount: 3 } });
  });

  it('are brought to their declared settings, with a log line, and keep the others', async () => {
    const folder = temporaryFolder();
    const first = startServer(folder, { SLUICE_CONFIG: declare('orders: { delaySeconds: 5, waitSeconds: 7 }') });
    await first.url;
    first.child.kill('SIGTERM');
    await first.ended;
    const second = startServer(folder, { SLUICE_CONFIG: declare('orders: { delaySeconds: 6 }') });
    expect(await settingsOf(await second.url, 'orders')).toMatchObject({ delaySeconds: 6, waitSeconds: 7 });
    expect(await second.logged('queue brought to its defined settings')).toMatchObject({
      queue: 'orders',
      settings: ['delaySeconds'],
    });
  });

  it('stop the start in one sentence when they cannot be made', async () => {
    const config = declare('orders: { deadLetter: { queue: nowhere, maxReceiveCount: 3 } }');
    const { code, errorText } = await startServer(temporaryFolder(), { SLUICE_CONFIG: config }).ended;
    expect(code).toBe(1);
    expect(errorText).toBe(
      'sluice: The definition of queue orders names the dead-letter queue nowhere, which is neither there nor defined; add it to definitions.queues.\n',
    );
  });
});

describe('the command line', () => {
  it('prints the settings in force as a file that it accepts itself', async () => {
    const folder = temporaryFolder();
    const printed = await output(['config', '--port', '81'], { SLUICE_LOG_LEVEL: 'warn' });
    expect(printed).toContain('port: 81 # option\n');
    expect(printed).toContain('logLevel: warn # environment\n');
    expect(printed).toContain('host: 127.0.0.1 # default\n');
    const path = join(folder, 'printed.yaml');
    writeFileSync(path, printed);
    const again = JSON.parse(await output(['config', '--json', '--config', path])) as Record<string, unknown>;
    expect(again).toMatchObject({ settings: { logLevel: { value: 'warn', source: 'file' } } });
  });

  it('asks the server of its settings whether it lives', async () => {
    const url = new URL(await startServer(temporaryFolder()).url);
    expect((await runProgram(['healthcheck', '--port', url.port]).ended).code).toBe(0);
    const { code, errorText } = await runProgram(['healthcheck', '--port', '1']).ended;
    expect(code).toBe(1);
    expect(errorText).toMatch(/^sluice: http:\/\/127\.0\.0\.1:1\/livez gives no answer/);
  });

  it('refuses unknown commands with 2 and a suggestion', async () => {
    const { code, errorText } = await runProgram(['server']).ended;
    expect(code).toBe(2);
    expect(errorText).toContain('Did you mean serve?');
  });
});

/** Standard output of a command that succeeds. */
async function output(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { child, ended } = runProgram(args, { SLUICE_PORT: '', ...env });
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  expect((await ended).code).toBe(0);
  return text;
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}

/** Asks again until it is so. */
async function waitUntil(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}
