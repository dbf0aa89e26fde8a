/** Upkeep: what is due is done in bounded slices, and what is done tells when to come again. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { bodiesOf, type Engine, fifo, restartCase, type Trial, trialsOf } from '../../support/storage.ts';

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);

export function upkeepConform(engine: Engine): void {
  describe('upkeep', () => {
    const trial = trialsOf(engine);

    it('of an empty storage does nothing', async () => {
      const t = await trial();
      expect(await t.storage.upkeep({ now: t.now })).toMatchObject({ expiredCount: 0 });
      await t.put('q');
      expect((await t.upkeep()).expiredCount).toBe(0);
    });

    it('removes expired messages and tells how many', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 60 });
      await t.put('r', { retentionSeconds: 120 });
      await t.send('q', 'a', 'b', { body: 'c', delaySeconds: 60 });
      await t.send('r', 'd');
      t.advance(58);
      expect((await t.upkeep()).expiredCount).toBe(0);
      t.advance(2.001);
      expect((await t.upkeep()).expiredCount).toBe(3);
      expect((await t.upkeep()).expiredCount).toBe(0);
      expect(await t.stats('q')).toMatchObject({ expiredTotal: 3, bytes: 0, availableCount: 0, delayedCount: 0 });
      expect(bodiesOf(await t.peek('r'))).toEqual(['d']);
      expect((await t.stats('r')).expiredTotal).toBe(0);
    });

    it('removes expired messages that somebody holds', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 60, visibilityTimeoutSeconds: 3_600 });
      await t.send('q', 'a');
      await t.receiveOne('q');
      t.advance(60.001);
      expect((await t.upkeep()).expiredCount).toBe(1);
      expect(await t.stats('q')).toMatchObject({ inFlightCount: 0, expiredTotal: 1, bytes: 0 });
    });

    it('keeps no message longer than its retention and a minute, run as the loop of the broker runs it', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 90 });
      await t.send('q', 'a');
      t.advance(45);
      await t.send('q', 'b');
      await t.upkeepUntil(t.in(90 + 60));
      expect((await t.stats('q')).expiredTotal).toBe(2);
    });

    it('says when the next message expires, or is there in time anyway', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 600 });
      await t.send('q', 'a');
      const { nextAt } = await t.upkeep();
      expect(nextAt).not.toBeNull();
      expect(nextAt).toBeGreaterThan(t.now);
      expect(nextAt).toBeLessThanOrEqual(t.in(600 + 60));
    });

    it('works in bounded slices and says that there is more to do at once', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 60 });
      for (let batch = 0; batch < 3; batch += 1) await t.send('q', ...numbered(700));
      t.advance(60.001);
      let expired = 0;
      for (let slice = 0; expired < 2_100; slice += 1) {
        expect(slice).toBeLessThan(100);
        const answer = await t.storage.upkeep({ now: t.now });
        expect(answer.expiredCount).toBeLessThanOrEqual(limits.upkeepRowsPerSliceMax);
        expired += answer.expiredCount;
        if (expired < 2_100) expect(answer.nextAt).toBeLessThanOrEqual(t.now);
      }
      expect(await t.counts('q')).toEqual([0, 0, 0]);
      expect((await t.upkeep()).expiredCount).toBe(0);
      expect((await t.stats('q')).expiredTotal).toBe(2_100);
    });

    it('lets nothing wait for ever: a queue full of work does not keep another from its turn', async () => {
      const t = await trial();
      await t.putPair('big', 1_000);
      for (let batch = 0; batch < 3; batch += 1) await t.send('big-dlq', ...numbered(1_000));
      await t.put('small', { retentionSeconds: 60 });
      await t.send('small', 'a');
      t.advance(60.001);
      await t.purge('big-dlq');
      let expired = 0;
      for (let slice = 0; expired === 0; slice += 1) {
        expect(slice).toBeLessThan(50);
        expired += (await t.storage.upkeep({ now: t.now })).expiredCount;
      }
      expect((await t.stats('small')).expiredTotal).toBe(1);
    });

    it('follows a retention that was made shorter', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 1_000 });
      await t.send('q', 'a');
      await t.upkeep();
      t.advance(100);
      await t.update('q', { retentionSeconds: 60 });
      expect((await t.upkeep()).expiredCount).toBe(1);
    });

    it('follows a retention that was made longer', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 60 });
      await t.send('q', 'a');
      await t.upkeep();
      await t.update('q', { retentionSeconds: 600 });
      t.advance(599.999);
      expect((await t.upkeep()).expiredCount).toBe(0);
      expect(await t.receiveBodies('q')).toEqual(['a']);
    });

    describe('of a FIFO queue whose delay was changed', () => {
      /** So many messages that wait, each group with three of them. */
      const waiting = async (count: number, delaySeconds: number) => {
        const t = await trial();
        await t.put('q.fifo', { delaySeconds });
        const drafts = numbered(count).map((body, i) => fifo(`g${Math.floor(i / 3)}`, body));
        for (let sent = 0; sent < count; sent += 1_000) await t.send('q.fifo', ...drafts.slice(sent, sent + 1_000));
        return t;
      };
      const many = 2 * limits.upkeepRowsPerSliceMax + 100;

      it('gives the messages that wait their new time bit by bit, and until then the old one holds', async () => {
        const t = await waiting(many, 600);
        t.advance(10);
        await t.update('q.fifo', { delaySeconds: 60 });
        t.advance(50);
        const [reached] = await t.counts('q.fifo');
        expect(reached).toBeGreaterThan(0);
        expect(reached).toBeLessThanOrEqual(limits.upkeepRowsPerSliceMax);
        await t.storage.upkeep({ now: t.now });
        const [more] = await t.counts('q.fifo');
        expect(more - reached).toBeGreaterThan(0);
        expect(more - reached).toBeLessThanOrEqual(limits.upkeepRowsPerSliceMax);
        await t.upkeep();
        expect(await t.counts('q.fifo')).toEqual([many, 0, 0]);
        const bodies: string[] = [];
        // Whole groups each time: one that is handed out in part is blocked.
        for (let taken = 0; taken < many; taken += 99) bodies.push(...(await t.receiveBodies('q.fifo', { limit: 99 })));
        expect(bodies).toHaveLength(many);
        const places = new Map(bodies.map((body, place) => [Number(body.slice(1)), place]));
        const isInOrder = numbered(many).every(
          (_, i) => i % 3 === 0 || (places.get(i) ?? 0) > (places.get(i - 1) ?? 0),
        );
        expect(isInOrder).toBe(true);
      });

      it('lets them wait longer as well, and leaves those that were sent since as they are', async () => {
        const t = await waiting(many, 60);
        t.advance(59);
        await t.update('q.fifo', { delaySeconds: 100 });
        await t.send('q.fifo', fifo('new', 'new'));
        await t.upkeep();
        t.advance(40.999);
        expect(await t.counts('q.fifo')).toEqual([0, 0, many + 1]);
        t.advance(0.001);
        expect(await t.counts('q.fifo')).toEqual([many, 0, 1]);
      });

      it('follows a second change that comes before the first is done', async () => {
        const t = await waiting(many, 600);
        await t.update('q.fifo', { delaySeconds: 0 });
        await t.update('q.fifo', { delaySeconds: 300 });
        const [reached] = await t.counts('q.fifo');
        expect(reached).toBeLessThanOrEqual(limits.upkeepRowsPerSliceMax);
        await t.upkeep();
        t.advance(299.999);
        expect(await t.counts('q.fifo')).toEqual([reached, 0, many - reached]);
        t.advance(0.001);
        expect(await t.counts('q.fifo')).toEqual([many, 0, 0]);
      });

      it('follows a second change that comes late and is shorter than what the messages were sent with', async () => {
        const t = await waiting(many, 600);
        await t.update('q.fifo', { delaySeconds: 0 });
        t.advance(400);
        await t.update('q.fifo', { delaySeconds: 300 });
        await t.upkeep();
        expect(await t.counts('q.fifo')).toEqual([many, 0, 0]);
      });

      it('ends with a purge or with the queue', async () => {
        const t = await waiting(many, 600);
        await t.update('q.fifo', { delaySeconds: 60 });
        await t.purge('q.fifo');
        await t.send('q.fifo', fifo('g', 'new'));
        await t.upkeep();
        expect(await t.counts('q.fifo')).toEqual([0, 0, 1]);
        await t.update('q.fifo', { delaySeconds: 600 });
        await t.deleteQueue('q.fifo');
        const { nextAt } = await t.upkeep();
        if (nextAt !== null) expect(nextAt).toBeGreaterThan(t.now);
      });

      restartCase(engine, 'goes on with it after a restart', async () => {
        const t = await waiting(many, 600);
        await t.update('q.fifo', { delaySeconds: 0 });
        await t.reopen();
        await t.upkeep();
        expect(await t.counts('q.fifo')).toEqual([many, 0, 0]);
      });
    });

    it('comes to rest: once all is done nothing is due at once', async () => {
      const t = await trial();
      await t.putPair('q', 1, { retentionSeconds: 60 });
      await t.put('r.fifo', { retentionSeconds: 60 });
      await t.update('q-dlq', { retentionSeconds: 60 });
      await t.send('q', 'a', 'b');
      await t.send('r.fifo', fifo('g', 'a'));
      await t.receive('r.fifo', { attemptId: 'x' });
      await t.trySend('q', ['c'], { idempotency: { key: 'k', fingerprint: 'f' } });
      await t.receive('q', { visibilitySeconds: 0 });
      await t.receive('q');
      await t.redrive('q-dlq');
      await t.upkeep();
      await t.upkeepUntil(t.in(limits.idempotencySeconds + 120));
      const { nextAt } = await t.upkeep();
      if (nextAt !== null) expect(nextAt).toBeGreaterThan(t.now);
      for (const queue of ['q', 'q-dlq', 'r.fifo']) expect(await t.counts(queue), queue).toEqual([0, 0, 0]);
    });

    it('leaves an emptied FIFO group ready for new messages', async () => {
      const t = await trial();
      await t.put('q.fifo', { retentionSeconds: 60 });
      await t.send('q.fifo', fifo('g', 'old'));
      await t.receiveOne('q.fifo');
      t.advance(60.001);
      await t.upkeep();
      await t.send('q.fifo', fifo('g', 'new'));
      expect(await t.receiveBodies('q.fifo')).toEqual(['new']);
    });

    it('may run beside everything else at once', async () => {
      const t = await trial();
      await t.put('q', { retentionSeconds: 60 });
      await t.send('q', ...numbered(100));
      t.advance(60.001);
      const [, , answer] = await Promise.all([
        t.send('q', 'young'),
        t.storage.upkeep({ now: t.now }),
        t.receive('q'),
        t.storage.upkeep({ now: t.now }),
        t.purge('q'),
      ]);
      expect(bodiesOf(answer)).not.toContain('m0');
      await t.upkeep();
      const { sentTotal, expiredTotal, purgedTotal } = await t.stats('q');
      expect(sentTotal).toBe(101);
      expect(expiredTotal + purgedTotal).toBe(101);
    });

    restartCase(engine, 'goes on after a restart with what was due', async () => {
      const t: Trial = await trial();
      await t.put('q', { retentionSeconds: 60 });
      await t.put('gone');
      await t.send('q', ...numbered(600));
      await t.send('gone', ...numbered(600));
      await t.deleteQueue('gone');
      t.advance(60.001);
      await t.storage.upkeep({ now: t.now });
      await t.reopen();
      await t.upkeep();
      expect((await t.stats('q')).expiredTotal).toBe(600);
    });
  });
}
