/** The parsers at length: more texts, from a new seed each time, which is printed; SLUICE_FUZZ_SEED gives one again. */
import { describe, it } from 'vitest';
import { neverBreaks, parsers } from '../fuzz/parsers.ts';
import { sizeOf } from '../support/sizes.ts';

describe('whatever it is given, the parser', () => {
  const seed = Number(process.env.SLUICE_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed}`);
  it.each(parsers)('of $name reads it or refuses it', (parser) =>
    neverBreaks(parser, { seed, numRuns: sizeOf('textsOfParser') }),
  );
});
