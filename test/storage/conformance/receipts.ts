/** Receipts: what the holder of a message may do with it, until when, and what everyone else is told. */
import { describe, expect, it } from 'vitest';
import { orThrow } from '../../../src/domain/errors.ts';
import { limits } from '../../../src/domain/limits.ts';
import type { ReceivedMessage } from '../../../src/domain/message.ts';
import type { Settlement } from '../../../src/storage/port.ts';
import {
  bodiesOf,
  codeOf,
  type Engine,
  expectFault,
  expectRejection,
  fifo,
  nth,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

const gone = { visibleAt: null, messageId: null };

/** Each way to settle, with its receipt to come. */
const ways = [
  ['delete', (receipt) => ({ does: 'delete', receipt })],
  ['extend', (receipt) => ({ does: 'extend', receipt, visibilitySeconds: 10 })],
  ['release', (receipt) => ({ does: 'release', receipt, delaySeconds: 0, reason: 'r' })],
  ['deadLetter', (receipt) => ({ does: 'deadLetter', receipt, reason: 'r' })],
] as const satisfies readonly (readonly [string, (receipt: ReceivedMessage['receipt']) => Settlement])[];

/** Both kinds of queue: receipts are the holder's alone on either. */
const queues = [
  { queue: 'q', draft: 'a' },
  { queue: 'q.fifo', draft: fifo('g', 'a') },
] as const;

export function receiptsConform(engine: Engine): void {
  describe('receipts', () => {
    const trial = trialsOf(engine);

    describe.each(queues)('on $queue', ({ queue, draft }) => {
      const held = async (settings: Parameters<Trial['put']>[1] = {}) => {
        const t = await trial();
        await t.putPair(queue, 5, { visibilityTimeoutSeconds: 30, ...settings });
        await t.send(queue, draft);
        return { t, message: await t.receiveOne(queue) };
      };

      describe.each(ways)('%s', (does, settlement) => {
        it('works for the holder until the last millisecond', async () => {
          const { t, message } = await held();
          t.advance(29.999);
          const outcome = nth(await t.settle(queue, settlement(message.receipt)));
          expect(outcome).toMatchObject({ messageId: message.messageId });
        });

        it('is refused with receiptExpired from the end of the visibility timeout on, without effect', async () => {
          const { t, message } = await held();
          t.advance(30);
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptExpired');
          expect(await t.counts(queue)).toEqual([1, 0, 0]);
          expect(await t.receiveOne(queue)).toMatchObject({ receiveCount: 2, history: {} });
        });

        it('is refused with receiptExpired after another receive, and leaves the message to its new holder', async () => {
          const { t, message } = await held();
          t.advance(30);
          const newest = await t.receiveOne(queue);
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptExpired');
          expect(await t.peek(queue)).toMatchObject([{ heldUntil: t.in(30), receiveCount: 2 }]);
          expect(await t.delete(queue, newest)).toMatchObject({ messageId: message.messageId });
        });

        it('is refused with receiptExpired after a release', async () => {
          const { t, message } = await held();
          await t.release(queue, message, { delaySeconds: 60 });
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptExpired');
          expect(await t.counts(queue)).toEqual([0, 0, 1]);
        });

        it('is refused with receiptExpired during the back-off that follows the visibility timeout', async () => {
          const { t, message } = await held({ retryDelaySeconds: [60] });
          t.advance(30);
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptExpired');
          expect(await t.counts(queue)).toEqual([0, 0, 1]);
        });

        it('is refused with receiptForeign at another queue, without effect there or here', async () => {
          const { t, message } = await held();
          const other = queue === 'q' ? 'other' : 'other.fifo';
          await t.put(other);
          await t.send(other, draft);
          await t.receiveOne(other);
          expectFault(nth(await t.settle(other, settlement(message.receipt))), 'receiptForeign');
          expect(await t.counts(queue)).toEqual([0, 1, 0]);
          expect(await t.counts(other)).toEqual([0, 1, 0]);
        });

        it(`of a deleted message ${does === 'delete' ? 'succeeds again' : 'finds no message'}`, async () => {
          const { t, message } = await held();
          await t.delete(queue, message);
          for (let round = 0; round < 2; round += 1) {
            const again = nth(await t.settle(queue, settlement(message.receipt)));
            if (does === 'delete') expect(again).toEqual(gone);
            else expectFault(again, 'messageNotFound');
          }
          t.advance(3_600);
          await t.upkeep();
          const late = nth(await t.settle(queue, settlement(message.receipt)));
          if (does === 'delete') expect(late).toEqual(gone);
          else expectFault(late, 'messageNotFound');
        });

        restartCase(
          engine,
          'works for the holder after a restart, and not for who is no longer the holder',
          async () => {
            const { t, message } = await held();
            await t.send(queue, queue === 'q' ? 'b' : fifo('h', 'b'));
            const other = await t.receiveOne(queue, { visibilitySeconds: 5 });
            t.advance(5);
            await t.reopen();
            expectFault(nth(await t.settle(queue, settlement(other.receipt))), 'receiptExpired');
            const outcome = nth(await t.settle(queue, settlement(message.receipt)));
            expect(outcome).toMatchObject({ messageId: message.messageId });
          },
        );
      });

      it('of a receive with a visibility timeout of 0 holds nothing', async () => {
        const t = await trial();
        await t.put(queue);
        await t.send(queue, draft);
        const message = await t.receiveOne(queue, { visibilitySeconds: 0 });
        expectFault(await t.delete(queue, message), 'receiptExpired');
        expect(await t.counts(queue)).toEqual([1, 0, 0]);
      });

      it('deletes: the message is gone for good, and its bytes', async () => {
        const { t, message } = await held();
        expect(await t.delete(queue, message)).toEqual({ visibleAt: null, messageId: message.messageId });
        expect(await t.stats(queue)).toMatchObject({ inFlightCount: 0, bytes: 0, deletedTotal: 1 });
        expect(await t.findMessage(queue, message.messageId)).toBeNull();
        t.advance(31);
        expect(await t.receiveBodies(queue)).toEqual([]);
      });

      it('extends from now on, not from the receive', async () => {
        const { t, message } = await held();
        t.advance(20);
        expect(await t.extend(queue, message, 60)).toEqual({ visibleAt: t.in(60), messageId: message.messageId });
        t.advance(59.999);
        expect(await t.receiveBodies(queue)).toEqual([]);
        expect(await t.delete(queue, message)).toMatchObject({ messageId: message.messageId });
      });

      it('shortens as well as it extends', async () => {
        const { t, message } = await held();
        await t.extend(queue, message, 5);
        t.advance(4.999);
        expect(await t.receiveBodies(queue)).toEqual([]);
        t.advance(0.001);
        expect(await t.receiveBodies(queue)).toEqual(['a']);
      });

      it('extends by 0: the message is available at once and held by nobody', async () => {
        const { t, message } = await held();
        expect(await t.extend(queue, message, 0)).toMatchObject({ visibleAt: t.now });
        expect(await t.counts(queue)).toEqual([1, 0, 0]);
        expectFault(await t.delete(queue, message), 'receiptExpired');
        expect(await t.receiveOne(queue)).toMatchObject({ receiveCount: 2 });
      });

      it('does not remember an extension for the next receive', async () => {
        const { t, message } = await held();
        await t.extend(queue, message, 100);
        t.advance(100);
        expect((await t.receiveOne(queue)).heldUntil).toBe(t.in(30));
      });

      it('extends again and again up to 12 hours after the receive, and no millisecond longer', async () => {
        const { t, message } = await held();
        const most = limits.visibilityTimeoutSecondsMax;
        expect(codeOf(await t.extend(queue, message, most))).toBe('ok');
        t.advance(1);
        expectFault(await t.extend(queue, message, most), 'visibilityTooLong');
        expect(codeOf(await t.extend(queue, message, most - 1))).toBe('ok');
        t.advance(0.001);
        expectFault(await t.extend(queue, message, most - 1), 'visibilityTooLong');
        expect(await t.peek(queue)).toMatchObject([{ heldUntil: t.in(most - 1.001) }]);
        t.advance(40_000);
        expectFault(await t.extend(queue, message, 3_199), 'visibilityTooLong');
        expect(codeOf(await t.extend(queue, message, 3_198))).toBe('ok');
      });

      it('measures the 12 hours from the newest receive', async () => {
        const { t } = await held();
        t.advance(30);
        const newest = await t.receiveOne(queue);
        expect(codeOf(await t.extend(queue, newest, limits.visibilityTimeoutSecondsMax))).toBe('ok');
      });

      it('extends: the back-off follows the new end', async () => {
        const { t, message } = await held({ retryDelaySeconds: [15] });
        expect(orThrow(await t.extend(queue, message, 60)).visibleAt).toBe(t.in(75));
        t.advance(60);
        expect(await t.counts(queue)).toEqual([0, 0, 1]);
        t.advance(15);
        expect(await t.receiveBodies(queue)).toEqual(['a']);
      });

      it('releases: the message is available at once where there is no back-off', async () => {
        const { t, message } = await held();
        expect(await t.release(queue, message)).toEqual({ visibleAt: t.now, messageId: message.messageId });
        expect(await t.receiveOne(queue)).toMatchObject({ receiveCount: 2 });
      });

      it('releases with the back-off of the queue, by receive count', async () => {
        const { t, message } = await held({ retryDelaySeconds: [5, 60] });
        expect(orThrow(await t.release(queue, message)).visibleAt).toBe(t.in(5));
        expect(await t.counts(queue)).toEqual([0, 0, 1]);
        t.advance(5);
        expect(orThrow(await t.release(queue, await t.receiveOne(queue))).visibleAt).toBe(t.in(60));
      });

      it('releases with a delay of its own, which wins over the back-off, 0 too', async () => {
        const { t, message } = await held({ retryDelaySeconds: [5] });
        expect(orThrow(await t.release(queue, message, { delaySeconds: 90 })).visibleAt).toBe(t.in(90));
        t.advance(89.999);
        expect(await t.receiveBodies(queue)).toEqual([]);
        t.advance(0.001);
        const again = await t.receiveOne(queue);
        expect(orThrow(await t.release(queue, again, { delaySeconds: 0 })).visibleAt).toBe(t.now);
        expect(await t.receiveBodies(queue)).toEqual(['a']);
      });

      it('releases with a delay of its own up to the retention, and not a second more', async () => {
        const { t, message } = await held({ retentionSeconds: 100 });
        expectFault(await t.release(queue, message, { delaySeconds: 101, reason: 'r' }), 'delayTooLong');
        expect(await t.peek(queue, 'inFlight')).toMatchObject([{ history: {} }]);
        expect(codeOf(await t.release(queue, message, { delaySeconds: 100 }))).toBe('ok');
      });

      it('releases with a back-off that is longer than the retention: the holder is not at fault', async () => {
        const { t, message } = await held({ retentionSeconds: 100, retryDelaySeconds: [1_000] });
        expect(orThrow(await t.release(queue, message)).visibleAt).toBe(t.in(1_000));
      });

      it('releases: the first and the last reason stay with the message, with their instants', async () => {
        const { t, message } = await held();
        await t.release(queue, message, { delaySeconds: 0, reason: 'db down' });
        const first = { at: t.now, reason: 'db down' };
        const second = await t.receiveOne(queue);
        expect(second.history).toEqual({ firstFailure: first, lastFailure: first });
        t.advance(3);
        await t.release(queue, second, { delaySeconds: 0, reason: 'still down' });
        const third = await t.receiveOne(queue);
        expect(third.history).toEqual({ firstFailure: first, lastFailure: { at: t.now, reason: 'still down' } });
        await t.release(queue, third, { delaySeconds: 0 });
        expect((await t.receiveOne(queue)).history).toMatchObject({ firstFailure: first });
      });

      it('of a queue that is gone and made again is foreign', async () => {
        const { t, message } = await held();
        await t.deleteQueue(queue);
        await t.put(queue);
        for (const [, settlement] of ways) {
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptForeign');
        }
      });
    });

    describe('that are taken as SQS takes them, who has the message now or not', () => {
      const lenient = async (t: Trial, name: string, receipt: ReceivedMessage['receipt']) => {
        const ask = { queue: t.ref(name), settlements: [{ does: 'delete' as const, receipt }], now: t.now };
        return nth(await t.storage.settle({ ...ask, isLenient: true }));
      };
      /** A message of the queue that another has received since. */
      const outrun = async (queue: string, draft: Parameters<Trial['sendOne']>[1]) => {
        const t = await trial();
        await t.putPair(queue, 5, { visibilityTimeoutSeconds: 30, retentionSeconds: 60 });
        await t.send(queue, draft);
        const first = await t.receiveOne(queue);
        t.advance(30);
        return { t, first, second: await t.receiveOne(queue) };
      };

      it('delete the message after another receive', async () => {
        const { t, first, second } = await outrun('q', 'a');
        expect(await lenient(t, 'q', first.receipt)).toMatchObject({ messageId: second.messageId });
        expect(await t.counts('q')).toEqual([0, 0, 0]);
      });

      it('are refused on FIFO queues, and at another queue', async () => {
        const { t, first } = await outrun('q.fifo', fifo('g', 'a'));
        expectFault(await lenient(t, 'q.fifo', first.receipt), 'receiptExpired');
        const standard = await outrun('q', 'a');
        expectFault(await lenient(standard.t, 'q-dlq', standard.first.receipt), 'receiptForeign');
        expect(await standard.t.counts('q')).toEqual([0, 1, 0]);
      });

      it('find nothing past the retention', async () => {
        const { t, second } = await outrun('q', 'a');
        t.advance(30);
        expect(await lenient(t, 'q', second.receipt)).toEqual(gone);
        expect(await t.stats('q')).toMatchObject({ deletedTotal: 0 });
      });

      it('are of no use for the message that came back from the dead-letter queue', async () => {
        const { t, second } = await outrun('q', 'a');
        await t.deadLetter('q', second);
        expect(await lenient(t, 'q', second.receipt)).toEqual(gone);
        await t.redrive('q-dlq');
        await t.upkeep();
        expect(await lenient(t, 'q', second.receipt)).toEqual(gone);
        expect(await t.receiveBodies('q')).toEqual(['a']);
      });
    });

    it('settles a list with one outcome each, in order, a fault of one touching no other', async () => {
      const t = await trial();
      await t.putPair('q', 5);
      await t.put('other');
      await t.send('other', 'x');
      const foreign = await t.receiveOne('other');
      await t.send('q', 'a', 'b', 'c', 'd', 'e');
      const all = (await t.receive('q')).map(({ receipt }) => receipt);
      const outcomes = await t.settle(
        'q',
        { does: 'delete', receipt: nth(all, 0) },
        { does: 'delete', receipt: foreign.receipt },
        { does: 'extend', receipt: nth(all, 1), visibilitySeconds: 100 },
        { does: 'extend', receipt: nth(all, 1), visibilitySeconds: 43_200 },
        { does: 'release', receipt: nth(all, 2), delaySeconds: 7 },
        { does: 'release', receipt: nth(all, 2), delaySeconds: 7 },
        { does: 'deadLetter', receipt: nth(all, 3), reason: 'bad' },
        { does: 'extend', receipt: nth(all, 0), visibilitySeconds: 1 },
        { does: 'delete', receipt: nth(all, 0) },
        { does: 'delete', receipt: nth(all, 4) },
      );
      expect(outcomes.map(codeOf)).toEqual([
        'ok',
        'receiptForeign',
        'ok',
        'ok',
        'ok',
        'receiptExpired',
        'ok',
        'messageNotFound',
        'ok',
        'ok',
      ]);
      expect(nth(outcomes, 8)).toEqual(gone);
      expect(bodiesOf(await t.peek('q', 'inFlight'))).toEqual(['b']);
      expect(bodiesOf(await t.peek('q', 'delayed'))).toEqual(['c']);
      expect(bodiesOf(await t.peek('q-dlq'))).toEqual(['d']);
      expect(await t.counts('other')).toEqual([0, 1, 0]);
    });

    it('settles a thousand receipts in one go', async () => {
      const t = await trial();
      await t.put('q');
      await t.send('q', ...Array.from({ length: 1_000 }, (_, i) => `${i}`));
      const held: ReceivedMessage[] = [];
      for (let round = 0; round < 10; round += 1) held.push(...(await t.receive('q')));
      const outcomes = await t.settle('q', ...held.map(({ receipt }) => ({ does: 'delete' as const, receipt })));
      expect(outcomes.map(codeOf)).toEqual(held.map(() => 'ok'));
      expect(await t.stats('q')).toMatchObject({ inFlightCount: 0, availableCount: 0, bytes: 0, deletedTotal: 1_000 });
    });

    it('gives the message to one of two holders of the same receipt that act at once', async () => {
      const t = await trial();
      await t.put('q');
      await t.send('q', 'a');
      const held = await t.receiveOne('q');
      const outcomes = await Promise.all([
        t.release('q', held, { delaySeconds: 0 }),
        t.release('q', held, { delaySeconds: 0 }),
      ]);
      expect(outcomes.map(codeOf).toSorted()).toEqual(['ok', 'receiptExpired']);
    });

    it('seals with 32 bytes', async () => {
      const t = await trial();
      expect(t.storage.sealSecret).toHaveLength(32);
      expect(new Set(t.storage.sealSecret).size).toBeGreaterThan(1);
    });

    restartCase(engine, 'seals with the same secret after a restart, and knows how late it is', async () => {
      const t = await trial();
      await t.put('q');
      t.advance(1_234);
      await t.send('q', 'a');
      const secret = Buffer.from(t.storage.sealSecret).toString('hex');
      const sentAt = t.now;
      await t.reopen();
      expect(Buffer.from(t.storage.sealSecret).toString('hex')).toBe(secret);
      expect(t.storage.highWaterAt).toBeGreaterThanOrEqual(sentAt);
    });

    restartCase(
      engine,
      'keeps message keys apart although the newest message was deleted before a restart',
      async () => {
        const t = await trial();
        await t.put('q');
        const old: ReceivedMessage[] = [];
        for (let round = 0; round < 4; round += 1) {
          await t.send('q', `${round}`);
          const held = await t.receiveOne('q');
          for (const before of old) expectFault(await t.extend('q', before, 1), 'messageNotFound');
          await t.delete('q', held);
          old.push(held);
          await t.upkeep();
          await t.reopen();
        }
        expect(new Set(old.map(({ receipt }) => receipt.message)).size).toBe(4);
      },
    );

    describe('of a receive that is undone', () => {
      it.each(queues)('are void, and $queue is as it was before', async ({ queue, draft }) => {
        const t = await trial();
        await t.putPair(queue, 1, { visibilityTimeoutSeconds: 30, retryDelaySeconds: [60] });
        await t.send(queue, draft);
        const before = { stats: await t.stats(queue), counts: await t.counts(queue) };
        const message = await t.receiveOne(queue);
        t.advance(1);
        expect(await t.unreceive(queue, [message])).toBe(1);
        expect({ stats: await t.stats(queue), counts: await t.counts(queue) }).toEqual(before);
        expect(await t.findMessage(queue, message.messageId)).toMatchObject({ receiveCount: 0, firstReceivedAt: null });
        for (const [, settlement] of ways) {
          expectFault(nth(await t.settle(queue, settlement(message.receipt))), 'receiptExpired');
        }
        const again = await t.receiveOne(queue);
        expect(again).toMatchObject({ messageId: message.messageId, receiveCount: 1, firstReceivedAt: t.now });
        expect(await t.stats(queue)).toMatchObject({ receivedTotal: 1, redeliveredTotal: 0 });
        expect(await t.delete(queue, message)).toMatchObject({ fault: 'receiptExpired' });
        expect(await t.delete(queue, again)).toMatchObject({ messageId: message.messageId });
      });

      it.each(queues)('count as little on $queue when it was not the first', async ({ queue, draft }) => {
        const t = await trial();
        await t.put(queue);
        await t.send(queue, draft);
        const first = await t.receiveOne(queue, { visibilitySeconds: 10 });
        t.advance(10);
        const second = await t.receiveOne(queue);
        expect(await t.unreceive(queue, [second])).toBe(1);
        expect(await t.findMessage(queue, first.messageId)).toMatchObject({
          receiveCount: 1,
          firstReceivedAt: first.firstReceivedAt,
        });
        expect(await t.stats(queue)).toMatchObject({ receivedTotal: 1, redeliveredTotal: 0, availableCount: 1 });
      });

      it('leave the messages where they stood in the order of a FIFO queue, every group open', async () => {
        const t = await trial();
        await t.put('q.fifo');
        await t.send('q.fifo', ...['1', '2', '3'].flatMap((body) => [fifo('a', `a${body}`), fifo('b', `b${body}`)]));
        const held = await t.receive('q.fifo', { limit: 4 });
        expect(bodiesOf(held)).toEqual(['a1', 'a2', 'a3', 'b1']);
        // In whatever order the receipts come.
        expect(await t.unreceive('q.fifo', held.toReversed())).toBe(4);
        const bodies = await t.receiveBodies('q.fifo');
        expect(bodies.filter((body) => body.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
        expect(bodies.filter((body) => body.startsWith('b'))).toEqual(['b1', 'b2', 'b3']);
      });

      it('leave the messages of a standard queue before those that became visible later', async () => {
        const t = await trial();
        await t.put('q');
        await t.send('q', 'a', 'b');
        const held = await t.receive('q');
        t.advance(1);
        await t.send('q', 'c');
        await t.unreceive('q', held);
        expect(await t.receiveBodies('q')).toEqual(['a', 'b', 'c']);
      });

      it('free the attempt id', async () => {
        const t = await trial();
        await t.put('q.fifo');
        await t.send('q.fifo', fifo('g', 'a'));
        const first = await t.look('q.fifo', { attemptId: 'x' });
        expect(first.isReplay).toBe(false);
        await t.unreceive('q.fifo', first.messages, 'x');
        const second = await t.look('q.fifo', { attemptId: 'x' });
        expect(second).toMatchObject({ isReplay: false, messages: [{ receiveCount: 1 }] });
        expect(await t.look('q.fifo', { attemptId: 'x' })).toMatchObject({ isReplay: true });
      });

      it('stay good when the attempt was repeated: who repeated it holds the messages', async () => {
        const t = await trial();
        await t.put('q.fifo');
        await t.send('q.fifo', fifo('g', 'a'));
        const first = await t.look('q.fifo', { attemptId: 'x' });
        const second = await t.look('q.fifo', { attemptId: 'x' });
        expect(await t.unreceive('q.fifo', first.messages, 'x')).toBe(0);
        expect(await t.receive('q.fifo')).toEqual([]);
        expect(await t.look('q.fifo', { attemptId: 'x' })).toMatchObject({ isReplay: true });
        expect(await t.delete('q.fifo', nth(second.messages))).toMatchObject({ visibleAt: null });
      });

      it('are told to those who wait', async () => {
        const t = await trial();
        const queue = await t.put('q');
        await t.send('q', 'a', 'b');
        const held = await t.receive('q');
        await t.notice(queue);
        t.takeNotices();
        await t.unreceive('q', held);
        expect(await t.notice(queue)).toMatchObject({ at: t.now, count: 2 });
      });

      it.each(queues)('are passed over on $queue when the message is no longer as it was left', async (one) => {
        const t = await trial();
        const dlq = await t.putPair(one.queue, 5);
        const undone = async (change: (message: ReceivedMessage) => Promise<unknown>) => {
          await t.purge(one.queue);
          await t.send(one.queue, one.draft);
          const message = await t.receiveOne(one.queue, { visibilitySeconds: 5 });
          await change(message);
          return t.unreceive(one.queue, [message]);
        };
        expect(await undone((message) => t.delete(one.queue, message))).toBe(0);
        expect(await undone((message) => t.release(one.queue, message, { delaySeconds: 9 }))).toBe(0);
        expect(await undone((message) => t.deadLetter(one.queue, message))).toBe(0);
        expect(await undone((message) => t.unreceive(one.queue, [message]))).toBe(0);
        expect(await undone(() => t.purge(one.queue))).toBe(0);
        const receiveAgain = () => {
          t.advance(5);
          return t.receiveOne(one.queue);
        };
        expect(await undone(receiveAgain)).toBe(0);
        expect(await t.counts(one.queue)).toEqual([0, 1, 0]);
        expect(await undone(async () => t.advance(limits.retentionSecondsDefault))).toBe(0);
        await t.send(one.queue, one.draft);
        expect(await t.unreceive(dlq, [await t.receiveOne(one.queue)])).toBe(0);
      });

      it('need a queue', async () => {
        const t = await trial();
        await expectRejection(t.unreceive('none', []), 'queueNotFound');
      });
    });
  });
}
