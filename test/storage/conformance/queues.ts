/** Queues: create and confirm, change, list, empty, remove, and the rules between a queue and its dead-letter queue. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { QueueName, queueSettings, type SettingName } from '../../../src/domain/queue-attributes.ts';
import type { Change } from '../../../src/storage/port.ts';
import {
  bodiesOf,
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

const policy = (queue: string, maxReceiveCount = 3) => ({ queue: QueueName.parse(queue), maxReceiveCount });
const names = (queues: readonly { readonly name: string }[]) => queues.map(({ name }) => name);

export function queuesConform(engine: Engine): void {
  describe('queues', () => {
    const trial = trialsOf(engine);

    describe('create', () => {
      it('creates a queue with the initial settings and what was named', async () => {
        const t = await trial();
        const { queue, isNew } = await t.storage.putQueue({
          queue: t.ref('orders'),
          kind: 'standard',
          settings: { visibilityTimeoutSeconds: 120, tags: { team: 'a' } },
          now: t.now,
        });
        expect(isNew).toBe(true);
        expect(queue).toMatchObject({ account: t.account, name: 'orders', kind: 'standard', createdAt: t.now });
        expect(queue.settings.visibilityTimeoutSeconds).toBe(120);
        expect(queue.settings.tags).toEqual({ team: 'a' });
        for (const name of Object.keys(queueSettings) as SettingName[]) {
          if (name === 'visibilityTimeoutSeconds' || name === 'tags') continue;
          expect(queue.settings[name], name).toEqual(queueSettings[name].initial);
        }
        expect(await t.find('orders')).toEqual(queue);
      });

      it('keeps every setting as it was given', async () => {
        const t = await trial();
        await t.put('dead.fifo');
        const settings = {
          visibilityTimeoutSeconds: 43_200,
          delaySeconds: 7,
          retentionSeconds: 1_209_600,
          maxMessageBytes: 1_024,
          waitSeconds: 20,
          deadLetter: policy('dead.fifo', 1_000),
          redriveAllow: { permission: 'byQueue' as const, queues: [QueueName.parse('x.fifo')] },
          contentBasedDeduplication: true,
          deduplicationScope: 'messageGroup' as const,
          fifoThroughputLimit: 'perMessageGroupId' as const,
          retryDelaySeconds: [1, 10, 100],
          maxMessages: Number.MAX_SAFE_INTEGER,
          maxBytes: 5_000_000_000,
          tags: { empty: '', Tag: 'a', tag: 'b', ключ: 'значение' },
        };
        const queue = await t.put('all.fifo', settings);
        expect(queue.settings).toMatchObject(settings);
        expect((await t.find('all.fifo'))?.settings).toMatchObject(settings);
      });

      it('confirms an existing queue whatever its settings when none are named', async () => {
        const t = await trial();
        const first = await t.put('orders', { delaySeconds: 5 });
        t.advance(10);
        const again = await t.storage.putQueue({
          queue: t.ref('orders'),
          kind: 'standard',
          settings: {},
          now: t.now,
        });
        expect(again).toEqual({ queue: first, isNew: false });
      });

      it('confirms a subset of equal settings, policies compared as values', async () => {
        const t = await trial();
        await t.put('dead');
        const first = await t.put('orders', { delaySeconds: 5, deadLetter: policy('dead'), tags: { a: '1', b: '2' } });
        const settings = {
          deadLetter: { maxReceiveCount: 3, queue: QueueName.parse('dead') },
          tags: { b: '2', a: '1' },
        };
        expect(await t.put('orders', settings)).toEqual(first);
      });

      it('refuses another value with queueExists and names every differing setting', async () => {
        const t = await trial();
        await t.put('orders', { delaySeconds: 5, retentionSeconds: 600, waitSeconds: 1 });
        const put = t.put('orders', { delaySeconds: 6, retentionSeconds: 600, waitSeconds: 2 });
        const data = await expectRejection(put, 'queueExists');
        expect(data.facts).toEqual({ queue: 'orders', differing: ['delaySeconds', 'waitSeconds'] });
        expect((await t.find('orders'))?.settings.delaySeconds).toBe(5);
      });

      it('compares with the present settings, not with those of the creation', async () => {
        const t = await trial();
        await t.put('orders', { delaySeconds: 5 });
        await t.update('orders', { delaySeconds: 9 });
        await expectRejection(t.put('orders', { delaySeconds: 5 }), 'queueExists');
        expect((await t.put('orders', { delaySeconds: 9 })).settings.delaySeconds).toBe(9);
      });

      it('takes an initial value that is named for the same as one that is not', async () => {
        const t = await trial();
        const first = await t.put('orders');
        expect(await t.put('orders', { visibilityTimeoutSeconds: 30, deadLetter: null })).toEqual(first);
      });

      it('confirms a queue that holds messages', async () => {
        const t = await trial();
        await t.put('orders', { delaySeconds: 0 });
        await t.send('orders', 'a');
        await t.put('orders', { delaySeconds: 0 });
        expect(await t.counts('orders')).toEqual([1, 0, 0]);
      });

      it('refuses settings that only the other kind has', async () => {
        const t = await trial();
        await expectRejection(t.put('orders', { contentBasedDeduplication: true }), 'settingNotForKind');
        await expectRejection(t.put('orders', { deduplicationScope: 'queue' }), 'settingNotForKind');
        expect(await t.find('orders')).toBeNull();
      });

      it('refuses settings that do not go together, and leaves nothing behind', async () => {
        const t = await trial();
        await expectRejection(t.put('orders', { delaySeconds: 61, retentionSeconds: 60 }), 'settingInvalid');
        await t.put('longest', { delaySeconds: 60, retentionSeconds: 60 });
        await expectRejection(t.put('a.fifo', { fifoThroughputLimit: 'perMessageGroupId' }), 'settingInvalid');
        expect(await t.find('orders')).toBeNull();
        expect(await t.find('a.fifo')).toBeNull();
      });

      it('takes a delay longer than the retention when it is told to be lenient, and other changes of that queue', async () => {
        const t = await trial();
        const settings = { delaySeconds: 61, retentionSeconds: 60 };
        const ask = { queue: t.ref('q'), kind: 'standard' as const, settings, isLenient: true, now: t.now };
        await t.storage.putQueue(ask);
        await t.storage.updateQueue({ queue: t.ref('q'), settings: { waitSeconds: 1 }, now: t.now });
        const outcomes = await t.trySend('q', [{ body: 'a' }, { body: 'b', delaySeconds: 60 }]);
        expect(outcomes.map(codeOf)).toEqual(['delayTooLong', 'ok']);
      });

      it('keeps names apart by case and by account', async () => {
        const t = await trial();
        const other = t.as('111111111111');
        const lower = await t.put('orders');
        const upper = await t.put('Orders');
        const foreign = await other.put('orders');
        expect(new Set([lower.id, upper.id, foreign.id]).size).toBe(3);
        await other.send('orders', 'theirs');
        expect(await t.receiveBodies('orders')).toEqual([]);
        expect(await other.receiveBodies('orders')).toEqual(['theirs']);
      });

      it('makes one queue of two creations at once', async () => {
        const t = await trial();
        const ask = { queue: t.ref('orders'), kind: 'standard' as const, settings: {}, now: t.now };
        const answers = await Promise.all([t.storage.putQueue(ask), t.storage.putQueue(ask)]);
        expect(answers.map(({ isNew }) => isNew).sort()).toEqual([false, true]);
        expect(nth(answers).queue).toEqual(nth(answers, 1).queue);
      });

      it('is told of, as are a change and a delete, and not when nothing changed', async () => {
        const t = await trial();
        const told: Change[] = [];
        t.storage.onChange((change) => told.push(change));
        const queue = t.ref('orders');
        const { now } = t;
        await t.put('orders');
        expect(told.splice(0)).toEqual([{ of: 'queue', ...queue }]);
        await t.put('orders');
        await t.storage.updateQueue({ queue, settings: { delaySeconds: 0 }, now });
        await expectRejection(
          t.storage.updateQueue({ queue, settings: { waitSeconds: 1 }, ifVersion: 9, now }),
          'queueChanged',
        );
        await t.send('orders', 'a');
        expect(told).toEqual([]);
        await t.storage.updateQueue({ queue, settings: { delaySeconds: 1 }, now });
        expect(told.splice(0)).toEqual([{ of: 'queue', ...queue }]);
        await t.storage.deleteQueue({ queue, now });
        expect(told).toEqual([{ of: 'queue', ...queue }]);
      });

      restartCase(engine, 'still has the queue, its settings and its version after a restart', async () => {
        const t = await trial();
        await t.put('dead');
        await t.put('orders', { tags: { a: 'b' }, retryDelaySeconds: [1, 2], deadLetter: policy('dead') });
        const before = await t.update('orders', { delaySeconds: 3 });
        await t.reopen();
        expect(await t.find('orders')).toEqual(before);
      });
    });

    describe('change', () => {
      it('changes what is named, keeps the rest, raises the version and tells when', async () => {
        const t = await trial();
        const first = await t.put('orders', { delaySeconds: 5, waitSeconds: 3 });
        t.advance(60);
        const changed = await t.update('orders', { delaySeconds: 6 });
        expect(changed.settings).toEqual({ ...first.settings, delaySeconds: 6 });
        expect(changed.version).toBeGreaterThan(first.version);
        expect(changed.modifiedAt).toBe(t.now);
        expect(changed.createdAt).toBe(first.createdAt);
        expect(await t.find('orders')).toEqual(changed);
      });

      it('changes only the version that was named', async () => {
        const t = await trial();
        const first = await t.put('orders');
        const second = await t.update('orders', { delaySeconds: 1 }, first.version);
        const data = await expectRejection(t.update('orders', { delaySeconds: 2 }, first.version), 'queueChanged');
        expect(data.facts).toEqual({ queue: 'orders', version: second.version });
        expect((await t.find('orders'))?.settings.delaySeconds).toBe(1);
      });

      it('lets one of two changes of the same version through', async () => {
        const t = await trial();
        const { version } = await t.put('orders');
        const changes = [1, 2].map((delaySeconds) => t.update('orders', { delaySeconds }, version));
        const settled = await Promise.allSettled(changes);
        expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      });

      it('refuses what creation refuses, without effect', async () => {
        const t = await trial();
        const first = await t.put('orders', { delaySeconds: 100 });
        await expectRejection(t.update('orders', { retentionSeconds: 99 }), 'settingInvalid');
        await expectRejection(t.update('orders', { fifoThroughputLimit: 'perQueue' }), 'settingNotForKind');
        await expectRejection(t.update('orders', { deadLetter: policy('missing') }), 'deadLetterQueueInvalid');
        expect(await t.find('orders')).toEqual(first);
      });

      it('applies a new visibility timeout to later receives only', async () => {
        const t = await trial();
        await t.put('orders', { visibilityTimeoutSeconds: 30 });
        await t.send('orders', 'a');
        await t.receiveOne('orders');
        await t.update('orders', { visibilityTimeoutSeconds: 300 });
        t.advance(30);
        const again = await t.receiveOne('orders');
        expect(again.heldUntil).toBe(t.in(300));
      });

      it('applies a new retention to messages that are there', async () => {
        const t = await trial();
        await t.put('orders', { retentionSeconds: 3_600 });
        await t.send('orders', 'a');
        await t.update('orders', { retentionSeconds: 7_200 });
        t.advance(3_601);
        await t.upkeep();
        expect(bodiesOf(await t.peek('orders'))).toEqual(['a']);
        await t.update('orders', { retentionSeconds: 60 });
        await t.upkeep();
        expect(await t.receiveBodies('orders')).toEqual([]);
        expect(await t.counts('orders')).toEqual([0, 0, 0]);
      });
    });

    describe('dead-letter queue of a queue', () => {
      it('must exist', async () => {
        const t = await trial();
        await expectRejection(t.put('orders', { deadLetter: policy('missing') }), 'deadLetterQueueInvalid');
        expect(await t.find('orders')).toBeNull();
      });

      it('must be of the same account', async () => {
        const t = await trial();
        await t.as('111111111111').put('dead');
        await expectRejection(t.put('orders', { deadLetter: policy('dead') }), 'deadLetterQueueInvalid');
      });

      it('must be of the same kind', async () => {
        const t = await trial();
        await t.put('dead');
        await t.put('dead.fifo');
        await expectRejection(t.put('orders', { deadLetter: policy('dead.fifo') }), 'deadLetterQueueInvalid');
        await expectRejection(t.put('orders.fifo', { deadLetter: policy('dead') }), 'deadLetterQueueInvalid');
        await t.put('orders', { deadLetter: policy('dead') });
        await t.put('orders.fifo', { deadLetter: policy('dead.fifo') });
      });

      it('must not be the queue itself', async () => {
        const t = await trial();
        await t.put('orders');
        await expectRejection(t.update('orders', { deadLetter: policy('orders') }), 'deadLetterQueueInvalid');
        await expectRejection(t.put('new', { deadLetter: policy('new') }), 'deadLetterQueueInvalid');
      });

      it('may have a dead-letter queue of its own, but not in a circle', async () => {
        const t = await trial();
        await t.put('c');
        await t.put('b', { deadLetter: policy('c') });
        await t.put('a', { deadLetter: policy('b') });
        await expectRejection(t.update('c', { deadLetter: policy('a') }), 'deadLetterQueueInvalid');
        await expectRejection(t.update('c', { deadLetter: policy('b') }), 'deadLetterQueueInvalid');
        expect((await t.find('c'))?.settings.deadLetter).toBeNull();
      });

      it('must allow it: denyAll refuses all, byQueue all but the named', async () => {
        const t = await trial();
        await t.put('none', { redriveAllow: { permission: 'denyAll' } });
        await t.put('some', { redriveAllow: { permission: 'byQueue', queues: [QueueName.parse('orders')] } });
        await t.put('any', { redriveAllow: { permission: 'allowAll' } });
        await expectRejection(t.put('orders', { deadLetter: policy('none') }), 'deadLetterQueueInvalid');
        await expectRejection(t.put('others', { deadLetter: policy('some') }), 'deadLetterQueueInvalid');
        await t.put('orders', { deadLetter: policy('some') });
        await t.put('others', { deadLetter: policy('any') });
      });

      it('keeps the queues that point at it when it stops allowing them', async () => {
        const t = await trial();
        await t.putPair('orders', 1);
        await t.update('orders-dlq', { redriveAllow: { permission: 'denyAll' } });
        await t.send('orders', 'a');
        await t.receiveOne('orders', { visibilitySeconds: 0 });
        expect(await t.receiveBodies('orders')).toEqual([]);
        expect(bodiesOf(await t.peek('orders-dlq'))).toEqual(['a']);
      });

      it('can be taken away', async () => {
        const t = await trial();
        await t.putPair('orders', 1);
        const changed = await t.update('orders', { deadLetter: null });
        expect(changed.settings.deadLetter).toBeNull();
        await t.send('orders', 'a');
        for (let round = 0; round < 3; round += 1) {
          expect(await t.receiveBodies('orders', { visibilitySeconds: 0 })).toEqual(['a']);
        }
      });

      it('lists its sources by name, page by page, and forgets those that point elsewhere or are gone', async () => {
        const t = await trial();
        await t.put('dead');
        for (const name of ['e', 'b', 'd', 'a', 'c']) await t.put(name, { deadLetter: policy('dead') });
        await t.put('unrelated');
        await t.update('d', { deadLetter: null });
        await t.deleteQueue('e');
        const page = (limit: number, cursor?: string) =>
          t.storage.listDeadLetterSources({ queue: t.ref('dead'), limit, cursor });
        expect(names(await pages((cursor) => page(2, cursor)))).toEqual(['a', 'b', 'c']);
        expect(names((await page(2)).items)).toEqual(['a', 'b']);
        expect((await page(3)).nextCursor).toBeNull();
        expect((await t.storage.listDeadLetterSources({ queue: t.ref('a'), limit: 10 })).items).toEqual([]);
        const missing = t.storage.listDeadLetterSources({ queue: t.ref('missing'), limit: 10 });
        await expectRejection(missing, 'queueNotFound');
      });
    });

    describe('list', () => {
      const listOf = (t: Trial, prefix: string, limit: number = limits.pageItemsMax) =>
        pages((cursor) => t.storage.listQueues({ account: t.account, prefix, limit, cursor }));

      it('lists by name, one page after the other, each queue once', async () => {
        const t = await trial();
        const all = ['zeta', 'Alpha', 'alpha', 'beta-1', 'beta_1', 'beta.fifo', 'beta', '9'];
        for (const name of all) await t.put(name);
        const listed = names(await listOf(t, ''));
        expect([...listed].sort()).toEqual([...all].sort());
        for (const limit of [1, 3, 8, 9]) expect(names(await listOf(t, '', limit)), `limit ${limit}`).toEqual(listed);
      });

      it('says that there is no more when the last page is full', async () => {
        const t = await trial();
        await t.put('a');
        await t.put('b');
        const page = await t.storage.listQueues({ account: t.account, prefix: '', limit: 2 });
        expect(page.nextCursor).toBeNull();
      });

      it('lists names with the prefix, letter for letter', async () => {
        const t = await trial();
        for (const name of ['a_b', 'axb', 'a_c', 'A_b', 'b', 'a']) await t.put(name);
        expect(names(await listOf(t, 'a_'))).toEqual(['a_b', 'a_c']);
        expect(names(await listOf(t, 'a_', 1))).toEqual(['a_b', 'a_c']);
        expect(names(await listOf(t, 'a'))).toEqual(['a', 'a_b', 'a_c', 'axb']);
        expect(names(await listOf(t, 'nothing'))).toEqual([]);
        expect(names(await listOf(t, '%'))).toEqual([]);
      });

      it('goes on where it was although queues come and go', async () => {
        const t = await trial();
        for (const name of ['b', 'd', 'f']) await t.put(name);
        const first = await t.storage.listQueues({ account: t.account, prefix: '', limit: 2 });
        expect(names(first.items)).toEqual(['b', 'd']);
        await t.deleteQueue('d');
        await t.put('a');
        await t.put('e');
        const cursor = first.nextCursor ?? undefined;
        const rest = await t.storage.listQueues({ account: t.account, prefix: '', limit: 10, cursor });
        expect(names(rest.items)).toEqual(['e', 'f']);
      });

      it('lists the queues of the account alone', async () => {
        const t = await trial();
        await t.put('mine');
        await t.as('111111111111').put('theirs');
        expect(names(await listOf(t, ''))).toEqual(['mine']);
      });
    });

    describe('missing queue', () => {
      it('is null where it is looked for and queueNotFound where something is done with it', async () => {
        const t = await trial();
        const { storage, now } = t;
        const queue = t.ref('missing');
        expect(await t.find('missing')).toBeNull();
        const page = { limit: 10, cursor: undefined };
        const operations: Record<string, () => Promise<unknown>> = {
          updateQueue: () => t.update('missing', { delaySeconds: 1 }),
          deleteQueue: () => t.deleteQueue('missing'),
          purgeQueue: () => t.purge('missing'),
          listGroups: () => storage.listGroups({ queue, now, ...page }),
          listDeadLetterSources: () => storage.listDeadLetterSources({ queue, ...page }),
          send: () => t.send('missing', 'a'),
          receive: () => t.receive('missing'),
          settle: () => t.delete('missing', { queueId: 1, message: 1, receive: 1 }),
          peek: () => t.peek('missing'),
          removeMessage: () => storage.removeMessage({ queue, messageId: 'x', now }),
          planRedrive: () => storage.planRedrive({ source: queue, destination: null, limit: null, now }),
          startRedrive: () => t.redrive('missing'),
        };
        for (const [name, operation] of Object.entries(operations)) {
          const error = await operation().catch((reason: unknown) => reason);
          expect(error, name).toMatchObject({ data: { fault: 'queueNotFound' } });
        }
      });

      it('has null for stats, in the order of the ask', async () => {
        const t = await trial();
        const a = await t.put('a');
        const b = await t.put('b');
        const gone = await t.put('gone');
        await t.deleteQueue('gone');
        await t.send('b', 'x');
        const stats = await t.storage.queueStats({ queueIds: [b.id, gone.id, a.id, 999_999], now: t.now });
        expect(stats.map((own) => own?.availableCount ?? null)).toEqual([1, null, 0, null]);
      });
    });

    describe('delete', () => {
      it('removes the queue and all in it', async () => {
        const t = await trial();
        const queue = await t.put('orders');
        await t.send('orders', 'a', 'b', { body: 'c', delaySeconds: 60 });
        await t.receiveOne('orders');
        await t.deleteQueue('orders');
        expect(await t.find('orders')).toBeNull();
        expect(await t.storage.queueStats({ queueIds: [queue.id], now: t.now })).toEqual([null]);
        await t.upkeep();
        await expectRejection(t.receive('orders'), 'queueNotFound');
        await expectRejection(t.deleteQueue('orders'), 'queueNotFound');
      });

      it('leaves nothing to a queue of the same name', async () => {
        const t = await trial();
        const first = await t.put('orders.fifo', { delaySeconds: 1, maxMessages: 5 });
        t.advance(1);
        await t.send('orders.fifo', fifo('g', 'old'), fifo('g', 'older'));
        t.advance(1);
        const held = await t.receiveOne('orders.fifo', { attemptId: 'attempt' });
        await t.deleteQueue('orders.fifo');
        const second = await t.put('orders.fifo');
        expect(second.id).not.toBe(first.id);
        expect(second.settings.maxMessages).toBeNull();
        expect(await t.stats('orders.fifo')).toMatchObject({
          availableCount: 0,
          inFlightCount: 0,
          sentTotal: 0,
          bytes: 0,
        });
        const again = await t.sendOne('orders.fifo', fifo('g', 'old'));
        expect(again.isDuplicate).toBe(false);
        expectFault(await t.delete('orders.fifo', held), 'receiptForeign');
        expect(await t.receiveBodies('orders.fifo', { attemptId: 'attempt' })).toEqual(['old']);
        await t.upkeep();
        expect(await t.counts('orders.fifo')).toEqual([0, 1, 0]);
      });

      it('forgets the idempotency keys of the queue', async () => {
        const t = await trial();
        const idempotency = { key: 'k', fingerprint: 'f' };
        await t.put('orders');
        await t.trySend('orders', ['a'], { idempotency });
        await t.deleteQueue('orders');
        await t.put('orders');
        const sent = await t.trySend('orders', ['a'], { idempotency });
        expect(sent).toMatchObject([{ isDuplicate: false }]);
        expect(await t.counts('orders')).toEqual([1, 0, 0]);
      });

      it('never gives a queue id again, not even that of the newest queue', async () => {
        const t = await trial();
        const ids: number[] = [];
        for (let round = 0; round < 4; round += 1) {
          ids.push((await t.put('orders')).id);
          await t.deleteQueue('orders');
          await t.upkeep();
          if (t.canReopen) await t.reopen();
        }
        expect(new Set(ids).size).toBe(ids.length);
      });

      it('leaves the messages of others alone', async () => {
        const t = await trial();
        await t.put('a');
        await t.put('b');
        await t.send('a', 'in a');
        await t.send('b', 'in b');
        await t.deleteQueue('a');
        await t.upkeep();
        expect(await t.receiveBodies('b')).toEqual(['in b']);
      });

      restartCase(engine, 'stays deleted over a restart, before and after upkeep', async () => {
        const t = await trial();
        await t.put('orders');
        await t.send('orders', 'a');
        await t.deleteQueue('orders');
        await t.reopen();
        expect(await t.find('orders')).toBeNull();
        await t.put('orders');
        expect(await t.receiveBodies('orders')).toEqual([]);
        await t.upkeep();
        await t.reopen();
        expect(await t.counts('orders')).toEqual([0, 0, 0]);
      });
    });

    it('keeps the name of a queue that was deleted twice as long as after the second time', async () => {
      const t = await trial();
      const put = () =>
        t.storage.putQueue({
          queue: t.ref('orders'),
          kind: 'standard',
          settings: {},
          quietSeconds: limits.recreateSeconds,
          now: t.now,
        });
      for (const seconds of [0, limits.recreateSeconds - 1]) {
        t.advance(seconds);
        await t.put('orders');
        await t.deleteQueue('orders');
      }
      t.advance(limits.recreateSeconds - 0.001);
      await expectRejection(put(), 'queueDeletedRecently');
      t.advance(0.001);
      expect(await put()).toMatchObject({ isNew: true });
    });

    describe('purge', () => {
      it('that may come once in a while is free again at the end of it, whatever other purges come between', async () => {
        const t = await trial();
        await t.put('orders');
        const purge = (intervalSeconds?: number) =>
          t.storage.purgeQueue({ queue: t.ref('orders'), intervalSeconds, now: t.now });
        await purge(60);
        t.advance(59.999);
        await purge();
        await expectRejection(purge(60), 'purgeInProgress');
        t.advance(0.001);
        await purge(60);
        await expectRejection(purge(60), 'purgeInProgress');
      });

      it('empties large bodies and receive attempts too, after upkeep', async () => {
        const t = await trial();
        const large = 'x'.repeat(2_000);
        for (const [name, draft] of [
          ['orders', large],
          ['orders.fifo', fifo('g', large, 'd')],
        ] as const) {
          await t.put(name);
          await t.send(name, draft);
          await t.receive(name, { attemptId: 'x' });
          await t.purge(name);
        }
        await t.upkeep();
        expect(await t.audit()).toEqual([]);
      });

      it('removes available, delayed and held messages at once and tells how many', async () => {
        const t = await trial();
        await t.put('orders');
        await t.send('orders', 'held', 'a', 'b', { body: 'later', delaySeconds: 60 });
        const held = await t.receiveOne('orders');
        expect(await t.purge('orders')).toBe(4);
        expect(await t.stats('orders')).toMatchObject({
          availableCount: 0,
          inFlightCount: 0,
          delayedCount: 0,
          bytes: 0,
          oldestSentAt: null,
          purgedTotal: 4,
        });
        expect(await t.peek('orders')).toEqual([]);
        expect(await t.findMessage('orders', held.messageId)).toBeNull();
        expect(await t.delete('orders', held)).toEqual({ visibleAt: null, messageId: null });
        expectFault(await t.extend('orders', held, 30), 'messageNotFound');
        t.advance(61);
        expect(await t.receiveBodies('orders')).toEqual([]);
      });

      it('leaves what is sent afterwards, at the same instant too', async () => {
        const t = await trial();
        await t.put('orders');
        await t.send('orders', 'before');
        await t.purge('orders');
        await t.send('orders', 'after');
        await t.upkeep();
        expect(bodiesOf(await t.peek('orders'))).toEqual(['after']);
        expect(await t.receiveBodies('orders')).toEqual(['after']);
      });

      it('is done with the purged messages after upkeep, slice by slice', async () => {
        const t = await trial();
        await t.put('orders');
        for (let batch = 0; batch < 3; batch += 1) {
          await t.send('orders', ...Array.from({ length: 700 }, (_, i) => `${batch}/${i}`));
        }
        expect(await t.purge('orders')).toBe(2_100);
        await t.send('orders', 'after');
        expect(await t.counts('orders')).toEqual([1, 0, 0]);
        expect((await t.upkeep()).expiredCount).toBe(0);
        expect(await t.counts('orders')).toEqual([1, 0, 0]);
        expect(await t.stats('orders')).toMatchObject({ purgedTotal: 2_100, expiredTotal: 0, sentTotal: 2_101 });
      });

      it('of an empty queue removes nothing, also the second time', async () => {
        const t = await trial();
        await t.put('orders');
        expect(await t.purge('orders')).toBe(0);
        await t.send('orders', 'a');
        expect(await t.purge('orders')).toBe(1);
        expect(await t.purge('orders')).toBe(0);
      });

      it('lets a purged queue be filled to its limit again', async () => {
        const t = await trial();
        await t.put('orders', { maxMessages: 2 });
        await t.send('orders', 'a', 'b');
        await t.purge('orders');
        expect((await t.trySend('orders', ['c', 'd'])).map(codeOf)).toEqual(['ok', 'ok']);
      });

      it('forgets deduplication ids and unlocks message groups', async () => {
        const t = await trial();
        await t.put('orders.fifo');
        const first = await t.sendOne('orders.fifo', fifo('g', 'a'));
        await t.send('orders.fifo', fifo('g', 'b'));
        await t.receiveOne('orders.fifo');
        await t.purge('orders.fifo');
        const second = await t.sendOne('orders.fifo', fifo('g', 'a'));
        expect(second.isDuplicate).toBe(false);
        expect(second.messageId).not.toBe(first.messageId);
        expect(second.sequence).toBeGreaterThan(Number(first.sequence));
        expect(await t.receiveBodies('orders.fifo')).toEqual(['a']);
        await t.upkeep();
        expect(await t.sendOne('orders.fifo', fifo('g', 'a'))).toEqual({ ...second, isDuplicate: true });
      });

      it('forgets receive attempts', async () => {
        const t = await trial();
        await t.put('orders.fifo');
        await t.send('orders.fifo', fifo('g', 'a'));
        await t.receiveOne('orders.fifo', { attemptId: 'x' });
        await t.purge('orders.fifo');
        await t.send('orders.fifo', fifo('g', 'b'));
        const answer = await t.look('orders.fifo', { attemptId: 'x' }).catch((reason: unknown) => reason);
        // Whether the id is free again or refused is left open; what was purged must not come back.
        if (answer instanceof Error) expect(answer).toMatchObject({ data: { fault: 'attemptIdReused' } });
        else expect(bodiesOf((answer as { messages: [] }).messages)).not.toContain('a');
      });

      restartCase(engine, 'stays purged over a restart before upkeep came by', async () => {
        const t = await trial();
        await t.put('orders');
        await t.send('orders', 'a', 'b');
        await t.purge('orders');
        await t.send('orders', 'c');
        await t.reopen();
        expect(await t.counts('orders')).toEqual([1, 0, 0]);
        expect(await t.receiveBodies('orders')).toEqual(['c']);
      });
    });
  });
}
