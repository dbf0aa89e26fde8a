/** Who waits in line, and who is rung: no ring is lost, none goes to the same one again and again, no timer is left. */
import { describe, expect, it } from 'vitest';
import { createWaiters, type Waiter } from '../../src/broker/waiters.ts';
import { type Instant, secondsAfter } from '../../src/domain/instant.ts';
import { limits } from '../../src/domain/limits.ts';
import { manualClock } from '../support/clock.ts';

const queueId = 7;

function setUp() {
  const clock = manualClock();
  const waiters = createWaiters(clock);
  const deadline = secondsAfter(clock.now(), 20);
  const rungs: string[] = [];
  return {
    clock,
    waiters,
    rungs,
    ring: (count = 1, at: Instant = clock.now()) => waiters.ring({ queueId, at, count }),
    /** Waits once, and notes by name what ended it. */
    waits(waiter: Waiter, name: string): void {
      void waiter.rung(deadline).then((why) => rungs.push(why === 'rung' ? name : `${name} over`));
    },
    join: (signal?: AbortSignal) => waiters.join(queueId, signal),
  };
}

const refusal = (join: () => unknown): unknown => {
  try {
    return join();
  } catch (error) {
    return error;
  }
};

describe('a waiter', () => {
  it('is rung while it still looks, and hears of it when it waits', async () => {
    const { join, ring, waits, rungs, clock } = setUp();
    const waiter = join();
    ring();
    waits(waiter, 'a');
    await clock.advance({});
    expect(rungs).toEqual(['a']);
  });

  it('that was rung while it looked and leaves hands the ring on', async () => {
    const { join, ring, waits, rungs, clock } = setUp();
    const [first, second] = [join(), join()];
    waits(second, 'second');
    ring();
    first.leave();
    await clock.advance({});
    expect(rungs).toEqual(['second']);
  });

  it('that was rung stands behind the others from then on', async () => {
    const { join, ring, waits, rungs, clock } = setUp();
    const [a, b] = [join(), join()];
    waits(a, 'a');
    waits(b, 'b');
    ring();
    await clock.advance({});
    waits(a, 'a again');
    ring();
    ring();
    await clock.advance({});
    expect(rungs).toEqual(['a', 'b', 'a again']);
  });

  it('is rung once for each message, and all are when the queue is gone', async () => {
    const { join, ring, waits, rungs, clock } = setUp();
    for (const name of ['a', 'b', 'c', 'd', 'e']) waits(join(), name);
    ring(2);
    await clock.advance({});
    expect(rungs).toEqual(['a', 'b']);
    ring(0);
    await clock.advance({});
    expect(rungs).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('is rung when the first of several messages becomes visible, in whatever order they are told', async () => {
    const { join, ring, waits, rungs, clock } = setUp();
    waits(join(), 'a');
    waits(join(), 'b');
    for (const seconds of [9, 3, 6]) ring(1, secondsAfter(clock.now(), seconds));
    await clock.advance({ ms: 2_999 });
    expect(rungs).toEqual([]);
    await clock.advance({ ms: 1 });
    expect(rungs).toEqual(['a']);
  });

  it('is over at its deadline, when its client goes, and when the server stops; none begins to wait then', async () => {
    const { join, waits, rungs, clock, waiters } = setUp();
    const controller = new AbortController();
    waits(join(controller.signal), 'gone');
    waits(join(), 'stopped');
    controller.abort();
    await clock.advance({});
    waiters.close();
    await clock.advance({});
    waits(join(), 'late');
    await clock.advance({});
    expect(rungs).toEqual(['gone over', 'stopped over', 'late over']);
  });

  it('leaves no line and no timer behind', () => {
    const { join, ring, clock, waiters } = setUp();
    const all = [join(), join()];
    ring(1, secondsAfter(clock.now(), 5));
    expect([waiters.count(), waiters.areIn(queueId), clock.timerCount()]).toEqual([2, true, 1]);
    for (const waiter of all) waiter.leave();
    for (const waiter of all) waiter.leave();
    expect([waiters.count(), waiters.areIn(queueId), clock.timerCount()]).toEqual([0, false, 0]);
  });
});

describe('a line', () => {
  it('takes as many as may wait for one queue, and lets one in when one has left', () => {
    const { join, waiters } = setUp();
    const all = Array.from({ length: limits.waitersPerQueueMax }, () => join());
    const tooMany = { data: { fault: 'tooManyWaiters', facts: { countMax: limits.waitersPerQueueMax } } };
    expect(refusal(join)).toMatchObject(tooMany);
    expect(waiters.count()).toBe(limits.waitersPerQueueMax);
    all[0]?.leave();
    join();
    expect(refusal(join)).toMatchObject(tooMany);
  });

  it('takes as many as may wait in all', () => {
    const { waiters } = setUp();
    for (let i = 0; i < limits.waitersMax; i += 1) waiters.join(i % 3);
    expect(refusal(() => waiters.join(9))).toMatchObject({
      data: { fault: 'tooManyWaiters', facts: { countMax: limits.waitersMax } },
    });
    expect(waiters.areIn(9)).toBe(false);
  });
});
