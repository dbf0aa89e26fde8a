/**
 * kill -9 of a FIFO queue under load, again and again: order and deduplication hold. Producers send what is unknown
 * again under its deduplication id until it is known, so each body must be one message. A kill comes after a number of
 * acknowledgements, so it always hits a busy server.
 */
import { describe, expect, it } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { chance } from '../support/chance.ts';
import { brokenPromises, outOfOrder, type Seen } from '../support/history.ts';
import { countingIds } from '../support/ids.ts';
import { recordingLog } from '../support/log.ts';
import { startServer, temporaryFolder } from '../support/process.ts';
import { sizeOf } from '../support/sizes.ts';

const killCount = sizeOf('fifoKills');
const queue = 'orders.fifo';
const producerCount = 8;
const consumerCount = 6;
const visibilitySeconds = 2;

type Phase = { url: string; isOver: boolean };

/** Undefined: nobody knows what became of it. */
async function call(url: string, init: RequestInit): Promise<Response | undefined> {
  try {
    return await fetch(url, init);
  } catch {
    return undefined;
  }
}

describe('a server that is killed under load', () => {
  it(`keeps order and sends once over ${killCount} kills of a FIFO queue`, async () => {
    const seed = 20_261_124;
    console.log(`seed ${seed}`);
    const random = chance(seed);
    const folder = temporaryFolder();
    const history: Seen[] = [];
    let ackCount = 0;
    let whenAcked: { readonly count: number; readonly go: () => void } | undefined;
    const acked = () => {
      ackCount += 1;
      if (whenAcked !== undefined && ackCount >= whenAcked.count) whenAcked.go();
    };

    async function produce(phase: Phase, producer: number, numbers: Iterator<number>): Promise<void> {
      while (!phase.isOver) {
        const body = `${producer}-${numbers.next().value}`;
        const query = `?group=${producer}&dedup=${body}`;
        let response: Response | undefined;
        do {
          response = await call(`${phase.url}/v1/queues/${queue}/messages${query}`, {
            method: 'POST',
            body,
            headers: { 'content-type': 'text/plain' },
          });
          if (response === undefined) history.push({ what: 'maybeSent', body });
        } while (response === undefined && !phase.isOver);
        if (response === undefined) continue;
        expect(response.status).toBe(201);
        history.push({ what: 'sent', body, messageId: ((await response.json()) as { messageId: string }).messageId });
        acked();
      }
    }

    /** @returns how many it got */
    async function consumeOnce(url: string, wait: string): Promise<number | undefined> {
      const askedAt = performance.now();
      const query = `max=10&wait=${wait}&visibility=${visibilitySeconds}`;
      const response = await call(`${url}/v1/queues/${queue}/messages/receive?${query}`, { method: 'POST' });
      const text = await response?.text().catch(() => undefined);
      if (text === undefined) return undefined;
      const { messages } = JSON.parse(text) as {
        messages: { body: string; messageId: string; receiptHandle: string }[];
      };
      for (const { body, messageId } of messages) history.push({ what: 'delivered', body, messageId, askedAt });
      for (const { messageId, receiptHandle } of messages) {
        const deleted = await call(`${url}/v1/queues/${queue}/receipts/${receiptHandle}`, { method: 'DELETE' });
        if (deleted?.status !== 204) {
          history.push({ what: 'maybeDeleted', messageId });
          continue;
        }
        history.push({ what: 'deleted', messageId, answeredAt: performance.now() });
        acked();
      }
      return messages.length;
    }

    async function consume(phase: Phase): Promise<void> {
      while (!phase.isOver) await consumeOnce(phase.url, '1s');
    }

    const numbers = Array.from({ length: producerCount }, () => counting());
    for (let kill = 0; kill < killCount; kill += 1) {
      const server = startServer(folder);
      const phase: Phase = { url: await server.url, isOver: false };
      await fetch(`${phase.url}/v1/queues/${queue}`, { method: 'PUT' });
      const enough = new Promise<void>((go) => {
        whenAcked = { count: ackCount + 1 + Math.floor(random() * 400), go };
      });
      const clients = [
        ...numbers.map((own, producer) => produce(phase, producer, own)),
        ...Array.from({ length: consumerCount }, () => consume(phase)),
      ];
      await enough;
      server.child.kill('SIGKILL');
      await server.ended;
      phase.isOver = true;
      await Promise.all(clients);
    }

    const server = startServer(folder);
    const url = await server.url;
    const left = async () => {
      const stats = (await (await fetch(`${url}/v1/queues/${queue}/stats`)).json()) as Record<string, number>;
      return (stats.available ?? 0) + (stats.inFlight ?? 0) + (stats.delayed ?? 0);
    };
    // What a killed consumer held comes back when its visibility timeout ends.
    while ((await left()) > 0) await consumeOnce(url, '3s');
    server.child.kill('SIGTERM');
    expect((await server.ended).code).toBe(0);

    const sentCount = history.filter(({ what }) => what === 'sent').length;
    console.log(
      `${sentCount} acknowledged sends, ${history.filter(({ what }) => what === 'maybeSent').length} unknown`,
    );
    expect(sentCount).toBeGreaterThan(killCount * 20);
    expect(brokenPromises(history)).toEqual([]);
    const groupOf = (body: string) => body.split('-')[0] ?? '';
    expect(outOfOrder(history, groupOf, (body) => Number(body.split('-')[1]))).toEqual([]);
    const now = instant(Date.now());
    const storage = await openSqlite({ directory: folder, ids: countingIds(), log: recordingLog(), now });
    expect(await storage.audit({ now })).toEqual([]);
    await storage.close();
  });

  it('is found out by the checker when it loses, repeats, invents or reorders', () => {
    const sent = (body: string): Seen => ({ what: 'sent', body, messageId: `id of ${body}` });
    const delivered = (body: string, messageId = `id of ${body}`, askedAt = 0): Seen => ({
      what: 'delivered',
      body,
      messageId,
      askedAt,
    });
    const deleted = (body: string, answeredAt = 5): Seen => ({
      what: 'deleted',
      messageId: `id of ${body}`,
      answeredAt,
    });
    const bothSent = [sent('0-1'), sent('0-2'), delivered('0-1'), deleted('0-1')];
    const good = [...bothSent, delivered('0-2'), deleted('0-2')];
    expect(brokenPromises(good)).toEqual([]);
    expect(brokenPromises(bothSent)).toEqual(['0-2 was acknowledged and never delivered']);
    expect(brokenPromises(good.slice(0, -1))).toEqual(['0-2 was delivered, not deleted, and is gone']);
    expect(brokenPromises([...bothSent, delivered('0-2'), { what: 'maybeDeleted', messageId: 'id of 0-2' }])).toEqual(
      [],
    );
    expect(brokenPromises([...good, delivered('0-3')])).toEqual(['0-3 was delivered and never sent']);
    expect(brokenPromises([...good, delivered('0-1', 'another id')])).toEqual(['0-1 is 2 messages']);
    expect(brokenPromises([...good, delivered('0-1', 'id of 0-1', 6)])).toEqual([
      '0-1 was delivered after its delete was acknowledged',
    ]);
    const numberOf = (body: string) => Number(body.split('-')[1]);
    expect(outOfOrder(good, () => 'g', numberOf)).toEqual([]);
    expect(outOfOrder([delivered('0-2'), delivered('0-1')], () => 'g', numberOf)).toHaveLength(1);
  });
});

function* counting(): Generator<number, number> {
  for (let number = 0; ; number += 1) yield number;
}
