/** Redrive: tasks that move messages back, at a rate, up to a limit, once each, whatever happens in between. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { RedriveTask } from '../../../src/domain/redrive.ts';
import {
  attributes,
  bodiesOf,
  bodyOf,
  type Engine,
  expectRejection,
  faultOf,
  fifo,
  nextTaskId,
  nth,
  pages,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

export function redriveConform(engine: Engine): void {
  describe('redrive', () => {
    const trial = trialsOf(engine);

    /** Queues q and q-dlq with so many dead letters of q. */
    const withLetters = async (count: number, settings: Parameters<Trial['put']>[1] = {}) => {
      const t = await trial();
      await t.putPair('q', 1_000, settings);
      await letters(t, 'q', numbered(count));
      return t;
    };
    const letters = async (t: Trial, queue: string, bodies: readonly string[]) => {
      if (bodies.length === 0) return;
      await t.send(queue, ...bodies.map((body) => (queue.endsWith('.fifo') ? fifo('g', body) : body)));
      for (let round = 0; round < 100; round += 1) {
        const held = await t.receive(queue);
        if (held.length === 0) return;
        const settlements = held.map(({ receipt }) => ({ does: 'deadLetter' as const, receipt, reason: 'because' }));
        await t.settle(queue, ...settlements);
      }
      throw new Error('Dead letters come back.');
    };
    const finished = async (t: Trial, { taskId }: RedriveTask) => {
      await t.upkeep();
      return t.task(taskId);
    };

    it('moves every message back to where it came from', async () => {
      const t = await withLetters(7);
      const task = await t.redrive('q-dlq');
      expect(task).toMatchObject({
        account: t.account,
        source: 'q-dlq',
        destination: null,
        ratePerSecond: null,
        limit: null,
        status: 'running',
        movedCount: 0,
        skippedCount: 0,
        toMoveCount: 7,
        startedAt: t.now,
        finishedAt: null,
        failure: null,
      });
      expect(await finished(t, task)).toMatchObject({
        status: 'completed',
        movedCount: 7,
        finishedAt: t.now,
        failure: null,
      });
      expect(await t.counts('q-dlq')).toEqual([0, 0, 0]);
      expect((await t.receiveBodies('q')).toSorted()).toEqual(numbered(7));
      expect((await t.stats('q-dlq')).redrivenTotal).toBe(7);
    });

    it('gives each message a fresh start: no receives, no dead letter, a new retention', async () => {
      const t = await trial();
      await t.putPair('q', 1, { retentionSeconds: 100 });
      const all = attributes({ a: { type: 'String', value: 'b' } });
      const sent = await t.sendOne('q', { body: 'x', contentType: 'x/y', attributes: all, groupId: 'g' });
      for (let round = 0; round < 2; round += 1) await t.receive('q', { visibilitySeconds: 0 });
      t.advance(90);
      await t.redrive('q-dlq');
      await t.upkeep();
      expect(await t.peek('q')).toMatchObject([
        {
          messageId: sent.messageId,
          contentType: 'x/y',
          groupId: 'g',
          receiveCount: 0,
          firstReceivedAt: null,
          enqueuedAt: t.now,
        },
      ]);
      t.advance(50);
      const message = await t.receiveOne('q', { visibilitySeconds: 0 });
      expect(message).toMatchObject({ receiveCount: 1, firstReceivedAt: t.now });
      expect(message.history.deadLetter).toBeUndefined();
      expect([...message.attributes]).toEqual([...all]);
      expect(bodyOf(message)).toBe('x');
    });

    it('moves the messages of several sources each to its own', async () => {
      const t = await withLetters(3);
      await t.put('r', { deadLetter: { queue: QueueName.parse('q-dlq'), maxReceiveCount: 1_000 } });
      await letters(t, 'r', ['r1', 'r2']);
      const task = await t.redrive('q-dlq');
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 5 });
      expect((await t.receiveBodies('q')).toSorted()).toEqual(numbered(3));
      expect((await t.receiveBodies('r')).toSorted()).toEqual(['r1', 'r2']);
    });

    it('moves to a named queue what was dead-lettered or sent there', async () => {
      const t = await withLetters(2);
      await t.put('elsewhere');
      await t.send('q-dlq', 'sent');
      const task = await t.redrive('q-dlq', { to: 'elsewhere' });
      expect(task).toMatchObject({ destination: 'elsewhere', toMoveCount: 3 });
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 3 });
      expect((await t.receiveBodies('elsewhere')).toSorted()).toEqual(['m0', 'm1', 'sent']);
      expect(await t.counts('q')).toEqual([0, 0, 0]);
    });

    it('of an empty queue is completed with nothing moved', async () => {
      const t = await withLetters(0);
      const task = await t.redrive('q-dlq');
      expect(task.toMoveCount).toBe(0);
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 0 });
    });

    it('moves up to its limit, the oldest first', async () => {
      const t = await withLetters(5);
      const task = await t.redrive('q-dlq', { limit: 2 });
      expect(task).toMatchObject({ limit: 2, toMoveCount: 2 });
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 2 });
      expect(await t.receiveBodies('q')).toEqual(['m0', 'm1']);
      expect(bodiesOf(await t.peek('q-dlq'))).toEqual(['m2', 'm3', 'm4']);
    });

    it('with a limit beyond what is there moves what is there', async () => {
      const t = await withLetters(2);
      const task = await t.redrive('q-dlq', { limit: 10 });
      expect(task.toMoveCount).toBe(2);
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 2 });
    });

    it.each([
      { count: 5, rate: 1 },
      { count: 21, rate: 10 },
      { count: 250, rate: 100 },
      { count: 1_500, rate: 900 },
    ])('moves $count messages at $rate per second in no less and not much more time', async ({ count, rate }) => {
      const t = await withLetters(count);
      const startedAt = t.now;
      const { taskId } = await t.redrive('q-dlq', { rate });
      for (let step = 0; ; step += 1) {
        expect(step).toBeLessThan(5_000);
        const { nextAt } = await t.storage.upkeep({ now: t.now });
        const task = await t.task(taskId);
        const elapsedSeconds = (t.now - startedAt) / 1000;
        expect(task.movedCount, `after ${elapsedSeconds} s`).toBeLessThanOrEqual(
          Math.ceil(rate / 100) + elapsedSeconds * rate + 1e-9,
        );
        if (task.status === 'completed') break;
        expect(task.status).toBe('running');
        expect(nextAt, 'a running task is due some time').not.toBeNull();
        t.advanceTo(nextAt ?? t.now);
      }
      expect((t.now - startedAt) / 1000).toBeGreaterThanOrEqual((count - Math.ceil(rate / 100)) / rate);
      expect((t.now - startedAt) / 1000).toBeLessThanOrEqual(count / rate + 1);
      expect(await t.counts('q')).toEqual([count, 0, 0]);
    });

    it('at a rate does not make up at once for upkeep that came late beyond what the rate allows', async () => {
      const t = await withLetters(30);
      const { taskId } = await t.redrive('q-dlq', { rate: 2 });
      await t.upkeep();
      t.advance(5);
      await t.upkeep();
      const { movedCount } = await t.task(taskId);
      expect(movedCount).toBeLessThanOrEqual(11);
      expect(movedCount).toBeGreaterThanOrEqual(2);
    });

    it('at a rate makes up for one second of a long rest, not for more', async () => {
      const t = await withLetters(90);
      const { taskId } = await t.redrive('q-dlq', { rate: 20 });
      await t.storage.upkeep({ now: t.now });
      const before = (await t.task(taskId)).movedCount;
      t.advance(60);
      await t.storage.upkeep({ now: t.now });
      expect((await t.task(taskId)).movedCount).toBe(before + 20 + 1);
    });

    it('moves no more bytes in a slice than may be, and the last message', async () => {
      const t = await trial();
      await t.put('q');
      await t.put('r');
      await t.send('q', ...Array.from({ length: 6 }, () => 'x'.repeat(1_000_000)));
      await t.redrive('q', { to: 'r' });
      await t.storage.upkeep({ now: t.now });
      // Four are less than 4 MiB.
      expect(await t.counts('r')).toEqual([5, 0, 0]);
      await t.upkeep();
      expect(await t.counts('r')).toEqual([6, 0, 0]);
    });

    it('moves in bounded slices and says that there is more', async () => {
      const t = await withLetters(1_500);
      const { taskId } = await t.redrive('q-dlq');
      const before = (await t.task(taskId)).movedCount;
      const { nextAt } = await t.storage.upkeep({ now: t.now });
      const moved = (await t.task(taskId)).movedCount - before;
      expect(moved).toBeGreaterThan(0);
      expect(moved).toBeLessThanOrEqual(limits.upkeepRowsPerSliceMax);
      expect(nextAt).toBeLessThanOrEqual(t.now);
      expect(await t.counts('q')).toEqual([moved, 0, 0]);
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 1_500 });
      expect(new Set((await t.peek('q')).map(({ messageId }) => messageId)).size).toBe(1_500);
    });

    it('leaves messages that arrive after the start where they are', async () => {
      const t = await withLetters(4);
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      await t.upkeep();
      await t.send('q-dlq', 'sent later');
      await letters(t, 'q', ['dead later']);
      await t.upkeepUntil(t.in(10));
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 4, toMoveCount: 4 });
      expect(bodiesOf(await t.peek('q-dlq'))).toContain('sent later');
    });

    it('does not take again what it moved and what came back as a dead letter', async () => {
      const t = await withLetters(2);
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      await t.upkeep();
      const [moved] = await t.receive('q');
      if (moved !== undefined) await t.deadLetter('q', moved, 'again');
      await t.upkeepUntil(t.in(10));
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 2 });
      expect(await t.counts('q-dlq')).toEqual([1, 0, 0]);
    });

    it('waits for messages in flight and moves them when they are visible', async () => {
      const t = await withLetters(3);
      await t.receiveOne('q-dlq', { visibilitySeconds: 60 });
      const { taskId, toMoveCount } = await t.redrive('q-dlq');
      expect(toMoveCount).toBe(3);
      await t.upkeepUntil(t.in(59));
      expect(await t.task(taskId)).toMatchObject({ status: 'running', movedCount: 2 });
      expect(await t.counts('q-dlq')).toEqual([0, 1, 0]);
      await t.upkeepUntil(t.in(2));
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 3 });
      expect(await t.counts('q')).toEqual([3, 0, 0]);
    });

    it('ends when the last message in flight is deleted by its holder', async () => {
      const t = await withLetters(2);
      const held = await t.receiveOne('q-dlq', { visibilitySeconds: 60 });
      const { taskId } = await t.redrive('q-dlq');
      await t.upkeep();
      await t.delete('q-dlq', held);
      await t.upkeepUntil(t.in(70));
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 1 });
    });

    it('ends when what is left was purged or has expired', async () => {
      const t = await withLetters(10);
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      await t.upkeepUntil(t.in(2));
      await t.purge('q-dlq');
      await t.upkeepUntil(t.in(20));
      await t.upkeep();
      const task = await t.task(taskId);
      expect(task.status).toBe('completed');
      expect(task.movedCount).toBe((await t.peek('q')).length);
    });

    it('moves FIFO messages in the order of their group, past the deduplication of their source', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1_000);
      await letters(t, 'q.fifo', ['1', '2', '3']);
      await t.send('q.fifo', fifo('g', '4'));
      const task = await t.redrive('q-dlq.fifo');
      expect(await finished(t, task)).toMatchObject({ status: 'completed', movedCount: 3 });
      expect(await t.receiveBodies('q.fifo')).toEqual(['4', '1', '2', '3']);
    });

    it('moves FIFO messages one after the other when the rate spreads them over time', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1_000);
      await letters(t, 'q.fifo', numbered(8));
      await t.redrive('q-dlq.fifo', { rate: 2 });
      await t.upkeepUntil(t.in(10));
      expect(await t.receiveBodies('q.fifo')).toEqual(numbered(8));
    });

    it('keeps its rate when messages in flight become visible between two moves', async () => {
      const t = await withLetters(4);
      const startedAt = t.now;
      await t.receive('q-dlq', { limit: 2, visibilitySeconds: 1 });
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      for (let step = 0; (await t.task(taskId)).status === 'running'; step += 1) {
        expect(step).toBeLessThan(1_000);
        const { nextAt } = await t.storage.upkeep({ now: t.now });
        const { movedCount } = await t.task(taskId);
        const elapsedSeconds = (t.now - startedAt) / 1000;
        expect(movedCount, `after ${elapsedSeconds} s`).toBeLessThanOrEqual(1 + elapsedSeconds);
        t.advanceTo(nextAt ?? t.in(1));
      }
      expect(await t.counts('q')).toEqual([4, 0, 0]);
    });

    it('does not let a FIFO message overtake one that was passed over earlier', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1_000);
      await t.send('q-dlq.fifo', fifo('g', 'g1'));
      t.advance(1);
      await t.send('q-dlq.fifo', ...numbered(10).map((body) => fifo('other', body)));
      t.advance(1);
      await t.send('q-dlq.fifo', fifo('g', 'g2'));
      expect(await t.receiveBodies('q-dlq.fifo', { limit: 1, visibilitySeconds: 5 })).toEqual(['g1']);
      const { taskId } = await t.redrive('q-dlq.fifo', { to: 'q.fifo', rate: 1 });
      await t.upkeepUntil(t.in(60));
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 12 });
      const bodies = await t.receiveBodies('q.fifo');
      expect(bodies.filter((body) => body.startsWith('g'))).toEqual(['g1', 'g2']);
      expect(bodies.filter((body) => body.startsWith('m'))).toEqual(numbered(10));
    });

    it('does not let a FIFO message overtake one of its group that is in flight', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1_000);
      await letters(t, 'q.fifo', ['1', '2']);
      await t.receiveOne('q-dlq.fifo', { visibilitySeconds: 60 });
      const { taskId } = await t.redrive('q-dlq.fifo');
      await t.upkeepUntil(t.in(59));
      await t.upkeepUntil(t.in(2));
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 2 });
      expect(await t.receiveBodies('q.fifo')).toEqual(['1', '2']);
    });

    it('goes on serving the source meanwhile: a message that is deleted or received is not moved', async () => {
      const t = await withLetters(10);
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      await t.upkeep();
      for (const held of await t.receive('q-dlq', { limit: 5, visibilitySeconds: 3_000 }))
        await t.delete('q-dlq', held);
      await t.upkeepUntil(t.in(20));
      await t.upkeep();
      const task = await t.task(taskId);
      expect(task).toMatchObject({ status: 'completed', movedCount: 5 });
      expect(await t.counts('q')).toEqual([5, 0, 0]);
    });

    describe('skips and counts', () => {
      it('messages that were sent to the queue directly, and moves the others', async () => {
        const t = await withLetters(2);
        await t.send('q-dlq', 'sent', 'sent too');
        await letters(t, 'q', ['m2']);
        const task = await finished(t, await t.redrive('q-dlq'));
        expect(task).toMatchObject({ status: 'completed', movedCount: 3, skippedCount: 2, failure: null });
        expect(bodiesOf(await t.peek('q-dlq'))).toEqual(['sent', 'sent too']);
        expect(await t.receiveBodies('q')).toEqual(numbered(3));
      });

      it('messages whose source is gone', async () => {
        const t = await withLetters(2);
        await t.put('r', { deadLetter: { queue: QueueName.parse('q-dlq'), maxReceiveCount: 1_000 } });
        await letters(t, 'r', ['r1']);
        await t.deleteQueue('q');
        const task = await finished(t, await t.redrive('q-dlq'));
        expect(task).toMatchObject({ status: 'completed', movedCount: 1, skippedCount: 2 });
        expect(await t.receiveBodies('r')).toEqual(['r1']);
      });

      it('each once, however often it goes over the source, and does not wait for them', async () => {
        const t = await withLetters(3);
        await t.send('q-dlq', 'sent', 'sent and held');
        await t.receive('q-dlq', { limit: 1, visibilitySeconds: 30 });
        const { taskId } = await t.redrive('q-dlq');
        await t.receive('q-dlq', { limit: 1, visibilitySeconds: 60 });
        await t.upkeepUntil(t.in(59));
        expect(await t.task(taskId)).toMatchObject({ status: 'running', movedCount: 2, skippedCount: 2 });
        const held = await t.receive('q-dlq', { visibilitySeconds: 3_000 });
        expect(bodiesOf(held)).toEqual(['sent', 'sent and held']);
        await t.upkeepUntil(t.in(2));
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 3, skippedCount: 2 });
      });

      it('messages of FIFO groups, and moves what stands behind them', async () => {
        const t = await trial();
        await t.putPair('q.fifo', 1_000);
        await t.send('q-dlq.fifo', fifo('g', 'sent'));
        await letters(t, 'q.fifo', ['1', '2']);
        await t.send('q-dlq.fifo', fifo('g', 'sent too'));
        await letters(t, 'q.fifo', ['3']);
        const { taskId } = await t.redrive('q-dlq.fifo', { rate: 1 });
        await t.upkeepUntil(t.in(20));
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 3, skippedCount: 2 });
        expect(await t.receiveBodies('q.fifo')).toEqual(['1', '2', '3']);
        expect(bodiesOf(await t.peek('q-dlq.fifo'))).toEqual(['sent', 'sent too']);
      });

      it('once also in a group that somebody received from meanwhile', async () => {
        const t = await trial();
        await t.putPair('q.fifo', 1_000);
        await t.send('q-dlq.fifo', fifo('first', 'sent'));
        await letters(t, 'q.fifo', numbered(4));
        const { taskId } = await t.redrive('q-dlq.fifo', { rate: 1 });
        await t.upkeepUntil(t.in(1));
        expect(await t.task(taskId)).toMatchObject({ skippedCount: 1 });
        const held = await t.receive('q-dlq.fifo', { limit: 1 });
        expect(bodiesOf(held)).toEqual(['sent']);
        await t.release('q-dlq.fifo', nth(held), { delaySeconds: 0 });
        await t.upkeepUntil(t.in(20));
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 4, skippedCount: 1 });
      });

      it('none with a destination', async () => {
        const t = await withLetters(1);
        await t.send('q-dlq', 'sent');
        const task = await finished(t, await t.redrive('q-dlq', { to: 'q' }));
        expect(task).toMatchObject({ status: 'completed', movedCount: 2, skippedCount: 0 });
      });
    });

    describe('from FIFO queues', () => {
      const groupNames = (count: number) => Array.from({ length: count }, (_, i) => `g${i}`);

      /** One group with so many messages, all behind a first one that is held for so long. */
      const blocked = async (count: number, visibilitySeconds: number) => {
        const t = await trial();
        await t.put('q.fifo');
        await t.put('to.fifo');
        await t.send('q.fifo', ...numbered(count).map((body) => fifo('g', body)));
        const held = await t.receiveOne('q.fifo', { visibilitySeconds });
        return { t, held };
      };

      it('looks at a blocked group once in ten seconds, however many messages wait in it', async () => {
        const { t } = await blocked(3_000, 600);
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        const startedAt = t.now;
        const looks: number[] = [];
        while (t.now < startedAt + 60_000) {
          const before = t.now;
          const { nextAt } = await t.storage.upkeep({ now: t.now });
          expect(nextAt, 'nothing more to do now').toBeGreaterThan(before);
          looks.push(before);
          t.advanceTo(nextAt ?? t.in(60));
        }
        // Upkeep has other duties, each second at most.
        expect(looks.length).toBeLessThanOrEqual(61);
        expect(await t.task(taskId)).toMatchObject({ status: 'running', movedCount: 0 });
        await t.upkeepUntil(t.in(545));
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 3_000 });
        expect(bodiesOf(await t.peek('to.fifo'))).toEqual(numbered(3_000));
      });

      it('looks at one of many blocked groups only', async () => {
        const t = await trial();
        await t.put('q.fifo');
        await t.put('to.fifo');
        const names = groupNames(limits.redriveRowsExaminedPerSliceMax + 100);
        for (let i = 0; i < names.length; i += 100) {
          await t.send('q.fifo', ...names.slice(i, i + 100).map((name) => fifo(name, name)));
          await t.receive('q.fifo', { visibilitySeconds: 600 });
        }
        await t.redrive('q.fifo', { to: 'to.fifo' });
        const { nextAt } = await t.storage.upkeep({ now: t.now });
        expect(nextAt, 'nothing more to do now').toBeGreaterThan(t.now);
      });

      it('goes on within ten seconds when what blocked a group was deleted', async () => {
        const { t, held } = await blocked(3, 600);
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        await t.upkeepUntil(t.in(5));
        await t.delete('q.fifo', held);
        await t.upkeepUntil(t.in(10));
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 2 });
        expect(bodiesOf(await t.peek('to.fifo'))).toEqual(['m1', 'm2']);
      });

      it('moves the groups that are not blocked meanwhile, each in order', async () => {
        const { t } = await blocked(3, 60);
        const names = groupNames(150);
        for (const round of ['a', 'b', 'c']) {
          await t.send('q.fifo', ...names.map((name) => fifo(name, `${name}${round}`)));
        }
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        await t.upkeepUntil(t.in(50));
        expect(await t.task(taskId)).toMatchObject({ status: 'running', movedCount: 450 });
        await t.upkeepUntil(t.in(15));
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 453 });
        const moved = bodiesOf(await t.peek('to.fifo'));
        for (const name of names) {
          expect(moved.filter((body) => body.slice(0, -1) === name)).toEqual(['a', 'b', 'c'].map((x) => name + x));
        }
        expect(moved.filter((body) => body.startsWith('m'))).toEqual(numbered(3));
      });

      it('leaves alone what came after the start, in whatever group, and does not wait for it', async () => {
        const { t } = await blocked(2, 20);
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        await t.upkeep();
        await t.send('q.fifo', fifo('g', 'late 1'), fifo('held', 'late 2'), fifo('free', 'late 3'));
        await t.receive('q.fifo', { limit: 1, visibilitySeconds: 3_600 });
        await t.upkeepUntil(t.in(31));
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 2 });
        expect(bodiesOf(await t.peek('q.fifo')).toSorted()).toEqual(['late 1', 'late 2', 'late 3']);
      });

      it('stops in a group before a message that is held, and goes on when it is free', async () => {
        const { t, held } = await blocked(4, 600);
        await t.delete('q.fifo', held);
        const [first, second] = await t.receive('q.fifo', { limit: 2, visibilitySeconds: 300 });
        if (first !== undefined) await t.release('q.fifo', first, { delaySeconds: 0 });
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        await t.upkeepUntil(t.in(5));
        expect(bodiesOf(await t.peek('to.fifo'))).toEqual(['m1']);
        if (second !== undefined) await t.release('q.fifo', second, { delaySeconds: 0 });
        await t.upkeepUntil(t.in(11));
        expect(bodiesOf(await t.peek('to.fifo'))).toEqual(['m1', 'm2', 'm3']);
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 3 });
      });

      it('clears expired messages out of the way', async () => {
        const t = await trial();
        await t.put('q.fifo', { retentionSeconds: 60 });
        await t.put('to.fifo');
        await t.send('q.fifo', fifo('g', 'old'));
        t.advance(59);
        await t.send('q.fifo', fifo('g', 'new'));
        t.advance(1.5);
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo' });
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 1 });
        expect(await t.stats('q.fifo')).toMatchObject({ expiredTotal: 1, availableCount: 0 });
      });

      it('keeps its rate, and moves as many groups as it may', async () => {
        const { t } = await blocked(1, 600);
        await t.send('q.fifo', ...groupNames(30).flatMap((name) => [fifo(name, `${name}a`), fifo(name, `${name}b`)]));
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo', rate: 10 });
        for (let second = 1; second <= 5; second += 1) {
          await t.upkeepUntil(t.in(1));
          const { movedCount } = await t.task(taskId);
          expect(movedCount).toBeGreaterThanOrEqual(second * 10 - 1);
          expect(movedCount).toBeLessThanOrEqual(second * 10 + 1);
        }
      });

      restartCase(engine, 'goes on after a restart in the middle of a group', async () => {
        const { t } = await blocked(5, 10);
        await t.send('q.fifo', ...numbered(5).map((body) => fifo('h', `h${body}`)));
        const { taskId } = await t.redrive('q.fifo', { to: 'to.fifo', rate: 1 });
        for (let second = 0; second < 40; second += 1) {
          await t.upkeep();
          await t.reopen();
          t.advance(1);
        }
        expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 10 });
        const moved = bodiesOf(await t.peek('to.fifo'));
        expect(moved.filter((body) => body.startsWith('m'))).toEqual(numbered(5));
        expect(moved.filter((body) => body.startsWith('h'))).toEqual(numbered(5).map((body) => `h${body}`));
      });
    });

    describe('fails', () => {
      it('when the destination was deleted, and what is left stays', async () => {
        const t = await withLetters(5);
        await t.put('elsewhere');
        const { taskId } = await t.redrive('q-dlq', { to: 'elsewhere', rate: 1 });
        await t.upkeep();
        const { movedCount } = await t.task(taskId);
        await t.deleteQueue('elsewhere');
        await t.upkeepUntil(t.in(5));
        await t.upkeep();
        const task = await t.task(taskId);
        expect(task).toMatchObject({ status: 'failed', movedCount, failure: { fault: 'queueNotFound' } });
        expect(task.finishedAt).not.toBeNull();
        expect(await t.counts('q-dlq')).toEqual([5 - movedCount, 0, 0]);
      });

      it('when the source of a message was deleted, if every message must have one', async () => {
        const t = await withLetters(2);
        await t.deleteQueue('q');
        const { taskId } = await t.redrive('q-dlq', { requiresOrigins: true });
        await t.upkeep();
        const task = await t.task(taskId);
        expect(task).toMatchObject({ status: 'failed', movedCount: 0, failure: { fault: 'queueNotFound' } });
        expect(await t.counts('q-dlq')).toEqual([2, 0, 0]);
      });

      it('when a message has no source to go back to, if every message must have one', async () => {
        const t = await withLetters(0);
        const { messageId } = await t.sendOne('q-dlq', 'sent');
        const { taskId } = await t.redrive('q-dlq', { requiresOrigins: true });
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({
          status: 'failed',
          movedCount: 0,
          failure: { fault: 'redriveSourceUnknown', facts: { queue: 'q-dlq', messageId } },
        });
        expect(await t.counts('q-dlq')).toEqual([1, 0, 0]);
      });

      it('when the destination is full', async () => {
        const t = await withLetters(3);
        await t.put('small', { maxMessages: 2 });
        const { taskId } = await t.redrive('q-dlq', { to: 'small' });
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({
          status: 'failed',
          movedCount: 2,
          failure: { fault: 'queueFull' },
        });
        expect(await t.counts('small')).toEqual([2, 0, 0]);
        expect(await t.counts('q-dlq')).toEqual([1, 0, 0]);
      });

      it('when the destination has room for no more bytes', async () => {
        const t = await withLetters(3);
        await t.put('small', { maxBytes: 4 });
        const { taskId } = await t.redrive('q-dlq', { to: 'small' });
        await t.upkeep();
        const failure = { fault: 'queueFull', facts: { limit: 'maxBytes' } };
        expect(await t.task(taskId)).toMatchObject({ status: 'failed', movedCount: 2, failure });
      });

      it('when it has run for 36 hours, and not before', async () => {
        const t = await withLetters(1, { visibilityTimeoutSeconds: 1 });
        const hold = () => t.receive('q-dlq', { visibilitySeconds: limits.visibilityTimeoutSecondsMax });
        await hold();
        const { taskId } = await t.redrive('q-dlq');
        for (let held = 0; held < 3; held += 1) {
          await t.upkeep();
          expect(await t.task(taskId)).toMatchObject({ status: 'running', movedCount: 0 });
          t.advance(limits.visibilityTimeoutSecondsMax);
          await hold();
        }
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({ status: 'running' });
        t.advance(10);
        await t.upkeep();
        expect(await t.task(taskId)).toMatchObject({ status: 'failed', failure: { fault: 'redriveInvalid' } });
      });

      it('or ends, but never lives on, when the source was deleted', async () => {
        const t = await withLetters(5);
        const { taskId } = await t.redrive('q-dlq', { rate: 1 });
        await t.upkeep();
        await t.deleteQueue('q-dlq');
        await t.upkeepUntil(t.in(10));
        await t.upkeep();
        expect((await t.task(taskId)).status).not.toBe('running');
      });
    });

    describe('is refused', () => {
      const ask = (t: Trial, source: string, destination: string | null) => ({
        source: t.ref(source),
        destination,
        limit: null,
        now: t.now,
      });
      const both = async (
        t: Trial,
        source: string,
        destination: string | null,
        code: 'redriveInvalid' | 'queueNotFound',
      ) => {
        await expectRejection(t.storage.planRedrive(ask(t, source, destination)), code);
        const start = { ...ask(t, source, destination), taskId: nextTaskId(), ratePerSecond: null };
        await expectRejection(t.storage.startRedrive(start), code);
        expect((await t.storage.listTasks({ account: t.account, limit: 10 })).items).toEqual([]);
      };

      it('when source or destination do not exist', async () => {
        const t = await withLetters(1);
        await both(t, 'missing', null, 'queueNotFound');
        await both(t, 'q-dlq', 'missing', 'queueNotFound');
        const data = await faultOf(t.redrive('q-dlq', { to: 'q-dlqs' }));
        expect(data).toEqual({ fault: 'queueNotFound', facts: { queue: 'q-dlqs', similar: 'q-dlq' } });
        // Among names of one or two letters everything is similar.
        const short = await faultOf(t.redrive('q-dlq', { to: 'qq' }));
        expect(short).toEqual({ fault: 'queueNotFound', facts: { queue: 'qq' } });
      });

      it('from a queue to itself', async () => {
        const t = await withLetters(1);
        await both(t, 'q-dlq', 'q-dlq', 'redriveInvalid');
      });

      it('between queues of different kinds', async () => {
        const t = await withLetters(1);
        await t.put('r.fifo');
        await both(t, 'q-dlq', 'r.fifo', 'redriveInvalid');
        await both(t, 'r.fifo', 'q-dlq', 'redriveInvalid');
      });

      it('while another one of the same source runs, and not afterwards', async () => {
        const t = await withLetters(3);
        const first = await t.redrive('q-dlq', { rate: 1 });
        const data = await expectRejection(t.redrive('q-dlq'), 'redriveRunning');
        expect(data.facts).toEqual({ queue: 'q-dlq', task: first.taskId });
        await t.put('other');
        const other = await t.redrive('other', { to: 'q' });
        await t.upkeep();
        expect((await t.task(other.taskId)).status).toBe('completed');
        await t.storage.cancelTask({ account: t.account, taskId: first.taskId, now: t.now });
        const second = await t.redrive('q-dlq');
        expect(await finished(t, second)).toMatchObject({ status: 'completed' });
        expect(await t.counts('q')).toEqual([3, 0, 0]);
      });
    });

    describe('plan', () => {
      it('tells how many would move and shows some, and changes nothing', async () => {
        const t = await withLetters(8);
        const plan = (limit: number | null) =>
          t.storage.planRedrive({ source: t.ref('q-dlq'), destination: null, limit, now: t.now });
        const whole = await plan(null);
        expect(whole.toMoveCount).toBe(8);
        expect(whole.samples).toHaveLength(limits.redriveSamplesMax);
        expect(bodiesOf(whole.samples)).toEqual(numbered(limits.redriveSamplesMax));
        const some = await plan(2);
        expect(some.toMoveCount).toBe(2);
        expect(bodiesOf(some.samples)).toEqual(['m0', 'm1']);
        expect(await t.counts('q-dlq')).toEqual([8, 0, 0]);
        expect((await t.storage.listTasks({ account: t.account, limit: 10 })).items).toEqual([]);
      });

      it('counts what would move now or later, and apart from it what has nowhere to go; not what has expired', async () => {
        const t = await withLetters(0);
        await t.update('q-dlq', { retentionSeconds: 100 });
        await t.send('q-dlq', 'expired');
        t.advance(60);
        await t.send('q-dlq', 'sent', { body: 'sent and delayed', delaySeconds: 30 });
        await letters(t, 'q', numbered(3));
        await t.receive('q-dlq', { limit: 3, visibilitySeconds: 60 });
        t.advance(41);
        const plan = (destination: string | null, limit: number | null = null) =>
          t.storage.planRedrive({ source: t.ref('q-dlq'), destination, limit, now: t.now });
        const home = await plan(null);
        expect(home).toMatchObject({ toMoveCount: 3, skippedCount: 2 });
        expect(bodiesOf(home.samples)).toEqual(numbered(3));
        expect(await plan(null, 2)).toMatchObject({ toMoveCount: 2, samples: { length: 2 } });
        expect(await plan('q')).toMatchObject({ toMoveCount: 5, skippedCount: 0, samples: { length: 5 } });
        await t.deleteQueue('q');
        expect(await plan(null)).toEqual({ toMoveCount: 0, skippedCount: 5, samples: [] });
      });

      it('ends at its limit: what stands behind is not counted as skipped', async () => {
        const t = await withLetters(2);
        await t.send('q-dlq', 'sent', 'sent too');
        const ask = { source: t.ref('q-dlq'), destination: null, now: t.now };
        expect(await t.storage.planRedrive({ ...ask, limit: 2 })).toMatchObject({ toMoveCount: 2, skippedCount: 0 });
        expect(await t.storage.planRedrive({ ...ask, limit: 3 })).toMatchObject({ toMoveCount: 2, skippedCount: 2 });
      });

      it('looks through more than one page', async () => {
        const t = await trial();
        await t.putPair('q', 1_000);
        for (let i = 0; i < 3; i += 1) await t.send('q-dlq', ...numbered(900));
        await letters(t, 'q', ['a', 'b']);
        expect(
          await t.storage.planRedrive({ source: t.ref('q-dlq'), destination: null, limit: null, now: t.now }),
        ).toMatchObject({ toMoveCount: 2, skippedCount: 2_700, samples: { length: 2 } });
      });
    });

    describe('tasks', () => {
      it('can be cancelled: what was moved stays moved, the rest stays', async () => {
        const t = await withLetters(10);
        const { taskId } = await t.redrive('q-dlq', { rate: 1 });
        await t.upkeepUntil(t.in(3));
        const cancelled = await t.storage.cancelTask({ account: t.account, taskId, now: t.now });
        expect(cancelled).toMatchObject({ taskId, status: 'cancelled', finishedAt: t.now });
        await t.upkeepUntil(t.in(20));
        expect(await t.task(taskId)).toEqual(cancelled);
        expect((await t.peek('q')).length).toBe(cancelled.movedCount);
        expect((await t.peek('q-dlq')).length).toBe(10 - cancelled.movedCount);
      });

      it('cannot be cancelled when they are over, unknown or of another account', async () => {
        const t = await withLetters(1);
        const { taskId } = await t.redrive('q-dlq');
        const cancel = (id: string, account = t.account) => t.storage.cancelTask({ account, taskId: id, now: t.now });
        await expectRejection(cancel(taskId, '111111111111'), 'taskNotFound');
        await expectRejection(cancel(nextTaskId()), 'taskNotFound');
        await expectRejection(cancel('nonsense'), 'taskNotFound');
        await t.upkeep();
        const data = await expectRejection(cancel(taskId), 'taskNotActive');
        expect(data.facts).toEqual({ task: taskId, status: 'completed' });
      });

      it('are found by their account alone', async () => {
        const t = await withLetters(1);
        const { taskId } = await t.redrive('q-dlq');
        expect(await t.storage.findTask({ account: '111111111111', taskId })).toBeNull();
        expect(await t.storage.findTask({ account: t.account, taskId: nextTaskId() })).toBeNull();
        const other = t.as('111111111111');
        expect((await other.storage.listTasks({ account: other.account, limit: 10 })).items).toEqual([]);
      });

      it('are listed newest first, page by page', async () => {
        const t = await withLetters(0);
        const started: string[] = [];
        for (let i = 0; i < 5; i += 1) {
          started.unshift((await t.redrive('q-dlq')).taskId);
          await t.upkeep();
          t.advance(1);
        }
        for (const limit of [1, 2, 5]) {
          const listed = await pages((cursor) => t.storage.listTasks({ account: t.account, limit, cursor }));
          expect(listed.map(({ taskId }) => taskId)).toEqual(started);
        }
        expect((await t.storage.listTasks({ account: t.account, limit: 5 })).nextCursor).toBeNull();
      });

      it('are told as they are, from the list as from the single look', async () => {
        const t = await withLetters(3);
        const { taskId } = await t.redrive('q-dlq', { to: 'q', rate: 2, limit: 3 });
        await t.upkeep();
        const { items } = await t.storage.listTasks({ account: t.account, limit: 10 });
        expect(items).toEqual([await t.task(taskId)]);
        expect(nth(items)).toMatchObject({ destination: 'q', ratePerSecond: 2, limit: 3, toMoveCount: 3 });
      });
    });

    restartCase(engine, 'goes on after a restart where it stopped and moves every message once', async () => {
      const t = await withLetters(10);
      const { taskId } = await t.redrive('q-dlq', { rate: 1 });
      for (let second = 0; second < 15; second += 1) {
        await t.upkeep();
        const { movedCount } = await t.task(taskId);
        await t.reopen();
        expect((await t.task(taskId)).movedCount).toBe(movedCount);
        t.advance(1);
      }
      await t.upkeep();
      expect(await t.task(taskId)).toMatchObject({ status: 'completed', movedCount: 10 });
      expect(bodiesOf(await t.peek('q')).toSorted()).toEqual(numbered(10));
      expect(await t.counts('q-dlq')).toEqual([0, 0, 0]);
    });

    restartCase(engine, 'tells finished and cancelled tasks after a restart', async () => {
      const t = await withLetters(2);
      const done = await finished(t, await t.redrive('q-dlq'));
      t.advance(1);
      const { taskId } = await t.redrive('q-dlq');
      const cancelled = await t.storage.cancelTask({ account: t.account, taskId, now: t.now }).catch(() => undefined);
      await t.reopen();
      expect(await t.task(done.taskId)).toEqual(done);
      if (cancelled !== undefined) expect(await t.task(taskId)).toEqual(cancelled);
      expect((await t.storage.listTasks({ account: t.account, limit: 10 })).items).toHaveLength(2);
    });
  });
}
