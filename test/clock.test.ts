import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '../src/clock.ts';
import { instant, secondsAfter } from '../src/domain/instant.ts';

describe('the clock of the machine', () => {
  it('never sets a timer longer than Node can, however far the instant', () => {
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const clock = systemClock(instant(0));
    for (const days of [24, 25, 50, 36_500]) clock.at(secondsAfter(clock.now(), days * 86_400), () => undefined)();
    const delays = timers.mock.calls.map(([, ms]) => ms ?? 0);
    timers.mockRestore();
    expect(delays).toHaveLength(4);
    expect(Math.max(...delays)).toBe(2 ** 31 - 1);
    expect(Math.min(...delays)).toBeGreaterThan(23 * 86_400_000);
  });

  it('does not start before what the data know', () => {
    const later = secondsAfter(systemClock(instant(0)).now(), 3_600);
    expect(systemClock(later).now()).toBeGreaterThanOrEqual(later);
  });
});
