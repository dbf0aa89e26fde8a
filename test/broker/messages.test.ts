/** Receives: nothing stays hidden for a client that has left, and what goes wrong silently is said. */
import { afterEach, expect, it } from 'vitest';
import { type Broker, createBroker } from '../../src/broker/broker.ts';
import type { Keys } from '../../src/broker/keys.ts';
import { createMessages, type Messages } from '../../src/broker/messages.ts';
import { createWaiters } from '../../src/broker/waiters.ts';
import { Fault } from '../../src/domain/errors.ts';
import { noAttributes } from '../../src/domain/message.ts';
import { defaultAccount, openPrincipal } from '../../src/domain/principal.ts';
import { kindOfName } from '../../src/domain/queue.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import { receiptSeal } from '../../src/domain/receipt-handle.ts';
import type { ReceiveAnswer, Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { type ManualClock, manualClock } from '../support/clock.ts';
import { countingIds } from '../support/ids.ts';
import { type RecordingLog, recordingLog } from '../support/log.ts';

const principal = openPrincipal(defaultAccount);

type Bench = {
  readonly broker: Broker;
  readonly storage: Storage;
  readonly clock: ManualClock;
  readonly log: RecordingLog;
  readonly name: QueueName;
  readonly send: (body: string) => Promise<unknown>;
  /** The bodies of one receive, and the signal that ends it. */
  readonly receive: (options?: { waitSeconds?: number; attemptId?: string; max?: number }) => {
    readonly bodies: Promise<readonly string[]>;
    readonly leave: () => void;
  };
  /** How often the messages were received, as far as the queue knows. */
  readonly receiveCounts: () => Promise<readonly number[]>;
};

const open: { readonly storage: Storage; readonly clock: ManualClock }[] = [];
afterEach(async () => {
  for (const { storage, clock } of open.splice(0)) {
    expect(await storage.audit({ now: clock.now() })).toEqual([]);
    await storage.close();
  }
});

/** @param onReceived told of each receive that found messages, before the broker is */
async function bench(queue = 'orders', onReceived: (answer: ReceiveAnswer) => void = () => undefined): Promise<Bench> {
  const clock = manualClock();
  const ids = countingIds();
  const log = recordingLog();
  const engine = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  open.push({ storage: engine, clock });
  const storage: Storage = {
    ...engine,
    async receive(ask) {
      const answer = await engine.receive(ask);
      if (answer.messages.length > 0) onReceived(answer);
      return answer;
    },
  };
  const broker = createBroker({ storage, clock, ids, log });
  await broker.keys.load();
  const name = QueueName.parse(queue);
  await broker.queues.put(principal, name, { kind: kindOfName(name), settings: {} });
  return {
    broker,
    storage,
    clock,
    log,
    name,
    send(body) {
      const fifo = kindOfName(name) === 'fifo' ? { groupId: 'g', deduplicationId: body } : {};
      const draft = { body: Buffer.from(body), contentType: 'text/plain', attributes: noAttributes, ...fifo };
      return broker.messages.send(principal, name, [draft]);
    },
    receive({ waitSeconds = 0, max = 10, attemptId } = {}) {
      const controller = new AbortController();
      const options = { max, waitSeconds, attemptId, signal: controller.signal };
      const held = broker.messages.receive(principal, name, options);
      const bodies = held.then((messages) => messages.map(({ body }) => Buffer.from(body).toString()));
      return { bodies, leave: () => controller.abort() };
    },
    async receiveCounts() {
      const page = await broker.messages.peek(principal, name, { state: 'available', limit: 100 });
      return page.items.map(({ receiveCount }) => receiveCount);
    },
  };
}

it('receives nothing for a client that has gone already', async () => {
  let received = 0;
  const { send, name, broker } = await bench('orders', () => {
    received += 1;
  });
  await send('a');
  const signal = AbortSignal.abort();
  expect(await broker.messages.receive(principal, name, { max: 1, waitSeconds: 20, signal })).toEqual([]);
  expect(received).toBe(0);
});

it('gives back what it received at once for a client that left meanwhile', async () => {
  const { send, receive, receiveCounts } = await bench();
  await send('a');
  await send('b');
  const { bodies, leave } = receive();
  leave();
  expect(await bodies).toEqual([]);
  expect(await receiveCounts()).toEqual([0, 0]);
  expect(await receive().bodies).toEqual(['a', 'b']);
});

it('gives the message of a wait whose client left to the next who waits, without time passing', async () => {
  let leaveFirst: () => void = () => undefined;
  const { send, receive, clock, broker } = await bench('orders', () => leaveFirst());
  const first = receive({ waitSeconds: 20 });
  await clock.advance({});
  const second = receive({ waitSeconds: 20 });
  await clock.advance({});
  expect(broker.waiters.count()).toBe(2);
  leaveFirst = () => {
    leaveFirst = () => undefined;
    first.leave();
  };
  await send('a');
  expect(await first.bodies).toEqual([]);
  expect(await second.bodies).toEqual(['a']);
});

it('hands on the ring of a waiter who was rung and left before it looked', async () => {
  const { send, receive, clock, storage } = await bench();
  const first = receive({ waitSeconds: 20 });
  await clock.advance({});
  const second = receive({ waitSeconds: 20 });
  await clock.advance({});
  // After the broker's own listener, which has rung the first in line by then.
  storage.onReady(() => first.leave());
  await send('a');
  expect(await first.bodies).toEqual([]);
  expect(await second.bodies).toEqual(['a']);
});

it('gives back what finds no room, before it says so', async () => {
  const { send, name, broker, receive, receiveCounts } = await bench();
  await send('a');
  const room = { freeBytes: () => 1, isFull: () => false, hold: () => Fault.of('overloaded', {}) };
  const refused = broker.messages.receive(principal, name, { max: 10, room });
  await expect(refused).rejects.toMatchObject({ data: { fault: 'overloaded' } });
  expect(await receiveCounts()).toEqual([0]);
  expect(await receive().bodies).toEqual(['a']);
});

it('lets a client that left use its attempt id again', async () => {
  const { send, receive } = await bench('orders.fifo');
  await send('a');
  const { bodies, leave } = receive({ attemptId: 'x' });
  leave();
  expect(await bodies).toEqual([]);
  expect(await receive({ attemptId: 'x' }).bodies).toEqual(['a']);
});

it('leaves the messages of a repeated attempt with who may have had them first', async () => {
  const { send, receive, receiveCounts } = await bench('orders.fifo');
  await send('a');
  expect(await receive({ attemptId: 'x' }).bodies).toEqual(['a']);
  const { bodies, leave } = receive({ attemptId: 'x' });
  leave();
  await bodies;
  expect(await receiveCounts()).toEqual([]);
  expect(await receive({ attemptId: 'x' }).bodies).toEqual(['a']);
});

it('gives those who wait under one attempt id the same messages', async () => {
  const { send, receive, clock } = await bench('orders.fifo');
  const both = [receive({ waitSeconds: 20, attemptId: 'x' }), receive({ waitSeconds: 20, attemptId: 'x' })];
  await clock.advance({});
  await Promise.all([send('a'), send('b')]);
  expect(await Promise.all(both.map(({ bodies }) => bodies))).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
});

/** Messages of somebody whose key is looked at by the test. */
const messagesWith = ({ storage, clock, log }: Bench, keys: Pick<Keys, 'watch' | 'requireInForce'>): Messages => {
  const seal = receiptSeal(storage.sealSecret);
  return createMessages({ storage, clock, log, waiters: createWaiters(clock), seal, keys });
};

it('does not let wait whose key has ended since it was looked at', async () => {
  const own = await bench();
  const requireInForce = () => {
    throw Fault.of('credentialsInvalid', {});
  };
  const messages = messagesWith(own, { requireInForce, watch: () => () => undefined });
  const waiting = messages.receive(principal, own.name, { max: 1, waitSeconds: 20 });
  await expect(waiting).rejects.toMatchObject({ data: { fault: 'credentialsInvalid' } });
});

it('watches the key of a waiter for as long as it waits', async () => {
  const own = await bench();
  const { clock, name } = own;
  let watchCount = 0;
  const messages = messagesWith(own, {
    requireInForce: () => undefined,
    watch() {
      watchCount += 1;
      return () => {
        watchCount -= 1;
      };
    },
  });
  const waiting = messages.receive(principal, name, { max: 1, waitSeconds: 20 });
  await clock.advance({});
  expect(watchCount).toBe(1);
  await clock.advance({ seconds: 20 });
  expect(await waiting).toEqual([]);
  expect(watchCount).toBe(0);
});

it('says once per hour that the dead-letter queue of a queue is gone, and delivers all the same', async () => {
  const { broker, clock, log, name, send, receive } = await bench();
  const dlq = QueueName.parse('dead');
  await broker.queues.put(principal, dlq, { kind: 'standard', settings: {} });
  await broker.queues.update(principal, name, { settings: { deadLetter: { queue: dlq, maxReceiveCount: 1 } } });
  await send('a');
  expect(await receive().bodies).toEqual(['a']);
  await broker.queues.delete(principal, dlq);
  for (let hours = 0; hours < 2; hours += 1) {
    for (let again = 0; again < 3; again += 1) {
      await clock.advance({ seconds: 31 });
      expect(await receive().bodies).toEqual(['a']);
    }
    expect(log.lines.filter(({ level }) => level >= 40)).toHaveLength(hours + 1);
    await clock.advance({ seconds: 3_600 });
  }
  expect(log.lines.at(-1)).toMatchObject({ level: 40, queue: 'orders', deadLetterQueue: 'dead' });
});

it('says nothing while nothing has been received too often', async () => {
  const { broker, log, name, send, receive } = await bench();
  const dlq = QueueName.parse('dead');
  await broker.queues.put(principal, dlq, { kind: 'standard', settings: {} });
  await broker.queues.update(principal, name, { settings: { deadLetter: { queue: dlq, maxReceiveCount: 2 } } });
  await broker.queues.delete(principal, dlq);
  await send('a');
  expect(await receive().bodies).toEqual(['a']);
  expect(log.lines).toEqual([]);
});
