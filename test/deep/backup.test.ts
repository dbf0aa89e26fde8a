/**
 * Backups of a server that is at work, each restored and compared with what clients had been told: what was acknowledged
 * before a backup began is in it, what was deleted before is not, and the restored data can be served.
 */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runProgram, type ServerProcess, startServer, temporaryFolder } from '../support/process.ts';

const backupCount = 3;
const senders = 8;
/** Acknowledged sends between two backups. */
const sendsBetween = 300;

/** What was answered, and which deletes were asked for: those may have been done before they were answered. */
type Told = { readonly sent: string[]; readonly deleting: string[]; readonly deleted: string[] };

/** Sends, and deletes what it receives of every fourth message, until told to stop. */
async function work(queue: string, told: Told, isOver: () => boolean): Promise<void> {
  for (let count = 0; !isOver(); count += 1) {
    const sent = await fetch(`${queue}/messages`, { method: 'POST', body: 'x'.repeat(1 + (count % 3_000)) });
    if (sent.status !== 201) throw new Error(await sent.text());
    told.sent.push(((await sent.json()) as { messageId: string }).messageId);
    if (count % 4 !== 0) continue;
    const received = await fetch(`${queue}/messages/receive?max=1&visibility=600`, { method: 'POST' });
    const { messages } = (await received.json()) as { messages: { messageId: string; receiptHandle: string }[] };
    for (const { messageId, receiptHandle } of messages) {
      told.deleting.push(messageId);
      const deleted = await fetch(`${queue}/receipts/${receiptHandle}`, { method: 'DELETE' });
      if (deleted.status === 204) told.deleted.push(messageId);
    }
  }
}

async function run(...args: string[]): Promise<void> {
  expect(await runProgram(args).ended).toMatchObject({ code: 0, errorText: '' });
}

async function stop(server: ServerProcess): Promise<void> {
  server.child.kill('SIGTERM');
  expect((await server.ended).code).toBe(0);
}

describe('a backup of a server that is at work', () => {
  it(`holds what was acknowledged before it began, ${backupCount} times`, async () => {
    const folder = temporaryFolder();
    const server = startServer(join(folder, 'data'));
    const queue = `${await server.url}/v1/queues/work`;
    await fetch(queue, { method: 'PUT', body: '{}', headers: { 'content-type': 'application/json' } });
    const told: Told = { sent: [], deleting: [], deleted: [] };
    for (let i = 0; i < backupCount; i += 1) {
      let isOver = false;
      const clients = Array.from({ length: senders }, () => work(queue, told, () => isOver));
      const enough = told.sent.length + sendsBetween;
      while (told.sent.length < enough) await new Promise((resolve) => setTimeout(resolve, 10));
      const before = { sent: [...told.sent], deleted: new Set(told.deleted) };
      await run('backup', join(folder, `${i}.db`), '--data-dir', join(folder, 'data'));
      const meanwhile = new Set(told.deleting);
      expect(told.sent.length, 'the server goes on meanwhile').toBeGreaterThan(before.sent.length);
      isOver = true;
      await Promise.all(clients);
      await run('restore', join(folder, `${i}.db`), '--data-dir', join(folder, `restored${i}`));
      await run('doctor', '--data-dir', join(folder, `restored${i}`));
      const restored = startServer(join(folder, `restored${i}`));
      const there = `${await restored.url}/v1/queues/work/messages`;
      const isThere = async (id: string) => (await fetch(`${there}/${id}`)).status === 200;
      for (const id of before.sent) {
        // What was deleted while the copy was made may be in it or not.
        if (before.deleted.has(id)) expect(await isThere(id), 'deleted before the backup').toBe(false);
        else if (!meanwhile.has(id)) expect(await isThere(id), 'acknowledged before the backup').toBe(true);
      }
      await stop(restored);
    }
    await stop(server);
    console.log(`${told.sent.length} messages sent, ${told.deleted.length} deleted`);
  });
});
