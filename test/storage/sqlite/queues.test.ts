/** The limit of queues in an account; rows are put there by SQL, since a hundred thousand creations take too long. */
import { afterEach, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import { openStore, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { trialStart as now } from '../../support/storage.ts';

/** Copies of the one queue that is there. */
const fill = /* sql */ `
  with recursive n(i) as (select 1 union all select i + 1 from n where i < @count)
  insert into queues (account, name, kind, settings, deduplication_scope, backlog_id, version, created_at, modified_at)
  select account, 'q' || i, kind, settings, deduplication_scope, -i, version, created_at, modified_at
    from n, (select * from queues limit 1)`;

let store: Store;
afterEach(() => store.close());

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
