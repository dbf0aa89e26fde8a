/**
 * What clients did, and what each acknowledgement promises of the data from then on. The server is not asked: which
 * acknowledgements count is said by whoever looks at the data, so the same deeds judge the data of any moment.
 */
import type { Instant } from '../../src/domain/instant.ts';
import type { Db } from '../../src/storage/sqlite/database.ts';
import { audit } from '../../src/storage/sqlite/doctor.ts';
import { openStore, type Store } from '../../src/storage/sqlite/store.ts';
import { countingIds } from './ids.ts';

/** The id of a request that was answered with 2xx. */
export type Ack = string;

/** Something that was done to a message: what the data say once it is done. */
export type Step = {
  /** It cannot have happened before this acknowledgement: its request needed what that one told. */
  readonly after: Ack;
  /** Absent: nobody knows whether it happened. */
  by?: Ack;
  /** Queues that the message may be in now; null: it is gone. */
  readonly leaves: readonly (string | null)[];
  /** Receives so far, at least. */
  readonly receives?: number;
  visibleAt?: number;
};

type MessageDeeds = { readonly messageId: string; readonly queue: string; sentBy?: Ack; readonly steps: Step[] };

/** When the data were as they are. */
export type Moment = {
  /** Whether the acknowledgement had certainly left the server by then. */
  readonly isAcked: (ack: Ack) => boolean;
  /** Whether it may have; absent: only if it certainly had. */
  readonly mayBeAcked?: (ack: Ack) => boolean;
};

/** A setting of a queue that only ever grows. */
type Setting = { readonly queue: string; readonly retentionSeconds: number; readonly by: Ack };

export class Deeds {
  readonly #messages = new Map<string, MessageDeeds>();
  readonly queues: { readonly name: string; readonly by: Ack }[] = [];
  readonly settings: Setting[] = [];
  readonly tasks: { readonly taskId: string; readonly by: Ack }[] = [];
  /** Entries of every atomic batch, whose bodies begin with `batch-<number>-`. */
  readonly batchEntryCount = 8;

  /** A receive may be answered before the send is. */
  message(messageId: string, queue: string): MessageDeeds {
    const known = this.#messages.get(messageId);
    if (known !== undefined) return known;
    const deeds: MessageDeeds = { messageId, queue, steps: [] };
    this.#messages.set(messageId, deeds);
    return deeds;
  }

  /** Messages sent to the queue that nothing has certainly become of yet. */
  waitingIn(queue: string): readonly MessageDeeds[] {
    const isDone = ({ by }: Step) => by !== undefined;
    return [...this.#messages.values()].filter((deeds) => deeds.queue === queue && !deeds.steps.some(isDone));
  }

  get messageCount(): number {
    return this.#messages.size;
  }

  /** Every broken promise as a sentence. */
  broken(data: Data, moment: Moment): readonly string[] {
    const { isAcked } = moment;
    const messages = [...this.#messages.values()].flatMap((deeds) => brokenMessage(deeds, data, moment));
    const queues = this.queues
      .filter(({ name, by }) => isAcked(by) && !data.retentionSeconds.has(name))
      .map(({ name }) => `the queue ${name} was acknowledged and is not there`);
    const settings = this.settings
      .filter(
        ({ queue, retentionSeconds, by }) =>
          isAcked(by) && !((data.retentionSeconds.get(queue) ?? 0) >= retentionSeconds),
      )
      .map(
        ({ queue, retentionSeconds }) =>
          `a change of ${queue} to ${retentionSeconds} was acknowledged and is not there`,
      );
    const tasks = this.tasks
      .filter(({ taskId, by }) => isAcked(by) && !data.tasks.has(taskId))
      .map(({ taskId }) => `the task ${taskId} was acknowledged and is not there`);
    const batches = [...data.batches]
      .filter(([, count]) => count !== this.batchEntryCount)
      .map(([batch, count]) => `${batch} has ${count} of ${this.batchEntryCount} entries`);
    return [...messages, ...queues, ...settings, ...tasks, ...batches];
  }
}

/** What is wrong with the data in a folder: they do not open, are not sound, or lack what was acknowledged. */
export function problemsOf(
  folder: string,
  deeds: Deeds,
  { now, ...moment }: Moment & { readonly now: Instant },
): readonly string[] {
  let store: Store;
  try {
    store = openStore({ directory: folder, ids: countingIds(), now });
  } catch (error) {
    return [`it does not open: ${error instanceof Error ? error.message : String(error)}`];
  }
  try {
    return [...audit(store.db, now), ...deeds.broken(readData(store.db), moment)];
  } finally {
    store.close();
  }
}

/** What the data say. */
export type Data = {
  readonly messages: ReadonlyMap<
    string,
    { readonly queue: string; readonly visibleAt: number; readonly receives: number }
  >;
  /** Queue → its setting. */
  readonly retentionSeconds: ReadonlyMap<string, number>;
  readonly tasks: ReadonlySet<string>;
  /** `batch-<number>` → entries. */
  readonly batches: ReadonlyMap<string, number>;
};

export function readData(db: Db): Data {
  const messages = db.prepare<[], { hex: string; queue: string; visibleAt: number; receives: number; body: string }>(
    `select lower(hex(m.message_id)) as hex, q.name as queue, m.visible_at as visibleAt, m.receives,
            case when q.name = 'batches' then cast(m.body as text) else '' end as body
       from messages m join queues q using (backlog_id)`,
  );
  const queues = db.prepare<[], { name: string; seconds: number | null }>(
    "select name, settings ->> '$.retentionSeconds' as seconds from queues",
  );
  const found: [string, { queue: string; visibleAt: number; receives: number }][] = [];
  const batches = new Map<string, number>();
  for (const { hex, body, ...rest } of messages.all()) {
    found.push([hex, rest]);
    const batch = /^batch-\d+/.exec(body)?.[0];
    if (batch !== undefined) batches.set(batch, (batches.get(batch) ?? 0) + 1);
  }
  return {
    messages: new Map(found),
    retentionSeconds: new Map(queues.all().map(({ name, seconds }) => [name, seconds ?? 0])),
    tasks: new Set(db.prepare<[], string>('select task_id from tasks').pluck().all()),
    batches,
  };
}

function brokenMessage(deeds: MessageDeeds, data: Data, moment: Moment): readonly string[] {
  const { isAcked, mayBeAcked = isAcked } = moment;
  const { messageId, queue, sentBy, steps } = deeds;
  const doneAt = steps.findLastIndex(({ by }) => by !== undefined && isAcked(by));
  if (doneAt < 0 && !(sentBy !== undefined && isAcked(sentBy))) return [];
  const sent: Step = { after: '', leaves: [queue] };
  const certain = steps[doneAt] ?? sent;
  // What was asked for and not answered yet may have happened.
  const possible = [certain, ...steps.slice(doneAt + 1).filter(({ after }) => mayBeAcked(after))];
  const row = data.messages.get(messageId.replaceAll('-', ''));
  const fits = ({ leaves, receives = 0, visibleAt }: Step) =>
    leaves.includes(row?.queue ?? null) &&
    (row === undefined || (row.receives >= receives && (visibleAt === undefined || row.visibleAt === visibleAt)));
  if (possible.some(fits)) return [];
  return [`${messageId} is ${JSON.stringify(row ?? 'gone')}, but was acknowledged to be ${JSON.stringify(possible)}`];
}
