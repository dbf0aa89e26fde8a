/** Idempotency keys: a send or a task with the same key happens once within 24 hours. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import {
  codeOf,
  type Engine,
  expectRejection,
  fifo,
  nextTaskId,
  nth,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

const key = { key: 'k', fingerprint: 'f' };
const otherFingerprint = { key: 'k', fingerprint: 'g' };

export function idempotencyConform(engine: Engine): void {
  describe('idempotency keys', () => {
    const trial = trialsOf(engine);
    const withQueue = async (settings: Parameters<Trial['put']>[1] = {}) => {
      const t = await trial();
      await t.put('q', settings);
      return t;
    };

    it('store once and answer the first messages again, as duplicates', async () => {
      const t = await withQueue();
      const first = await t.trySend('q', ['a', 'b'], { idempotency: key });
      expect(first).toMatchObject([{ isDuplicate: false }, { isDuplicate: false }]);
      const again = await t.trySend('q', ['a', 'b'], { idempotency: key });
      expect(again).toEqual(first.map((sent) => ({ ...sent, isDuplicate: true })));
      expect(await t.receiveBodies('q')).toEqual(['a', 'b']);
      expect((await t.stats('q')).sentTotal).toBe(2);
    });

    it('refuse another fingerprint with idempotencyKeyReused, without effect', async () => {
      const t = await withQueue();
      await t.trySend('q', ['a'], { idempotency: key });
      await expectRejection(t.trySend('q', ['b'], { idempotency: otherFingerprint }), 'idempotencyKeyReused');
      expect(await t.receiveBodies('q')).toEqual(['a']);
    });

    it('are apart from one another', async () => {
      const t = await withQueue();
      await t.trySend('q', ['a'], { idempotency: key });
      await t.trySend('q', ['a'], { idempotency: { key: 'K', fingerprint: 'f' } });
      await t.trySend('q', ['a']);
      expect(await t.receiveBodies('q')).toEqual(['a', 'a', 'a']);
    });

    it('of sends are apart from those of tasks', async () => {
      const t = await withQueue();
      await t.put('r');
      await t.trySend('q', ['a'], { idempotency: key });
      const { isNew } = await t.storage.startRedrive({
        taskId: nextTaskId(),
        source: t.ref('q'),
        destination: 'r',
        ratePerSecond: null,
        limit: null,
        idempotency: otherFingerprint,
        now: t.now,
      });
      expect(isNew).toBe(true);
    });

    it('are apart by account', async () => {
      const t = await withQueue();
      const other = t.as('111111111111');
      await other.put('q');
      await t.trySend('q', ['mine'], { idempotency: key });
      const sent = await other.trySend('q', ['theirs'], { idempotency: otherFingerprint });
      expect(sent.map(codeOf)).toEqual(['ok']);
    });

    it('hold between sends at once', async () => {
      const t = await withQueue();
      const sends = Array.from({ length: 20 }, () => t.trySend('q', ['a'], { idempotency: key }));
      const sent = (await Promise.all(sends)).flat();
      expect(sent.filter((outcome) => 'isDuplicate' in outcome && !outcome.isDuplicate)).toHaveLength(1);
      expect(await t.counts('q')).toEqual([1, 0, 0]);
    });

    it('last 24 hours, to the millisecond, whether upkeep came by or not', async () => {
      const t = await withQueue();
      await t.trySend('q', ['a'], { idempotency: key });
      t.advance(limits.idempotencySeconds - 0.001);
      await t.upkeep();
      expect(await t.trySend('q', ['a'], { idempotency: key })).toMatchObject([{ isDuplicate: true }]);
      t.advance(0.002);
      expect(await t.trySend('q', ['a'], { idempotency: key })).toMatchObject([{ isDuplicate: false }]);
      expect(await t.trySend('q', ['a'], { idempotency: key })).toMatchObject([{ isDuplicate: true }]);
      expect((await t.stats('q')).sentTotal).toBe(2);
    });

    it('are free for another fingerprint after 24 hours', async () => {
      const t = await withQueue();
      await t.trySend('q', ['a'], { idempotency: key });
      t.advance(limits.idempotencySeconds + 0.001);
      expect((await t.trySend('q', ['b'], { idempotency: otherFingerprint })).map(codeOf)).toEqual(['ok']);
    });

    it('go on after the message was received and deleted', async () => {
      const t = await withQueue();
      const first = await t.trySend('q', ['a'], { idempotency: key });
      await t.delete('q', await t.receiveOne('q'));
      await t.upkeep();
      const again = await t.trySend('q', ['a'], { idempotency: key });
      expect(again).toEqual(first.map((sent) => ({ ...sent, isDuplicate: true })));
      expect(await t.receiveBodies('q')).toEqual([]);
    });

    it('are not used up by a send that was refused as a whole', async () => {
      const t = await withQueue({ maxMessages: 1 });
      await t.send('q', 'first');
      expect((await t.trySend('q', ['a'], { idempotency: key })).map(codeOf)).toEqual(['queueFull']);
      await t.delete('q', await t.receiveOne('q'));
      expect(await t.trySend('q', ['a'], { idempotency: key })).toMatchObject([{ isDuplicate: false }]);
      expect(await t.receiveBodies('q')).toEqual(['a']);
    });

    it('are not used up by a send of which nothing was stored', async () => {
      const t = await withQueue({ maxMessageBytes: 1_024 });
      const refused = await t.trySend('q', ['x'.repeat(1_025)], { idempotency: key });
      expect(refused.map(codeOf)).toEqual(['messageTooLarge']);
      const sent = await t.trySend('q', ['a'], { idempotency: otherFingerprint });
      expect(sent.map(codeOf)).toEqual(['ok']);
    });

    it('answer a batch of which some were refused the same way again', async () => {
      const t = await withQueue({ maxMessageBytes: 1_024 });
      const drafts = ['a', 'x'.repeat(1_025), 'b'];
      const first = await t.trySend('q', drafts, { idempotency: key });
      expect(first.map(codeOf)).toEqual(['ok', 'messageTooLarge', 'ok']);
      const again = await t.trySend('q', drafts, { idempotency: key });
      expect(again.map(codeOf)).toEqual(['ok', 'messageTooLarge', 'ok']);
      expect(nth(again)).toEqual({ ...nth(first), isDuplicate: true });
      expect(nth(again, 2)).toEqual({ ...nth(first, 2), isDuplicate: true });
      expect(await t.receiveBodies('q')).toEqual(['a', 'b']);
    });

    it('keep a repeated send out of the way of the limit of messages', async () => {
      const t = await withQueue({ maxMessages: 1 });
      await t.trySend('q', ['a'], { idempotency: key });
      expect(await t.trySend('q', ['a'], { idempotency: key })).toMatchObject([{ isDuplicate: true }]);
    });

    it('work on FIFO queues beside deduplication', async () => {
      const t = await trial();
      await t.put('q.fifo');
      const drafts = [fifo('g', 'a')];
      const first = await t.trySend('q.fifo', drafts, { idempotency: key });
      t.advance(301);
      const again = await t.trySend('q.fifo', drafts, { idempotency: key });
      expect(again).toEqual(first.map((sent) => ({ ...sent, isDuplicate: true })));
      expect(await t.counts('q.fifo')).toEqual([1, 0, 0]);
    });

    restartCase(engine, 'hold over a restart', async () => {
      const t = await withQueue();
      const first = await t.trySend('q', ['a'], { idempotency: key });
      await t.reopen();
      const again = await t.trySend('q', ['a'], { idempotency: key });
      expect(again).toEqual(first.map((sent) => ({ ...sent, isDuplicate: true })));
      await expectRejection(t.trySend('q', ['b'], { idempotency: otherFingerprint }), 'idempotencyKeyReused');
    });

    describe('of tasks', () => {
      const withLetters = async () => {
        const t = await trial();
        await t.putPair('q', 5);
        await t.send('q', 'a', 'b');
        for (const held of await t.receive('q')) await t.deadLetter('q', held);
        const start = (idempotency: typeof key) =>
          t.storage.startRedrive({
            taskId: nextTaskId(),
            source: t.ref('q-dlq'),
            destination: null,
            ratePerSecond: 1,
            limit: null,
            idempotency,
            now: t.now,
          });
        return { t, start };
      };

      it('start one task and answer it again, as it is by then', async () => {
        const { t, start } = await withLetters();
        const first = await start(key);
        expect(first.isNew).toBe(true);
        expect(await start(key)).toEqual({ task: first.task, isNew: false });
        await t.upkeepUntil(t.in(10));
        const again = await start(key);
        expect(again).toMatchObject({ isNew: false, task: { taskId: first.task.taskId, status: 'completed' } });
        expect((await t.storage.listTasks({ account: t.account, limit: 10 })).items).toHaveLength(1);
      });

      it('refuse another fingerprint with idempotencyKeyReused', async () => {
        const { start } = await withLetters();
        await start(key);
        await expectRejection(start(otherFingerprint), 'idempotencyKeyReused');
      });

      it('last 24 hours', async () => {
        const { t, start } = await withLetters();
        const first = await start(key);
        await t.upkeepUntil(t.in(10));
        t.advance(limits.idempotencySeconds - 10.001);
        expect((await start(key)).isNew).toBe(false);
        t.advance(0.002);
        const second = await start(key);
        expect(second.isNew).toBe(true);
        expect(second.task.taskId).not.toBe(first.task.taskId);
      });
    });
  });
}
