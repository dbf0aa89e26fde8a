/** Dead letters: when a message moves, what it keeps, what becomes of its group, and what happens when it cannot. */
import { describe, expect, it } from 'vitest';
import { messageState } from '../../../src/domain/message.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import {
  attributes,
  bodiesOf,
  bodyOf,
  codeOf,
  type DraftText,
  dlqOf,
  type Engine,
  expectFault,
  fifo,
  nth,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

/** What holds for both kinds of queue. */
const kinds: readonly { queue: string; draft: (body: string, group?: string) => DraftText }[] = [
  { queue: 'q', draft: (body) => body },
  { queue: 'q.fifo', draft: (body, group = 'g') => fifo(group, body) },
];

export function deadLettersConform(engine: Engine): void {
  describe('dead letters', () => {
    const trial = trialsOf(engine);
    /** Receives and lets the visibility timeout end, so many times. */
    const fail = async (t: Trial, queue: string, times: number) => {
      for (let time = 0; time < times; time += 1) await t.receive(queue, { visibilitySeconds: 0 });
    };

    describe.each(kinds)('of $queue', ({ queue, draft }) => {
      const dlq = dlqOf(queue);
      const withPair = async (maxReceiveCount: number, settings: Parameters<Trial['put']>[1] = {}) => {
        const t = await trial();
        await t.putPair(queue, maxReceiveCount, { visibilityTimeoutSeconds: 30, ...settings });
        return t;
      };

      it.each([1, 2, 5])(
        'a maximum of %i means as many deliveries, and the next attempt moves the message',
        async (max) => {
          const t = await withPair(max);
          const { messageId } = await t.sendOne(queue, draft('a'));
          for (let delivery = 1; delivery <= max; delivery += 1) {
            expect(await t.receiveOne(queue), `delivery ${delivery}`).toMatchObject({
              messageId,
              receiveCount: delivery,
            });
            expect(await t.receiveBodies(queue)).toEqual([]);
            t.advance(30);
          }
          expect(await t.counts(dlq)).toEqual([0, 0, 0]);
          expect(await t.receiveBodies(queue)).toEqual([]);
          expect(await t.counts(queue)).toEqual([0, 0, 0]);
          expect(await t.counts(dlq)).toEqual([1, 0, 0]);
          expect(await t.peek(dlq)).toMatchObject([{ messageId, receiveCount: max }]);
          expect(await t.findMessage(queue, messageId)).toBeNull();
          expect(await t.stats(queue)).toMatchObject({ deadLetteredTotal: 1, receivedTotal: max, bytes: 0 });
        },
      );

      it('the end of a visibility timeout alone moves nothing, however long nobody asks', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('a'));
        await t.receiveOne(queue);
        t.advance(3_600);
        await t.upkeep();
        expect(await t.counts(queue)).toEqual([1, 0, 0]);
        expect(await t.counts(dlq)).toEqual([0, 0, 0]);
      });

      it('a message keeps its id, body, type, attributes, group, send time and count', async () => {
        const t = await withPair(1);
        const all = attributes({ a: { type: 'Number', value: '01' }, b: { type: 'Binary', value: 'AA==' } });
        const groupId = 'g';
        const named = queue === 'q' ? {} : { deduplicationId: 'd' };
        const sent = await t.sendOne(queue, {
          body: 'é\u0000',
          contentType: 'x/y',
          attributes: all,
          groupId,
          ...named,
        });
        const sentAt = t.now;
        t.advance(1);
        const first = await t.receiveOne(queue);
        t.advance(30);
        await t.receive(queue);
        t.advance(1);
        const letter = await t.receiveOne(dlq);
        expect(letter).toMatchObject({
          messageId: sent.messageId,
          contentType: 'x/y',
          groupId,
          sentAt,
          firstReceivedAt: first.firstReceivedAt,
          receiveCount: 2,
        });
        expect(Buffer.from(letter.body)).toEqual(Buffer.from('é\u0000'));
        expect([...letter.attributes]).toEqual([...all]);
      });

      it('a message tells its source, its count, when it moved, and its first and last failure', async () => {
        const t = await withPair(2);
        await t.send(queue, draft('a'));
        await t.release(queue, await t.receiveOne(queue), { delaySeconds: 0, reason: 'first' });
        const firstAt = t.now;
        t.advance(5);
        await t.release(queue, await t.receiveOne(queue), { delaySeconds: 0, reason: 'second' });
        const lastAt = t.now;
        t.advance(5);
        await t.receive(queue);
        const history = {
          firstFailure: { at: firstAt, reason: 'first' },
          lastFailure: { at: lastAt, reason: 'second' },
          deadLetter: { queue, receiveCount: 2, at: t.now },
        };
        expect(nth(await t.peek(dlq)).history).toMatchObject(history);
        expect((await t.receiveOne(dlq)).history).toMatchObject(history);
      });

      it('a message can be received from the dead-letter queue at once, without its delay', async () => {
        const t = await withPair(1);
        await t.update(dlq, { delaySeconds: 60 });
        await t.send(queue, draft('a'));
        await fail(t, queue, 2);
        expect(await t.counts(dlq)).toEqual([1, 0, 0]);
        expect(await t.receiveBodies(dlq)).toEqual(['a']);
      });

      it('a message is either handed out or moved by one receive, with a visibility timeout of 0 too', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('a', 'w'), draft('b', 'x'), draft('c', 'y'));
        await fail(t, queue, 1);
        await t.send(queue, draft('d', 'z'));
        t.advance(1);
        expect(await t.receiveBodies(queue, { limit: 2, visibilitySeconds: 0 })).toEqual(['d']);
        expect(bodiesOf(await t.peek(dlq)).toSorted()).toEqual(['a', 'b', 'c']);
        expect(await t.peek(queue)).toMatchObject([{ receiveCount: 1 }]);
      });

      it('moved messages do not use up the number asked for', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('bad', 'x'), draft('worse', 'y'));
        await t.receive(queue, { visibilitySeconds: 0 });
        await t.send(queue, draft('good', 'z'), draft('fine', 'w'));
        expect((await t.receiveBodies(queue, { limit: 2 })).toSorted()).toEqual(['fine', 'good']);
        expect(bodiesOf(await t.peek(dlq)).toSorted()).toEqual(['bad', 'worse']);
      });

      it('the holder can give up at once, with a reason', async () => {
        const t = await withPair(100);
        const { messageId } = await t.sendOne(queue, draft('a'));
        const held = await t.receiveOne(queue);
        t.advance(2);
        expect(await t.deadLetter(queue, held, 'cannot be parsed')).toMatchObject({ messageId });
        expect(await t.peek(dlq)).toMatchObject([
          {
            messageId,
            receiveCount: 1,
            history: {
              firstFailure: { at: t.now, reason: 'cannot be parsed' },
              lastFailure: { at: t.now, reason: 'cannot be parsed' },
              deadLetter: { queue, receiveCount: 1, at: t.now },
            },
          },
        ]);
        expect(await t.counts(queue)).toEqual([0, 0, 0]);
        expect(await t.counts(dlq)).toEqual([1, 0, 0]);
        expect((await t.stats(queue)).deadLetteredTotal).toBe(1);
        expect(await t.receiveOne(dlq)).toMatchObject({ messageId, receiveCount: 2 });
      });

      it('the holder can give up without a reason', async () => {
        const t = await withPair(100);
        await t.send(queue, draft('a'));
        await t.deadLetter(queue, await t.receiveOne(queue));
        expect(await t.peek(dlq)).toMatchObject([{ history: { deadLetter: { queue, receiveCount: 1 } } }]);
      });

      it('the old receipt does nothing to a message that has moved', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('a'));
        const held = await t.receiveOne(queue);
        t.advance(30);
        await t.receive(queue);
        await t.delete(queue, held);
        expect(codeOf(await t.extend(queue, held, 60))).not.toBe('ok');
        expect(codeOf(await t.release(queue, held))).not.toBe('ok');
        expect(codeOf(await t.deadLetter(queue, held))).not.toBe('ok');
        expectFault(await t.delete(dlq, held), 'receiptForeign');
        expect(await t.counts(dlq)).toEqual([1, 0, 0]);
        expect(await t.receiveBodies(dlq)).toEqual(['a']);
      });

      it('without a policy the holder cannot give up: the message stays with it', async () => {
        const t = await trial();
        await t.put(queue);
        await t.send(queue, draft('a'));
        const held = await t.receiveOne(queue);
        expectFault(await t.deadLetter(queue, held, 'no'), 'deadLetterQueueMissing');
        expect(await t.counts(queue)).toEqual([0, 1, 0]);
        expect(await t.peek(queue)).toMatchObject([{ history: {} }]);
        expect(codeOf(await t.delete(queue, held))).toBe('ok');
      });

      it('when the dead-letter queue is gone, messages stay and are delivered again', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('a'));
        await t.deleteQueue(dlq);
        for (let receiveCount = 1; receiveCount <= 4; receiveCount += 1) {
          expect(await t.receiveOne(queue)).toMatchObject({ receiveCount });
          t.advance(30);
        }
        const held = await t.receiveOne(queue);
        expectFault(await t.deadLetter(queue, held), 'deadLetterQueueMissing');
        expect(await t.counts(queue)).toEqual([0, 1, 0]);
      });

      it('a lower maximum holds from the next attempt on, a higher one too', async () => {
        const t = await withPair(10);
        await t.send(queue, draft('a'));
        await fail(t, queue, 3);
        const deadLetter = { queue: QueueName.parse(dlq), maxReceiveCount: 4 };
        await t.update(queue, { deadLetter });
        expect(await t.receiveBodies(queue, { visibilitySeconds: 0 })).toEqual(['a']);
        await t.update(queue, { deadLetter: { ...deadLetter, maxReceiveCount: 5 } });
        expect(await t.receiveBodies(queue, { visibilitySeconds: 0 })).toEqual(['a']);
        await t.update(queue, { deadLetter: { ...deadLetter, maxReceiveCount: 2 } });
        expect(await t.receiveBodies(queue)).toEqual([]);
        expect(await t.peek(dlq)).toMatchObject([{ receiveCount: 5 }]);
      });

      it('several messages move in one receive, all that were received too often', async () => {
        const t = await withPair(1);
        await t.send(queue, ...Array.from({ length: 50 }, (_, i) => draft(`${i}`, `g${i}`)));
        await t.receive(queue, { visibilitySeconds: 0 });
        expect(await t.receiveBodies(queue)).toEqual([]);
        expect(await t.counts(dlq)).toEqual([50, 0, 0]);
        expect((await t.stats(queue)).deadLetteredTotal).toBe(50);
      });

      it('the limit of messages of a dead-letter queue keeps no dead letter out', async () => {
        const t = await withPair(1);
        await t.update(dlq, { maxMessages: 1 });
        await t.send(queue, draft('a', 'x'), draft('b', 'y'));
        await fail(t, queue, 2);
        const total = (await t.peek(queue)).length + (await t.peek(dlq)).length;
        expect(total).toBe(2);
      });

      restartCase(engine, 'the move is whole after a restart', async () => {
        const t = await withPair(1);
        await t.send(queue, draft('a'), draft('b'));
        await fail(t, queue, 1);
        await t.reopen();
        await fail(t, queue, 1);
        await t.reopen();
        expect(await t.peek(queue)).toEqual([]);
        expect(await t.peek(dlq)).toMatchObject([
          { receiveCount: 1, history: { deadLetter: { queue } } },
          { receiveCount: 1, history: { deadLetter: { queue } } },
        ]);
        expect(bodiesOf(await t.peek(dlq)).toSorted()).toEqual(['a', 'b']);
      });
    });

    it('of a standard queue keep the clock of their retention', async () => {
      const t = await trial();
      await t.putPair('q', 1, { retentionSeconds: 600 });
      await t.update('q-dlq', { retentionSeconds: 100 });
      await t.send('q', 'a');
      const enqueuedAt = t.now;
      await fail(t, 'q', 1);
      t.advance(90);
      await fail(t, 'q', 1);
      expect(await t.peek('q-dlq')).toMatchObject([{ enqueuedAt }]);
      t.advance(9.999);
      expect(await t.counts('q-dlq')).toEqual([1, 0, 0]);
      t.advance(0.002);
      expect(await t.receiveBodies('q-dlq')).toEqual([]);
    });

    it('of a standard queue that are older than the retention of the dead-letter queue are gone there', async () => {
      const t = await trial();
      await t.putPair('q', 1, { retentionSeconds: 600 });
      await t.update('q-dlq', { retentionSeconds: 60 });
      await t.send('q', 'a');
      await fail(t, 'q', 1);
      t.advance(61);
      await fail(t, 'q', 1);
      expect(await t.receiveBodies('q-dlq')).toEqual([]);
      await t.upkeep();
      expect(await t.counts('q')).toEqual([0, 0, 0]);
      expect(await t.counts('q-dlq')).toEqual([0, 0, 0]);
    });

    it('of a FIFO queue restart the clock of their retention', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1, { retentionSeconds: 600 });
      await t.update('q-dlq.fifo', { retentionSeconds: 100 });
      await t.send('q.fifo', fifo('g', 'a'));
      const sentAt = t.now;
      await fail(t, 'q.fifo', 1);
      t.advance(90);
      await fail(t, 'q.fifo', 1);
      expect(await t.peek('q-dlq.fifo')).toMatchObject([{ enqueuedAt: t.now, sentAt }]);
      t.advance(99.999);
      expect(await t.counts('q-dlq.fifo')).toEqual([1, 0, 0]);
      t.advance(0.002);
      expect(await t.receiveBodies('q-dlq.fifo')).toEqual([]);
    });

    it('of a FIFO queue come with their message id as deduplication id, so that none is swallowed', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1);
      await t.putPair('r.fifo', 1);
      await t.update('r.fifo', { deadLetter: { queue: QueueName.parse('q-dlq.fifo'), maxReceiveCount: 1 } });
      await t.send('q.fifo', fifo('g', 'from q', 'same'));
      await t.send('r.fifo', fifo('g', 'from r', 'same'));
      await t.send('q-dlq.fifo', fifo('g', 'sent', 'same'));
      for (const queue of ['q.fifo', 'r.fifo']) {
        t.advance(1);
        await fail(t, queue, 2);
      }
      const letters = await t.peek('q-dlq.fifo');
      expect(bodiesOf(letters)).toEqual(['sent', 'from q', 'from r']);
      const moved = letters.slice(1);
      expect(moved.map(({ deduplicationId }) => deduplicationId)).toEqual(moved.map(({ messageId }) => messageId));
    });

    it('of a FIFO queue get new sequence numbers: the order of the dead-letter queue is that of the moves', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1);
      await t.send('q-dlq.fifo', ...Array.from({ length: 5 }, (_, i) => fifo('early', `e${i}`)));
      await t.send('q.fifo', fifo('a', 'a1'), fifo('b', 'b1'));
      const held = await t.receive('q.fifo');
      for (const body of ['b1', 'a1']) {
        t.advance(1);
        await t.deadLetter('q.fifo', nth(held.filter((message) => bodyOf(message) === body)));
      }
      const letters = await t.peek('q-dlq.fifo');
      expect(bodiesOf(letters).slice(5)).toEqual(['b1', 'a1']);
      const sequences = letters.map(({ sequence }) => sequence);
      expect(sequences).toEqual([...new Set(sequences)].toSorted((x, y) => x - y));
      const later = await t.sendOne('q-dlq.fifo', fifo('a', 'later'));
      expect(later.sequence).toBeGreaterThan(nth(sequences, sequences.length - 1));
    });

    it('of a FIFO queue leave their group usable: the next message goes out in the same receive', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1);
      await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
      expect(await t.receiveBodies('q.fifo', { limit: 1, visibilitySeconds: 0 })).toEqual(['a']);
      expect(await t.receiveBodies('q.fifo', { limit: 1 })).toEqual(['b']);
      expect(bodiesOf(await t.peek('q-dlq.fifo'))).toEqual(['a']);
    });

    it('of a FIFO queue that their holder gives up unlock their group', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 5);
      await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
      await t.deadLetter('q.fifo', await t.receiveOne('q.fifo'));
      expect(await t.receiveBodies('q.fifo')).toEqual(['b']);
      await t.send('q.fifo', fifo('g', 'c'));
      expect(await t.receiveBodies('q.fifo')).toEqual([]);
    });

    it('of a FIFO queue keep the order of their group in the dead-letter queue', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1);
      await t.send('q.fifo', ...['1', '2', '3'].map((body) => fifo('g', body)));
      await fail(t, 'q.fifo', 2);
      expect(await t.receiveBodies('q-dlq.fifo')).toEqual(['1', '2', '3']);
    });

    it('of a FIFO queue do not pass through behind a head that is still held', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1, { visibilityTimeoutSeconds: 30 });
      await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
      const held = await t.receive('q.fifo');
      await t.extend('q.fifo', nth(held), 60);
      t.advance(30);
      expect(await t.receiveBodies('q.fifo')).toEqual([]);
      expect(await t.counts('q-dlq.fifo')).toEqual([0, 0, 0]);
      t.advance(30);
      await t.receive('q.fifo');
      expect(bodiesOf(await t.peek('q-dlq.fifo'))).toEqual(['a', 'b']);
    });

    it('deduplicate in their source as if they were still there', async () => {
      const t = await trial();
      await t.putPair('q.fifo', 1);
      const first = await t.sendOne('q.fifo', fifo('g', 'a'));
      await fail(t, 'q.fifo', 2);
      expect(await t.sendOne('q.fifo', fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
    });

    it('travel on along a chain of dead-letter queues when their holder gives up', async () => {
      const t = await trial();
      await t.put('c');
      await t.put('b', { deadLetter: { queue: QueueName.parse('c'), maxReceiveCount: 1_000 } });
      await t.put('a', { deadLetter: { queue: QueueName.parse('b'), maxReceiveCount: 1_000 } });
      const { messageId } = await t.sendOne('a', 'x');
      await t.deadLetter('a', await t.receiveOne('a'), 'one');
      await t.deadLetter('b', await t.receiveOne('b'), 'two');
      expect(await t.peek('c')).toMatchObject([
        {
          messageId,
          history: { firstFailure: { reason: 'one' }, lastFailure: { reason: 'two' }, deadLetter: { queue: 'b' } },
        },
      ]);
      expect(await t.counts('b')).toEqual([0, 0, 0]);
    });

    it('are in exactly one queue at every instant, whoever asks at once', async () => {
      const t = await trial();
      await t.putPair('q', 1);
      await t.send('q', ...Array.from({ length: 40 }, (_, i) => `${i}`));
      const held = await t.receive('q');
      await Promise.all([
        ...held.slice(0, 20).map((message) => t.deadLetter('q', message)),
        ...held.slice(10, 30).map((message) => t.delete('q', message)),
      ]);
      const left = [...(await t.peek('q')), ...(await t.peek('q-dlq'))];
      expect(new Set(left.map(({ messageId }) => messageId)).size).toBe(left.length);
      const { deletedTotal, deadLetteredTotal } = await t.stats('q');
      expect(deletedTotal + deadLetteredTotal).toBe(30);
      expect((await t.peek('q')).map((message) => messageState(message, t.now))).toEqual(Array(10).fill('inFlight'));
    });
  });
}
