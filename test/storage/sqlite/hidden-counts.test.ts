/** The sums from which in flight and delayed follow: exact, and cheap however the delays are spread. */
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { readMigrations } from '../../../src/storage/migrate.ts';
import { migrateDatabase } from '../../../src/storage/sqlite/database.ts';
import { sumHidden } from '../../../src/storage/sqlite/ledger.ts';
import { openStore, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { memoryEngine } from '../../support/sqlite.ts';
import { trialStart as now, trialsOf } from '../../support/storage.ts';

describe('the sums of hidden messages', () => {
  const trial = trialsOf(memoryEngine);
  let store: Store | undefined;
  afterEach(() => {
    store?.close();
    store = undefined;
  });

  it('are exact on both sides of the edges of every step', async () => {
    const t = await trial();
    await t.put('q');
    const delays = [1, 9, 10, 11, 59, 60, 590, 599, 600, 601, 610, 1_199, 1_200, 1_201, 43_200];
    await t.send('q', ...delays.map((delaySeconds) => ({ body: 'x', delaySeconds })));
    for (const seconds of delays) {
      for (const ms of [-1, 0, 1]) {
        t.advanceTo((now + seconds * 1000 + ms) as typeof now);
        const delayed = delays.filter((delay) => delay * 1000 > t.now - now).length;
        expect(await t.counts('q'), `after ${t.now - now} ms`).toEqual([delays.length - delayed, 0, delayed]);
        expect(await t.audit()).toEqual([]);
      }
    }
  });

  it('read a bounded number of rows when the delays are spread over the longest time', () => {
    store = openStore({ directory: ':memory:', ids: countingIds(), now });
    const queue = { account: '000000000000', name: 'orders' };
    const run = (name: string, ask: object) =>
      store?.run([{ name, ask: { ...ask, queue, now } } as Parameters<Store['run']>[0][number]]);
    run('putQueue', { kind: 'standard', settings: { retentionSeconds: limits.retentionSecondsMax } });
    const count = 20_000;
    const stepSeconds = Math.floor(limits.delaySecondsMax / count);
    for (let sent = 0; sent < count; sent += 1_000) {
      const drafts = Array.from({ length: 1_000 }, (_, i) => ({
        body: Buffer.from('x'),
        contentType: 'text/plain',
        attributes: new Map(),
        delaySeconds: (sent + i + 1) * stepSeconds,
      }));
      run('send', { drafts, isAtomic: false });
    }
    const ask = { backlogId: 1, now };
    const sums = store.db.prepare<[object], { hiddenCount: number }>(sumHidden);
    const backlogId = store.db.prepare('select backlog_id from queues').pluck().get();
    expect(sums.get({ ...ask, backlogId })).toMatchObject({ hiddenCount: count });
    const rows = store.db.prepare<[object], number>(sumHidden.replace('coalesce(sum(hidden), 0)', 'count(*)')).pluck();
    expect(rows.get({ ...ask, backlogId })).toBeLessThanOrEqual(10_000 + 60 + 2_017);
  });

  it('are brought forward from data that had them in two steps only', () => {
    const db = new Database(':memory:');
    const migrations = readMigrations('sqlite');
    migrateDatabase(
      db,
      migrations.filter(({ number }) => number < 6),
    );
    const insert = db.prepare('insert into hidden_counts values (?, ?, ?, ?, ?)');
    insert.run(1, 10_000, 60, 2, 1);
    insert.run(1, 10_000, 119, 3, 0);
    insert.run(1, 10_000, 120, 4, 4);
    insert.run(2, 10_000, 60, 5, 0);
    migrateDatabase(db, migrations);
    expect(db.prepare('select * from hidden_counts where width = 600000').raw().all()).toEqual([
      [1, 600_000, 1, 5, 1],
      [1, 600_000, 2, 4, 4],
      [2, 600_000, 1, 5, 0],
    ]);
    db.close();
  });

  it('of many queues are read bit by bit, and others have their turn between', async () => {
    const t = await trial();
    const queueIds: number[] = [];
    for (let i = 0; i < 100; i += 1) queueIds.push((await t.put(`q${i}`)).id);
    let turns = 0;
    const count = () => {
      turns += 1;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    const stats = await t.storage.queueStats({ queueIds: [...queueIds, 0], now: t.now });
    clearImmediate(next);
    expect(stats).toHaveLength(101);
    expect(stats.at(-1)).toBeNull();
    expect(turns).toBeGreaterThanOrEqual(9);
  });
});
