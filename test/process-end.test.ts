import { describe, expect, it } from 'vitest';
import { limits } from '../src/domain/limits.ts';
import { watchWriter } from '../src/process-end.ts';
import { manualClock } from './support/clock.ts';

describe('the watch over the writer', () => {
  it('tells once when it has been silent for longer than the limit, and not before', async () => {
    const clock = manualClock();
    const told: string[] = [];
    let silentSince = 0;
    watchWriter(
      clock,
      () => clock.elapsedMs() - silentSince,
      ({ message }) => told.push(message),
    );
    await clock.advance({ seconds: limits.writerSilentSecondsMax });
    expect(told).toEqual([]);
    // It answered: the time begins anew.
    silentSince = clock.elapsedMs();
    await clock.advance({ seconds: limits.writerSilentSecondsMax });
    expect(told).toEqual([]);
    await clock.advance({ seconds: 100 });
    expect(told).toEqual(['The writer has not answered for 31000 ms.']);
  });

  it('ends', async () => {
    const clock = manualClock();
    watchWriter(
      clock,
      () => 0,
      () => undefined,
    )();
    expect(clock.timerCount()).toBe(0);
  });
});
