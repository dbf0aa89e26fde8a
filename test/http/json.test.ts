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

describe('members whose names collide when they are hashed', () => {
  // V8 hashes names that look like indexes by their value, so that an attacker can choose them.
  it.each([1, 65_536])('are refused in bounded time before an object is made of them, one name in %i', (step) => {
    const names = Array.from({ length: 65_536 }, (_, i) => `"${i * step}":0`);
    const bytes = Buffer.from(`{${names.join()}}`);
    const started = process.threadCpuUsage();
    expect(() => readJson(bytes)).toThrow(Fault);
    const { user, system } = process.threadCpuUsage(started);
    expect((user + system) / 1_000).toBeLessThan(50);
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
