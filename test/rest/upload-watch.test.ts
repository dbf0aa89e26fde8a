import { describe, expect, it } from 'vitest';
import { watchUpload } from '../../src/rest/lines.ts';
import { manualClock } from '../support/clock.ts';

describe('the watch over an upload', () => {
  function watched() {
    const clock = manualClock();
    const watch = watchUpload(clock);
    let stalls = 0;
    watch.waiting(() => {
      stalls += 1;
    });
    return { clock, watch, stalls: () => stalls };
  }

  it('tells who waits when nothing moves for half a minute', async () => {
    const { clock, stalls } = watched();
    await clock.advance({ seconds: 29 });
    expect(stalls()).toBe(0);
    await clock.advance({ seconds: 1 });
    expect(stalls()).toBe(1);
  });

  it('tells nothing while bytes move, or while nobody waits', async () => {
    const { clock, watch, stalls } = watched();
    watch.moved(1_024);
    await clock.advance({ seconds: 59 });
    expect(stalls()).toBe(0);
    watch.waiting(undefined);
    await clock.advance({ seconds: 60 });
    expect(stalls()).toBe(0);
  });

  it('leaves no timer when it has ended', () => {
    const { clock, watch } = watched();
    watch.end();
    expect(clock.timerCount()).toBe(0);
  });
});
