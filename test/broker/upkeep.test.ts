/** The loop of upkeep: it goes on whatever happens, is early when something is expected, and stops between two slices. */
import { describe, expect, it } from 'vitest';
import { createUpkeep } from '../../src/broker/upkeep.ts';
import { type Instant, secondsAfter } from '../../src/domain/instant.ts';
import { limits } from '../../src/domain/limits.ts';
import type { Storage, UpkeepAnswer } from '../../src/storage/port.ts';
import { manualClock } from '../support/clock.ts';
import { recordingLog } from '../support/log.ts';

const idle: UpkeepAnswer = { nextAt: null, expiredCount: 0 };

/** @param slice what storage does when it is asked; asked again and again */
function setUp(slice: (now: Instant) => UpkeepAnswer | Promise<UpkeepAnswer>) {
  const clock = manualClock();
  const log = recordingLog();
  const start = clock.now();
  /** Seconds after the start at which storage was asked. */
  const asked: number[] = [];
  const storage = {
    async upkeep({ now }: { now: Instant }) {
      asked.push((now - start) / 1_000);
      return slice(now);
    },
  } as Storage;
  return { clock, log, asked, upkeep: createUpkeep({ storage, clock, log }) };
}

/** A slice that lasts until it is told to end. */
function longSlice() {
  let end: (answer: UpkeepAnswer) => void = () => undefined;
  const slice = () =>
    new Promise<UpkeepAnswer>((resolve) => {
      end = resolve;
    });
  return { slice, end: () => end(idle) };
}

describe('upkeep', () => {
  it('comes when something is due, and once a minute when nothing is', async () => {
    const { clock, asked, upkeep } = setUp((now) =>
      asked.length === 1 ? { ...idle, nextAt: secondsAfter(now, 7) } : idle,
    );
    upkeep.start();
    await clock.advance({ seconds: 70 });
    expect(asked).toEqual([0, 7, 7 + limits.upkeepSleepMsMax / 1_000]);
    await upkeep.stop();
  });

  it('says that it failed, and tries again a second later', async () => {
    const { clock, asked, log, upkeep } = setUp(() => {
      if (asked.length < 3) throw new Error('no disk');
      return idle;
    });
    upkeep.start();
    await clock.advance({ seconds: 30 });
    expect(asked).toEqual([0, 1, 2]);
    expect(log.lines.map(({ msg }) => msg)).toEqual(['upkeep failed', 'upkeep failed']);
    await upkeep.stop();
  });

  it('comes earlier when something is expected earlier, also while it is at work', async () => {
    const { slice, end } = longSlice();
    const { clock, asked, upkeep } = setUp(() => (asked.length === 2 ? slice() : idle));
    upkeep.start();
    await clock.advance({});
    upkeep.expect(secondsAfter(clock.now(), 9));
    upkeep.expect(secondsAfter(clock.now(), 5));
    await clock.advance({ seconds: 5 });
    expect(asked).toEqual([0, 5]);
    upkeep.expect(secondsAfter(clock.now(), 8));
    upkeep.expect(secondsAfter(clock.now(), 3));
    upkeep.expect(secondsAfter(clock.now(), 6));
    end();
    await clock.advance({ seconds: 3 });
    expect(asked).toEqual([0, 5, 8]);
    await upkeep.stop();
  });

  it('stops after the slice in hand, and comes no more', async () => {
    const { slice, end } = longSlice();
    const { clock, asked, upkeep } = setUp(slice);
    upkeep.start();
    await clock.advance({});
    let hasStopped = false;
    const stopped = upkeep.stop().then(() => {
      hasStopped = true;
    });
    await clock.advance({ seconds: 1 });
    expect(hasStopped).toBe(false);
    end();
    await stopped;
    upkeep.expect(clock.now());
    await clock.advance({ seconds: 600 });
    expect(asked).toEqual([0]);
    expect(clock.timerCount()).toBe(0);
  });
});
