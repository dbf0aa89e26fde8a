/** Group commit: what goes together, and what one request's fate does to its neighbours. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { instant } from '../../../src/domain/instant.ts';
import { limits } from '../../../src/domain/limits.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { CommitNotice, Storage } from '../../../src/storage/port.ts';
import { openSqlite } from '../../../src/storage/sqlite/engine.ts';
import { type Outcome, openStore, type Request, type Store } from '../../../src/storage/sqlite/store.ts';
import { type Executor, Writer } from '../../../src/storage/sqlite/writer.ts';
import { countingIds } from '../../support/ids.ts';
import { recordingLog } from '../../support/log.ts';
import { draftOf, trialStart as now, nth } from '../../support/storage.ts';

const queue = { account: '000000000000', name: QueueName.parse('orders') };
const missing = { account: '000000000000', name: QueueName.parse('missing') };
const send = (body: string, to = queue) => ({ queue: to, drafts: [draftOf(body)], isAtomic: false, now });

/** A writer whose commits are made up. */
function writerOf(execute: Executor['execute']): Writer {
  const nothing = () => undefined;
  const rest = { store: undefined, sealSecret: new Uint8Array(), highWaterAt: now, onBroken: nothing, onNews: nothing };
  const listeners = { ready: nothing, commit: nothing, change: nothing, fatal: nothing };
  return new Writer({ ...rest, execute, close: async () => undefined }, listeners, () => 0);
}

