/** Redrive tasks: plan, start, watch, cancel. Upkeep does the moving. */
import type { Clock } from '../clock.ts';
import type { Action } from '../domain/action.ts';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { authorize, may, type Principal } from '../domain/principal.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import type { RedrivePlan, RedriveTask } from '../domain/redrive.ts';
import type { Ids } from '../ids.ts';
import type { Page, PageAsk, Storage } from '../storage/port.ts';
import type { Upkeep } from './upkeep.ts';

export type RedriveAsk = {
  /** Null: each message goes back to the queue it was dead-lettered from. */
  readonly destination: QueueName | null;
  readonly limit: number | null;
};

export type Redrive = {
  /** What a redrive would move; changes nothing. @throws queueNotFound (source or destination), redriveInvalid */
  readonly plan: (principal: Principal, source: QueueName, ask: RedriveAsk) => Promise<RedrivePlan>;
  /** @throws queueNotFound (source or destination), redriveInvalid, redriveRunning, idempotencyKeyReused */
  readonly start: (
    principal: Principal,
    source: QueueName,
    ask: RedriveAsk & {
      readonly ratePerSecond: number | null;
      /** Moved messages get a new id and a new time of sending. */
      readonly renewsMessages?: boolean | undefined;
      /** A message that has nowhere to go ends the task, instead of being skipped. */
      readonly requiresOrigins?: boolean | undefined;
      readonly idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
    },
  ) => Promise<RedriveTask>;
  /** @throws taskNotFound */
  readonly get: (principal: Principal, taskId: string) => Promise<RedriveTask>;
  /** Of the queues whose tasks the principal may read, newest first; a page may hold fewer than asked for. */
  readonly list: (principal: Principal, ask: PageAsk) => Promise<Page<RedriveTask>>;
  /** Those of one source, newest first. @throws queueNotFound */
  readonly ofSource: (principal: Principal, source: QueueName, ask: PageAsk) => Promise<Page<RedriveTask>>;
  /** What was moved stays moved. @throws taskNotFound, taskNotActive */
  readonly cancel: (principal: Principal, taskId: string) => Promise<RedriveTask>;
};

type Deps = { readonly storage: Storage; readonly clock: Clock; readonly ids: Ids; readonly upkeep: Upkeep };

export function createRedrive({ storage, clock, ids, upkeep }: Deps): Redrive {
  return {
    async plan(principal, name, ask) {
      // Its samples are messages.
      authorize(principal, 'peek', name);
      await requireTargets(principal, name, ask.destination);
      const { account } = principal;
      return storage.planRedrive({ source: { account, name }, ...ask, now: clock.now() });
    },
    async start(principal, name, ask) {
      await requireTargets(principal, name, ask.destination);
      const { account } = principal;
      const now = clock.now();
      const { task } = await storage.startRedrive({ taskId: ids.uuid(now), source: { account, name }, ...ask, now });
      upkeep.expect(now);
      return task;
    },
    get: (principal, taskId) => find(principal, 'readTask', taskId),
    async list(principal, ask) {
      const page = await storage.listTasks({ account: principal.account, ...ask });
      return { ...page, items: page.items.filter(({ source }) => may(principal, 'readTask', source)) };
    },
    async ofSource({ account }, name, ask) {
      const { id } = await storage.getQueue({ account, name });
      return storage.listTasks({ account, sourceQueueId: id, ...ask });
    },
    async cancel(principal, taskId) {
      await find(principal, 'cancelTask', taskId);
      return storage.cancelTask({ account: principal.account, taskId, now: clock.now() });
    },
  };

  /** A task of a queue outside one's scopes is as unknown as one that never was. @throws taskNotFound */
  async function find(principal: Principal, action: Action, taskId: string): Promise<RedriveTask> {
    const task = await storage.findTask({ account: principal.account, taskId });
    if (task === null || !may(principal, action, task.source)) throw Fault.of('taskNotFound', { task: taskId });
    return task;
  }

  /**
   * Whoever moves messages must be allowed to send to where they go: to the queue named, or back to each of the queues
   * whose dead-letter queue this is. @throws accessDenied, queueNotFound
   */
  async function requireTargets(principal: Principal, name: QueueName, destination: QueueName | null): Promise<void> {
    if (destination !== null) return authorize(principal, 'send', destination);
    if (may(principal, 'send', '*')) return;
    let cursor: string | undefined;
    do {
      const queue = { account: principal.account, name };
      const page = await storage.listDeadLetterSources({ queue, limit: limits.pageItemsMax, cursor });
      for (const source of page.items) authorize(principal, 'send', source.name);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }
}
