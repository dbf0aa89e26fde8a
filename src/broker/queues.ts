/** Queues: create, look, change, empty, remove. */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { authorize, may, type Principal } from '../domain/principal.ts';
import type { GroupView, Queue, QueueStats } from '../domain/queue.ts';
import type { QueueKind, QueueName, QueueSettings, QueueSettingsPatch } from '../domain/queue-attributes.ts';
import type { Page, PageAsk, PutQueueAsk, Storage } from '../storage/port.ts';
import type { Upkeep } from './upkeep.ts';
import { visibleQueues } from './visible-queues.ts';

export type QueueWithStats = { readonly queue: Queue; readonly stats: QueueStats };

/** What SQS allows and forbids beyond our own rules. @see PutQueueAsk */
type SqsRules = Pick<PutQueueAsk, 'isLenient' | 'quietSeconds'>;

/** So often a change is tried again when others change the same queue at the same time. */
const revisionsMax = 10;

export type Queues = {
  /** Creates the queue, or confirms that it has the named settings. @throws queueExists and the faults of settings */
  readonly put: (
    principal: Principal,
    name: QueueName,
    ask: { kind: QueueKind; settings: QueueSettingsPatch } & SqsRules,
  ) => Promise<QueueWithStats & { readonly isNew: boolean }>;
  /** @throws queueNotFound */
  readonly get: (principal: Principal, name: QueueName) => Promise<QueueWithStats>;
  /** Those that the principal may read, by name. */
  readonly list: (principal: Principal, ask: { prefix: string } & PageAsk) => Promise<Page<QueueWithStats>>;
  /** Without its stats. @throws queueNotFound */
  readonly find: (principal: Principal, name: QueueName) => Promise<Queue>;
  /** Its settings as they were last told of, which costs no look into storage: a change that another thread makes is
   *  seen some milliseconds later. @throws queueNotFound */
  readonly settingsOf: (principal: Principal, name: QueueName) => Promise<QueueSettings>;
  /** The same without waiting, when they are at hand. */
  readonly knownSettings: (principal: Principal, name: QueueName) => QueueSettings | undefined;
  /** Names of those that any scope of the principal names, in order. */
  readonly names: (principal: Principal, ask: { prefix: string } & PageAsk) => Promise<Page<QueueName>>;
  /** Changes what `change` makes of the present settings, also when others change them meanwhile.
   *  @throws queueNotFound, the faults of settings, and what `change` throws */
  readonly revise: (
    principal: Principal,
    name: QueueName,
    change: (queue: Queue) => QueueSettingsPatch,
    rules?: Pick<SqsRules, 'isLenient'>,
  ) => Promise<void>;
  /** Changes the named settings. @throws queueNotFound, queueChanged and the faults of settings */
  readonly update: (
    principal: Principal,
    name: QueueName,
    ask: { settings: QueueSettingsPatch; ifVersion?: number | undefined } & Pick<SqsRules, 'isLenient'>,
  ) => Promise<QueueWithStats>;
  /** Removes the queue and its messages. @throws queueNotFound */
  readonly delete: (principal: Principal, name: QueueName) => Promise<void>;
  /** Removes all messages. @throws queueNotFound */
  readonly purge: (
    principal: Principal,
    name: QueueName,
    options?: { readonly intervalSeconds?: number },
  ) => Promise<{ purgedCount: number }>;
  /** FIFO: message groups with what blocks them. @throws queueNotFound, settingNotForKind on a standard queue */
  readonly groups: (principal: Principal, name: QueueName, ask: PageAsk) => Promise<Page<GroupView>>;
  /** Names of the queues whose dead-letter queue this is, of those that any scope of the principal names.
   *  @throws queueNotFound */
  readonly deadLetterSources: (principal: Principal, name: QueueName, ask: PageAsk) => Promise<Page<string>>;
  /** Whether this is anybody's dead-letter queue. @throws queueNotFound */
  readonly isDeadLetterQueue: (principal: Principal, name: QueueName) => Promise<boolean>;
};

/** About what the settings of a queue take without a policy. */
const settingsBytes = 1_024;
const keyOf = ({ account, name }: { account: string; name: string }) => `${account}/${name}`;

