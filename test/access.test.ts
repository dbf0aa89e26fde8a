/** Access keys of a whole process: where they come from, what the start refuses, what is written where. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { basic } from './support/keys.ts';
import { runProgram, type ServerProcess, startServer, temporaryFolder } from './support/process.ts';

// A start takes half a second, and many times that on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const keyId = 'SLUICEDECLAREDKEY234';
const secret = 'a-secret-of-the-tests-0123456789';
const all = '[{ actions: ["*"], queues: ["*"] }]';

const declare = (keys: string): string => {
  const path = join(temporaryFolder(), 'sluice.yaml');
  writeFileSync(path, `definitions: { keys: { ${keys} } }`);
  return path;
};
const declared = (members = `secret: ${secret}, scopes: ${all}`) => declare(`${keyId}: { ${members} }`);

const status = async (url: string, authorization?: string, path = '/v1/queues') =>
  (await fetch(url + path, authorization === undefined ? {} : { headers: { authorization } })).status;

async function stop(server: ServerProcess): Promise<void> {
  server.child.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
}

describe('declared keys', () => {
  it('let their holders in from the start, on any address, and nobody else', async () => {
    const server = startServer(temporaryFolder(), { SLUICE_CONFIG: declared(), SLUICE_HOST: '0.0.0.0' });
    const { port } = new URL(await server.url);
    const url = `http://127.0.0.1:${port}`;
    expect(await server.logged('serving')).toMatchObject({ access: 'with access keys' });
    expect(await status(url, basic(keyId, secret))).toBe(200);
    expect(await status(url, `Bearer ${keyId}.${secret}`)).toBe(200);
    expect(await status(url)).toBe(401);
    expect(await status(url, undefined, '/readyz')).toBe(200);
    const change = { method: 'DELETE', headers: { authorization: basic(keyId, secret) } };
    expect((await fetch(`${url}/v1/keys/${keyId}`, change)).status).toBe(409);
  });

  it('are as the file says after each start, and gone when it names them no longer', async () => {
    const folder = temporaryFolder();
    await stop(await served(folder, declared()));
    const other = 'another-secret-of-the-tests-01234';
    const second = await served(folder, declared(`secret: ${other}, scopes: ${all}`));
    expect(await status(await second.url, basic(keyId, secret))).toBe(401);
    expect(await status(await second.url, basic(keyId, other))).toBe(200);
    await stop(second);
    const third = await served(folder, declare(`SLUICEDECLAREDKEY567: { secret: ${secret}, scopes: ${all} }`));
    expect(await status(await third.url, basic(keyId, other))).toBe(401);
    expect(await status(await third.url, basic('SLUICEDECLAREDKEY567', secret))).toBe(200);
    await stop(third);
    const last = startServer(folder);
    expect(await status(await last.url)).toBe(200);
    expect(await last.logged('serving')).toMatchObject({ access: 'open, on loopback only' });
  });

  const served = async (folder: string, config: string): Promise<ServerProcess> => {
    const server = startServer(folder, { SLUICE_CONFIG: config });
    await server.url;
    return server;
  };
});

describe('keys that were made', () => {
  const make = async (url: string) => {
    const answer = await fetch(`${url}/v1/keys`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"name":"admin"}',
    });
    expect(answer.status).toBe(201);
    return (await answer.json()) as { keyId: string; secret: string; bearer: string };
  };

  it('let their holders in after a restart, and from then on elsewhere than on loopback', async () => {
    const folder = temporaryFolder();
    const first = startServer(folder);
    const { bearer } = await make(await first.url);
    await stop(first);
    const second = startServer(folder, { SLUICE_HOST: '0.0.0.0' });
    const { port } = new URL(await second.url);
    expect(await status(`http://127.0.0.1:${port}`)).toBe(401);
    expect(await status(`http://127.0.0.1:${port}`, `Bearer ${bearer}`)).toBe(200);
  });

  it('are sealed under a master key of their own file, and stand nowhere as they are', async () => {
    const folder = temporaryFolder();
    const server = startServer(folder);
    const { secret: made } = await make(await server.url);
    await stop(server);
    const master = join(folder, 'master.key');
    expect(statSync(master).mode & 0o777).toBe(0o600);
    expect(readFileSync(master, 'utf8')).toMatch(/^[0-9a-f]{64}\n$/);
    for (const file of readdirSync(folder)) {
      expect(readFileSync(join(folder, file)).includes(made.slice(4)), file).toBe(false);
    }
  });

  it('stop the start under another master key, unless it runs without keys', async () => {
    const folder = temporaryFolder();
    const first = startServer(folder);
    const { keyId: made } = await make(await first.url);
    await stop(first);
    const foreign = { SLUICE_MASTER_KEY: 'ab'.repeat(32) };
    const { code, errorText } = await startServer(folder, foreign).ended;
    expect(code).toBe(1);
    expect(errorText).toContain(`The secret of the access key ${made} was sealed under another master key.`);
    expect(errorText.trimEnd().split('\n')).toHaveLength(1);
    const off = startServer(folder, { ...foreign, SLUICE_AUTH: 'off' });
    expect((await fetch(`${await off.url}/v1/keys/${made}`, { method: 'DELETE' })).status).toBe(204);
    await stop(off);
    expect(await status(await startServer(folder, foreign).url)).toBe(200);
  });
});

describe('the start', () => {
  it('is refused on another address than loopback without a key, and accepted with SLUICE_AUTH=off', async () => {
    const folder = temporaryFolder();
    const { code, errorText } = await startServer(folder, { SLUICE_HOST: '0.0.0.0' }).ended;
    expect(code).toBe(1);
    expect(errorText).toContain('SLUICE_HOST is "0.0.0.0"');
    expect(errorText).toContain('SLUICE_AUTH=off');
    expect(errorText.trimEnd().split('\n')).toHaveLength(1);
    const open = startServer(folder, { SLUICE_HOST: '0.0.0.0', SLUICE_AUTH: 'off' });
    expect(await open.logged('serving')).toMatchObject({ access: 'open to everybody who reaches the port' });
  });

  it('is refused when others can read the master key', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'master.key'), 'ab'.repeat(32), { mode: 0o644 });
    const { code, errorText } = await startServer(folder).ended;
    expect(code).toBe(1);
    expect(errorText).toContain('others may read it; right would be mode 0600');
  });

  it('is told secrets by files, and prints none of them', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'master'), `${'ab'.repeat(32)}\n`);
    writeFileSync(join(folder, 'key'), `${secret}\n`);
    const config = declared(`secretFile: ${join(folder, 'key')}, scopes: ${all}`);
    const env = { SLUICE_CONFIG: config, SLUICE_MASTER_KEY_FILE: join(folder, 'master') };
    const server = startServer(join(folder, 'data'), env);
    expect(await status(await server.url, basic(keyId, secret))).toBe(200);
    expect(readdirSync(join(folder, 'data'))).not.toContain('master.key');
    for (const args of [['config'], ['config', '--json']]) {
      const printed = await output(args, { ...env, SLUICE_PORT: '' });
      expect(printed).toContain(keyId);
      expect(printed).not.toContain(secret);
      expect(printed).not.toContain('abab');
    }
  });
});

/** Standard output of a command that succeeds. */
async function output(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const { child, ended } = runProgram(args, env);
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  expect((await ended).code).toBe(0);
  return text;
}
