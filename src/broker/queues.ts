/** Queues: create, look, change, empty, remove. */
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
import type { GroupView, Queue, QueueStats } from '../domain/queue.ts';
import type { QueueKind, QueueName, QueueSettingsPatch } from '../domain/queue-attributes.ts';
import type { Page, PageAsk, Storage } from '../storage/port.ts';
import type { Upkeep } from './upkeep.ts';

export type QueueWithStats = { readonly queue: Queue; readonly stats: QueueStats };

export type Queues = {
  /** Creates the queue, or confirms that it has the named settings. @throws queueExists and the faults of settings */
  readonly put: (
    principal: Principal,
    name: QueueName,
    ask: { kind: QueueKind; settings: QueueSettingsPatch },
  ) => Promise<QueueWithStats & { readonly isNew: boolean }>;
  /** @throws queueNotFound */
  readonly get: (principal: Principal, name: QueueName) => Promise<QueueWithStats>;
  /** By name. */
  readonly list: (principal: Principal, ask: { prefix: string } & PageAsk) => Promise<Page<QueueWithStats>>;
  /** Changes the named settings. @throws queueNotFound, queueChanged and the faults of settings */
  readonly update: (
    principal: Principal,
    name: QueueName,
    ask: { settings: QueueSettingsPatch; ifVersion?: number | undefined },
  ) => Promise<QueueWithStats>;
  /** Removes the queue and its messages. @throws queueNotFound */
  readonly delete: (principal: Principal, name: QueueName) => Promise<void>;
  /** Removes all messages. @throws queueNotFound */
  readonly purge: (principal: Principal, name: QueueName) => Promise<{ purgedCount: number }>;
  /** FIFO: message groups with what blocks them. @throws queueNotFound, settingNotForKind on a standard queue */
  readonly groups: (principal: Principal, name: QueueName, ask: PageAsk) => Promise<Page<GroupView>>;
  /** Names of the queues whose dead-letter queue this is. @throws queueNotFound */
  readonly deadLetterSources: (principal: Principal, name: QueueName, ask: PageAsk) => Promise<Page<string>>;
};

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

  return {
    async put(principal, name, { kind, settings }) {
      const { queue, isNew } = await storage.putQueue({
        queue: ref(principal, name),
        kind,
        settings,
        now: clock.now(),
      });
      return { ...(await withOwnStats(queue)), isNew };
    },
    async get(principal, name) {
      return withOwnStats(await find(principal, name));
    },
    async list(principal, ask) {
      const page = await storage.listQueues({ account: principal.account, ...ask });
      return { items: await withStats(page.items), nextCursor: page.nextCursor };
    },
    async update(principal, name, { settings, ifVersion }) {
      const now = clock.now();
      return withOwnStats(await storage.updateQueue({ queue: ref(principal, name), settings, ifVersion, now }));
    },
    async delete(principal, name) {
      const now = clock.now();
      await storage.deleteQueue({ queue: ref(principal, name), now });
      upkeep.expect(now);
    },
    async purge(principal, name) {
      const now = clock.now();
      const purged = await storage.purgeQueue({ queue: ref(principal, name), now });
      upkeep.expect(now);
      return purged;
    },
    async groups(principal, name, ask) {
      const { kind } = await find(principal, name);
      if (kind !== 'fifo') throw Fault.of('settingNotForKind', { setting: 'groups', kind });
      return storage.listGroups({ queue: ref(principal, name), now: clock.now(), ...ask });
    },
    async deadLetterSources(principal, name, ask) {
      const page = await storage.listDeadLetterSources({ queue: ref(principal, name), ...ask });
      return { items: page.items.map((queue) => queue.name), nextCursor: page.nextCursor };
    },
  };
}