describe('the writer', () => {
  let storage: Storage;
  const commits: CommitNotice[] = [];

  beforeEach(async () => {
    storage = await openSqlite({ directory: ':memory:', ids: countingIds(), log: recordingLog(), now });
    await storage.putQueue({ queue, kind: 'standard', settings: {}, now });
    commits.length = 0;
    storage.onCommit((notice) => void commits.push(notice));
  });
  afterEach(() => storage.close());

  it('commits requests that wait together once', async () => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => storage.send(send(`message ${i}`))));
    expect(commits.map(({ requestCount }) => requestCount)).toEqual([100]);
  });

  it('bounds a commit in requests', async () => {
    await Promise.all(Array.from({ length: limits.commitRequestsMax + 1 }, () => storage.send(send('x'))));
    expect(commits.map(({ requestCount }) => requestCount)).toEqual([limits.commitRequestsMax, 1]);
  });

  it('bounds a commit in bytes', async () => {
    const half = 'x'.repeat(1_000_000);
    await Promise.all(Array.from({ length: 6 }, () => storage.send(send(half))));
    expect(commits.map(({ requestCount }) => requestCount)).toEqual([4, 2]);
  });

  it('counts attributes among the bytes', async () => {
    const attributes = new Map([['large', { type: 'String', value: 'x'.repeat(1_000_000) }]]);
    const drafts = [{ ...draftOf('x'), attributes }];
    await Promise.all(Array.from({ length: 6 }, () => storage.send({ ...send('x'), drafts })));
    expect(commits.map(({ requestCount }) => requestCount)).toEqual([4, 2]);
  });

  it('bounds what a commit gives out: further receives wait for later ones, behind all others', async () => {
    const receive = () => storage.receive({ queue, limit: 8, bytesMax: limits.receiveBytesMax, now });
    const drafts = Array.from({ length: 40 }, () => draftOf('x'.repeat(1_000_000)));
    await storage.send({ queue, drafts, isAtomic: false, now });
    commits.length = 0;
    const order: string[] = [];
    const noted = async <T>(what: string, doing: Promise<T>): Promise<T> => {
      const done = await doing;
      order.push(what);
      return done;
    };
    const received = Array.from({ length: 6 }, (_, i) => noted(String(i), receive()));
    // Two of them do not fit into the first commit either.
    const sent = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => noted(name, storage.send(send('y'.repeat(1_000_000)))));
    const answers = await Promise.all(received);
    await Promise.all(sent);
    // One of 8,000,000 bytes is more than 4 MiB.
    expect(commits.map(({ requestCount }) => requestCount)).toEqual([5, 3, 1, 1, 1, 1]);
    expect(answers.map(({ messages }) => messages.length)).toEqual([8, 8, 8, 8, 8, 6]);
    expect(order.join('')).toBe('0abcdef12345');
  });

  it('lets who comes later overtake a receive that was put off, but not for ever', async () => {
    const given: number[] = [];
    const received: Promise<unknown>[] = [];
    const receive = (limit: number) => {
      received.push(writer.submit('receive', { queue, limit, bytesMax: 1, now }));
    };
    // As on a thread: while a commit is under way, who was answered before it asks again. Each gives out one receive.
    const execute: Executor['execute'] = (requests, done) => {
      const last = given.at(-1);
      given.push((nth(requests).ask as { readonly limit: number } & Request['ask']).limit);
      if (last !== undefined && given.length < 8) receive(last);
      const outcomes = requests.map((_, i): Outcome => (i === 0 ? { does: 'value', value: null } : { does: 'later' }));
      done({ outcomes, ready: [], changes: [], isFull: false });
    };
    const writer = writerOf(execute);
    for (const limit of [1, 2, 3, 4]) receive(limit);
    await Promise.all(received);
    expect(given).toEqual([1, 2, 3, 2, 4]);
  });

  it('lets bytes wait up to its bound, and has room for as many again when they are done', async () => {
    const done = { ready: [], changes: [], isFull: false };
    const writer = writerOf((requests, answered) =>
      answered({ ...done, outcomes: requests.map((): Outcome => ({ does: 'value', value: [] })) }),
    );
    const ask = send('x');
    for (let round = 0; round < 2; round += 1) {
      const sent = writer.submit('send', ask, limits.writerPendingBytesMax);
      await expect(writer.submit('send', ask, 1)).rejects.toMatchObject({ data: { fault: 'overloaded' } });
      expect(writer.pendingBytes).toBe(limits.writerPendingBytesMax);
      await sent;
      expect(writer.pendingBytes).toBe(0);
    }
  });

  it('lets no time run backwards: what comes later sees what came before, whoever asked the clock first', async () => {
    const [, answer] = await Promise.all([
      storage.send({ ...send('sent'), now: instant(now + 5) }),
      storage.receive({ queue, limit: 1, bytesMax: limits.receiveBytesMax, now }),
    ]);
    expect(answer.messages).toHaveLength(1);
    expect(answer.messages[0]?.heldUntil).toBe(now + 5 + 30_000);
  });

  it('does the neighbours of a refused request', async () => {
    const outcomes = await Promise.allSettled([
      storage.send(send('before')),
      storage.send(send('refused', missing)),
      storage.send(send('after')),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(commits).toHaveLength(1);
    const { items } = await storage.peek({ queue, state: 'all', limit: 10, now });
    expect(items.map(({ body }) => Buffer.from(body).toString())).toEqual(['before', 'after']);
  });

  it('fails a request that breaks alone, and leaves nothing of it', async () => {
    const broken = { ...draftOf('half'), contentType: Symbol('no text') as never };
    const outcomes = await Promise.allSettled([
      storage.send(send('before')),
      storage.send({ queue, drafts: [draftOf('stored and rolled back'), broken], isAtomic: false, now }),
      storage.send(send('after')),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const { items } = await storage.peek({ queue, state: 'all', limit: 10, now });
    expect(items.map(({ body }) => Buffer.from(body).toString())).toEqual(['before', 'after']);
    expect(await storage.audit({ now })).toEqual([]);
  });

  it('refuses more than may wait, before accepting it', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: limits.writerPendingRequestsMax + 1 }, () =>
        storage.receive({ queue, limit: 1, bytesMax: 1, now }),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1);
    expect(outcomes.at(-1)).toMatchObject({ reason: { data: { fault: 'overloaded' } } });
  });

  it('finishes what waits when it is closed, and refuses what comes later', async () => {
    const sent = storage.send(send('in time'));
    const closed = storage.close();
    await expect(storage.send(send('too late'))).rejects.toMatchObject({ data: { fault: 'shuttingDown' } });
    await expect(sent).resolves.toHaveLength(1);
    await closed;
    storage = await openSqlite({ directory: ':memory:', ids: countingIds(), log: recordingLog(), now });
  });
});

