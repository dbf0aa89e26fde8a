/** The doctor finds what breaks each promise, and only that; every promise is seen broken here. */
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { instant } from '../../../src/domain/instant.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { ReceiveAnswer } from '../../../src/storage/port.ts';
import { brokenPromises, doctorOf, type Examination } from '../../../src/storage/sqlite/doctor.ts';
import { openToLook } from '../../../src/storage/sqlite/look.ts';
import { openStore, type Request, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { runProgram, startServer, temporaryFolder } from '../../support/process.ts';
import { draftOf, trialStart as now } from '../../support/storage.ts';

const account = '000000000000';

/** A little of everything: two queues with messages in each state, a large body, groups, attempts, keys, a task. */
function fill(store: Store): void {
  const run = (name: string, ask: object) => {
    const [outcome] = store.run([{ name, ask: { ...ask, now } } as unknown as Request]).outcomes;
    if (outcome?.does !== 'value') throw new Error(JSON.stringify(outcome));
    return outcome.value;
  };
  const named = (name: string) => ({ queue: { account, name: QueueName.parse(name) } });
  for (const name of ['q-dlq', 'q', 'dlq.fifo', 'q.fifo']) {
    const dlq = { q: 'q-dlq', 'q.fifo': 'dlq.fifo' }[name];
    const settings = dlq === undefined ? {} : { deadLetter: { queue: dlq, maxReceiveCount: 9 } };
    run('putQueue', { ...named(name), kind: name.endsWith('.fifo') ? 'fifo' : 'standard', settings });
  }
  const idempotency = { key: 'k', fingerprint: 'f' };
  const bodies = ['a', 'b', 'long'.repeat(1_000)];
  run('send', { ...named('q'), drafts: bodies.map((body) => draftOf(body)), isAtomic: false, idempotency });
  run('send', { ...named('q-dlq'), drafts: [draftOf('dead')], isAtomic: false });
  const ordered = ['1', '2', '3'].map((body) => ({ ...draftOf(body), groupId: 'g', deduplicationId: body }));
  run('send', { ...named('q.fifo'), drafts: ordered, isAtomic: false });
  run('receive', { ...named('q'), limit: 1, bytesMax: 1_000_000 });
  const answer = run('receive', { ...named('q.fifo'), limit: 2, bytesMax: 1_000_000, attemptId: 'a' }) as ReceiveAnswer;
  expect(answer.messages).toHaveLength(2);
  run('startRedrive', {
    taskId: 'task',
    source: named('q-dlq').queue,
    destination: 'q',
    ratePerSecond: null,
    limit: null,
  });
}

function filledStore(): Store {
  const store = openStore({ directory: ':memory:', ids: countingIds(), now });
  onTestFinished(() => store.close());
  fill(store);
  return store;
}

/** A promise, what breaks it, and which other promises break with it. */
type Damage = readonly [promise: RegExp, sql: string, others?: readonly RegExp[]];

const held = 'select id from messages where held_until > 0 and is_fifo = 0';
const inGroup = (offset: number) =>
  `(select id from messages where is_fifo = 1 order by sequence limit 1 offset ${offset})`;
const counts = [/counts the messages and bytes/];

const damages: readonly Damage[] = [
  [
    /^each message belongs/,
    'update messages set backlog_id = 999 where id = (select min(id) from messages)',
    [...counts, /that are hidden/, /that are held/],
  ],
  [
    /both in a queue and set aside/,
    `insert into quarantined_messages select id, 1, 0, '{}', x'' from messages limit 1`,
  ],
  [
    /held by a receipt and until an instant/,
    `update messages set receives = 0, last_received_at = 0, receive_count = 0,
     first_received_at = 0 where id = (${held})`,
  ],
  [/received tells since when/, `update messages set last_received_at = 0 where id = (${held})`],
  [/before it was sent/, `update messages set sent_at = ${now + 1} where receives = 0 and is_fifo = 0`],
  [/of the kind of its queue/, 'update messages set is_fifo = 1 where is_fifo = 0 and is_large = 1', [/has a group/]],
  [/has counters, and no counters/, 'insert into queue_counters select 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0'],
  [/counts the messages and bytes/, 'update queue_counters set bytes = bytes + 1 where queue_id = 1'],
  [/no total is negative/, 'update queue_counters set sent = -1 where queue_id = 1'],
  [
    /counts the messages that are hidden/,
    `update hidden_counts set hidden = hidden + 1 where width = 1
     and backlog_id = (select backlog_id from queues where name = 'q') and hidden > 0`,
    [/per 10 s/, /per 600 s/],
  ],
  [
    /counts the messages that are held/,
    `update hidden_counts set held = held + 1 where width = 1
     and backlog_id = (select backlog_id from queues where name = 'q') and hidden > 0`,
    [/per 10 s/, /per 600 s/],
  ],
  [/per 10 s/, 'update hidden_counts set hidden = hidden + 1 where width = 10000'],
  [/per 600 s/, 'update hidden_counts set held = held + 1, at = at + 1 where width = 600000'],
  [/^each sum of hidden/, 'insert into hidden_counts values (999, 1, 1, 1, 1)'],
  [
    /sequence stands once/,
    `update messages set sequence = (select max(sequence) from messages where is_fifo = 0)
     where is_fifo = 0 and backlog_id = (select backlog_id from queues where name = 'q')`,
  ],
  [
    /message id is in one queue only/,
    `update messages set message_id = (select message_id from messages where id = ${inGroup(1)})
     where id = ${inGroup(0)}`,
    [/checksum/, /tells the number/],
  ],
  [/number that was given/, 'update engine_state set next_number = 1'],
  [/queue id that was given/, "update sqlite_sequence set seq = 0 where name = 'queues'"],
  [/^a message group counts/, 'update message_groups set message_count = message_count + 1'],
  [/FIFO message has a group/, 'delete from message_groups'],
  [/^each message group belongs/, "insert into message_groups values (999, 'g', 0, 0, 1)"],
  [/ready when its head is/, 'update message_groups set ready_at = 1'],
  [
    /held by one receive, in order/,
    `update messages set last_received_at = last_received_at + 1 where id = ${inGroup(1)}`,
  ],
  [
    /deduplication id stands once/,
    `drop index deduplications_key; insert into deduplications
     select id + 1, backlog_id, scope, '1', message_id, sequence, expires_at from deduplications order by id desc limit 1`,
    [/holds for 300 seconds/],
  ],
  [/^each deduplication id belongs/, 'update deduplications set backlog_id = 999'],
  [/^each receive attempt belongs/, 'update receive_attempts set backlog_id = 999'],
  [/answers that are kept/, "update receive_attempts set answer = '['"],
  [
    /dead-letter queue is of the kind/,
    `update queues set settings = json_set(settings, '$.deadLetter.queue', 'dlq.fifo')
     where name = 'q'`,
  ],
  [/in use and being emptied/, 'insert into dead_backlogs (backlog_id) select min(backlog_id) from queues'],
  [/task that has ended/, 'update tasks set finished_at = 1'],
  [/large body is there/, 'delete from message_bodies', [/checksum/]],
  [/large body belongs/, "insert into message_bodies values (999, x'')"],
  [/checksum fits/, "update messages set body = x'00' where id = (select min(id) from messages)"],
  [/tells the number/, `update messages set id = id + 1 where id = (select max(id) from messages)`],
  [/holds for 300 seconds/, 'update deduplications set expires_at = expires_at - 1'],
  [
    /row refers to one that is missing/,
    `pragma foreign_keys = off; insert into access_key_secrets
     values ('gone', 1, zeroblob(32), x'', 0, null)`,
  ],
];
const later: Examination = { now: instant(now + 100_000_000_000), hasUpkeep: true };
const late = [/after its retention/, /no deduplication id is there/, /no receive attempt is/, /no idempotency key is/];
const elsewhere = [/held message is hidden/, /acknowledged is there/, /SQLite finds the file whole/];

const failing = (store: Store, ask: Examination = { now }) =>
  doctorOf(store.db)(ask)
    .filter(({ count }) => count > 0)
    .map(({ promise }) => promise);

describe('the doctor', () => {
  it('has nothing against sound data, however often it is asked', () => {
    const store = filledStore();
    const examine = doctorOf(store.db);
    for (let time = 0; time < 2; time += 1) expect(brokenPromises(examine({ now }))).toEqual([]);
  });

  it.each(damages.map(([promise, sql, others = []]) => ({ promise, sql, others })))(
    'finds what breaks $promise',
    ({ promise, sql, others }) => {
      const store = filledStore();
      store.db.exec(sql);
      const broken = failing(store);
      expect(broken.filter((one) => promise.test(one))).toHaveLength(1);
      expect(broken.filter((one) => ![promise, ...others].some((each) => each.test(one)))).toEqual([]);
    },
  );

  it('finds what upkeep has left behind, where there is upkeep', () => {
    const store = filledStore();
    expect(failing(store, { ...later, hasUpkeep: false })).toEqual([]);
    const broken = failing(store, later);
    expect(broken).toHaveLength(late.length);
    for (const promise of late) expect(broken.filter((one) => promise.test(one))).toHaveLength(1);
  });

  it('sees each of its promises broken in these tests', () => {
    const seen = [...damages.map(([promise]) => promise), ...late, ...elsewhere];
    const all = doctorOf(filledStore().db)({ ...later, horizon: { epoch: Buffer.alloc(16), commitNumber: 0 } });
    expect(all.map(({ promise }) => promise).filter((one) => !seen.some((promise) => promise.test(one)))).toEqual([]);
  });

  it('finds a held message that can be received', () => {
    const store = filledStore();
    store.db.exec(`pragma ignore_check_constraints = on; update messages set visible_at = ${now} where id = (${held})`);
    expect(failing(store)).toEqual(expect.arrayContaining([expect.stringMatching(/held message is hidden/)]));
  });

  it('finds commits that are missing, and a horizon of other data', () => {
    const { db } = filledStore();
    const state = db.prepare<[], { epoch: Buffer; commit_number: number }>('select * from engine_state').get();
    const horizon = { epoch: state?.epoch ?? Buffer.alloc(0), commitNumber: state?.commit_number ?? 0 };
    const examine = (change: object) =>
      brokenPromises(doctorOf(db)({ now, horizon: { ...horizon, ...change } })).filter((one) =>
        /acknowledged/.test(one),
      );
    expect(examine({})).toEqual([]);
    expect(examine({ commitNumber: horizon.commitNumber - 1 })).toEqual([]);
    expect(examine({ commitNumber: horizon.commitNumber + 1 })).toHaveLength(1);
    expect(examine({ epoch: Buffer.alloc(16) })).toHaveLength(1);
  });

  it.each(['missing', 'damaged'] as const)('says that a %s horizon proves nothing', (horizonTrouble) => {
    const broken = doctorOf(filledStore().db)({ now, horizonTrouble }).filter(({ count }) => count > 0);
    expect(broken).toEqual([
      {
        promise: 'every commit that was acknowledged is there',
        count: 1,
        first: [`the horizon is ${horizonTrouble}, so nobody can tell`],
      },
    ]);
  });

  it('takes damage of the file itself for a finding', () => {
    const folder = temporaryFolder();
    const store = openStore({ directory: folder, ids: countingIds(), now });
    fill(store);
    const page = store.db
      .prepare<[], number>("select rootpage from sqlite_schema where name = 'messages'")
      .pluck()
      .get();
    store.close();
    const file = openSync(join(folder, 'sluice.db'), 'r+');
    writeSync(file, Buffer.alloc(4_096, 0xff), 0, 4_096, (Number(page) - 1) * 4_096);
    closeSync(file);
    const look = openToLook(folder);
    const broken = doctorOf(look.db)({ now }).filter(({ count }) => count > 0);
    look.close();
    expect(broken.map(({ promise }) => promise)).toContain('SQLite finds the file whole');
    expect(broken.find(({ promise }) => /checksum fits/.test(promise))?.first).toEqual([
      'database disk image is malformed',
    ]);
  });
});

describe('sluice doctor', () => {
  const doctor = async (...args: string[]) => {
    const { child, ended } = runProgram(['doctor', ...args]);
    let text = '';
    child.stdout?.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    return { ...(await ended), text };
  };

  it('looks at data that are being served, and at those that are not', async () => {
    const folder = temporaryFolder();
    const server = startServer(folder);
    const queue = `${await server.url}/v1/queues/orders`;
    await fetch(queue, { method: 'PUT' });
    await fetch(`${queue}/messages`, { method: 'POST', body: 'hello' });
    const served = await doctor('--data-dir', folder, '--json');
    expect(served).toMatchObject({ code: 0, errorText: '' });
    expect(JSON.parse(served.text)).toMatchObject({ isServed: true, queueCount: 1, messageCount: 1, brokenCount: 0 });
    expect((await fetch(`${queue}/messages`, { method: 'POST', body: 'the server goes on' })).status).toBe(201);
    server.child.kill('SIGTERM');
    await server.ended;
    const stopped = await doctor('--data-dir', folder);
    expect(stopped).toMatchObject({ code: 0, errorText: '' });
    expect(stopped.text).toMatch(/: 2 messages in 1 queues at commit \d+\n {2}ok {6}each message belongs/);

    const db = new Database(join(folder, 'sluice.db'));
    db.exec("update messages set body = x'00'");
    db.close();
    rmSync(join(folder, 'horizon'));
    const damaged = await doctor('--data-dir', folder);
    expect(damaged).toMatchObject({
      code: 1,
      errorText: expect.stringMatching(/^sluice: 2 of \d+ promises do not hold/),
    });
    expect(damaged.text).toMatch(/BROKEN {2}a message is as it was sent: its checksum fits: 2, such as \[\d+,\d+\]/);
    expect(damaged.text).toMatch(
      /BROKEN {2}every commit .*: 1, such as \["the horizon is missing, so nobody can tell"\]/,
    );
  });

  it('says what upkeep has not come to yet, as after a long downtime, and finds nothing wrong with it', async () => {
    const folder = temporaryFolder();
    const server = startServer(folder);
    const queue = `${await server.url}/v1/queues/orders`;
    await fetch(queue, { method: 'PUT' });
    await fetch(`${queue}/messages`, { method: 'POST', body: 'hello' });
    // As long ago as if no server had been there since: the one that is has not looked yet.
    server.child.kill('SIGSTOP');
    const db = new Database(join(folder, 'sluice.db'));
    db.exec('update messages set enqueued_at = enqueued_at - 400000000, sent_at = sent_at - 400000000');
    db.close();
    const late = await doctor('--data-dir', folder);
    expect(late).toMatchObject({ code: 0, errorText: '' });
    expect(late.text).toMatch(/late {4}no message is there more than a minute after its retention: 1; upkeep has not/);
    expect(JSON.parse((await doctor('--data-dir', folder, '--json')).text)).toMatchObject({
      lateCount: 1,
      brokenCount: 0,
    });
  });

  it('says that it cannot look where the table of the state itself is damaged', async () => {
    const folder = temporaryFolder();
    const server = startServer(folder);
    await server.url;
    server.child.kill('SIGTERM');
    await server.ended;
    const path = join(folder, 'sluice.db');
    const db = new Database(path, { readonly: true });
    const page = db
      .prepare<[], number>("select rootpage from sqlite_schema where name = 'engine_state'")
      .pluck()
      .get() as number;
    const pageBytes = Number(db.pragma('page_size', { simple: true }));
    db.close();
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0xff, (page - 1) * pageBytes, page * pageBytes));
    expect(await doctor('--data-dir', folder)).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/^sluice: .* cannot be read: .*malformed.*\n$/),
    });
  });

  it('says that it cannot look at what is not there, is no data, or is of another version', async () => {
    const folder = temporaryFolder();
    expect(await doctor('--data-dir', folder)).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/cannot be read/),
    });
    expect(await doctor(import.meta.filename)).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/file is not a database/),
    });
    const other = new Database(join(folder, 'other.db'));
    other.exec('create table t (x)');
    expect(await doctor(join(folder, 'other.db'))).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/holds no data of Sluice/),
    });
    other.exec('create table migrations (number integer); insert into migrations values (9999)');
    expect(await doctor(join(folder, 'other.db'))).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/a newer version of Sluice/),
    });
    other.exec('update migrations set number = 1');
    expect(await doctor(join(folder, 'other.db'))).toMatchObject({
      code: 2,
      errorText: expect.stringMatching(/an older version of Sluice/),
    });
    other.close();
  });
});
