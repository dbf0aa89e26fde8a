/** Messages: send and receive, the states and what moves a message between them, retention, counts, peek and lists. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orThrow } from '../../../src/domain/errors.ts';
import { limits } from '../../../src/domain/limits.ts';
import { type Message, messageState, type ReceivedMessage } from '../../../src/domain/message.ts';
import {
  attributes,
  bodiesOf,
  bodyOf,
  codeOf,
  type DraftText,
  dlqOf,
  type Engine,
  expectFault,
  expectRejection,
  fifo,
  nth,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

const numbered = (count: number, prefix = 'm') => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const ids = (messages: readonly { readonly messageId: string }[]) => messages.map(({ messageId }) => messageId);

export function messagesConform(engine: Engine): void {
  describe('messages', () => {
    const trial = trialsOf(engine);
    const withQueue = async (settings: Parameters<Trial['put']>[1] = {}) => {
      const t = await trial();
      await t.put('q', settings);
      return t;
    };

    describe('send', () => {
      it('stores what was sent, to the byte', async () => {
        const t = await withQueue();
        const body = Uint8Array.from({ length: 256 }, (_, i) => i);
        const all = attributes({
          Zebra: { type: 'String', value: 'Ω ≠ \r\n "quoted" <xml/> 🦓' },
          __proto__x: { type: 'Number.int', value: '0230.010' },
          1: { type: 'Binary.png', value: 'AAEC/w==' },
        });
        const sent = await t.sendOne('q', {
          body,
          contentType: 'application/x-thing; v=1',
          attributes: all,
          groupId: 'g',
        });
        expect(sent).toMatchObject({ sequence: null, isDuplicate: false });
        const received = await t.receiveOne('q');
        expect(Buffer.from(received.body)).toEqual(Buffer.from(body));
        expect(received).toMatchObject({
          messageId: sent.messageId,
          contentType: 'application/x-thing; v=1',
          groupId: 'g',
          deduplicationId: '',
          sentAt: t.now,
          enqueuedAt: t.now,
          history: {},
        });
        expect([...received.attributes]).toEqual([...all]);
      });

      it('keeps attributes whose names are traps, in their order', async () => {
        const t = await withQueue();
        const odd = new Map([
          ['__proto__', { type: 'String', value: 'x' }],
          ['constructor', { type: 'String', value: 'y' }],
          ['10', { type: 'String', value: 'ten' }],
          ['9', { type: 'String', value: 'nine' }],
        ]);
        await t.send('q', { body: 'a', attributes: odd });
        expect([...(await t.receiveOne('q')).attributes]).toEqual([...odd]);
      });

      it('gives every message an id of its own, in one batch and across queues', async () => {
        const t = await withQueue();
        await t.put('r');
        const sent = [...(await t.send('q', ...numbered(300))), ...(await t.send('r', ...numbered(300)))];
        expect(new Set(ids(sent)).size).toBe(600);
      });

      it('takes an empty list and answers an empty one', async () => {
        const t = await withQueue();
        expect(await t.trySend('q', [])).toEqual([]);
        expect(await t.settle('q')).toEqual([]);
      });

      it('refuses what the queue cannot take entry by entry, in order, and stores the rest', async () => {
        const t = await withQueue({ maxMessageBytes: 1_024, retentionSeconds: 60 });
        const outcomes = await t.trySend('q', [
          'first',
          '',
          'x'.repeat(1_025),
          { body: 'dedup', deduplicationId: 'd' },
          { body: 'late', delaySeconds: 61 },
          'last',
        ]);
        const codes = ['ok', 'emptyBody', 'messageTooLarge', 'deduplicationIdNotAllowed', 'delayTooLong', 'ok'];
        expect(outcomes.map(codeOf)).toEqual(codes);
        expect(outcomes[2]).toMatchObject({ facts: { bytes: 1_025, bytesMax: 1_024 } });
        expect(outcomes[4]).toMatchObject({ facts: { delaySeconds: 61, delaySecondsMax: 60 } });
        expect(await t.receiveBodies('q')).toEqual(['first', 'last']);
        expect((await t.stats('q')).sentTotal).toBe(2);
      });

      it('refuses FIFO drafts without group, without deduplication id or with a delay of their own', async () => {
        const t = await trial();
        await t.put('q.fifo');
        const outcomes = await t.trySend('q.fifo', [
          { body: 'a', deduplicationId: 'a' },
          { body: 'b', groupId: 'g' },
          { body: 'c', groupId: 'g', deduplicationId: 'c', delaySeconds: 1 },
          { body: 'd', groupId: 'g', deduplicationId: 'd', delaySeconds: 0 },
        ]);
        const codes = ['groupRequired', 'deduplicationIdRequired', 'delayNotAllowed', 'ok'];
        expect(outcomes.map(codeOf)).toEqual(codes);
        expect(await t.receiveBodies('q.fifo')).toEqual(['d']);
      });

      it('stores all of an atomic batch or nothing', async () => {
        const t = await withQueue({ maxMessageBytes: 1_024 });
        const bad = 'x'.repeat(1_025);
        const refused = await t.trySend('q', ['a', bad, 'b', ''], { isAtomic: true });
        expect(refused.map(codeOf)).toEqual(['batchAborted', 'messageTooLarge', 'batchAborted', 'emptyBody']);
        expect(await t.stats('q')).toMatchObject({ availableCount: 0, sentTotal: 0, bytes: 0 });
        const taken = await t.trySend('q', ['a', 'b'], { isAtomic: true });
        expect(taken.map(codeOf)).toEqual(['ok', 'ok']);
        expect(await t.receiveBodies('q')).toEqual(['a', 'b']);
      });

      it('records no deduplication id of an aborted batch', async () => {
        const t = await trial();
        await t.put('q.fifo');
        const refused = await t.trySend('q.fifo', [fifo('g', 'a'), { body: 'b', groupId: 'g' }], { isAtomic: true });
        expect(refused.map(codeOf)).toEqual(['batchAborted', 'deduplicationIdRequired']);
        expect(await t.sendOne('q.fifo', fifo('g', 'a'))).toMatchObject({ isDuplicate: false });
        expect(await t.receiveBodies('q.fifo')).toEqual(['a']);
      });

      it('takes the largest batch', async () => {
        const t = await withQueue();
        const sent = await t.send('q', ...numbered(limits.batchEntriesMax));
        expect(sent).toHaveLength(limits.batchEntriesMax);
        expect(await t.counts('q')).toEqual([limits.batchEntriesMax, 0, 0]);
      });

      it('answers many sends at once, each with its own outcome', async () => {
        const t = await withQueue({ maxMessageBytes: 1_024 });
        const sends = numbered(60).map((body, i) => t.trySend('q', [i % 3 === 0 ? '' : body]));
        const outcomes = (await Promise.all(sends)).map((own) => codeOf(nth(own)));
        expect(outcomes).toEqual(numbered(60).map((_, i) => (i % 3 === 0 ? 'emptyBody' : 'ok')));
        expect(await t.counts('q')).toEqual([40, 0, 0]);
      });

      it('lets a send to a missing queue fail without failing its neighbours', async () => {
        const t = await withQueue();
        const [before, missing, after] = await Promise.allSettled([
          t.send('q', 'a'),
          t.send('missing', 'b'),
          t.send('q', 'c'),
        ]);
        expect([before.status, missing.status, after.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
        expect(await t.receiveBodies('q')).toEqual(['a', 'c']);
      });

      restartCase(engine, 'is there after a restart, with all that belongs to it', async () => {
        const t = await withQueue();
        const all = attributes({ a: { type: 'String', value: 'é' } });
        await t.send('q', { body: 'a', attributes: all, contentType: 'x/y', groupId: 'g' }, 'b');
        const before = await t.peek('q');
        t.advance(5);
        await t.reopen();
        expect(await t.peek('q')).toEqual(before);
        expect(await t.receiveBodies('q')).toEqual(['a', 'b']);
      });
    });

    describe('receive', () => {
      it('hands out a message, counts it and tells until when it is held', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 30 });
        const sent = await t.sendOne('q', 'a');
        const sentAt = t.now;
        t.advance(7);
        const received = await t.receiveOne('q');
        expect(received).toMatchObject({
          messageId: sent.messageId,
          sentAt,
          receiveCount: 1,
          firstReceivedAt: t.now,
          heldUntil: t.in(30),
          visibleAt: t.in(30),
        });
        expect(messageState(received, t.now)).toBe('inFlight');
        expect(await t.counts('q')).toEqual([0, 1, 0]);
      });

      it('has no message for a second receiver while the first one holds it, to the millisecond', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 30 });
        await t.send('q', 'a');
        await t.receiveOne('q');
        t.advance(29.999);
        expect(await t.receiveBodies('q')).toEqual([]);
        t.advance(0.001);
        expect(await t.counts('q')).toEqual([1, 0, 0]);
        expect(await t.receiveBodies('q')).toEqual(['a']);
      });

      it('gives one holder at a time to receivers that ask at once', async () => {
        const t = await withQueue();
        await t.send('q', ...numbered(50));
        const answers = await Promise.all(numbered(20).map(() => t.receive('q', { limit: 3 })));
        const received = answers.flat();
        expect(received).toHaveLength(50);
        expect(new Set(ids(received)).size).toBe(50);
      });

      it('raises the receive count with each receive and keeps the first receive time', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 10 });
        await t.send('q', 'a');
        const firstAt = t.advance(1);
        for (let receiveCount = 1; receiveCount <= 5; receiveCount += 1) {
          expect(await t.receiveOne('q')).toMatchObject({ receiveCount, firstReceivedAt: firstAt });
          t.advance(10);
        }
      });

      it('counts a receive with a visibility timeout of 0 and leaves the message available', async () => {
        const t = await withQueue();
        await t.send('q', 'a');
        expect(await t.receiveOne('q', { visibilitySeconds: 0 })).toMatchObject({ receiveCount: 1 });
        expect(await t.counts('q')).toEqual([1, 0, 0]);
        expect(await t.receiveOne('q', { visibilitySeconds: 0 })).toMatchObject({ receiveCount: 2 });
      });

      it('takes the visibility timeout of the ask once and does not remember it', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 30 });
        await t.send('q', 'a');
        expect((await t.receiveOne('q', { visibilitySeconds: 5 })).heldUntil).toBe(t.in(5));
        t.advance(5);
        expect((await t.receiveOne('q')).heldUntil).toBe(t.in(30));
      });

      it('hands out a message once per receive, with a visibility timeout of 0 and expired ones on the way too', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        await t.send('q', 'old', 'older', 'oldest');
        t.advance(30);
        await t.send('q', 'young');
        t.advance(30.001);
        expect(await t.receiveBodies('q', { limit: 2, visibilitySeconds: 0 })).toEqual(['young']);
        expect(await t.receiveOne('q')).toMatchObject({ receiveCount: 2 });
      });

      it('gives each receive a receipt of its own', async () => {
        const t = await withQueue();
        await t.send('q', 'a');
        const first = await t.receiveOne('q', { visibilitySeconds: 0 });
        const second = await t.receiveOne('q', { visibilitySeconds: 0 });
        expect(second.receipt).not.toEqual(first.receipt);
        expect(second.receipt.queueId).toBe((await t.find('q'))?.id);
      });

      it('hands out as many as asked for, and the rest later', async () => {
        const t = await withQueue();
        await t.send('q', ...numbered(5));
        expect(await t.receive('q', { limit: 2 })).toHaveLength(2);
        expect(await t.counts('q')).toEqual([3, 2, 0]);
        expect(await t.receive('q', { limit: 10 })).toHaveLength(3);
        expect(await t.receive('q', { limit: 10 })).toHaveLength(0);
      });

      it('hands out the longest visible first', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 10 });
        await t.send('q', 'a', { body: 'delayed', delaySeconds: 3 });
        t.advance(1);
        await t.send('q', 'b');
        expect(bodyOf(await t.receiveOne('q'))).toBe('a');
        t.advance(1);
        await t.send('q', 'c');
        t.advance(9);
        // Visible since: b 10 s, c 9 s, delayed 8 s, a just now.
        expect(await t.receiveBodies('q')).toEqual(['b', 'c', 'delayed', 'a']);
      });

      it('hands out messages of one instant in the order of their sends', async () => {
        const t = await withQueue();
        await t.send('q', 'a', 'b');
        await t.send('q', 'c');
        expect(await t.receiveBodies('q')).toEqual(['a', 'b', 'c']);
      });

      it('counts attributes against the bytes asked for', async () => {
        const t = await withQueue();
        const wide = attributes({ a: { type: 'String', value: 'x'.repeat(92) } });
        await t.send('q', { body: '0', attributes: wide }, { body: '1', attributes: wide });
        expect(await t.receive('q', { bytesMax: 199, visibilitySeconds: 0 })).toHaveLength(1);
        expect(await t.receive('q', { bytesMax: 200, visibilitySeconds: 0 })).toHaveLength(2);
      });

      it('stops before the sum of messages would pass the bytes asked for, but hands out one at least', async () => {
        const t = await withQueue();
        await t.send('q', ...numbered(4).map((_, i) => `${i}`.padEnd(100, '.')));
        expect(await t.receive('q', { bytesMax: 1, visibilitySeconds: 0 })).toHaveLength(1);
        expect(await t.receive('q', { bytesMax: 199, visibilitySeconds: 0 })).toHaveLength(1);
        expect(await t.receive('q', { bytesMax: 200, visibilitySeconds: 0 })).toHaveLength(2);
        expect(await t.receive('q', { bytesMax: 299, visibilitySeconds: 0 })).toHaveLength(2);
        expect(await t.receive('q', { bytesMax: 400, visibilitySeconds: 0 })).toHaveLength(4);
      });

      it('neither holds nor counts what did not fit', async () => {
        const t = await withQueue();
        await t.send('q', 'a'.repeat(100), 'b'.repeat(100));
        const answer = await t.look('q', { bytesMax: 150 });
        expect(answer.messages).toHaveLength(1);
        expect(answer.nextVisibleAt).toBeLessThanOrEqual(t.now);
        expect(await t.counts('q')).toEqual([1, 1, 0]);
        expect(await t.receiveOne('q')).toMatchObject({ receiveCount: 1 });
      });

      it('tells the queue, its own wait and when to look again', async () => {
        const t = await trial();
        const queue = await t.put('q', { waitSeconds: 13, visibilityTimeoutSeconds: 30 });
        const empty = { messages: [], isReplay: false, queueId: queue.id, waitSeconds: 13, nextVisibleAt: null };
        expect(await t.look('q')).toEqual(empty);
        await t.send('q', 'a', 'b', { body: 'c', delaySeconds: 40 });
        const first = await t.look('q', { limit: 1 });
        expect(first.nextVisibleAt).toBeLessThanOrEqual(t.now);
        expect((await t.look('q', { limit: 1 })).nextVisibleAt).toBe(t.in(30));
        expect(await t.look('q')).toEqual({ ...empty, nextVisibleAt: t.in(30) });
        await t.settle('q', { does: 'delete', receipt: nth(first.messages).receipt });
        t.advance(30);
        expect((await t.look('q')).nextVisibleAt).toBe(t.in(10));
      });

      it('tells the end of the back-off as the instant to look again', async () => {
        const t = await withQueue({ retryDelaySeconds: [60] });
        await t.send('q', 'a');
        expect((await t.look('q')).nextVisibleAt).toBe(t.in(90));
      });

      it('hands out every message once to receivers that go on until nothing is left', async () => {
        const t = await withQueue();
        const sent = await t.send('q', ...numbered(500));
        const seen: string[] = [];
        for (let round = 0; round < 500 / 7; round += 1) seen.push(...ids(await t.receive('q', { limit: 7 })));
        expect(await t.receiveBodies('q')).toEqual([]);
        expect(seen.sort()).toEqual(ids(sent).sort());
      });

      it('takes a group id on a standard queue as a label that locks nothing', async () => {
        const t = await withQueue();
        await t.send('q', { body: 'a', groupId: 'g' }, { body: 'b', groupId: 'g' });
        const first = await t.receiveOne('q');
        const second = await t.receiveOne('q');
        expect([first.groupId, second.groupId]).toEqual(['g', 'g']);
        expect(bodiesOf([first, second]).toSorted()).toEqual(['a', 'b']);
      });

      it('takes no notice of an attempt id on a standard queue', async () => {
        const t = await withQueue();
        await t.send('q', 'a', 'b');
        expect(await t.receiveBodies('q', { limit: 1, attemptId: 'x' })).toEqual(['a']);
        expect(await t.receiveBodies('q', { limit: 1, attemptId: 'x' })).toEqual(['b']);
      });

      restartCase(engine, 'keeps its holder over a restart, until the visibility timeout ends', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 30 });
        await t.send('q', 'a', 'b');
        const held = await t.receiveOne('q');
        t.advance(10);
        await t.reopen();
        expect(await t.receiveBodies('q')).toEqual(['b']);
        expect(await t.extend('q', held, 30)).toEqual({ visibleAt: t.in(30), messageId: held.messageId });
        t.advance(30);
        const again = await t.receive('q');
        expect(again.map(({ receiveCount }) => receiveCount)).toEqual([2, 2]);
        expect(bodiesOf(again).toSorted()).toEqual(['a', 'b']);
      });

      restartCase(engine, 'never hands out again what was deleted before a restart', async () => {
        const t = await withQueue();
        await t.send('q', 'a', 'b');
        const held = await t.receiveOne('q');
        await t.delete('q', held);
        await t.reopen();
        t.advance(100);
        expect(await t.receiveBodies('q')).toEqual(['b']);
        expect(await t.delete('q', held)).toEqual({ visibleAt: null, messageId: null });
      });
    });

    describe('delay', () => {
      it('of the queue hides a message until it is over, to the millisecond', async () => {
        const t = await withQueue({ delaySeconds: 10 });
        await t.send('q', 'a');
        expect(await t.counts('q')).toEqual([0, 0, 1]);
        t.advance(9.999);
        expect(await t.look('q')).toMatchObject({ messages: [], nextVisibleAt: t.in(0.001) });
        t.advance(0.001);
        expect(await t.counts('q')).toEqual([1, 0, 0]);
        expect(await t.receiveBodies('q')).toEqual(['a']);
      });

      it('of the message wins over that of the queue, 0 too', async () => {
        const t = await withQueue({ delaySeconds: 10 });
        await t.send('q', { body: 'now', delaySeconds: 0 }, { body: 'later', delaySeconds: 20 }, 'queue');
        expect(await t.receiveBodies('q')).toEqual(['now']);
        t.advance(10);
        expect(await t.receiveBodies('q')).toEqual(['queue']);
        t.advance(10);
        expect(await t.receiveBodies('q')).toEqual(['later']);
      });

      it('may be as long as the retention and not a second longer', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        const outcomes = await t.trySend('q', [
          { body: 'a', delaySeconds: 60 },
          { body: 'b', delaySeconds: 61 },
        ]);
        expect(outcomes.map(codeOf)).toEqual(['ok', 'delayTooLong']);
      });

      it('of a standard queue, when changed, leaves alone what was sent before', async () => {
        const t = await withQueue({ delaySeconds: 60 });
        await t.send('q', 'before');
        await t.update('q', { delaySeconds: 0 });
        expect(await t.receiveBodies('q')).toEqual([]);
        await t.update('q', { delaySeconds: 600 });
        await t.send('q', 'after');
        t.advance(60);
        expect(await t.receiveBodies('q')).toEqual(['before']);
      });

      it('of a FIFO queue, when changed, holds for delayed messages too', async () => {
        const t = await trial();
        await t.put('q.fifo', { delaySeconds: 60 });
        await t.send('q.fifo', fifo('g', 'a'));
        t.advance(5);
        await t.update('q.fifo', { delaySeconds: 10 });
        t.advance(4.999);
        expect(await t.receiveBodies('q.fifo', { visibilitySeconds: 0 })).toEqual([]);
        t.advance(0.001);
        expect(await t.receiveBodies('q.fifo', { visibilitySeconds: 0 })).toEqual(['a']);

        await t.send('q.fifo', fifo('h', 'b'));
        await t.update('q.fifo', { delaySeconds: 100 });
        t.advance(99.999);
        expect(await t.receiveBodies('q.fifo', { visibilitySeconds: 0 })).toEqual(['a']);
        t.advance(0.001);
        expect((await t.receiveBodies('q.fifo')).toSorted()).toEqual(['a', 'b']);
      });

      it('of a FIFO queue, when changed, leaves held messages to their holders', async () => {
        const t = await trial();
        await t.put('q.fifo', { visibilityTimeoutSeconds: 30 });
        await t.send('q.fifo', fifo('g', 'a'));
        const held = await t.receiveOne('q.fifo');
        await t.update('q.fifo', { delaySeconds: 600 });
        await t.update('q.fifo', { delaySeconds: 0 });
        expect(await t.receiveBodies('q.fifo')).toEqual([]);
        expect(await t.counts('q.fifo')).toEqual([0, 1, 0]);
        expect(orThrow(await t.extend('q.fifo', held, 60)).visibleAt).toBe(t.in(60));
      });
    });

    describe('retention', () => {
      it('ends a message that nobody received, before upkeep came by', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        const { messageId } = await t.sendOne('q', 'a');
        t.advance(59.999);
        expect(bodiesOf(await t.peek('q'))).toEqual(['a']);
        t.advance(0.001);
        expect(await t.receiveBodies('q')).toEqual([]);
        expect(await t.peek('q')).toEqual([]);
        expect(await t.findMessage('q', messageId)).toBeNull();
        expect(await t.stats('q')).toMatchObject({ availableCount: 0, inFlightCount: 0, delayedCount: 0 });
      });

      it('is not shown by peek, find or counts when only time has passed', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        const { messageId } = await t.sendOne('q', 'a');
        t.advance(60.001);
        expect(await t.counts('q')).toEqual([0, 0, 0]);
        expect((await t.stats('q')).oldestSentAt).toBeNull();
        expect(await t.peek('q')).toEqual([]);
        expect(await t.findMessage('q', messageId)).toBeNull();
      });

      it('counts from the send: receives do not extend it, and a held message expires too', async () => {
        const t = await withQueue({ retentionSeconds: 60, visibilityTimeoutSeconds: 600 });
        await t.send('q', 'a');
        t.advance(50);
        const held = await t.receiveOne('q');
        expect(await t.counts('q')).toEqual([0, 1, 0]);
        t.advance(10.001);
        expect(await t.counts('q')).toEqual([0, 0, 0]);
        expectFault(await t.extend('q', held, 10), 'messageNotFound');
        expectFault(await t.release('q', held), 'messageNotFound');
        expect(await t.delete('q', held)).toMatchObject({ visibleAt: null });
        t.advance(600);
        expect(await t.receiveBodies('q')).toEqual([]);
        await t.upkeep();
        expect(await t.stats('q')).toMatchObject({ bytes: 0, oldestSentAt: null });
      });

      it('counts from the send of a delayed message as well', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        await t.send('q', { body: 'a', delaySeconds: 50 });
        t.advance(59.999);
        expect(await t.counts('q')).toEqual([1, 0, 0]);
        t.advance(0.002);
        expect(await t.receiveBodies('q')).toEqual([]);
      });

      it('lets a receive pass over the expired to those that are not', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        await t.send('q', ...numbered(20, 'old'));
        t.advance(30);
        await t.send('q', 'young');
        t.advance(30.001);
        expect(await t.receiveBodies('q', { limit: 1 })).toEqual(['young']);
        await t.upkeep();
        expect(await t.stats('q')).toMatchObject({ expiredTotal: 20, inFlightCount: 1 });
      });

      it('unlocks a FIFO group whose held head has expired', async () => {
        const t = await trial();
        await t.put('q.fifo', { retentionSeconds: 60, visibilityTimeoutSeconds: 600 });
        await t.send('q.fifo', fifo('g', 'a'));
        t.advance(30);
        await t.send('q.fifo', fifo('g', 'b'));
        expect(await t.receiveBodies('q.fifo', { limit: 1 })).toEqual(['a']);
        t.advance(30.001);
        await t.upkeep();
        expect(await t.receiveBodies('q.fifo')).toEqual(['b']);
      });
    });

    describe('settings about retries', () => {
      it('hide a message for the back-off after its visibility timeout, by receive count, the last one repeating', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 10, retryDelaySeconds: [5, 60] });
        await t.send('q', 'a');
        for (const delaySeconds of [5, 60, 60]) {
          const received = await t.receiveOne('q');
          expect(received).toMatchObject({ heldUntil: t.in(10), visibleAt: t.in(10 + delaySeconds) });
          t.advance(10);
          expect(await t.counts('q')).toEqual([0, 0, 1]);
          t.advance(delaySeconds - 0.001);
          expect(await t.receiveBodies('q')).toEqual([]);
          t.advance(0.001);
        }
        expect(await t.receiveOne('q')).toMatchObject({ receiveCount: 4 });
      });

      it('do not hide a message that is received with a visibility timeout of 0', async () => {
        const t = await withQueue({ retryDelaySeconds: [60] });
        await t.send('q', 'a');
        await t.receiveOne('q', { visibilitySeconds: 0 });
        expect(await t.receiveBodies('q')).toEqual(['a']);
      });

      it('block a FIFO group during the back-off of its head', async () => {
        const t = await trial();
        await t.put('q.fifo', { visibilityTimeoutSeconds: 10, retryDelaySeconds: [50] });
        await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'), fifo('h', 'c'));
        expect((await t.receiveBodies('q.fifo', { limit: 1 })).length).toBe(1);
        await t.receive('q.fifo');
        t.advance(59.999);
        expect(await t.receiveBodies('q.fifo')).toEqual([]);
        t.advance(0.001);
        expect((await t.receiveBodies('q.fifo')).toSorted()).toEqual(['a', 'b', 'c']);
      });
    });

    describe('peek', () => {
      const states = async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 30 });
        await t.send('q', 'held', 'free', { body: 'late', delaySeconds: 60 }, 'also free');
        const held = await t.receiveOne('q');
        return { t, held };
      };

      it('shows messages by state, oldest first, and changes nothing', async () => {
        const { t, held } = await states();
        for (let round = 0; round < 2; round += 1) {
          expect(bodiesOf(await t.peek('q'))).toEqual(['held', 'free', 'late', 'also free']);
          expect(bodiesOf(await t.peek('q', 'available'))).toEqual(['free', 'also free']);
          expect(bodiesOf(await t.peek('q', 'inFlight'))).toEqual(['held']);
          expect(bodiesOf(await t.peek('q', 'delayed'))).toEqual(['late']);
        }
        expect(await t.counts('q')).toEqual([2, 1, 1]);
        expect((await t.stats('q')).receivedTotal).toBe(1);
        expect(await t.delete('q', held)).toMatchObject({ messageId: held.messageId });
      });

      it('follows time from state to state', async () => {
        const { t } = await states();
        t.advance(30);
        expect(bodiesOf(await t.peek('q', 'available'))).toEqual(['held', 'free', 'also free']);
        expect(bodiesOf(await t.peek('q', 'inFlight'))).toEqual([]);
        t.advance(30);
        expect(bodiesOf(await t.peek('q', 'delayed'))).toEqual([]);
        expect(bodiesOf(await t.peek('q', 'available'))).toEqual(['held', 'free', 'late', 'also free']);
      });

      it('shows a message released with a delay as delayed', async () => {
        const { t, held } = await states();
        await t.release('q', held, { delaySeconds: 5 });
        expect(bodiesOf(await t.peek('q', 'delayed'))).toEqual(['held', 'late']);
        expect(bodiesOf(await t.peek('q', 'inFlight'))).toEqual([]);
      });

      it('shows page after page, each message once', async () => {
        const t = await withQueue();
        await t.send('q', ...numbered(25), ...numbered(5, 'late').map((body) => ({ body, delaySeconds: 9 })));
        for (const limit of [1, 7, 30]) {
          expect(bodiesOf(await t.peek('q', 'all', limit))).toEqual([...numbered(25), ...numbered(5, 'late')]);
          expect(bodiesOf(await t.peek('q', 'delayed', limit))).toEqual(numbered(5, 'late'));
        }
      });

      it('ends a page before it holds more bytes than a receive may, attributes counted, and goes on from there', async () => {
        const t = await withQueue();
        const mebibyte = 1_048_576;
        const wide = attributes({ a: { type: 'String', value: 'x'.repeat(mebibyte / 2 - 7) } });
        for (const name of numbered(10)) {
          await t.send('q', { body: name.padEnd(mebibyte / 2, '.'), attributes: wide });
        }
        const look = (cursor?: string) =>
          t.storage.peek({ queue: t.ref('q'), state: 'all', limit: 100, now: t.now, cursor });
        const first = await look();
        expect(first.items).toHaveLength(limits.receiveBytesMax / mebibyte);
        const second = await look(first.nextCursor ?? '');
        expect(second.nextCursor).toBeNull();
        const names = [...first.items, ...second.items].map((message) => bodyOf(message).slice(0, 2));
        expect(names).toEqual(numbered(10));
      });

      it('ends a page before it holds more bytes than it is told, but not before its first message', async () => {
        const t = await withQueue();
        for (const name of numbered(3)) await t.send('q', { body: name.padEnd(100, '.') });
        const ask = { queue: t.ref('q'), state: 'all', limit: 100, now: t.now } as const;
        for (const [bytesMax, count] of [
          [0, 1],
          [199, 1],
          [200, 2],
        ] as const) {
          const { items, nextCursor } = await t.storage.peek({ ...ask, bytesMax });
          expect(items).toHaveLength(count);
          expect(nextCursor).not.toBeNull();
        }
      });

      it('shows FIFO messages in the order of their sequence numbers', async () => {
        const t = await trial();
        await t.put('q.fifo');
        await t.send('q.fifo', fifo('b', '1'), fifo('a', '2'), fifo('b', '3'));
        await t.receive('q.fifo', { limit: 1 });
        const shown = await t.peek('q.fifo');
        expect(bodiesOf(shown)).toEqual(['1', '2', '3']);
        const sequences = shown.map(({ sequence }) => sequence);
        expect(sequences).toEqual(sequences.toSorted((x, y) => x - y));
        // Behind a locked head a message still counts as available.
        expect(bodiesOf(await t.peek('q.fifo', 'available'))).toHaveLength(2);
      });

      it('shows the same message that a receive hands out and that find finds', async () => {
        const { t, held } = await states();
        // A body is bytes, whichever view of them an engine hands out.
        const plain = (message: Message) => ({ ...message, body: bodyOf(message) });
        const { receipt: _, ...message } = held;
        expect(plain((await t.findMessage('q', held.messageId)) as Message)).toEqual(plain(message));
        expect(plain(nth(await t.peek('q', 'inFlight')))).toEqual(plain(message));
      });
    });

    describe('one message', () => {
      it('is found by its id in its own queue alone', async () => {
        const t = await withQueue();
        await t.put('r');
        const { messageId } = await t.sendOne('q', 'a');
        expect(bodyOf((await t.findMessage('q', messageId)) as Message)).toBe('a');
        expect(await t.findMessage('r', messageId)).toBeNull();
        expect(await t.findMessage('q', 'no-such-id')).toBeNull();
        expect(await t.findMessage('q', '')).toBeNull();
        expect(await t.findMessage('q', `${messageId}0`)).toBeNull();
        expect(await t.findMessage('q', messageId.replace(/^./, 'z'))).toBeNull();
        // The id of another time, whose last part is the same.
        expect(await t.findMessage('q', messageId.replace(/^./, 'f'))).toBeNull();
      });

      it('is removed by an operator, held or not', async () => {
        const t = await withQueue();
        const [a, b, c] = await t.send('q', 'a', 'b', { body: 'c', delaySeconds: 60 });
        const held = await t.receiveOne('q');
        for (const sent of [a, b, c]) {
          await t.storage.removeMessage({ queue: t.ref('q'), messageId: sent?.messageId ?? '', now: t.now });
        }
        expect(await t.stats('q')).toMatchObject({ availableCount: 0, inFlightCount: 0, delayedCount: 0, bytes: 0 });
        expect(await t.delete('q', held)).toEqual({ visibleAt: null, messageId: null });
        expectFault(await t.extend('q', held, 1), 'messageNotFound');
        t.advance(61);
        expect(await t.receiveBodies('q')).toEqual([]);
      });

      it('cannot be removed twice, by a foreign id or from another queue', async () => {
        const t = await withQueue();
        await t.put('r');
        const { messageId } = await t.sendOne('q', 'a');
        const remove = (name: string, id: string) =>
          t.storage.removeMessage({ queue: t.ref(name), messageId: id, now: t.now });
        await expectRejection(remove('r', messageId), 'messageNotFound');
        await expectRejection(remove('q', 'nonsense'), 'messageNotFound');
        await expectRejection(remove('q', messageId.replace(/^./, 'f')), 'messageNotFound');
        await remove('q', messageId);
        await expectRejection(remove('q', messageId), 'messageNotFound');
      });

      it('that an operator removes from the head of a FIFO group unlocks the group', async () => {
        const t = await trial();
        await t.put('q.fifo');
        const [head] = await t.send('q.fifo', fifo('g', 'a'), fifo('g', 'b'));
        await t.receiveOne('q.fifo');
        expect(await t.receiveBodies('q.fifo')).toEqual([]);
        await t.storage.removeMessage({ queue: t.ref('q.fifo'), messageId: head?.messageId ?? '', now: t.now });
        expect(await t.receiveBodies('q.fifo')).toEqual(['b']);
      });
    });

    describe('numbers', () => {
      it('total what happened since the queue was created', async () => {
        const t = await withQueue({ visibilityTimeoutSeconds: 10, retentionSeconds: 60 });
        await t.send('q', 'a', 'b', 'c', 'd');
        const held = await t.receive('q', { limit: 2 });
        await t.delete('q', nth(held));
        await t.release('q', nth(held, 1), { delaySeconds: 0 });
        await t.receive('q', { limit: 3 });
        t.advance(60.001);
        await t.upkeep();
        await t.send('q', 'e', 'f');
        await t.purge('q');
        expect(await t.stats('q')).toMatchObject({
          sentTotal: 6,
          receivedTotal: 5,
          redeliveredTotal: 1,
          deletedTotal: 1,
          expiredTotal: 3,
          purgedTotal: 2,
          deadLetteredTotal: 0,
          redrivenTotal: 0,
          quarantinedTotal: 0,
        });
      });

      it('tell bytes by the rule of the limits, and the oldest message', async () => {
        const t = await withQueue();
        expect(await t.stats('q')).toMatchObject({ bytes: 0, oldestSentAt: null });
        const oldest = t.now;
        await t.send('q', { body: 'ab', attributes: attributes({ n: { type: 'Binary', value: 'AAEC' } }) });
        t.advance(5);
        await t.send('q', 'é');
        // 2 + (1 + 6 + 3) and 2.
        expect(await t.stats('q')).toMatchObject({ bytes: 14, oldestSentAt: oldest });
        await t.delete('q', await t.receiveOne('q'));
        expect(await t.stats('q')).toMatchObject({ bytes: 2, oldestSentAt: t.now });
        await t.delete('q', await t.receiveOne('q'));
        expect(await t.stats('q')).toMatchObject({ bytes: 0, oldestSentAt: null });
      });

      it('do not count a second delete of the same message', async () => {
        const t = await withQueue();
        await t.send('q', 'a');
        const held = await t.receiveOne('q');
        await t.delete('q', held);
        await t.delete('q', held);
        expect((await t.stats('q')).deletedTotal).toBe(1);
      });

      restartCase(engine, 'go on where they were after a restart', async () => {
        const t = await withQueue();
        await t.send('q', 'a', 'b', { body: 'c', delaySeconds: 60 });
        await t.delete('q', await t.receiveOne('q'));
        await t.receiveOne('q');
        const before = await t.stats('q');
        await t.reopen();
        expect(await t.stats('q')).toEqual(before);
        await t.send('q', 'd');
        expect((await t.stats('q')).sentTotal).toBe(4);
      });

      it('equal the counted messages at every instant, whatever was done', async () => {
        const seed = 20_260_131;
        await fc.assert(
          fc.asyncProperty(
            fc.constantFrom('q', 'q.fifo'),
            fc.array(anyStep, { maxLength: 40 }),
            async (name, steps) => {
              const t = await trial();
              await t.putPair(name, 2, { retentionSeconds: 120, retryDelaySeconds: [0, 5] });
              await t.update(dlqOf(name), { retentionSeconds: 60 });
              await walk(t, name, steps);
            },
          ),
          { seed, numRuns: engine.reopen === undefined ? 60 : 20 },
        );
      });
    });
  });
}

const seconds = fc.constantFrom(0, 5, 40);
const index = fc.nat(20);
const anyStep = fc.oneof(
  fc.record({ does: fc.constant('send'), count: fc.integer({ min: 1, max: 4 }), seconds }),
  fc.record({ does: fc.constant('receive'), count: fc.integer({ min: 1, max: 5 }), seconds }),
  fc.record({ does: fc.constantFrom('delete', 'release', 'extend', 'deadLetter'), index, seconds }),
  fc.record({ does: fc.constant('advance'), seconds: fc.constantFrom(0.001, 4.999, 5, 5.001, 30, 61) }),
  fc.record({ does: fc.constantFrom('purge', 'upkeep', 'reopen') }),
);
type Step = { readonly does: string; readonly count?: number; readonly seconds?: number; readonly index?: number };

/** Does the steps, and after each compares counts with what peek shows. */
async function walk(t: Trial, name: string, steps: readonly Step[]): Promise<void> {
  const held: ReceivedMessage[] = [];
  let sentCount = 0;
  const draft = (delaySeconds: number): DraftText => {
    sentCount += 1;
    return name === 'q' ? { body: `${sentCount}`, delaySeconds } : fifo(`g${sentCount % 3}`, `${sentCount}`);
  };
  const withOne = async (i: number, settle: (message: ReceivedMessage) => Promise<unknown>) => {
    if (held.length > 0) await settle(nth(held, i % held.length));
  };
  for (const step of steps) {
    const { does, count = 1, seconds = 0, index = 0 } = step;
    const actions: Record<string, () => unknown> = {
      send: () => t.send(name, ...numbered(count).map(() => draft(seconds))),
      receive: async () => held.push(...(await t.receive(name, { limit: count, visibilitySeconds: seconds }))),
      delete: () => withOne(index, (message) => t.delete(name, message)),
      release: () => withOne(index, (message) => t.release(name, message, { delaySeconds: seconds, reason: 'no' })),
      extend: () => withOne(index, (message) => t.extend(name, message, seconds)),
      deadLetter: () => withOne(index, (message) => t.deadLetter(name, message, 'no')),
      advance: () => t.advance(seconds),
      purge: () => t.purge(name),
      upkeep: () => t.upkeep(),
      reopen: () => (t.canReopen ? t.reopen() : undefined),
    };
    await actions[does]?.();
    for (const queue of [name, dlqOf(name)]) await compareCounts(t, queue, step);
  }
  expect(await t.audit()).toEqual([]);
}

async function compareCounts(t: Trial, queue: string, step: Step): Promise<void> {
  const shown = await t.peek(queue);
  const count = (state: string) => shown.filter((message) => messageState(message, t.now) === state).length;
  const bytes = shown.reduce((sum, { body }) => sum + body.byteLength, 0);
  expect(await t.stats(queue), `${queue} after ${JSON.stringify(step)}`).toMatchObject({
    availableCount: count('available'),
    inFlightCount: count('inFlight'),
    delayedCount: count('delayed'),
    bytes,
  });
}