describe('the store', () => {
  let store: Store;
  beforeEach(() => {
    store = openStore({ directory: ':memory:', ids: countingIds(), now });
  });
  afterEach(() => store.close());

  const run = (...requests: readonly unknown[]) => store.run(requests as readonly Request[]);
  const put = { name: 'putQueue', ask: { queue, kind: 'standard', settings: {}, now } };
  const receive = { name: 'receive', ask: { queue, limit: 10, bytesMax: 1_000_000, now } };
  const sending = (body: string) => ({ name: 'send', ask: send(body) });
  const commitNumber = () => store.db.prepare('select commit_number from engine_state').pluck().get();

  it('writes nothing for a receive that finds nothing', () => {
    run(put);
    const before = commitNumber();
    run(receive);
    expect(commitNumber()).toBe(before);
    run(sending('x'));
    expect(commitNumber()).toBe(Number(before) + 1);
  });

  it('prepares its statements once', () => {
    run(put);
    const prepare = store.db.prepare.bind(store.db);
    let prepared = 0;
    store.db.prepare = ((sql: string) => {
      prepared += 1;
      return prepare(sql);
    }) as typeof store.db.prepare;
    run(sending('a'), receive, sending('b'), { name: 'upkeep', ask: { now } });
    expect(prepared).toBe(0);
  });

  it('tells waiters of a send although its neighbour broke', () => {
    run(put);
    const broken = { ...draftOf('x'), contentType: Symbol('no text') as never };
    const breaking = { name: 'send', ask: { queue, drafts: [broken], isAtomic: false, now } };
    const { outcomes, ready } = run(sending('good'), breaking);
    expect(outcomes.map(({ does }) => does)).toEqual(['value', 'break']);
    expect(ready).toMatchObject([{ count: 1 }]);
  });

  it('gives out as much as it may although it gave out the same before a neighbour broke', () => {
    run(put);
    const drafts = Array.from({ length: 5 }, () => draftOf('x'.repeat(1_000_000)));
    run({ name: 'send', ask: { queue, drafts, isAtomic: false, now } });
    const broken = { ...draftOf('x'), contentType: Symbol('no text') as never };
    const breaking = { name: 'send', ask: { queue, drafts: [broken], isAtomic: false, now } };
    const all = { ...receive, ask: { ...receive.ask, bytesMax: limits.receiveBytesMax } };
    expect(run(all, breaking).outcomes.map(({ does }) => does)).toEqual(['value', 'break']);
  });

  it('counts what a queue holds as before, when what was counted was rolled back', () => {
    const limited = { maxMessages: 2 };
    run({ ...put, ask: { ...put.ask, settings: limited } });
    const broken = { ...draftOf('x'), contentType: Symbol('no text') as never };
    const breaking = { name: 'send', ask: { queue, drafts: [broken], isAtomic: false, now } };
    run(sending('first'), breaking);
    const [second, third] = [run(sending('second')), run(sending('third'))];
    expect(second.outcomes).toMatchObject([{ value: [{ isDuplicate: false }] }]);
    expect(third.outcomes).toMatchObject([{ value: [{ fault: 'queueFull' }] }]);
  });

  it('refuses sends when the file cannot grow, goes on receiving and deleting, and recovers', () => {
    run(put, sending('first'));
    const pages = Number(store.db.pragma('page_count', { simple: true }));
    store.db.pragma(`max_page_count = ${pages}`);
    const answers = Array.from({ length: 200 }, () => run(sending('y'.repeat(900)), receive));
    const full = answers.find(({ isFull }) => isFull);
    expect(full?.outcomes[0]).toEqual({ does: 'refuse', fault: { fault: 'storageFull', facts: {} } });
    expect(full?.outcomes[1]).toMatchObject({ does: 'value' });
    expect(run(put).outcomes[0]).toMatchObject({ does: 'refuse', fault: { fault: 'storageFull' } });
    store.db.pragma(`max_page_count = ${pages * 100}`);
    const later = instant(now + 1_000);
    expect(run({ name: 'send', ask: { ...send('again'), now: later } }).outcomes[0]).toMatchObject({ does: 'value' });
  });
});

describe('a limit of the data’s size', () => {
  it('refuses sends at the limit and takes them again when messages were deleted', async () => {
    const storage = await openSqlite({
      directory: ':memory:',
      ids: countingIds(),
      log: recordingLog(),
      now,
      dataBytesMax: 1_000_000,
    });
    await storage.putQueue({ queue, kind: 'standard', settings: {}, now });
    const body = 'z'.repeat(100_000);
    const send10 = () =>
      Promise.allSettled(Array.from({ length: 20 }, () => storage.send(send(body)).then(() => 'sent')));
    // Each turn is a commit of its own, so the limit is met between commits.
    for (let i = 0; i < 20; i += 1) await Promise.allSettled([storage.send(send(body))]);
    const refused = await send10();
    expect(refused.every(({ status }) => status === 'rejected')).toBe(true);
    expect(refused[0]).toMatchObject({ reason: { data: { fault: 'storageFull' } } });
    const { messages } = await storage.receive({ queue, limit: 100, bytesMax: 100_000_000, now });
    const settlements = messages.map(({ receipt }) => ({ does: 'delete', receipt }) as const);
    await storage.settle({ queue, settlements, now });
    await expect(storage.send(send(body))).resolves.toHaveLength(1);
    await storage.close();
  });
});
