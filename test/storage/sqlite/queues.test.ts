/** Limits of queues, and what they leave behind; rows are put there by SQL, since making so many takes too long. */
import { afterEach, describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import { type OperationName, openStore, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { trialStart as now } from '../../support/storage.ts';

/** Copies of the one queue that is there. */
const fill = /* sql */ `
  with recursive n(i) as (select 1 union all select i + 1 from n where i < @count)
  insert into queues (account, name, kind, settings, deduplication_scope, backlog_id, version, created_at, modified_at)
  select account, 'q' || i, kind, settings, deduplication_scope, -i, version, created_at, modified_at
    from n, (select * from queues limit 1)`;

const queue = { account: '000000000000', name: QueueName.parse('first') };

const numbers = /* sql */ `with recursive n(i) as (select 1 union all select i + 1 from n where i < @rows)`;
const insertKeys = /* sql */ `
  ${numbers} insert into idempotency_keys (queue_id, operation, key, fingerprint, answer, expires_at)
  select (select id from queues), 'send', 'key ' || i, '', '[]', @expiresAt from n`;
const insertSums = /* sql */ `
  ${numbers} insert into hidden_counts (backlog_id, width, at, hidden, held)
  select (select backlog_id from queues), 1, @before - i, 1, 0 from n`;

let store: Store;
afterEach(() => store.close());

const run = (name: OperationName, ask: object) => store.run([{ name, ask: { ...ask, now } }]).outcomes[0];
const count = (table: string) => Number(store.db.prepare(`select count(*) from ${table}`).pluck().get());

describe('what a queue leaves behind', () => {
  /** As many rows as three slices of upkeep remove. */
  const rows = 3 * limits.upkeepRowsPerSliceMax;
  const begin = () => {
    store = openStore({ directory: ':memory:', ids: countingIds(), now });
    run('putQueue', { queue, kind: 'standard', settings: {} });
  };

  it('goes bit by bit: the idempotency keys of a queue that was deleted', () => {
    begin();
    store.db.prepare(insertKeys).run({ rows, expiresAt: now + 86_400_000 });
    run('deleteQueue', { queue });
    expect(count('idempotency_keys')).toBe(rows);
    run('upkeep', {});
    expect(count('idempotency_keys')).toBe(rows - limits.upkeepRowsPerSliceMax);
    for (let slice = 0; slice < 5; slice += 1) run('upkeep', {});
    expect(count('idempotency_keys')).toBe(0);
    expect(count('dead_backlogs')).toBe(0);
  });

  it('goes bit by bit: the sums of what is no longer hidden', () => {
    begin();
    store.db.prepare(insertSums).run({ rows, before: now - 3_600_000 });
    const slice = () => run('upkeep', {});
    expect(slice()).toMatchObject({ value: { nextAt: now } });
    expect(count('hidden_counts')).toBe(rows - limits.upkeepRowsPerSliceMax);
    for (let more = 0; more < 5; more += 1) slice();
    expect(count('hidden_counts')).toBe(0);
  });
});

it('keeps the newest finished tasks, as many as may be', () => {
  store = openStore({ directory: ':memory:', ids: countingIds(), now });
  run('putQueue', { queue, kind: 'standard', settings: {} });
  const other = { ...queue, name: QueueName.parse('other') };
  run('putQueue', { queue: other, kind: 'standard', settings: {} });
  const start = (taskId: string) => {
    const ask = { taskId, source: queue, destination: 'other', ratePerSecond: null, limit: null };
    expect(run('startRedrive', ask)).toMatchObject({ does: 'value' });
  };
  const columns = store.db.prepare<[], string>("select name from pragma_table_info('tasks')").pluck().all();
  const copied = columns.map((name) => ({ number: 'i', task_id: "'copy ' || i" })[name] ?? name).join();
  start('first');
  run('upkeep', {});
  store.db.exec(`
    with recursive n(i) as (select -${limits.tasksKeptMax - 1} union all select i + 1 from n where i < -1)
    insert into tasks (${columns.join()}) select ${copied} from n, (select * from tasks limit 1)`);
  expect(count('tasks')).toBe(limits.tasksKeptMax);
  start('second');
  expect(count('tasks')).toBe(limits.tasksKeptMax + 1);
  run('upkeep', {});
  start('third');
  expect(count('tasks')).toBe(limits.tasksKeptMax + 1);
  expect(store.db.prepare("select count(*) from tasks where task_id = 'copy -1'").pluck().get()).toBe(1);
});

it('refuses one queue more than an account may have, confirms those it has, and lets other accounts be', () => {
  store = openStore({ directory: ':memory:', ids: countingIds(), now });
  const put = (name: string, account = '000000000000') => {
    const ask = { queue: { account, name: QueueName.parse(name) }, kind: 'standard', settings: {}, now };
    return store.run([{ name: 'putQueue', ask }]).outcomes[0];
  };
  put('first');
  store.db.prepare(fill).run({ count: limits.queuesPerAccountMax - 2 });
  expect(put('last')).toMatchObject({ does: 'value', value: { isNew: true } });
  const countMax = limits.queuesPerAccountMax;
  expect(put('more')).toEqual({ does: 'refuse', fault: { fault: 'tooManyQueues', facts: { countMax } } });
  expect(put('first')).toMatchObject({ does: 'value', value: { isNew: false } });
  expect(put('more', '111111111111')).toMatchObject({ does: 'value', value: { isNew: true } });
  store.run([
    { name: 'deleteQueue', ask: { queue: { account: '000000000000', name: 'first' }, now } as { now: typeof now } },
  ]);
  expect(put('more')).toMatchObject({ does: 'value', value: { isNew: true } });
});
