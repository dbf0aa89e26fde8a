import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openCursor, sealCursor } from '../../src/http/cursor.ts';
import { bodyKind, prefersJson } from '../../src/http/media-type.ts';
import { cursor, duration, readQuery } from '../../src/http/parameters.ts';

describe('a cursor', () => {
  it('opens as it was sealed, and needs no escaping', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.isWellFormed()),
        (text) => {
          const sealed = sealCursor(text);
          expect(encodeURIComponent(sealed)).toBe(sealed);
          expect(openCursor(sealed)).toBe(text);
        },
      ),
    );
  });

  it('is nothing else', () => {
    fc.assert(fc.property(fc.base64String(), (text) => openCursor(text) === undefined));
  });

  it('opens as documents show it', () => {
    expect(openCursor(String(cursor.example))).toBe('orders');
  });
});

describe('a content type', () => {
  it.each([
    ['application/json', 'json'],
    ['Application/JSON; charset=utf-16', 'json'],
    ['application/problem+json', 'json'],
    ['application/jsonp', 'binary'],
    ['text/plain', 'text'],
    ['text/html; charset=UTF-8', 'text'],
    ['text/html; charset="us-ascii"', 'text'],
    ['text/html; charset=latin1', 'binary'],
    ['image/svg+xml', 'text'],
    ['application/yaml', 'text'],
    ['application/octet-stream', 'binary'],
    ['', 'binary'],
  ])('%j announces %s', (contentType, kind) => {
    expect(bodyKind(contentType)).toBe(kind);
  });

  it('keeps few of those seen', () => {
    for (let i = 0; i < 10_000; i += 1) bodyKind(`text/x${i}`);
    expect(bodyKind('text/plain')).toBe('text');
  });
});

describe('an Accept header', () => {
  it.each([
    [undefined, false],
    ['*/*', false],
    ['application/json', true],
    ['application/*', true],
    ['text/plain', false],
    ['application/json;q=0.1, text/plain;q=0.2', false],
    ['application/json;q=x', false],
    [`${'a,'.repeat(5_000)}application/json`, true],
  ])('%.40s prefers JSON: %s', (accept, expected) => {
    expect(prefersJson(accept)).toBe(expected);
  });
});

describe('a query', () => {
  const table = { wait: duration(20, 'How long.', '20s') };

  it('reads what is given and leaves out what is not', () => {
    expect(readQuery(table, { wait: '5s' })).toEqual({ wait: 5 });
    expect(readQuery(table, {})).toEqual({});
  });

  it('knows no names but those of its table', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(() => readQuery(table, JSON.parse(`{"${name}":"1"}`))).toThrow('invalidArgument');
    }
  });
});
