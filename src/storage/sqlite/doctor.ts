/**
 * The doctor: every promise that the data themselves can be asked about, each as a query that finds what breaks it.
 *
 *     const examine = doctorOf(db);                     // any connection to data of this program's schema
 *     const report = examine({ now });                  // as often as wanted: the statements are prepared once
 *     const report = examine({ now, horizon: readHorizon(folder) });   // read before, so that no commit is awaited
 *     brokenPromises(report)                            // sentences; none when all is well
 *     audit(db, now)                                     // all of this at once
 *
 * It changes nothing and reads everything, in one transaction: for tests after each step, for an operator who doubts, and
 * for backups. From outside a server, `openToLook` of look.ts opens a folder or a file. `now` must not lie before the
 * latest instant in the data.
 */
import { SqliteError } from 'better-sqlite3';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';
import type { HorizonTrouble } from './data-directory.ts';
import type { Db } from './database.ts';
import { hiddenWidths } from './ledger.ts';
import { bytesOfId, numberOf, sentAtOf } from './message-id.ts';
import { isSound, type MessageRow, messageColumns } from './messages.ts';

/** A promise and the query of those that break it; @now is bound where it occurs. */
type Check = { readonly promise: string; readonly sql: string; readonly needsUpkeep?: true };

export type Finding = {
  readonly promise: string;
  /** How many break it: rows of any kind, 0 when it holds. */
  readonly count: number;
  /** The first of them, without bodies and secrets. */
  readonly first: readonly unknown[];
  /** Upkeep keeps it, in slices: after a long downtime it is late for a while, and nothing is wrong. */
  readonly needsUpkeep?: true;
};

export type Examination = {
  /** When it is, for what depends on time; the latest instant in the data when that is later. */
  readonly now: Instant;
  /** The commit horizon beside the data, read before the examination; absent: nothing is said about it. */
  readonly horizon?: { readonly epoch: Uint8Array; readonly commitNumber: number } | undefined;
  /** Why there is no horizon where there should be one. */
  readonly horizonTrouble?: HorizonTrouble | undefined;
  /** A server is at work on the data: what has passed must be gone. */
  readonly hasUpkeep?: boolean | undefined;
};

/** How late upkeep may be. */
const upkeepLateMsMax = 60_000;

const live = 'select backlog_id from queues';
const known = `${live} union all select backlog_id from dead_backlogs`;

/** Each step of a message group in order, with what all earlier messages of the group have in common. */
const groupOrder =
  'partition by backlog_id, group_id order by sequence rows between unbounded preceding and 1 preceding';

/** Rows of a table that only make sense beside a backlog. */
const hasBacklog = (table: string, noun: string): Check => ({
  promise: `each ${noun} belongs to a queue, or to one that is being emptied`,
  sql: `select * from (select distinct backlog_id from ${table}) where backlog_id not in (${known})`,
});

/** Rows of a table that upkeep removes when they have passed. */
const isRemoved = (table: string, noun: string): Check => ({
  promise: `no ${noun} is there more than a minute after its time`,
  sql: `select id, expires_at from ${table} where expires_at < @now - ${upkeepLateMsMax}`,
  needsUpkeep: true,
});

const sumOf = (column: 'hidden' | 'held') => /* sql */ `
  select coalesce(sum(${column}), 0) from hidden_counts h where h.backlog_id = q.backlog_id and width = 1 and at > @now`;

