/** What a client of the load generator does when it finds nothing. */
import { describe, expect, it } from 'vitest';
import { finder } from '../../bench/scripts.ts';

describe('a receive that finds nothing', () => {
  it('is a failure where none may', () => {
    expect(() => finder()(0)).toThrow('found the queue empty');
  });

  it('is made again so many times in a row, and no more', () => {
    const isFound = finder(2);
    expect([isFound(0), isFound(0), isFound(1), isFound(0), isFound(0)]).toEqual([false, false, true, false, false]);
    expect(() => isFound(0)).toThrow('found the queue empty');
  });
});
