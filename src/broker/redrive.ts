/** Redrive tasks: plan, start, watch, cancel. Upkeep does the moving. */
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
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
  /** What a redrive would move; changes nothing. @throws queueNotFound, redriveInvalid */
  readonly plan: (principal: Principal, source: QueueName, ask: RedriveAsk) => Promise<RedrivePlan>;
  /** @throws queueNotFound, redriveInvalid, redriveRunning, idempotencyKeyReused */
  readonly start: (
    principal: Principal,
    source: QueueName,
    ask: RedriveAsk & {
      readonly ratePerSecond: number | null;
      readonly idempotency?: { readonly key: string; readonly fingerprint: string } | undefined;
    },
  ) => Promise<RedriveTask>;
  /** @throws taskNotFound */
  readonly get: (principal: Principal, taskId: string) => Promise<RedriveTask>;
  /** Newest first. */
  readonly list: (principal: Principal, ask: PageAsk) => Promise<Page<RedriveTask>>;
  /** What was moved stays moved. @throws taskNotFound, taskNotActive */
  readonly cancel: (principal: Principal, taskId: string) => Promise<RedriveTask>;
};

type Deps = { readonly storage: Storage; readonly clock: Clock; readonly ids: Ids; readonly upkeep: Upkeep };

export function createRedrive({ storage, clock, ids, upkeep }: Deps): Redrive {
  return {
    plan: ({ account }, name, ask) => storage.planRedrive({ source: { account, name }, ...ask, now: clock.now() }),
    async start({ account }, name, ask) {
      const now = clock.now();
      const { task } = await storage.startRedrive({ taskId: ids.uuid(now), source: { account, name }, ...ask, now });
      upkeep.expect(now);
      return task;
    },
    async get({ account }, taskId) {
      const task = await storage.findTask({ account, taskId });
      if (task === null) throw Fault.of('taskNotFound', { task: taskId });
      return task;
    },
    list: ({ account }, ask) => storage.listTasks({ account, ...ask }),
    cancel: ({ account }, taskId) => storage.cancelTask({ account, taskId, now: clock.now() }),
  };
}