const checks: readonly Check[] = [
  // States.
  hasBacklog('messages', 'message'),
  {
    promise: 'no message is both in a queue and set aside as damaged',
    sql: 'select id from messages where id in (select message from quarantined_messages)',
  },
  {
    promise: 'a message is held by a receipt and until an instant, or by neither',
    sql: 'select id from messages where held_until > 0 and (receives = 0 or receive_count = 0)',
  },
  {
    promise: 'a held message is hidden at least as long',
    sql: 'select id from messages where held_until > visible_at',
  },
  {
    promise: 'a message that was received tells since when, and one that was not does not',
    sql: `select id from messages
           where (receive_count = 0) <> (first_received_at = 0) or (receives = 0) <> (last_received_at = 0)
              or receive_count > receives or first_received_at > last_received_at`,
  },
  {
    promise: 'no message can be received, or came to its queue, before it was sent',
    sql: 'select id from messages where visible_at < sent_at or enqueued_at < sent_at',
  },
  {
    promise: 'no message is there more than a minute after its retention',
    sql: `select m.id, q.name from queues q join messages m using (backlog_id)
           where m.enqueued_at < @now - ${upkeepLateMsMax} - (q.settings ->> '$.retentionSeconds') * 1000`,
    needsUpkeep: true,
  },
  {
    promise: 'a message is of the kind of its queue',
    sql: "select m.id from messages m join queues q using (backlog_id) where m.is_fifo <> (q.kind = 'fifo')",
  },
  // Counters.
  {
    promise: 'a queue has counters, and no counters are without a queue',
    sql: `select id from queues where id not in (select queue_id from queue_counters)
          union all select queue_id from queue_counters where queue_id not in (select id from queues)`,
  },
  {
    promise: 'a queue counts the messages and bytes that it has',
    sql: `select q.name, c.message_count, count(m.id), c.bytes from queues q join queue_counters c on c.queue_id = q.id
            left join messages m on m.backlog_id = q.backlog_id
           group by q.id having c.message_count <> count(m.id) or c.bytes <> coalesce(sum(m.bytes), 0)`,
  },
  {
    promise: 'no total is negative',
    sql: `select queue_id from queue_counters
           where min(sent, received, deleted, redelivered, dead_lettered, expired, purged, redriven, quarantined) < 0`,
  },
  {
    promise: 'a queue counts the messages that are hidden',
    sql: `select q.name, (select count(*) from messages m where m.backlog_id = q.backlog_id and m.visible_at > @now) as real,
                 (${sumOf('hidden')}) as counted from queues q where real <> counted`,
  },
  {
    promise: 'a queue counts the messages that are held',
    sql: `select q.name, (select count(*) from messages m where m.backlog_id = q.backlog_id and m.held_until > @now) as real,
                 (${sumOf('held')}) as counted from queues q where real <> counted`,
  },
  ...hiddenWidths.slice(1).map((width) => ({
    promise: `hidden and held messages are the same per millisecond and per ${width / 1000} s`,
    sql: `select backlog_id, bucket, sum(narrow), sum(wide) from (
            select backlog_id, at / ${width} as bucket, hidden + 1000000 * held as narrow, 0 as wide
              from hidden_counts where width = 1 and at / ${width} > cast(@now as integer) / ${width}
            union all
            select backlog_id, at, 0, hidden + 1000000 * held from hidden_counts
             where width = ${width} and at > cast(@now as integer) / ${width})
          where backlog_id in (${live}) group by backlog_id, bucket having sum(narrow) <> sum(wide)`,
  })),
  hasBacklog('hidden_counts', 'sum of hidden messages'),
  // Order.
  {
    promise: 'a sequence stands once in a queue',
    sql: 'select backlog_id, sequence from messages group by backlog_id, sequence having count(*) > 1',
  },
  {
    promise: 'a message id is in one queue only',
    sql: 'select hex(message_id) from messages group by message_id having count(*) > 1',
  },
  {
    promise: 'every number that was given lies before the next one',
    sql: `select number from (
            select max(max(id), max(sequence)) as number from messages
            union all select max(message) from quarantined_messages
            union all select max(max(id), max(sequence)) from deduplications
            union all select max(backlog_id) from queues union all select max(backlog_id) from dead_backlogs
            union all select max(turn) from message_groups union all select max(number) from tasks)
           where number >= (select next_number from engine_state)`,
  },
  {
    promise: 'every queue id that was given lies before the next one',
    sql: `select max(id) as id from queues
          having max(id) > coalesce((select seq from sqlite_sequence where name = 'queues'), 0)`,
  },
  {
    promise: 'a message group counts the messages that it has',
    sql: `select g.backlog_id, g.group_id from message_groups g
            left join (select backlog_id, group_id, count(*) as messages from messages where is_fifo = 1 group by 1, 2)
                using (backlog_id, group_id)
           where g.backlog_id in (${live}) and g.message_count <> coalesce(messages, 0)`,
  },
  {
    promise: 'a FIFO message has a group',
    sql: `select m.id from messages m where m.is_fifo = 1 and m.backlog_id in (${live})
             and not exists (select 1 from message_groups g where g.backlog_id = m.backlog_id and g.group_id = m.group_id)`,
  },
  hasBacklog('message_groups', 'message group'),
  {
    // A group whose head left by itself keeps its turn when the next one can be received already.
    promise: 'a message group is ready when its head is',
    sql: `select g.group_id, g.ready_at, h.visible_at from message_groups g
            join messages h on h.id = (select id from messages m where m.backlog_id = g.backlog_id
                                        and m.group_id = g.group_id and m.is_fifo = 1 order by sequence limit 1)
           where g.backlog_id in (${live})
             and ((g.ready_at < h.visible_at and h.visible_at > @now) or (g.ready_at > @now and g.ready_at <> h.visible_at))`,
  },
  {
    // Only what was given back meanwhile may have been received later than what stands behind it.
    promise: 'a message group is held by one receive, in order: none of its messages was passed over',
    sql: `select id, group_id from (
            select id, group_id, held_until, last_received_at, min(last_received_at) over (${groupOrder}) as earlier
              from messages where is_fifo = 1)
           where held_until > @now and earlier < last_received_at`,
  },
  // Deduplication, attempts, idempotency.
  {
    promise: 'a deduplication id stands once',
    sql: 'select min(id) from deduplications group by backlog_id, scope, deduplication_id having count(*) > 1',
  },
  hasBacklog('deduplications', 'deduplication id'),
  hasBacklog('receive_attempts', 'receive attempt'),
  isRemoved('deduplications', 'deduplication id'),
  isRemoved('receive_attempts', 'receive attempt'),
  isRemoved('idempotency_keys', 'idempotency key'),
  {
    promise: 'answers that are kept can be read',
    sql: `select id from receive_attempts where not json_valid(answer)
          union all select id from idempotency_keys where not json_valid(answer)`,
  },
  // Queues and tasks. Circles of dead-letter queues are no finding: SQS allows them, and they do no harm.
  {
    promise: 'a dead-letter queue is of the kind of its queue',
    sql: "select name from queues where (dead_letter_queue like '%.fifo') <> (kind = 'fifo')",
  },
  {
    promise: 'no backlog is in use and being emptied at once',
    sql: `select backlog_id from dead_backlogs where backlog_id in (${live})`,
  },
  {
    promise: 'a task that has ended tells when, and one that runs does not',
    sql: "select task_id from tasks where (status = 'running') <> (finished_at is null)",
  },
  // Bodies.
  {
    promise: 'a large body is there',
    sql: 'select id from messages where is_large = 1 and id not in (select message_id from message_bodies)',
  },
  {
    promise: 'a large body belongs to a message',
    sql: 'select message_id from message_bodies where message_id not in (select id from messages where is_large = 1)',
  },
];

