/** Waiting beside others: the writer is not asked in vain, and nobody misses a message for it. */
import { afterEach, describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker/broker.ts';
import type { AnswerRoom } from '../../src/broker/messages.ts';
import { Fault } from '../../src/domain/errors.ts';
import { noAttributes } from '../../src/domain/message.ts';
import { defaultAccount, openPrincipal } from '../../src/domain/principal.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { manualClock } from '../support/clock.ts';
import { countingIds } from '../support/ids.ts';
import { recordingLog } from '../support/log.ts';

const principal = openPrincipal(defaultAccount);
const name = QueueName.parse('orders');

const open: Storage[] = [];
afterEach(async () => {
  for (const storage of open.splice(0)) await storage.close();
});

async function bench() {
  const clock = manualClock();
  const ids = countingIds();
  const log = recordingLog();
  const engine = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  open.push(engine);
  const asked = { receives: 0 };
  const storage: Storage = {
    ...engine,
    receive(ask) {
      asked.receives += 1;
      return engine.receive(ask);
    },
  };
  const broker = createBroker({ storage, clock, ids, log });
  await broker.keys.load();
  const create = () => broker.queues.put(principal, name, { kind: 'standard', settings: {} });
  await create();
  const send = (body: string, delaySeconds?: number) =>
    broker.messages.send(principal, name, [
      { body: Buffer.from(body), contentType: 'text/plain', attributes: noAttributes, delaySeconds },
    ]);
  const wait = (room?: AnswerRoom) =>
    broker.messages
      .receive(principal, name, { max: 1, waitSeconds: 20, room })
      .then((messages) => messages.map(({ body }) => Buffer.from(body).toString()));
  /** So many waiters stand in line. */
  const line = async (count: number) => {
    const waiters = Array.from({ length: count }, () => wait());
    await clock.advance({});
    expect(broker.waiters.count()).toBe(count);
    return waiters;
  };
  return { broker, clock, asked, create, send, wait, line };
}

describe('a long poll where others wait', () => {
  it('does not ask the writer while there is nothing to have', async () => {
    const { asked, line, clock, wait, broker } = await bench();
    const [first] = await line(1);
    const before = asked.receives;
    const others = Array.from({ length: 50 }, () => wait());
    await clock.advance({});
    expect(broker.waiters.count()).toBe(51);
    expect(asked.receives).toBe(before);
    await clock.advance({ seconds: 20 });
    expect(await Promise.all([first, ...others])).toEqual(Array(51).fill([]));
  });

  it('gets what is sent, one message each, and what becomes visible later', async () => {
    const { line, send, clock } = await bench();
    const three = await line(3);
    await send('now');
    await send('in a second', 1);
    await clock.advance({ seconds: 1 });
    await send('last');
    expect((await Promise.all(three)).flat().sort()).toEqual(['in a second', 'last', 'now']);
  });

  it('takes a message that is there although others stand in line', async () => {
    const { line, send, wait, clock } = await bench();
    const [first] = await line(1);
    const second = wait();
    await send('a');
    await send('b');
    await clock.advance({});
    expect((await Promise.all([first, second])).flat().sort()).toEqual(['a', 'b']);
  });

  it('leaves a message for which it has no room to the next in line, as if it had not had it', async () => {
    const { broker, clock, send, wait } = await bench();
    const full = wait({ freeBytes: () => 0, isFull: () => false, hold: () => Fault.of('overloaded', {}) });
    const refused = expect(full).rejects.toMatchObject({ data: { fault: 'overloaded' } });
    await clock.advance({});
    const heldBytes: number[] = [];
    const next = wait({ freeBytes: () => 0, isFull: () => false, hold: (bytes) => void heldBytes.push(bytes) });
    await clock.advance({});
    await send('a');
    await refused;
    expect(await next).toEqual(['a']);
    expect(heldBytes).toEqual([1]);
    const { items } = await broker.messages.peek(principal, name, { state: 'all', limit: 10 });
    expect(items).toMatchObject([{ receiveCount: 1 }]);
  });

  it('is not asked for at all where not even a small answer has room', async () => {
    const { asked, send, wait } = await bench();
    await send('a');
    const full = wait({ freeBytes: () => 0, isFull: () => true, hold: () => undefined });
    await expect(full).rejects.toMatchObject({ data: { fault: 'overloaded' } });
    expect(asked.receives).toBe(0);
    expect(await wait()).toEqual(['a']);
  });

  it('waits for the queue that has the name now, when it was deleted and made again', async () => {
    const { broker, create, line, send } = await bench();
    const [old] = await line(1);
    await broker.queues.delete(principal, name);
    await expect(old).rejects.toMatchObject({ data: { fault: 'queueNotFound' } });
    await create();
    const [next] = await line(1);
    await send('to the new one');
    expect(await next).toEqual(['to the new one']);
  });

  it('goes over to the queue that has the name now, when that took one commit', async () => {
    const { broker, clock, create, line, send } = await bench();
    const [waiting] = await line(1);
    await Promise.all([broker.queues.delete(principal, name), create()]);
    await clock.advance({});
    await send('to the new one');
    expect(await waiting).toEqual(['to the new one']);
  });
});
