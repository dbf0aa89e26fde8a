/** An upload of lines is bounded by nothing but the disk: neither lines nor results pile up in memory. */
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { SendBatchAnswer } from '../../src/rest/batch.ts';
import { startServer, temporaryFolder } from '../support/process.ts';

const lineCount = 100_000;
const pieceLines = 1_000;
/** What the server may grow by, its caches included; all lines together are twice as much. */
const growthBytesMax = 200 * 1_048_576;

/** Resident memory of a process. */
const residentBytes = (pid: number | undefined): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1_024;

type Reading = 'while it sends' | 'when it has sent all';

/** Sends the lines no faster than they are taken; `each` is called after every piece. */
async function upload(url: string, reading: Reading, each: () => void): Promise<z.infer<typeof SendBatchAnswer>> {
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
          (_, i) => `{"number":${sent + i},"text":"${'x'.repeat(4_000)}"}\n`,
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

describe('a large upload of lines', () => {
  it.each<Reading>(['while it sends', 'when it has sent all'])(
    'is stored in little memory for a client that reads %s',
    async (reading) => {
      const server = startServer(temporaryFolder());
      const queue = `${await server.url}/v1/queues/orders`;
      await fetch(queue, { method: 'PUT' });
      const before = residentBytes(server.child.pid);
      let most = before;
      const { sentCount, failedCount, results } = await upload(`${queue}/messages/batch`, reading, () => {
        most = Math.max(most, residentBytes(server.child.pid));
      });
      expect([sentCount, failedCount, results.length]).toEqual([lineCount, 0, lineCount]);
      expect(await (await fetch(`${queue}/stats`)).json()).toMatchObject({ available: lineCount });
      expect(most - before).toBeLessThan(growthBytesMax);
    },
  );
});
