/** FIFO queues: the one rule of receiving, order, deduplication, sequence numbers, receive attempts, groups. */
import { describe, expect, it } from 'vitest';
import { contentDeduplicationId } from '../../../src/domain/fifo.ts';
import type { ReceivedMessage } from '../../../src/domain/message.ts';
import type { Sent } from '../../../src/storage/port.ts';
import {
  attributes,
  bodiesOf,
  bodyOf,
  codeOf,
  type Engine,
  expectFault,
  expectRejection,
  fifo,
  nth,
  pages,
  restartCase,
  type Trial,
  trialsOf,
} from '../../support/storage.ts';

const q = 'q.fifo';
const receipts = (messages: readonly ReceivedMessage[]) => messages.map(({ receipt }) => receipt);
const sequences = (sent: readonly Pick<Sent, 'sequence'>[]) => sent.map(({ sequence }) => Number(sequence));

export function fifoConform(engine: Engine): void {
  describe('FIFO queues', () => {
    const trial = trialsOf(engine);
    const withQueue = async (settings: Parameters<Trial['put']>[1] = {}) => {
      const t = await trial();
      await t.put(q, { visibilityTimeoutSeconds: 30, ...settings });
      return t;
    };
    /** A queue whose group g holds m1, m2 and m3. */
    const withGroup = async () => {
      const t = await withQueue();
      await t.send(q, fifo('g', 'm1'), fifo('g', 'm2'), fifo('g', 'm3'));
      return t;
    };

    describe('the one rule of receiving', () => {
      it('nothing in flight: m1, m2, m3 in one answer', async () => {
        const t = await withGroup();
        expect(await t.receiveBodies(q)).toEqual(['m1', 'm2', 'm3']);
      });

      it('m1 in flight: nothing of the group, other groups are served', async () => {
        const t = await withGroup();
        expect(await t.receiveBodies(q, { limit: 1 })).toEqual(['m1']);
        await t.send(q, fifo('other', 'o1'), fifo('other', 'o2'));
        expect(await t.receiveBodies(q)).toEqual(['o1', 'o2']);
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('m1 and m2 in flight, m1 deleted: nothing of the group', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.delete(q, nth(held));
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('m1 and m2 in flight, m2 deleted: nothing of the group', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.delete(q, nth(held, 1));
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('m1 and m2 in flight, both deleted: m3', async () => {
        const t = await withGroup();
        for (const message of await t.receive(q, { limit: 2 })) await t.delete(q, message);
        expect(await t.receiveBodies(q)).toEqual(['m3']);
      });

      it('m1 and m2 in flight, m1 made visible: m1 alone', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.extend(q, nth(held), 0);
        expect(await t.receiveBodies(q)).toEqual(['m1']);
      });

      it('m1 and m2 in flight, m1 released: m1 alone', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.release(q, nth(held));
        expect(await t.receiveBodies(q)).toEqual(['m1']);
      });

      it('m1 and m2 in flight, m2 made visible: nothing of the group', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.extend(q, nth(held, 1), 0);
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('all in flight, m1 extended and the others expired: nothing', async () => {
        const t = await withGroup();
        const held = await t.receive(q);
        await t.extend(q, nth(held), 60);
        t.advance(30);
        expect(await t.receiveBodies(q)).toEqual([]);
        expect(await t.counts(q)).toEqual([2, 1, 0]);
      });

      it('all in flight, m2 extended and the others expired: m1', async () => {
        const t = await withGroup();
        const held = await t.receive(q);
        await t.extend(q, nth(held, 1), 60);
        t.advance(30);
        expect(await t.receiveBodies(q)).toEqual(['m1']);
      });

      it('all in flight, m3 extended and the others expired: m1, m2', async () => {
        const t = await withGroup();
        const held = await t.receive(q);
        await t.extend(q, nth(held, 2), 60);
        t.advance(30);
        expect(await t.receiveBodies(q)).toEqual(['m1', 'm2']);
      });

      it('all expired: m1, m2, m3 in order', async () => {
        const t = await withGroup();
        await t.receive(q);
        t.advance(29.999);
        expect(await t.receiveBodies(q)).toEqual([]);
        t.advance(0.001);
        expect(await t.receiveBodies(q)).toEqual(['m1', 'm2', 'm3']);
      });

      it('received with a visibility timeout of 0: all again at once', async () => {
        const t = await withGroup();
        expect(await t.receiveBodies(q, { visibilitySeconds: 0 })).toEqual(['m1', 'm2', 'm3']);
        expect(await t.receiveBodies(q, { visibilitySeconds: 0 })).toEqual(['m1', 'm2', 'm3']);
      });

      it('a message sent while the group is locked waits and does not unlock it', async () => {
        const t = await withGroup();
        const held = await t.receive(q);
        await t.send(q, fifo('g', 'm4'));
        expect(await t.receiveBodies(q)).toEqual([]);
        for (const message of held) await t.delete(q, message);
        expect(await t.receiveBodies(q)).toEqual(['m4']);
      });

      it('the last message deleted, later a new one sent: it is delivered', async () => {
        const t = await withGroup();
        for (const message of await t.receive(q)) await t.delete(q, message);
        await t.upkeep();
        t.advance(1_000);
        await t.send(q, fifo('g', 'm4'));
        expect(await t.receiveBodies(q)).toEqual(['m4']);
      });

      it('m1 released with a delay: the group waits until it is over', async () => {
        const t = await withGroup();
        await t.release(q, await t.receiveOne(q), { delaySeconds: 50 });
        t.advance(49.999);
        expect(await t.look(q)).toMatchObject({ messages: [], nextVisibleAt: t.in(0.001) });
        t.advance(0.001);
        expect(await t.receiveBodies(q)).toEqual(['m1', 'm2', 'm3']);
      });

      it('m1 and m2 in flight, the bytes of an answer used up by m1: m2 waits although it is visible', async () => {
        const t = await withGroup();
        expect(await t.receiveBodies(q, { bytesMax: 3 })).toEqual(['m1']);
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      restartCase(engine, 'holds over a restart', async () => {
        const t = await withGroup();
        const held = await t.receive(q, { limit: 2 });
        await t.reopen();
        expect(await t.receiveBodies(q)).toEqual([]);
        await t.delete(q, nth(held));
        await t.reopen();
        expect(await t.receiveBodies(q)).toEqual([]);
        await t.delete(q, nth(held, 1));
        await t.reopen();
        expect(await t.receiveBodies(q)).toEqual(['m3']);
      });
    });

    describe('groups in one receive', () => {
      it('takes what one group has before it goes to the next', async () => {
        const t = await withQueue();
        await t.send(q, fifo('a', 'a1'), fifo('b', 'b1'), fifo('a', 'a2'), fifo('b', 'b2'));
        const received = await t.receive(q, { limit: 3 });
        const [first, second, third] = received.map(({ groupId }) => groupId);
        expect(second).toBe(first);
        expect(third).not.toBe(first);
        expect(bodiesOf(received)).toEqual([`${first}1`, `${first}2`, `${third}1`]);
        // The group whose head went out is locked now, so its second message stays.
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('lets groups take turns: one just served goes behind the others', async () => {
        const t = await withQueue();
        await t.send(q, fifo('a', 'a1'), fifo('a', 'a2'), fifo('b', 'b1'), fifo('b', 'b2'), fifo('c', 'c1'));
        const first = await t.receive(q, { limit: 3, visibilitySeconds: 0 });
        const served = new Set(first.map(({ groupId }) => groupId));
        expect(served.size).toBe(2);
        t.advance(0.001);
        const second = await t.receiveOne(q, { visibilitySeconds: 0 });
        expect(served).not.toContain(second.groupId);
      });

      it('does not let a blocked group block another, however much it holds', async () => {
        const t = await withQueue();
        await t.send(q, ...Array.from({ length: 900 }, (_, i) => fifo('big', `big${i}`)), fifo('small', 's'));
        expect(await t.receiveBodies(q, { limit: 1 })).toEqual(['big0']);
        expect(await t.receiveBodies(q)).toEqual(['s']);
      });

      it('finds the one free group among many blocked ones', async () => {
        const t = await withQueue();
        const groups = (batch: number, name: string) =>
          Array.from({ length: 500 }, (_, i) => fifo(`g${batch}/${i}`, `${name}${batch}/${i}`));
        for (const batch of [0, 1, 2]) await t.send(q, ...groups(batch, 'head'));
        for (let round = 0; round < 15; round += 1) expect(await t.receive(q)).toHaveLength(100);
        for (const batch of [0, 1, 2]) await t.send(q, ...groups(batch, 'next'));
        await t.send(q, fifo('free', 'free'));
        expect(await t.receiveBodies(q)).toEqual(['free']);
        expect((await t.look(q)).nextVisibleAt).toBe(t.in(30));
      });

      it('keeps the order of every group over many groups, receivers and failures', async () => {
        const t = await withQueue();
        for (let i = 0; i < 60; i += 1) await t.send(q, fifo(`g${i % 7}`, `${i}`));
        const done = new Map<string, number[]>();
        for (let round = 0; round < 400; round += 1) {
          const received = await t.receive(q, { limit: 1 + (round % 4) });
          for (const [i, message] of received.entries()) {
            if ((round + i) % 3 === 0) {
              await t.settle(
                q,
                ...receipts(received.slice(i)).map((receipt) => ({ does: 'release' as const, receipt })),
              );
              break;
            }
            await t.delete(q, message);
            done.set(message.groupId, [...(done.get(message.groupId) ?? []), Number(bodyOf(message))]);
          }
        }
        expect([...done.values()].flat()).toHaveLength(60);
        for (const order of done.values()) expect(order).toEqual(order.toSorted((x, y) => x - y));
      });

      it('keeps the turn of a group whose head leaves while it can be received', async () => {
        const t = await withQueue();
        const [first] = await t.send(q, fifo('a', 'a1'), fifo('b', 'b1'), fifo('a', 'a2'));
        t.advance(1);
        await t.storage.removeMessage({ queue: t.ref(q), messageId: first?.messageId ?? '', now: t.now });
        expect(await t.receiveBodies(q)).toEqual(['a2', 'b1']);
      });

      it('tells the end of the lock as the instant to look again, not now', async () => {
        const t = await withGroup();
        await t.receiveOne(q);
        expect((await t.look(q)).nextVisibleAt).toBe(t.in(30));
      });

      it('tells that more can be had when other groups are free', async () => {
        const t = await withGroup();
        await t.send(q, fifo('h', 'h1'));
        const { messages, nextVisibleAt } = await t.look(q, { limit: 1 });
        expect(messages).toHaveLength(1);
        expect(nextVisibleAt).not.toBeNull();
        expect(nextVisibleAt).toBeLessThanOrEqual(t.now);
      });

      it('counts messages behind a locked head as available', async () => {
        const t = await withQueue();
        for (const group of ['a', 'b', 'c']) await t.send(q, fifo(group, `${group}1`), fifo(group, `${group}2`));
        const first = await t.receive(q, { limit: 2 });
        expect(first).toHaveLength(2);
        expect(await t.counts(q)).toEqual([4, 2, 0]);
      });

      it('applies the delay of the queue to every message, an asked-for 0 or not', async () => {
        const t = await withQueue({ delaySeconds: 10 });
        await t.send(q, { body: 'a', groupId: 'g', deduplicationId: 'a', delaySeconds: 0 });
        expect(await t.receiveBodies(q)).toEqual([]);
        t.advance(5);
        await t.send(q, fifo('g', 'b'));
        t.advance(5);
        expect(await t.receiveBodies(q, { visibilitySeconds: 0 })).toEqual(['a']);
        t.advance(5);
        expect(await t.receiveBodies(q)).toEqual(['a', 'b']);
      });
    });

    describe('deduplication', () => {
      it('answers a duplicate with the first message and stores nothing', async () => {
        const t = await withQueue();
        const first = await t.sendOne(q, fifo('g', 'a', 'd'));
        const again = await t.sendOne(q, fifo('g', 'other body', 'd'));
        expect(first.isDuplicate).toBe(false);
        expect(again).toEqual({ ...first, isDuplicate: true });
        expect(await t.receiveBodies(q)).toEqual(['a']);
        expect((await t.stats(q)).sentTotal).toBe(1);
      });

      it('lasts 300 seconds from the first send, to the millisecond', async () => {
        const t = await withQueue();
        const first = await t.sendOne(q, fifo('g', 'a'));
        t.advance(299.999);
        expect(await t.sendOne(q, fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
        t.advance(0.002);
        const second = await t.sendOne(q, fifo('g', 'a'));
        expect(second.isDuplicate).toBe(false);
        expect(second.messageId).not.toBe(first.messageId);
        expect(second.sequence).toBeGreaterThan(Number(first.sequence));
        expect(await t.sendOne(q, fifo('g', 'a'))).toEqual({ ...second, isDuplicate: true });
        expect(await t.receiveBodies(q)).toEqual(['a', 'a']);
      });

      it('still holds when exactly 300 seconds have passed: the window is the 300 seconds after the first send', async () => {
        const t = await withQueue();
        await t.send(q, fifo('g', 'a'));
        t.advance(300);
        expect(await t.sendOne(q, fifo('g', 'a'))).toMatchObject({ isDuplicate: true });
      });

      it('does not last longer because of duplicates', async () => {
        const t = await withQueue();
        await t.send(q, fifo('g', 'a'));
        for (const seconds of [100, 199.999]) {
          t.advance(seconds);
          expect(await t.sendOne(q, fifo('g', 'a'))).toMatchObject({ isDuplicate: true });
        }
        t.advance(0.002);
        expect(await t.sendOne(q, fifo('g', 'a'))).toMatchObject({ isDuplicate: false });
      });

      it('is the same whether upkeep came by or not', async () => {
        const t = await withQueue();
        await t.send(q, fifo('g', 'a'));
        t.advance(300);
        await t.upkeep();
        expect(await t.sendOne(q, fifo('g', 'a'))).toMatchObject({ isDuplicate: true });
        t.advance(0.001);
        await t.upkeep();
        expect(await t.sendOne(q, fifo('g', 'a'))).toMatchObject({ isDuplicate: false });
      });

      it('goes on after the message was received and deleted', async () => {
        const t = await withQueue();
        const first = await t.sendOne(q, fifo('g', 'a'));
        await t.delete(q, await t.receiveOne(q));
        await t.upkeep();
        t.advance(299);
        expect(await t.sendOne(q, fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('goes on after the message has expired', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        const first = await t.sendOne(q, fifo('g', 'a'));
        t.advance(100);
        await t.upkeep();
        expect(await t.sendOne(q, fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
      });

      it('goes on after an operator removed the message', async () => {
        const t = await withQueue();
        const first = await t.sendOne(q, fifo('g', 'a'));
        await t.storage.removeMessage({ queue: t.ref(q), messageId: first.messageId, now: t.now });
        expect(await t.sendOne(q, fifo('g', 'a'))).toEqual({ ...first, isDuplicate: true });
      });

      it('by queue: an id counts across groups', async () => {
        const t = await withQueue({ deduplicationScope: 'queue' });
        const first = await t.sendOne(q, fifo('g', 'a', 'd'));
        expect(await t.sendOne(q, fifo('h', 'b', 'd'))).toEqual({ ...first, isDuplicate: true });
      });

      it('by message group: an id counts in its group', async () => {
        const t = await withQueue({ deduplicationScope: 'messageGroup' });
        const first = await t.sendOne(q, fifo('g', 'a', 'd'));
        expect(await t.sendOne(q, fifo('h', 'b', 'd'))).toMatchObject({ isDuplicate: false });
        expect(await t.sendOne(q, fifo('g', 'c', 'd'))).toEqual({ ...first, isDuplicate: true });
      });

      it('by message group does not mix up ids and groups that read alike when joined', async () => {
        const t = await withQueue({ deduplicationScope: 'messageGroup' });
        const sent = await t.send(
          q,
          fifo('a', '1', 'bc'),
          fifo('ab', '2', 'c'),
          fifo('a:b', '3', 'c'),
          fifo('a', '4', 'b:c'),
        );
        expect(sent.map(({ isDuplicate }) => isDuplicate)).toEqual([false, false, false, false]);
      });

      it('keeps the scope of the creation: a later change is told but changes nothing, in both directions', async () => {
        const t = await withQueue({ deduplicationScope: 'queue' });
        const changed = await t.update(q, { deduplicationScope: 'messageGroup' });
        expect(changed.settings.deduplicationScope).toBe('messageGroup');
        await t.send(q, fifo('g', 'a', 'd'));
        expect(await t.sendOne(q, fifo('h', 'b', 'd'))).toMatchObject({ isDuplicate: true });

        await t.put('r.fifo', { deduplicationScope: 'messageGroup' });
        await t.update('r.fifo', { deduplicationScope: 'queue' });
        await t.send('r.fifo', fifo('g', 'a', 'd'));
        expect(await t.sendOne('r.fifo', fifo('h', 'b', 'd'))).toMatchObject({ isDuplicate: false });
        expect((await t.find('r.fifo'))?.settings.deduplicationScope).toBe('queue');
      });

      it('is for each queue alone', async () => {
        const t = await withQueue();
        await t.put('r.fifo');
        await t.send(q, fifo('g', 'a'));
        expect(await t.sendOne('r.fifo', fifo('g', 'a'))).toMatchObject({ isDuplicate: false });
      });

      it('holds inside one batch: every entry succeeds with the first message', async () => {
        const t = await withQueue();
        const [first, second, third, other] = await t.send(
          q,
          fifo('g', 'a', 'd'),
          fifo('g', 'b', 'd'),
          fifo('h', 'c', 'd'),
          fifo('g', 'e'),
        );
        expect(first).toMatchObject({ isDuplicate: false });
        expect(second).toEqual({ ...first, isDuplicate: true });
        expect(third).toEqual({ ...first, isDuplicate: true });
        expect(other).toMatchObject({ isDuplicate: false });
        expect((await t.receiveBodies(q)).toSorted()).toEqual(['a', 'e']);
      });

      it('holds between sends at once', async () => {
        const t = await withQueue();
        const sent = await Promise.all(Array.from({ length: 20 }, (_, i) => t.sendOne(q, fifo('g', `${i}`, 'd'))));
        expect(sent.filter(({ isDuplicate }) => !isDuplicate)).toHaveLength(1);
        expect(new Set(sent.map(({ messageId }) => messageId)).size).toBe(1);
        expect(await t.counts(q)).toEqual([1, 0, 0]);
      });

      it('is not begun by a send that was refused', async () => {
        const t = await withQueue({ maxMessageBytes: 1_024 });
        const refused = await t.trySend(q, [fifo('g', 'x'.repeat(1_025), 'd')]);
        expect(refused.map(codeOf)).toEqual(['messageTooLarge']);
        expect(await t.sendOne(q, fifo('g', 'a', 'd'))).toMatchObject({ isDuplicate: false });
      });

      it('by content: equal bodies are duplicates, whatever their attributes', async () => {
        const t = await withQueue({ contentBasedDeduplication: true });
        const first = await t.sendOne(q, { body: 'same', groupId: 'g' });
        const all = attributes({ a: { type: 'String', value: 'b' } });
        expect(await t.sendOne(q, { body: 'same', groupId: 'g', attributes: all })).toEqual({
          ...first,
          isDuplicate: true,
        });
        expect(await t.sendOne(q, { body: 'other', groupId: 'g' })).toMatchObject({ isDuplicate: false });
        const deduplicationId = '0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5';
        expect(await t.receiveOne(q)).toMatchObject({ deduplicationId });
      });

      it('by content gives way to an id that is named, which may equal that of a body', async () => {
        const t = await withQueue({ contentBasedDeduplication: true });
        await t.send(q, { body: 'same', groupId: 'g' });
        expect(await t.sendOne(q, fifo('g', 'same', 'own'))).toMatchObject({ isDuplicate: false });
        const named = fifo('g', 'different', contentDeduplicationId(Buffer.from('same')));
        expect(await t.sendOne(q, named)).toMatchObject({ isDuplicate: true });
      });

      it('by content can be switched on and off for later sends', async () => {
        const t = await withQueue();
        const draft = { body: 'a', groupId: 'g' };
        expect((await t.trySend(q, [draft])).map(codeOf)).toEqual(['deduplicationIdRequired']);
        await t.update(q, { contentBasedDeduplication: true });
        expect((await t.trySend(q, [draft])).map(codeOf)).toEqual(['ok']);
        await t.update(q, { contentBasedDeduplication: false });
        expect((await t.trySend(q, [draft])).map(codeOf)).toEqual(['deduplicationIdRequired']);
      });

      restartCase(engine, 'is exact over a restart, of a deleted message too', async () => {
        const t = await withQueue();
        const kept = await t.sendOne(q, fifo('g', 'kept'));
        const deleted = await t.sendOne(q, fifo('h', 'deleted'));
        for (const message of await t.receive(q)) if (message.groupId === 'h') await t.delete(q, message);
        t.advance(100);
        await t.reopen();
        t.advance(199.999);
        expect(await t.sendOne(q, fifo('g', 'kept'))).toEqual({ ...kept, isDuplicate: true });
        expect(await t.sendOne(q, fifo('h', 'deleted'))).toEqual({ ...deleted, isDuplicate: true });
        await t.reopen();
        t.advance(0.002);
        expect(await t.sendOne(q, fifo('g', 'kept'))).toMatchObject({ isDuplicate: false });
      });
    });

    describe('sequence numbers', () => {
      it('rise with every message of the queue and are those that a receive tells', async () => {
        const t = await withQueue();
        const sent = [
          ...(await t.send(q, fifo('a', '1'), fifo('b', '2'))),
          ...(await t.send(q, fifo('a', '3'))),
          ...(await t.send(q, fifo('b', '4'), fifo('c', '5'))),
        ];
        const given = sequences(sent);
        expect(given).toEqual([...new Set(given)].toSorted((x, y) => x - y));
        const received = await t.receive(q);
        expect(received.map(({ sequence }) => sequence).toSorted((x, y) => x - y)).toEqual(given);
      });

      it('never go back after the newest message was deleted, expired or purged', async () => {
        const t = await withQueue({ retentionSeconds: 60 });
        const given: number[] = [];
        const sendOne = async (body: string) => given.push(...sequences(await t.send(q, fifo('g', body))));
        await sendOne('a');
        await t.delete(q, await t.receiveOne(q));
        await t.upkeep();
        await sendOne('b');
        t.advance(61);
        await t.upkeep();
        await sendOne('c');
        await t.purge(q);
        await t.upkeep();
        await sendOne('d');
        expect(given).toEqual([...new Set(given)].toSorted((x, y) => x - y));
      });

      restartCase(engine, 'never go back over a restart, after the newest message was deleted too', async () => {
        const t = await withQueue();
        const given: number[] = [];
        for (let round = 0; round < 4; round += 1) {
          given.push(...sequences(await t.send(q, fifo('g', `${round}`))));
          await t.delete(q, await t.receiveOne(q));
          await t.upkeep();
          await t.reopen();
        }
        expect(given).toEqual([...new Set(given)].toSorted((x, y) => x - y));
      });
    });

    describe('receive attempts', () => {
      const withThree = async () => {
        const t = await withQueue();
        await t.send(q, fifo('g', 'a'), fifo('g', 'b'), fifo('h', 'c'));
        return t;
      };

      it('answer the same messages with the same receipts, held anew and not counted again', async () => {
        const t = await withThree();
        const first = await t.receive(q, { limit: 2, attemptId: 'x' });
        t.advance(20);
        const again = await t.receive(q, { limit: 2, attemptId: 'x' });
        expect(receipts(again)).toEqual(receipts(first));
        expect(bodiesOf(again)).toEqual(bodiesOf(first));
        for (const message of again) expect(message).toMatchObject({ receiveCount: 1, heldUntil: t.in(30) });
        t.advance(29.999);
        expect(
          (await t.settle(q, ...receipts(again).map((receipt) => ({ does: 'delete' as const, receipt })))).map(codeOf),
        ).toEqual(['ok', 'ok']);
      });

      it('are hidden for the back-off of the receive that they repeat', async () => {
        const t = await withQueue({ retryDelaySeconds: [5, 60] });
        await t.send(q, fifo('g', 'a'));
        await t.receive(q, { attemptId: 'x' });
        expect(await t.receiveOne(q, { attemptId: 'x' })).toMatchObject({ heldUntil: t.in(30), visibleAt: t.in(35) });
      });

      it('do not touch one another: another id or none gets other messages', async () => {
        const t = await withThree();
        const first = await t.receiveBodies(q, { limit: 2, attemptId: 'x' });
        const second = await t.receiveBodies(q, { attemptId: 'y' });
        expect([...first, ...second].toSorted()).toEqual(['a', 'b', 'c']);
        expect(await t.receiveBodies(q)).toEqual([]);
      });

      it('belong to their queue', async () => {
        const t = await withThree();
        await t.put('r.fifo');
        await t.send('r.fifo', fifo('g', 'r'));
        await t.receive(q, { attemptId: 'x' });
        expect(await t.receiveBodies('r.fifo', { attemptId: 'x' })).toEqual(['r']);
      });

      it('that found nothing are not remembered, so that waiting for a message works', async () => {
        const t = await withQueue();
        expect(await t.receiveBodies(q, { attemptId: 'x' })).toEqual([]);
        expect(await t.receiveBodies(q, { attemptId: 'x' })).toEqual([]);
        await t.send(q, fifo('g', 'a'));
        expect(await t.receiveBodies(q, { attemptId: 'x' })).toEqual(['a']);
      });

      const touches: readonly (readonly [string, (t: Trial, message: ReceivedMessage) => Promise<unknown>])[] = [
        ['deleted', (t, message) => t.delete(q, message)],
        ['extended', (t, message) => t.extend(q, message, 100)],
        ['released', (t, message) => t.release(q, message, { delaySeconds: 0 })],
      ];
      it.each(touches)('are refused with attemptIdReused when one of their messages was %s', async (_, touch) => {
        const t = await withThree();
        const first = await t.receive(q, { attemptId: 'x' });
        await touch(t, nth(first));
        await expectRejection(t.receive(q, { attemptId: 'x' }), 'attemptIdReused');
      });

      it('are refused with attemptIdReused when one of their messages was received by another since', async () => {
        const t = await withThree();
        await t.receive(q, { attemptId: 'x' });
        t.advance(30);
        await t.receive(q);
        await expectRejection(t.receive(q, { attemptId: 'x' }), 'attemptIdReused');
      });

      it('are refused with attemptIdReused when another held one of their messages for no time at all', async () => {
        const t = await withThree();
        await t.receive(q, { attemptId: 'x', visibilitySeconds: 0 });
        await t.receive(q, { visibilitySeconds: 0 });
        await expectRejection(t.receive(q, { attemptId: 'x' }), 'attemptIdReused');
      });

      it('never hand out a message past its retention again', async () => {
        const t = await trial();
        await t.put(q, { retentionSeconds: 60, visibilityTimeoutSeconds: 600 });
        await t.send(q, fifo('g', 'a'));
        await t.receive(q, { attemptId: 'x' });
        t.advance(60.001);
        await expectRejection(t.receive(q, { attemptId: 'x' }), 'attemptIdReused');
      });

      it('are remembered for 300 seconds from the first, not from a repetition', async () => {
        const t = await withThree();
        const first = await t.receive(q, { limit: 1, attemptId: 'x', visibilitySeconds: 1_000 });
        t.advance(299.999);
        const again = await t.receive(q, { limit: 1, attemptId: 'x', visibilitySeconds: 1_000 });
        expect(receipts(again)).toEqual(receipts(first));
        t.advance(0.001);
        const other = await t.receive(q, { limit: 1, attemptId: 'x', visibilitySeconds: 1_000 });
        expect(bodiesOf(other)).not.toEqual(bodiesOf(first));
        expect(other).toHaveLength(1);
      });

      restartCase(engine, 'are remembered over a restart', async () => {
        const t = await withThree();
        const first = await t.receive(q, { attemptId: 'x' });
        await t.reopen();
        expect(receipts(await t.receive(q, { attemptId: 'x' }))).toEqual(receipts(first));
      });
    });

    describe('groups as an operator sees them', () => {
      const groupsOf = (t: Trial, limit = 100) =>
        pages((cursor) => t.storage.listGroups({ queue: t.ref(q), now: t.now, limit, cursor }));

      it('tell their messages, their head and what it does, by group id', async () => {
        const t = await withQueue();
        const [a1] = await t.send(q, fifo('a', 'a1'), fifo('a', 'a2'));
        await t.receiveOne(q);
        const [b1] = await t.send(q, fifo('b', 'b1'));
        const held = await t.receiveOne(q);
        await t.release(q, held, { delaySeconds: 7 });
        const [c1] = await t.send(q, fifo('c', 'c1'), fifo('c', 'c2'), fifo('c', 'c3'));
        const groups = await groupsOf(t);
        expect(groups).toMatchObject([
          { groupId: 'a', messageCount: 2, headMessageId: a1?.messageId, headState: 'inFlight', availableAt: t.in(30) },
          { groupId: 'b', messageCount: 1, headMessageId: b1?.messageId, headState: 'delayed', availableAt: t.in(7) },
          { groupId: 'c', messageCount: 3, headMessageId: c1?.messageId, headState: 'available' },
        ]);
        expect(nth(groups, 2).availableAt).toBeLessThanOrEqual(t.now);
        t.advance(30);
        expect((await groupsOf(t)).map(({ headState }) => headState)).toEqual(['available', 'available', 'available']);
      });

      it('are gone with their last message', async () => {
        const t = await withQueue();
        await t.send(q, fifo('a', 'a1'), fifo('b', 'b1'));
        await t.delete(q, await t.receiveOne(q));
        expect((await groupsOf(t)).map(({ groupId }) => groupId)).toEqual(['b']);
        await t.purge(q);
        expect(await groupsOf(t)).toEqual([]);
        await t.send(q, fifo('b', 'b2'));
        expect(await groupsOf(t)).toMatchObject([{ groupId: 'b', messageCount: 1 }]);
      });

      it('are listed page after page', async () => {
        const t = await withQueue();
        const ids = Array.from({ length: 25 }, (_, i) => `g${i}`);
        await t.send(q, ...ids.map((id) => fifo(id, id)));
        for (const limit of [1, 10, 25]) {
          expect((await groupsOf(t, limit)).map(({ groupId }) => groupId)).toEqual(ids.toSorted());
        }
        const full = await t.storage.listGroups({ queue: t.ref(q), now: t.now, limit: 25 });
        expect(full.nextCursor).toBeNull();
      });
    });

    it('is not harmed by a receipt of the other group', async () => {
      const t = await withQueue();
      await t.send(q, fifo('a', 'a1'), fifo('b', 'b1'));
      const held = await t.receive(q);
      await t.delete(q, nth(held));
      expect(await t.counts(q)).toEqual([0, 1, 0]);
      expectFault(await t.extend(q, nth(held), 5), 'messageNotFound');
      expect(codeOf(await t.delete(q, nth(held, 1)))).toBe('ok');
    });
  });
}
