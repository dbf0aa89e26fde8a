/**
 * Every invariant that the data can be asked about, each as a query that finds what breaks it. Reads everything: for
 * tests and for an operator who doubts.
 */
import type { Instant } from '../../domain/instant.ts';
import type { Db } from './database.ts';
import { hiddenWidths } from './ledger.ts';
import { isSound, type MessageRow, messageColumns } from './messages.ts';

type Check = { readonly says: string; readonly sql: string };

const live = 'select backlog_id from queues';

/** Each query finds the offenders; @now is bound. */
const checks: readonly Check[] = [
  {
    says: 'a message lies in a backlog that is neither a queue’s nor dead',
    sql: `select id from messages where backlog_id not in (${live} union all select backlog_id from dead_backlogs)`,
  },
  {
    says: 'a queue’s message count differs from its messages',
    sql: `select q.name, c.message_count, count(m.id) from queues q join queue_counters c on c.queue_id = q.id
            left join messages m on m.backlog_id = q.backlog_id group by q.id having c.message_count <> count(m.id)`,
  },
  {
    says: 'a queue’s bytes differ from its messages’',
    sql: `select q.name, c.bytes from queues q join queue_counters c on c.queue_id = q.id
            left join messages m on m.backlog_id = q.backlog_id
           group by q.id having c.bytes <> coalesce(sum(m.bytes), 0)`,
  },
  {
    says: 'the sum of hidden messages differs from the messages that are hidden',
    sql: `select q.name, (select count(*) from messages m where m.backlog_id = q.backlog_id and m.visible_at > @now) as real,
                 (select coalesce(sum(hidden), 0) from hidden_counts h
                   where h.backlog_id = q.backlog_id and width = 1 and at > @now) as narrow
            from queues q where real <> narrow`,
  },
  {
    says: 'the sum of held messages differs from the messages that are held',
    sql: `select q.name, (select count(*) from messages m where m.backlog_id = q.backlog_id and m.held_until > @now) as real,
                 (select coalesce(sum(held), 0) from hidden_counts h
                   where h.backlog_id = q.backlog_id and width = 1 and at > @now) as narrow
            from queues q where real <> narrow`,
  },
  ...hiddenWidths.slice(1).map((width) => ({
    says: `the sums of hidden messages per millisecond and per ${width} differ`,
    sql: `select backlog_id, bucket, sum(narrow), sum(wide) from (
            select backlog_id, at / ${width} as bucket, hidden + 1000000 * held as narrow, 0 as wide
              from hidden_counts where width = 1 and at / ${width} > cast(@now as integer) / ${width}
            union all
            select backlog_id, at, 0, hidden + 1000000 * held from hidden_counts
             where width = ${width} and at > cast(@now as integer) / ${width})
          where backlog_id in (${live}) group by backlog_id, bucket having sum(narrow) <> sum(wide)`,
  })),
  {
    says: 'a FIFO message group’s count differs from its messages',
    sql: `select g.group_id from message_groups g
           where g.backlog_id in (${live})
             and g.message_count <> (select count(*) from messages m
                                      where m.backlog_id = g.backlog_id and m.group_id = g.group_id and m.is_fifo = 1)`,
  },
  {
    says: 'a FIFO message has no group',
    sql: `select m.id from messages m where m.is_fifo = 1 and m.backlog_id in (${live})
             and not exists (select 1 from message_groups g where g.backlog_id = m.backlog_id and g.group_id = m.group_id)`,
  },
  {
    // A group whose head left by itself keeps its turn when the next one can be received already.
    says: 'a message group is ready before its head, or later than its head',
    sql: `select g.group_id, g.ready_at, h.visible_at from message_groups g
            join messages h on h.id = (select id from messages m where m.backlog_id = g.backlog_id
                                        and m.group_id = g.group_id and m.is_fifo = 1 order by sequence limit 1)
           where g.backlog_id in (${live})
             and ((g.ready_at < h.visible_at and h.visible_at > @now) or (g.ready_at > @now and g.ready_at <> h.visible_at))`,
  },
  {
    says: 'a sequence stands twice in a queue',
    sql: 'select backlog_id, sequence from messages group by backlog_id, sequence having count(*) > 1',
  },
  {
    says: 'a number was given that the counter has not reached',
    sql: 'select m.id from messages m, engine_state s where max(m.id, m.sequence) >= s.next_number',
  },
  {
    says: 'a large body is missing',
    sql: 'select id from messages where is_large = 1 and id not in (select message_id from message_bodies)',
  },
  {
    says: 'a large body belongs to no message',
    sql: 'select message_id from message_bodies where message_id not in (select id from messages where is_large = 1)',
  },
  {
    says: 'a message was received and does not tell when, or the reverse',
    sql: 'select id from messages where (receives = 0) <> (last_received_at = 0) or receive_count > receives',
  },
  {
    says: 'a message is of another kind than its queue',
    sql: "select m.id from messages m join queues q using (backlog_id) where m.is_fifo <> (q.kind = 'fifo')",
  },
  {
    says: 'a queue has no counters',
    sql: 'select name from queues where id not in (select queue_id from queue_counters)',
  },
];

/** @returns a sentence per broken invariant, with the first offenders */
export function audit(db: Db, now: Instant): readonly string[] {
  const broken = checks.flatMap(({ says, sql }) => {
    const statement = db.prepare(sql);
    const offenders = sql.includes('@now') ? statement.all({ now }) : statement.all();
    return offenders.length === 0 ? [] : [`${says}: ${JSON.stringify(offenders.slice(0, 3))}`];
  });
  const integrity = db.pragma('integrity_check', { simple: true });
  return [
    ...broken,
    ...damagedMessages(db),
    ...(integrity === 'ok' ? [] : [`SQLite finds the file damaged: ${String(integrity)}`]),
  ];
}

/** Messages whose checksum does not fit. */
function damagedMessages(db: Db): readonly string[] {
  const body = db.prepare<[{ id: number }], Buffer>('select body from message_bodies where message_id = @id').pluck();
  const rows = db.prepare<[{ after: number }], MessageRow>(
    `select ${messageColumns} from messages where id > @after order by id limit 1000`,
  );
  const found: string[] = [];
  for (let after = -1; ; ) {
    const page = rows.all({ after });
    for (const row of page) {
      const whole = row.isLarge === 1 ? (body.get({ id: row.id }) ?? Buffer.alloc(0)) : row.body;
      if (!isSound(row, whole)) found.push(`the checksum of message ${row.id} does not fit`);
      after = row.id;
    }
    if (page.length < 1_000) return found;
  }
}