export function createQueues({ storage, clock, upkeep }: { storage: Storage; clock: Clock; upkeep: Upkeep }): Queues {
  const ref = (principal: Principal, name: QueueName) => ({ account: principal.account, name });

  const withStats = async (queues: readonly Queue[]): Promise<readonly QueueWithStats[]> => {
    const stats = await storage.queueStats({ queueIds: queues.map(({ id }) => id), now: clock.now() });
    return queues.flatMap((queue, i) => {
      const own = stats[i];
      return own === null || own === undefined ? [] : [{ queue, stats: own }];
    });
  };

  const withOwnStats = async (queue: Queue): Promise<QueueWithStats> => {
    const [found] = await withStats([queue]);
    if (found === undefined) throw Fault.of('queueNotFound', { queue: queue.name });
    return found;
  };

  const find = (principal: Principal, name: QueueName) => storage.getQueue(ref(principal, name));

  const known = new LRUCache<string, QueueSettings>({
    maxSize: limits.settingsKeptBytesMax,
    sizeCalculation: ({ policy }) => settingsBytes + (policy?.length ?? 0),
  });
  storage.onChange((change) => {
    if (change.of === 'queue') known.delete(keyOf(change));
  });
  const knownSettings = ({ account }: Principal, name: QueueName) => known.get(keyOf({ account, name }));

  return {
    async put(principal, name, ask) {
      requireSettingAccess(principal, name, ask.settings);
      const { queue, isNew } = await storage.putQueue({ queue: ref(principal, name), ...ask, now: clock.now() });
      return { ...(await withOwnStats(queue)), isNew };
    },
    async get(principal, name) {
      return withOwnStats(await find(principal, name));
    },
    async settingsOf(principal, name) {
      const present = knownSettings(principal, name);
      if (present !== undefined) return present;
      const { settings } = await find(principal, name);
      known.set(keyOf({ account: principal.account, name }), settings);
      return settings;
    },
    knownSettings,
    async list(principal, ask) {
      const page = await visibleQueues(storage, principal, 'readQueue', ask);
      return { items: await withStats(page.items), nextCursor: page.nextCursor };
    },
    async update(principal, name, ask) {
      requireSettingAccess(principal, name, ask.settings);
      const now = clock.now();
      const queue = await storage.updateQueue({ queue: ref(principal, name), ...ask, now });
      upkeep.expect(now);
      return withOwnStats(queue);
    },
    find,
    async names(principal, ask) {
      const page = await visibleQueues(storage, principal, 'look', ask);
      return { items: page.items.map((queue) => queue.name), nextCursor: page.nextCursor };
    },
    async revise(principal, name, change, rules = {}) {
      for (let revision = 1; ; revision += 1) {
        const queue = await find(principal, name);
        try {
          const settings = change(queue);
          requireSettingAccess(principal, name, settings);
          const ask = { queue: ref(principal, name), settings, ifVersion: queue.version, ...rules };
          const now = clock.now();
          await storage.updateQueue({ ...ask, now });
          upkeep.expect(now);
          return;
        } catch (error) {
          const isOutrun = error instanceof Fault && error.data.fault === 'queueChanged';
          if (!isOutrun || revision === revisionsMax) throw error;
        }
      }
    },
    async delete(principal, name) {
      const now = clock.now();
      await storage.deleteQueue({ queue: ref(principal, name), now });
      upkeep.expect(now);
    },
    async purge(principal, name, { intervalSeconds } = {}) {
      const now = clock.now();
      const purged = await storage.purgeQueue({ queue: ref(principal, name), intervalSeconds, now });
      upkeep.expect(now);
      return purged;
    },
    async groups(principal, name, ask) {
      const { kind } = await find(principal, name);
      if (kind !== 'fifo') throw Fault.of('settingNotForKind', { setting: 'groups', kind });
      return storage.listGroups({ queue: ref(principal, name), now: clock.now(), ...ask });
    },
    deadLetterSources,
    async isDeadLetterQueue(principal, name) {
      const { items } = await storage.listDeadLetterSources({ queue: ref(principal, name), limit: 1 });
      return items.length > 0;
    },
  };

  /** The cursor is the name of the last queue shown: that of one outside the principal's scopes would tell of it. */
  async function deadLetterSources(principal: Principal, name: QueueName, { limit, cursor }: PageAsk) {
    const queue = ref(principal, name);
    const items: string[] = [];
    let after = cursor;
    do {
      const page = await storage.listDeadLetterSources({ queue, limit: limits.pageItemsMax, cursor: after });
      for (const source of page.items) {
        if (!may(principal, 'look', source.name)) continue;
        if (items.length === limit) return { items, nextCursor: items.at(-1) ?? null };
        items.push(source.name);
      }
      after = page.nextCursor ?? undefined;
    } while (after !== undefined);
    return { items, nextCursor: null };
  }
}

/**
 * Settings that give access. Messages of the queue will go to its dead-letter queue: who says so must be allowed to take
 * them from here and to put them there, else a key that may change settings could read a queue through another one. A
 * policy gives others access, or oneself.
 * @throws accessDenied
 */
function requireSettingAccess(principal: Principal, name: QueueName, { deadLetter, policy }: QueueSettingsPatch): void {
  if (policy !== undefined) authorize(principal, 'setPolicy', name);
  if (deadLetter === null || deadLetter === undefined) return;
  authorize(principal, 'receive', name);
  authorize(principal, 'send', deadLetter.queue);
}
