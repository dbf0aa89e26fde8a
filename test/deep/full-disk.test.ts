/** A disk that is full: sends are refused, receives and deletes go on, nothing acknowledged is lost. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';

const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });

/** A small file system of its own; undefined where this user may not mount one. */
function smallDisk(megabytes: number): string | undefined {
  const folder = temporaryFolder();
  const { status } = run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder);
  if (status !== 0) return undefined;
  onTestFinished(() => void run('umount', '-l', folder));
  return folder;
}

describe('a full disk', () => {
  it('refuses sends with 507, serves receives and deletes, and takes sends again when there is room', async (context) => {
    const disk = smallDisk(96);
    if (disk === undefined) return context.skip('this user may not mount a file system');
    const server = startServer(join(disk, 'data'));
    const url = `${await server.url}/v1/queues/orders`;
    await fetch(url, { method: 'PUT' });
    const body = 'x'.repeat(200_000);
    const send = () => fetch(`${url}/messages`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } });

    const sent: string[] = [];
    let refused: Response | undefined;
    while (refused === undefined) {
      const answer = await send();
      if (answer.status === 201) sent.push(((await answer.json()) as { messageId: string }).messageId);
      else refused = answer;
    }
    expect(refused.status).toBe(507);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await refused.json()).toMatchObject({ code: 'storage_full' });
    expect((await fetch(`${await server.url}/readyz`)).status).toBe(200);

    // Really nothing is left for others.
    expect(() => writeFileSync(join(disk, 'ballast'), Buffer.alloc(64_000_000))).toThrow(/ENOSPC/);
    run('rm', '-f', join(disk, 'ballast'));

    const received: string[] = [];
    while (received.length < sent.length) {
      const answer = await fetch(`${url}/messages/receive?max=50`, { method: 'POST' });
      expect(answer.status).toBe(200);
      const { messages } = (await answer.json()) as { messages: { messageId: string; receiptHandle: string }[] };
      expect(messages.length).toBeGreaterThan(0);
      for (const { messageId, receiptHandle } of messages) {
        expect((await fetch(`${url}/receipts/${receiptHandle}`, { method: 'DELETE' })).status).toBe(204);
        received.push(messageId);
      }
    }
    expect(received.toSorted()).toEqual(sent.toSorted());

    // Space is looked for once a second; the test runner's timeout ends a vain wait.
    let again = await send();
    while (again.status === 507) again = await send();
    expect(again.status).toBe(201);
    server.child.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);
  });
});
