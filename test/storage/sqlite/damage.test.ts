/** Damage is never silent: what is not as it was sent is set aside, counted, and not delivered. */
import { describe, expect, it } from 'vitest';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { ReceiveAnswer } from '../../../src/storage/port.ts';
import { audit } from '../../../src/storage/sqlite/doctor.ts';
import { openStore, type Request, type Store } from '../../../src/storage/sqlite/store.ts';
import { countingIds } from '../../support/ids.ts';
import { draftOf, trialStart as now, nth } from '../../support/storage.ts';

const account = '000000000000';

describe.each(['orders', 'orders.fifo'])('a damaged message in %s', (name) => {
  const queue = { account, name: QueueName.parse(name) };
  const isFifo = name.endsWith('.fifo');

  function fill(store: Store, bodies: readonly string[]): void {
    const run = (request: unknown) => store.run([request as Request]);
    run({ name: 'putQueue', ask: { queue, kind: isFifo ? 'fifo' : 'standard', settings: {}, now } });
    const drafts = bodies.map((body, i) => ({
      ...draftOf(body),
      ...(isFifo ? { groupId: 'g', deduplicationId: `d${i}` } : {}),
    }));
    run({ name: 'send', ask: { queue, drafts, isAtomic: false, senderId: 'somebody', now } });
  }
  function receive(store: Store): readonly string[] {
    const ask = { queue, limit: 10, bytesMax: 10_000_000, now };
    const [outcome] = store.run([{ name: 'receive', ask } as Request]).outcomes;
    if (outcome?.does !== 'value') throw new Error(JSON.stringify(outcome));
    return (outcome.value as ReceiveAnswer).messages.map(({ body }) => Buffer.from(body).toString().slice(0, 4));
  }

  const ofTheSecond = 'where id = (select id from messages order by id limit 1 offset 1)';
  it.each([
    ['a flipped bit in the body', "body = cast('twn' as blob)"],
    ['a shortened body', "body = cast('tw' as blob)"],
    ['a changed attribute', "attributes = '[]'"],
    ['a changed content type', "content_type = 'text/plaim'"],
    ['a changed sender', "sender_id = 'somebodz'"],
    ['a trace that it did not have', "trace_header = 'x'"],
    ['a changed checksum', 'checksum = checksum + 1'],
  ])('is set aside: %s', (_what, change) => {
    const store = openStore({ directory: ':memory:', ids: countingIds(), now });
    fill(store, ['one', 'two', 'six']);
    store.db.exec(`update messages set ${change} ${ofTheSecond}`);
    expect(audit(store.db, now)).toHaveLength(1);
    expect(receive(store)).toEqual(['one', 'six']);
    expect(store.db.prepare('select count(*) from quarantined_messages').pluck().get()).toBe(1);
    expect(store.db.prepare('select quarantined, message_count from queue_counters').get()).toEqual({
      quarantined: 1,
      message_count: 2,
    });
    expect(audit(store.db, now)).toEqual([]);
    store.close();
  });

  it('is set aside: a large body that is missing', () => {
    const store = openStore({ directory: ':memory:', ids: countingIds(), now });
    fill(store, ['one'.repeat(1_000), 'two'.repeat(1_000)]);
    store.db
      .prepare('delete from message_bodies where message_id = (select min(message_id) from message_bodies)')
      .run();
    expect(receive(store)).toEqual(['twot']);
    store.close();
  });

  it('is set aside by a redrive that gives new ids, and the others are moved', () => {
    const store = openStore({ directory: ':memory:', ids: countingIds(), now });
    fill(store, ['one', 'two', 'six']);
    const other = { account, name: QueueName.parse(`other-${name}`) };
    const run = (one: string, ask: object) => store.run([{ name: one, ask: { ...ask, now } } as unknown as Request]);
    run('putQueue', { queue: other, kind: isFifo ? 'fifo' : 'standard', settings: {} });
    store.db.exec(`update messages set body = cast('twn' as blob) ${ofTheSecond}`);
    const task = { taskId: 't', source: queue, destination: other.name, ratePerSecond: null, limit: null };
    run('startRedrive', { ...task, renewsMessages: true });
    run('upkeep', {});
    expect(store.db.prepare('select status, moved_count as moved from tasks').all()).toEqual([
      { status: 'completed', moved: 2 },
    ]);
    expect(store.db.prepare('select count(*) from quarantined_messages').pluck().get()).toBe(1);
    expect(audit(store.db, now)).toEqual([]);
    store.close();
  });

  it('is set aside as it was found, whole, where an operator can look at it', () => {
    const store = openStore({ directory: ':memory:', ids: countingIds(), now });
    fill(store, ['one'.repeat(1_000)]);
    store.db.exec("update messages set content_type = 'text/plaim'");
    expect(receive(store)).toEqual([]);
    const aside = store.db.prepare<[], { row: string; body: Buffer }>(
      'select stored_row as row, body from quarantined_messages',
    );
    const { row, body } = nth(aside.all());
    expect(JSON.parse(row)).toMatchObject({ contentType: 'text/plaim', bytes: 3_000 });
    expect(body.toString()).toBe('one'.repeat(1_000));
    store.close();
  });
});
