/** Limits: for each one case at it and one past it, and what a refusal leaves behind: nothing. */
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/domain/errors.ts';
import { limits } from '../../../src/domain/limits.ts';
import { attributes, bodiesOf, codeOf, type Engine, fifo, nth, trialsOf } from '../../support/storage.ts';

const full = async (outcomes: Promise<readonly object[]>) =>
  expect((await outcomes).map(codeOf)).toEqual(['queueFull']);
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

export function limitsConform(engine: Engine): void {
  describe('limits', () => {
    const trial = trialsOf(engine);

    describe('of a message', () => {
      it('takes a body of the largest size, and not a byte more', async () => {
        const t = await trial();
        await t.put('q');
        const largest = 'x'.repeat(limits.messageBytesMax);
        const outcomes = await t.trySend('q', [largest, `${largest}y`]);
        expect(outcomes.map(codeOf)).toEqual(['ok', 'messageTooLarge']);
        const received = await t.receiveOne('q');
        expect(Buffer.from(received.body).equals(Buffer.from(largest))).toBe(true);
      });

      it('counts names, types and raw values of attributes, and bytes instead of characters', async () => {
        const t = await trial();
        await t.put('q', { maxMessageBytes: 1_024 });
        const named = { é: { type: 'String', value: 'ü' }, b: { type: 'Binary', value: 'AAEC' } };
        // é 2 + String 6 + ü 2, b 1 + Binary 6 + 3 raw bytes.
        const rest = 1_024 - 10 - 10;
        const outcomes = await t.trySend('q', [
          { body: 'x'.repeat(rest), attributes: attributes(named) },
          { body: 'x'.repeat(rest + 1), attributes: attributes(named) },
          { body: 'é'.repeat(512) },
          { body: `${'é'.repeat(512)}x` },
        ]);
        expect(outcomes.map(codeOf)).toEqual(['ok', 'messageTooLarge', 'ok', 'messageTooLarge']);
      });

      it('follows a changed limit for later sends and leaves what is there', async () => {
        const t = await trial();
        await t.put('q');
        await t.send('q', 'x'.repeat(2_000));
        await t.update('q', { maxMessageBytes: 1_024 });
        expect((await t.trySend('q', ['x'.repeat(2_000)])).map(codeOf)).toEqual(['messageTooLarge']);
        expect(await t.receive('q')).toHaveLength(1);
      });
    });

    describe('of a receive', () => {
      it('looks at a thousand messages, and no further when all of them have expired', async () => {
        const t = await trial();
        await t.put('q', { retentionSeconds: 60 });
        await t.send('q', ...numbered(limits.receiveRowsExaminedMax - 1));
        t.advance(30);
        await t.send('q', 'at the limit');
        t.advance(30);
        expect(await t.receiveBodies('q')).toEqual(['at the limit']);
        await t.purge('q');
        await t.send('q', ...numbered(limits.receiveRowsExaminedMax));
        t.advance(30);
        await t.send('q', 'past it');
        t.advance(30);
        const { messages, nextVisibleAt } = await t.look('q');
        expect(messages).toEqual([]);
        expect(nextVisibleAt).toBeLessThanOrEqual(t.now);
        expect(await t.receiveBodies('q')).toEqual(['past it']);
      });
    });

    describe('of a queue', () => {
      it('takes messages up to maxMessages and refuses a send past it with queueFull', async () => {
        const t = await trial();
        await t.put('q', { maxMessages: 3 });
        await t.send('q', 'a', 'b', 'c');
        expect(await t.trySend('q', ['d'])).toEqual([
          { fault: 'queueFull', facts: { queue: 'q', limit: 'maxMessages', value: 3 } },
        ]);
        expect(await t.stats('q')).toMatchObject({ availableCount: 3, sentTotal: 3 });
      });

      it('takes of a batch what fits under maxMessages, and of an atomic one all or nothing', async () => {
        const t = await trial();
        await t.put('q', { maxMessages: 3 });
        await t.send('q', 'a', 'b');
        const atomic = await t.trySend('q', ['c', 'd'], { isAtomic: true });
        expect(atomic.map(codeOf)).toEqual(['batchAborted', 'queueFull']);
        expect(bodiesOf(await t.peek('q'))).toEqual(['a', 'b']);
        expect((await t.trySend('q', ['c', 'd'])).map(codeOf)).toEqual(['ok', 'queueFull']);
        expect(bodiesOf(await t.peek('q'))).toEqual(['a', 'b', 'c']);
      });

      it('takes of a batch what fits under maxBytes, a small one after one that is too large too', async () => {
        const t = await trial();
        await t.put('q', { maxBytes: 10 });
        const outcomes = await t.trySend('q', ['12345678', '1234', '12', '1']);
        expect(outcomes.map(codeOf)).toEqual(['ok', 'queueFull', 'ok', 'queueFull']);
        expect((await t.stats('q')).bytes).toBe(10);
      });

      it('counts held and delayed messages, and makes room when one is deleted', async () => {
        const t = await trial();
        await t.put('q', { maxMessages: 2 });
        await t.send('q', 'a', { body: 'b', delaySeconds: 60 });
        const held = await t.receiveOne('q');
        await full(t.trySend('q', ['c']));
        await t.delete('q', held);
        await t.send('q', 'c');
        await full(t.trySend('q', ['d']));
      });

      it('makes room when messages have expired', async () => {
        const t = await trial();
        await t.put('q', { maxMessages: 2, retentionSeconds: 60 });
        await t.send('q', 'a', 'b');
        t.advance(60.001);
        await t.upkeep();
        await t.send('q', 'c', 'd');
        expect(await t.counts('q')).toEqual([2, 0, 0]);
      });

      it('does not count drafts that are refused for themselves', async () => {
        const t = await trial();
        await t.put('q', { maxMessages: 1 });
        expect((await t.trySend('q', ['', 'a', ''])).map(codeOf)).toEqual(['emptyBody', 'ok', 'emptyBody']);
      });

      it('takes a duplicate in a full queue for what it is', async () => {
        const t = await trial();
        await t.put('q.fifo', { maxMessages: 1 });
        const first = await t.sendOne('q.fifo', fifo('g', 'a'));
        expect(await t.sendOne('q.fifo', fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
        await full(t.trySend('q.fifo', [fifo('g', 'b')]));
        const room = fifo('g', 'b');
        await t.delete('q.fifo', await t.receiveOne('q.fifo'));
        expect((await t.trySend('q.fifo', [room, room])).map(codeOf)).toEqual(['ok', 'ok']);
      });

      it('records no deduplication id of a send that a full queue refused', async () => {
        const t = await trial();
        await t.put('q.fifo', { maxMessages: 1 });
        await t.send('q.fifo', fifo('g', 'a'));
        await full(t.trySend('q.fifo', [fifo('g', 'b')]));
        await t.delete('q.fifo', await t.receiveOne('q.fifo'));
        expect(await t.sendOne('q.fifo', fifo('g', 'b'))).toMatchObject({ isDuplicate: false });
      });

      it('takes bytes up to maxBytes and refuses a send past it with queueFull', async () => {
        const t = await trial();
        await t.put('q', { maxBytes: 100 });
        await t.send('q', 'x'.repeat(60));
        expect(await t.trySend('q', ['x'.repeat(41)])).toEqual([
          { fault: 'queueFull', facts: { queue: 'q', limit: 'maxBytes', value: 100 } },
        ]);
        await t.send('q', 'x'.repeat(40));
        await full(t.trySend('q', ['x']));
        await t.delete('q', await t.receiveOne('q'));
        await t.send('q', 'x'.repeat(60));
        expect((await t.stats('q')).bytes).toBe(100);
      });

      it('counts attributes against maxBytes', async () => {
        const t = await trial();
        await t.put('q', { maxBytes: 10 });
        const draft = (body: string) => ({ body, attributes: attributes({ a: { type: 'String', value: 'b' } }) });
        await full(t.trySend('q', [draft('abc')]));
        await t.send('q', draft('ab'));
      });

      it('follows a changed limit: lower ones refuse sends and remove nothing', async () => {
        const t = await trial();
        await t.put('q');
        await t.send('q', 'a', 'b', 'c');
        await t.update('q', { maxMessages: 2 });
        await full(t.trySend('q', ['d']));
        expect(await t.counts('q')).toEqual([3, 0, 0]);
        await t.update('q', { maxMessages: null });
        await t.send('q', 'd');
      });
    });

    describe('of a receive', () => {
      it('hands out the largest number of messages, and no more', async () => {
        const t = await trial();
        await t.put('q');
        await t.send('q', ...numbered(limits.receiveMessagesMax + 1));
        expect(await t.receive('q', { limit: limits.receiveMessagesMax })).toHaveLength(limits.receiveMessagesMax);
        expect(await t.receive('q', { limit: limits.receiveMessagesMax })).toHaveLength(1);
      });

      it('looks at a bounded number of messages and says that there is more, so that nothing is lost sight of', async () => {
        const t = await trial();
        await t.put('q', { retentionSeconds: 60 });
        for (let batch = 0; batch < 4; batch += 1) await t.send('q', ...numbered(1_000));
        t.advance(30);
        await t.send('q', 'young');
        t.advance(30.001);
        for (let round = 0; ; round += 1) {
          expect(round).toBeLessThan(20);
          const { messages, nextVisibleAt } = await t.look('q', { limit: 1 });
          if (messages.length > 0) {
            expect(bodiesOf(messages)).toEqual(['young']);
            break;
          }
          expect(nextVisibleAt).toBeLessThanOrEqual(t.now);
        }
      });

      it('hands out large messages within the bytes of an answer', async () => {
        const t = await trial();
        await t.put('q');
        const megabyte = Buffer.alloc(limits.messageBytesMax, 'x');
        for (let i = 0; i < 10; i += 1) await t.send('q', { body: megabyte });
        expect(await t.receive('q')).toHaveLength(limits.receiveBytesMax / limits.messageBytesMax);
        expect(await t.receive('q')).toHaveLength(2);
      });
    });

    describe('of the writer', () => {
      it('refuses what is too much at once with overloaded, before it is accepted', async () => {
        const t = await trial();
        await t.put('q');
        const count = limits.writerPendingRequestsMax + 500;
        const sends = Array.from({ length: count }, (_, i) => t.trySend('q', [`${i}`]));
        const results = await Promise.allSettled(sends);
        const refused = results.filter(({ status }) => status === 'rejected');
        for (const result of refused) {
          const reason: unknown = result.status === 'rejected' ? result.reason : undefined;
          expect(reason).toBeInstanceOf(Fault);
          expect(reason).toMatchObject({ data: { fault: 'overloaded' } });
        }
        expect(refused.length).toBeGreaterThan(0);
        expect(refused.length).toBeLessThanOrEqual(500);
        expect(await t.counts('q')).toEqual([count - refused.length, 0, 0]);
        await t.send('q', 'afterwards');
        expect(t.storage.health()).toMatchObject({ canWrite: true, pendingRequestCount: 0, pendingBytes: 0 });
      });

      it('refuses bytes that are too many at once with overloaded', async () => {
        const t = await trial();
        await t.put('q');
        const body = Buffer.alloc(limits.messageBytesMax, 'x');
        const count = limits.writerPendingBytesMax / limits.messageBytesMax + 6;
        const results = await Promise.allSettled(Array.from({ length: count }, () => t.trySend('q', [{ body }])));
        const accepted = results.filter(({ status }) => status === 'fulfilled').length;
        expect(accepted).toBeLessThan(count);
        expect(accepted).toBeGreaterThan(count / 2);
        for (const result of results) {
          if (result.status === 'rejected') expect(result.reason).toMatchObject({ data: { fault: 'overloaded' } });
        }
        expect(await t.counts('q')).toEqual([accepted, 0, 0]);
      });
    });

    describe('of the disk', () => {
      it('refuses sends with storageFull, goes on with receives and deletes, and takes sends again when there is room', async () => {
        const t = await trial({ dataBytesMax: 4 * 1_048_576 });
        await t.put('q');
        const body = Buffer.alloc(65_536, 'x');
        let stored = 0;
        let refusal: unknown;
        for (; refusal === undefined && stored < 1_000; stored += 1) {
          refusal = await t.trySend('q', [{ body }]).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          if (refusal !== undefined) break;
        }
        expect(refusal).toMatchObject({ data: { fault: 'storageFull' } });
        expect(stored).toBeGreaterThan(10);
        expect(t.storage.health()).toMatchObject({ isFull: true });
        expect((await t.stats('q')).sentTotal).toBe(stored);
        for (let left = stored; left > 0; ) {
          const held = await t.receive('q', { limit: 10 });
          expect(held.length).toBeGreaterThan(0);
          const outcomes = await t.settle('q', ...held.map(({ receipt }) => ({ does: 'delete' as const, receipt })));
          expect(outcomes.map(codeOf)).toEqual(held.map(() => 'ok'));
          left -= held.length;
        }
        await t.upkeep();
        expect((await t.trySend('q', ['small'])).map(codeOf)).toEqual(['ok']);
        expect(t.storage.health()).toMatchObject({ isFull: false });
      });
    });

    describe('of nothing at all', () => {
      it('is well: it can write, is not full, and nothing waits', async () => {
        const t = await trial();
        await t.put('q');
        await t.send('q', 'a');
        const health = t.storage.health();
        expect(health).toMatchObject({ canWrite: true, isFull: false, pendingRequestCount: 0, stalledMs: 0 });
        expect(health.dataBytes).toBeGreaterThan(0);
        expect(health.walBytes).toBeGreaterThanOrEqual(0);
      });

      it('tells of every commit', async () => {
        const t = await trial();
        const commits: number[] = [];
        t.storage.onCommit(({ requestCount, seconds }) => {
          expect(seconds).toBeGreaterThanOrEqual(0);
          commits.push(requestCount);
        });
        await t.put('q');
        await Promise.all(numbered(50).map((body) => t.send('q', body)));
        await t.notice(await t.put('q'), ({ count }) => count > 0);
        expect(commits.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(51);
        expect(nth(commits)).toBeGreaterThan(0);
      });
    });
  });
}
