/** An upload of lines is bounded by nothing but the disk: neither lines nor results pile up in memory. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { SendBatchAnswer } from '../../src/rest/batch.ts';
import { startServer, temporaryFolder } from '../support/process.ts';

const pieceLines = 1_000;
const textChars = 1_000;
const MiB = 1_048_576;

/** Resident memory of a process. */
const residentBytes = (pid: number | undefined): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;

type Reading = 'while it sends' | 'when it has sent all';

/** Sends the lines no faster than they are taken; `each` is called after every piece. */
async function upload(
  url: string,
  lineCount: number,
  reading: Reading,
  each: () => void,
): Promise<z.infer<typeof SendBatchAnswer>> {
  return new Promise((resolve, reject) => {
    const sending = request(url, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
    const parts: Buffer[] = [];
    sending.on('error', reject);
    const read = () => {
      sending.on('response', (response) => {
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => resolve(SendBatchAnswer.parse(JSON.parse(Buffer.concat(parts).toString()))));
      });
    };
    if (reading === 'while it sends') read();
    else sending.on('socket', (socket) => socket.pause());
    let sent = 0;
    const send = () => {
      while (sent < lineCount) {
        const piece = Array.from(
          { length: pieceLines },
          (_, i) => `{"number":${sent + i},"text":"${'x'.repeat(textChars)}"}\n`,
        );
        sent += pieceLines;
        each();
        if (!sending.write(piece.join(''))) return void sending.once('drain', send);
      }
      if (reading === 'when it has sent all') {
        read();
        sending.socket?.resume();
      }
      sending.end();
    };
    send();
  });
}

/** What `npm start` gives the server beside its arguments: without it V8 and malloc keep three times as much. */
function startEnvironment(): Record<string, string> {
  const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const [, arenas, flags] =
    /^MALLOC_ARENA_MAX=(\d+) exec node (.*) dist\/cli\/index.js serve$/.exec(scripts.start) ?? [];
  if (arenas === undefined || flags === undefined) throw new Error(`npm start is another command: ${scripts.start}`);
  return { MALLOC_ARENA_MAX: arenas, NODE_OPTIONS: flags };
}

type Step = { readonly lineCount: number; readonly reading: Reading; readonly growthMiBMax: number };

/** The first fills caches and heaps to where they stay; a line has a kilobyte, its result 73 bytes. */
const steps: readonly Step[] = [
  { lineCount: 50_000, reading: 'while it sends', growthMiBMax: 96 },
  { lineCount: 200_000, reading: 'while it sends', growthMiBMax: 16 },
  { lineCount: 100_000, reading: 'when it has sent all', growthMiBMax: 16 },
];

describe('a large upload of lines', () => {
  it('is stored in memory that does not grow with it', async () => {
    const server = startServer(temporaryFolder(), startEnvironment());
    const queue = `${await server.url}/v1/queues/orders`;
    await fetch(queue, { method: 'PUT' });
    let most = residentBytes(server.child.pid);
    let available = 0;
    for (const { lineCount, reading, growthMiBMax } of steps) {
      const before = most;
      const { sentCount, failedCount, results } = await upload(`${queue}/messages/batch`, lineCount, reading, () => {
        most = Math.max(most, residentBytes(server.child.pid));
      });
      available += lineCount;
      expect([sentCount, failedCount, results.length]).toEqual([lineCount, 0, lineCount]);
      expect(await (await fetch(`${queue}/stats`)).json()).toMatchObject({ available });
      expect((most - before) / MiB, `${lineCount} lines, read ${reading}`).toBeLessThan(growthMiBMax);
    }
  });
});
