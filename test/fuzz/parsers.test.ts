/** What holds for every parser, at the size of every change; test/deep/fuzz.test.ts does the same at length. */
import { describe, it } from 'vitest';
import { neverBreaks, neverHangs, parsers } from './parsers.ts';

describe('whatever it is given, the parser', () => {
  const seed = 1;
  it.each(parsers)('of $name reads it or refuses it, in bounded time', async (parser) => {
    await neverBreaks(parser, { seed, numRuns: 300 });
    await neverHangs(parser, seed);
  });
});
