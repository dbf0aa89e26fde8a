/** Texts as they leave: in one piece with their head when they are short, as bytes when they are long. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { departing } from '../../src/http/text.ts';

const longest = limits.answerUncountedBytesMax;

describe('a text that leaves', () => {
  it('stays a text up to a length', () => {
    expect(departing('x'.repeat(longest), '\n')).toBe(`${'x'.repeat(longest)}\n`);
  });

  it.each([
    ['ASCII', 'x'.repeat(longest + 1)],
    ['letters of two bytes', 'ü'.repeat(longest + 1)],
    ['letters of three and four bytes', '€😀'.repeat(longest)],
    ['lone surrogates', `${'x'.repeat(longest)}\ud800`],
  ])('becomes bytes past it, the same and with the same end: %s', (_what, text) => {
    expect(departing(text, '\n')).toEqual(Buffer.from(`${text}\n`));
    expect(departing(text)).toEqual(Buffer.from(text));
  });
});
