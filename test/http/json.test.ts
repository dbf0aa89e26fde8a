import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../src/domain/errors.ts';
import { isEmbeddable, readJson } from '../../src/http/json.ts';

/** JSON values that are within all bounds and hold no poisoned names. */
const value = fc
  .jsonValue({ maxDepth: 5 })
  .filter(
    (candidate) =>
      !/"(?:__proto__|constructor)"/.test(JSON.stringify(candidate)) && !JSON.stringify(candidate).includes('-0'),
  );
/** Blanks that may stand between tokens. */
const blank = fc.constantFrom('', ' ', '\n', '\t\r\n ');

describe('JSON from outside', () => {
  it('reads as JSON.parse does', () => {
    fc.assert(
      fc.property(value, (expected) => {
        const text = JSON.stringify(expected);
        expect(readJson(Buffer.from(text)).value).toEqual(JSON.parse(text));
      }),
    );
  });

  it('tells the text of each body as it was written', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value, blank), { minLength: 1, maxLength: 5 }), (entries) => {
        const bodies = entries.map(([body]) => JSON.stringify(body));
        const messages = entries.map(
          ([, other, space], i) =>
            `{${space}"a":${JSON.stringify(other)},${space}"body"${space}:${space}${bodies[i]}${space}}`,
        );
        const { bodyText } = readJson(Buffer.from(`{"messages":[${messages.join(',')}]}`), 'messages');
        expect(entries.map((_, i) => bodyText(i))).toEqual(bodies);
      }),
    );
  });

  it('refuses anything else as a fault and never breaks', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      'a',
      '1',
      '-0',
      'null',
      '"body"',
      '"messages"',
      ' ',
      '\u0000',
      '\\u0022',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces).map((parts) => Buffer.from(parts.join(''))),
          fc.uint8Array().map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          try {
            JSON.parse(JSON.stringify(readJson(bytes, 'messages').value));
          } catch (error) {
            expect(error).toBeInstanceOf(Fault);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('takes bounded time for hostile text', () => {
    const hostile = [
      '"'.repeat(1_000_000),
      '\\'.repeat(1_000_000),
      `"${'\\'.repeat(1_000_001)}"`,
      '{"a":'.repeat(200_000),
      '[,'.repeat(500_000),
    ];
    for (const text of hostile) expect(() => readJson(Buffer.from(text))).toThrow(Fault);
  });
});

describe('what can be embedded', () => {
  it.each([
    ['{"a":[1]}', true],
    [' 1 ', true],
    ['"[[[["', true],
    [`"\\"${'['.repeat(100)}"`, true],
    ['['.repeat(32) + ']'.repeat(32), true],
    ['['.repeat(33) + ']'.repeat(33), false],
    [`${'[[],'.repeat(20)}1${']'.repeat(20)}`, true],
    ['{', false],
    ['', false],
    ['NaN', false],
    ['\ufeff1', false],
    ['1 2', false],
  ])('%.40j: %s', (text, expected) => {
    expect(isEmbeddable(text)).toBe(expected);
  });
});
