/** The bound of messages in flight: at it and one past it. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import { memoryEngine } from '../../support/sqlite.ts';
import { expectRejection, nth, trialsOf } from '../../support/storage.ts';

describe('messages in flight', () => {
  const trial = trialsOf(memoryEngine);

  it('are handed out up to the bound, refused past it, and again when one was deleted or its timeout ended', async () => {
    const t = await trial();
    await t.put('orders');
    const count = limits.inFlightPerQueueMax + 1_000;
    const thousand = Array.from({ length: 1_000 }, () => 'x');
    for (let sent = 0; sent < count; sent += 1_000) await t.send('orders', ...thousand);
    const receives = async (times: number, limit: number) => {
      for (let i = 0; i < times; i += 1) expect(await t.receive('orders', { limit })).toHaveLength(limit);
    };
    await receives(limits.inFlightPerQueueMax / 100 - 1, 100);
    await receives(1, 60);
    t.advance(1);
    // Room for 40 more: a receive of 100 gets just these.
    const last = await t.receive('orders', { limit: 100 });
    expect(last).toHaveLength(40);
    await expectRejection(t.look('orders', { limit: 1 }), 'tooManyInFlight');
    expect(await t.counts('orders')).toEqual([1_000, limits.inFlightPerQueueMax, 0]);

    await t.delete('orders', nth(last));
    expect(await t.receive('orders', { limit: 5 })).toHaveLength(1);
    t.advance(29);
    expect((await t.receive('orders', { limit: 100 })).length).toBe(100);
  });
});