const firstCount = 3;

/** Prepares an examination of the data behind a connection, which is used by nobody else while it runs. */
export function doctorOf(db: Db): (ask: Examination) => readonly Finding[] {
  const examineMessages = messageExamination(db);
  const examineDeduplications = deduplicationExamination(db);
  const statements = checks.map((check) => ({ ...check, statement: db.prepare<unknown[], unknown>(check.sql) }));
  const stateOf = db.prepare<[], State>(
    'select epoch, commit_number as commitNumber, high_water_at as highWaterAt from engine_state',
  );
  const integrity = db.prepare<[], string>('pragma integrity_check').pluck();
  const foreignKeys = db.prepare<[], unknown>('pragma foreign_key_check');

  const examine = (ask: Examination): readonly Finding[] => {
    const { horizon, horizonTrouble, hasUpkeep = false } = ask;
    const state = stateOf.get();
    // A server may have gone on since the caller looked at the clock.
    const now = Math.max(ask.now, state?.highWaterAt ?? 0);
    return [
      ...statements
        .filter(({ needsUpkeep = false }) => hasUpkeep || !needsUpkeep)
        .map(({ promise, sql, statement, needsUpkeep }) => ({
          ...finding(promise, () => (sql.includes('@now') ? statement.iterate({ now }) : statement.iterate())),
          ...(needsUpkeep === true ? { needsUpkeep } : {}),
        })),
      ...examineMessages(),
      examineDeduplications(),
      ...(horizon === undefined ? [] : [finding(horizonPromise, () => behind(state, horizon))]),
      ...(horizonTrouble === undefined
        ? []
        : [finding(horizonPromise, () => [`the horizon is ${horizonTrouble}, so nobody can tell`])]),
      finding('SQLite finds the file whole', () => integrity.all().filter((sentence) => sentence !== 'ok')),
      finding('no row refers to one that is missing', () => foreignKeys.iterate()),
    ];
  };
  const begin = db.prepare('begin');
  const end = db.prepare('rollback');
  return (ask) => {
    begin.run();
    try {
      return examine(ask);
    } finally {
      // There is nothing to commit, and a damaged file does not let one commit even that.
      if (db.inTransaction) end.run();
    }
  };
}

