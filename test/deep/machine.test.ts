/** What a machine does to a server: a clock that is set, a folder that cannot be written to. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buildShim } from '../support/disk-shim.ts';
import { startServer, temporaryFolder } from '../support/process.ts';

const hourSeconds = 3_600;

type Client = (method: string, path: string, body?: string) => Promise<Response>;
const clientOf =
  (url: string): Client =>
  (method, path, body) =>
    fetch(`${url}/v1/queues/${path}`, { method, ...(body === undefined ? {} : { body }) });

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** How far the clock of an answer is ahead of ours. */
const toldSeconds = ({ headers }: Response) => (Date.parse(headers.get('date') ?? '') - Date.now()) / 1_000;

describe('a wall clock that is set', () => {
  it('moves neither visibility timeouts nor delays nor deduplication windows, and may be behind at a start', async () => {
    const folder = temporaryFolder();
    const data = join(folder, 'data');
    const clock = join(folder, 'clock');
    const setClock = (seconds: number) => writeFileSync(clock, String(seconds));
    const shim = { LD_PRELOAD: buildShim(folder, 'clock'), SHIM_CLOCK: clock };
    setClock(0);
    const server = startServer(data, shim);
    const ask = clientOf(await server.url);
    for (const queue of ['held', 'delayed', 'once.fifo']) expect((await ask('PUT', queue)).status).toBe(201);
    await ask('POST', 'held/messages', 'mine');
    await ask('POST', 'delayed/messages?delay=10m', 'later');
    const once = async (client: Client) =>
      (await (await client('POST', 'once.fifo/messages?group=g&dedup=d', 'once')).json()) as { messageId: string };
    const { messageId } = await once(ask);
    const held = await ask('POST', 'held/messages/next?visibility=10m');
    expect(held.status).toBe(200);

    const steps = [2, -2, 24, -24, 1_000, -1].map((hours) => hours * hourSeconds);
    for (const seconds of steps) {
      setClock(seconds);
      // The date of an answer is made from the wall clock, once a second: the server has seen the step.
      while (Math.abs(toldSeconds(await ask('GET', 'held')) - seconds) > 60) await sleep(20);
      expect((await ask('POST', 'held/messages/next')).status).toBe(204);
      expect((await ask('POST', 'delayed/messages/next')).status).toBe(204);
      expect(await once(ask)).toMatchObject({ messageId, isDuplicate: true });
    }
    server.child.kill('SIGKILL');
    await server.ended;

    setClock(-100 * hourSeconds);
    const behind = startServer(data, shim);
    const later = clientOf(await behind.url);
    expect((await later('POST', 'held/messages/next')).status).toBe(204);
    expect(await once(later)).toMatchObject({ messageId, isDuplicate: true });
    const receipt = new URL(held.headers.get('receipt-url') ?? '').pathname;
    expect((await fetch(`${await behind.url}${receipt}`, { method: 'DELETE' })).status).toBe(204);
    await later('POST', 'held/messages', 'after all');
    expect(await (await later('POST', 'held/messages/next')).text()).toBe('after all');
  });
});

describe('a folder that cannot be written to', () => {
  it('is refused with a sentence, and serves again when it can', async (context) => {
    const disk = temporaryFolder();
    const mount = (...options: string[]) => spawnSync('mount', [...options, disk]).status;
    if (mount('-t', 'tmpfs', 'tmpfs') !== 0) return context.skip('this user may not mount a file system');
    onTestFinished(() => void spawnSync('umount', ['-l', disk]));
    const data = join(disk, 'data');
    mkdirSync(data, { mode: 0o700 });
    const first = startServer(data);
    const ask = clientOf(await first.url);
    await ask('PUT', 'kept');
    expect((await ask('POST', 'kept/messages', 'still here')).status).toBe(201);
    first.child.kill('SIGTERM');
    await first.ended;
    const files = () => readdirSync(data).map((name) => [name, readFileSync(join(data, name)).toString('latin1')]);
    const before = files();

    expect(mount('-o', 'remount,ro')).toBe(0);
    const refused = await startServer(data).ended;
    expect(refused.code).toBe(1);
    expect(refused.errorText).toMatch(/^sluice: The data cannot be opened: .*\.$/m);
    expect(files()).toEqual(before);

    expect(mount('-o', 'remount,rw')).toBe(0);
    const again = clientOf(await startServer(data).url);
    expect(await (await again('POST', 'kept/messages/next')).text()).toBe('still here');
  });
});
