/** Notices: whoever waits for a message is told of every commit that made one receivable, now or at a known instant. */
import { describe, expect, it } from 'vitest';
import type { Instant } from '../../../src/domain/instant.ts';
import { type Engine, fifo, nth, type Trial, trialsOf } from '../../support/storage.ts';

export function noticesConform(engine: Engine): void {
  describe('notices', () => {
    const trial = trialsOf(engine);
    const byNow =
      (now: Instant) =>
      ({ at, count }: { at: Instant; count: number }) =>
        at <= now && count > 0;
    const at = (when: Instant) => (notice: { at: Instant; count: number }) => notice.at === when && notice.count > 0;
    const total = (t: Trial, queueId: number) =>
      t
        .takeNotices()
        .reduce((sum, notice) => (notice.queueId === queueId && notice.at <= t.now ? sum + notice.count : sum), 0);

    it('tell of a sent message', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', 'a');
      await t.notice(queue, byNow(t.now));
    });

    it('tell of as many messages as were sent', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', 'a', 'b', 'c');
      await t.notice(queue, byNow(t.now));
      expect(total(t, queue.id)).toBeGreaterThanOrEqual(3);
    });

    it('tell of a delayed message with the instant at which it can be received', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', { body: 'a', delaySeconds: 60 });
      await t.notice(queue, at(t.in(60)));
      expect(total(t, queue.id)).toBe(0);
    });

    it('tell of both when a batch has messages for now and for later', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', { body: 'a', delaySeconds: 60 }, 'b');
      await t.notice(queue, byNow(t.now));
    });

    it('do not tell of refused or duplicate messages', async () => {
      const t = await trial();
      const queue = await t.put('q.fifo');
      await t.send('q.fifo', fifo('g', 'a'));
      await t.notice(queue);
      t.takeNotices();
      await t.send('q.fifo', fifo('g', 'a'));
      await t.trySend('q.fifo', ['']);
      await t.put('other');
      await t.send('other', 'x');
      await t.notice({ id: (await t.find('other'))?.id ?? 0 });
      expect(total(t, queue.id)).toBe(0);
    });

    it('tell of a released message, now or after its delay', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', 'a', 'b');
      const held = await t.receive('q');
      t.takeNotices();
      await t.release('q', nth(held));
      await t.notice(queue, byNow(t.now));
      await t.release('q', nth(held, 1), { delaySeconds: 17 });
      await t.notice(queue, at(t.in(17)));
    });

    it('tell of a visibility timeout that was ended or shortened', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.send('q', 'a', 'b');
      const held = await t.receive('q', { visibilitySeconds: 600 });
      t.takeNotices();
      await t.extend('q', nth(held), 0);
      await t.notice(queue, byNow(t.now));
      await t.extend('q', nth(held, 1), 9);
      await t.notice(queue, at(t.in(9)));
    });

    it.each(['delete', 'deadLetter'] as const)('tell of the FIFO message that a %s unlocked', async (does) => {
      const t = await trial();
      await t.putPair('q.fifo', 10);
      const queue = await t.put('q.fifo');
      await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
      const { receipt } = await t.receiveOne('q.fifo');
      t.takeNotices();
      await t.settle('q.fifo', { does, receipt });
      await t.notice(queue, byNow(t.now));
    });

    it('tell of the FIFO message that an operator unlocked', async () => {
      const t = await trial();
      const queue = await t.put('q.fifo');
      await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
      const { messageId } = await t.receiveOne('q.fifo');
      t.takeNotices();
      await t.storage.removeMessage({ queue: t.ref('q.fifo'), messageId, now: t.now });
      await t.notice(queue, byNow(t.now));
    });

    it('tell of the FIFO message that the expiry of its head unlocked', async () => {
      const t = await trial();
      const queue = await t.put('q.fifo', { retentionSeconds: 60, visibilityTimeoutSeconds: 600 });
      await t.send('q.fifo', fifo('g', 'a'));
      t.advance(30);
      await t.send('q.fifo', fifo('g', 'b'));
      await t.receive('q.fifo', { limit: 1 });
      t.takeNotices();
      t.advance(30.001);
      await t.upkeep();
      await t.notice(queue, byNow(t.now));
    });

    it('tell of FIFO messages whose delay was shortened for the whole queue', async () => {
      const t = await trial();
      const queue = await t.put('q.fifo', { delaySeconds: 600 });
      await t.send('q.fifo', fifo('g', 'a'));
      t.takeNotices();
      t.advance(1);
      await t.update('q.fifo', { delaySeconds: 0 });
      await t.notice(queue, byNow(t.now));
    });

    it('tell the dead-letter queue of a message that was received too often', async () => {
      const t = await trial();
      await t.putPair('q', 1);
      const dlq = await t.put('q-dlq');
      await t.send('q', 'a');
      await t.receive('q', { visibilitySeconds: 0 });
      await t.receive('q');
      await t.notice(dlq, byNow(t.now));
    });

    it('tell the dead-letter queue of a message that its holder gave up', async () => {
      const t = await trial();
      await t.putPair('q', 5);
      const dlq = await t.put('q-dlq');
      await t.send('q', 'a');
      await t.deadLetter('q', await t.receiveOne('q'));
      await t.notice(dlq, byNow(t.now));
    });

    it('tell the destination of a redrive', async () => {
      const t = await trial();
      await t.putPair('q', 5);
      const queue = await t.put('q');
      await t.send('q', 'a');
      await t.deadLetter('q', await t.receiveOne('q'));
      t.takeNotices();
      await t.redrive('q-dlq');
      await t.upkeep();
      await t.notice(queue, byNow(t.now));
    });

    it('tell with a count of 0 that a queue is gone', async () => {
      const t = await trial();
      const queue = await t.put('q');
      await t.deleteQueue('q');
      await t.notice(queue, ({ count }) => count === 0);
    });

    it('go to every listener', async () => {
      const t = await trial();
      const queue = await t.put('q');
      let heard = 0;
      t.storage.onReady(() => {
        heard += 1;
      });
      await t.send('q', 'a');
      await t.notice(queue, byNow(t.now));
      expect(heard).toBeGreaterThan(0);
    });
  });
}