const horizonPromise = 'every commit that was acknowledged is there';

type State = { readonly epoch: Buffer; readonly commitNumber: number; readonly highWaterAt: number };
type Horizon = NonNullable<Examination['horizon']>;

/** The commits that lie between the data and the horizon; the epoch, when that is another. */
function behind(state: State | undefined, { epoch, commitNumber }: Horizon) {
  if (state?.epoch.equals(epoch) !== true) return ['the horizon belongs to other data'];
  const { commitNumber: reached } = state;
  return reached < commitNumber ? [{ reached, acknowledged: commitNumber }] : [];
}

/** Where the file itself is damaged, what SQLite says of it is what breaks the promise. */
function finding(promise: string, offendersOf: () => Iterable<unknown>): Finding {
  const first: unknown[] = [];
  let count = 0;
  const add = (offender: unknown) => {
    if (count < firstCount) first.push(offender);
    count += 1;
  };
  try {
    for (const offender of offendersOf()) add(offender);
  } catch (error) {
    if (!(error instanceof SqliteError) || !error.code.startsWith('SQLITE_CORRUPT')) throw error;
    add(error.message);
  }
  return { promise, count, first };
}

/** The broken ones, as a sentence each. */
export const brokenPromises = (findings: readonly Finding[]): readonly string[] =>
  findings
    .filter(({ count }) => count > 0)
    .map(({ promise, count, first }) => `Not so: ${promise} (${count}, such as ${JSON.stringify(first)})`);

/** Examines once. @returns the broken promises, as a sentence each */
export const audit = (db: Db, now: Instant): readonly string[] => brokenPromises(doctorOf(db)({ now }));

/** Checks for which the whole message is needed: one walk over all of them. */
function messageExamination(db: Db): () => readonly Finding[] {
  const bodies = db.prepare<[{ id: number }], Buffer>('select body from message_bodies where message_id = @id').pluck();
  const rows = db.prepare<[{ after: number }], MessageRow>(
    `select ${messageColumns} from messages where id > @after order by id limit 1000`,
  );
  function* pages(): Iterable<MessageRow> {
    for (let after = -1, page = rows.all({ after }); page.length > 0; page = rows.all({ after })) {
      yield* page;
      after = page.at(-1)?.id ?? after;
    }
  }
  return () => {
    const misnamed: number[] = [];
    function* unsound() {
      for (const row of pages()) {
        const body = row.isLarge === 1 ? (bodies.get({ id: row.id }) ?? Buffer.alloc(0)) : row.body;
        if (!isSound(row, body)) yield row.id;
        if (numberOf(bytesOfId(row.messageId)) !== row.id) misnamed.push(row.id);
      }
    }
    return [
      finding('a message is as it was sent: its checksum fits', unsound),
      finding('a message id tells the number of its message', () => misnamed),
    ];
  };
}

type DeduplicationRow = { readonly id: number; readonly messageId: Buffer; readonly expiresAt: number };

/** When a window began is told by the id of the message that began it. */
function deduplicationExamination(db: Db): () => Finding {
  const rows = db.prepare<[], DeduplicationRow>(
    'select id, message_id as messageId, expires_at as expiresAt from deduplications',
  );
  const windowMs = limits.deduplicationSeconds * 1000;
  const isWrong = ({ id, messageId, expiresAt }: DeduplicationRow) =>
    numberOf(messageId) !== id || expiresAt !== sentAtOf(messageId) + windowMs;
  return () =>
    finding(`a deduplication id holds for ${limits.deduplicationSeconds} seconds from its first send`, function* () {
      for (const row of rows.iterate()) if (isWrong(row)) yield row.id;
    });
}
