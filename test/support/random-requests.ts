/** Requests as clients of a queue may send them, and the same with one byte changed. */
import fc from 'fast-check';
import type { SignedRequest } from '../../src/sqs/signature.ts';
import type { Plain } from './signing.ts';

const word = fc.string({ unit: fc.constantFrom(...'abcXYZ019-._~'), minLength: 1, maxLength: 12 });
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const printable = fc
  .string({ unit: fc.constantFrom(..."abcXYZ019-._~!#$&'()*+,/:;=?@[] "), minLength: 1, maxLength: 24 })
  .map((value) => value.trim())
  .filter((value) => value !== '');

const query = fc
  .uniqueArray(fc.tuple(word, text), { maxLength: 5, selector: ([name]) => name })
  .map((pairs) => pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&'));

/** RFC 3986, as careful clients write queries. */
const encode = (value: string): string =>
  encodeURIComponent(value.toWellFormed()).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );

export const randomPlain: fc.Arbitrary<Plain> = fc
  .record({
    segments: fc.array(
      word.filter((part) => part !== '.' && part !== '..'),
      { maxLength: 3 },
    ),
    query,
    target: fc.option(word),
    extra: fc.uniqueArray(
      fc.tuple(
        word.map((name) => `x-amz-meta-${name.toLowerCase().replace(/[^a-z0-9-]/g, 'z')}`),
        printable,
      ),
      {
        maxLength: 3,
        selector: ([name]) => name,
      },
    ),
    port: fc.integer({ min: 1, max: 65_535 }).filter((port) => port !== 80 && port !== 443),
    body: text,
  })
  .map(({ segments, query: asked, target, extra, port, body }) => ({
    method: 'POST',
    path: `/${segments.join('/')}`,
    query: asked,
    headers: {
      host: `localhost:${port}`,
      'content-type': 'application/x-amz-json-1.0',
      ...(target === null ? {} : { 'x-amz-target': `AmazonSQS.${target}` }),
      ...Object.fromEntries(extra),
    },
    body: body.toWellFormed(),
  }));

/** What no signature covers: how a name is written, and blanks at the ends of values. */
const isUncovered = (before: string, after: string): boolean =>
  before.toLowerCase() === after.toLowerCase() || before.trim() === after.trim();

/** Changes one byte of the body, of the request target, or of the value of a signed header. */
export function oneByteChanged(request: SignedRequest, seed: number): SignedRequest {
  const signed = /SignedHeaders=([^,]*)/.exec(request.rawHeaders.join('\n'))?.[1]?.split(';') ?? [];
  const values = request.rawHeaders.flatMap((name, i) =>
    i % 2 === 0 && (signed.includes(name.toLowerCase()) || name.toLowerCase() === 'authorization') ? [i + 1] : [],
  );
  const places = [
    ...Array.from({ length: request.rawBody.length }, (_, at) => ({ in: 'body' as const, at, index: 0 })),
    ...Array.from({ length: request.rawUrl.length - 1 }, (_, at) => ({ in: 'url' as const, at: at + 1, index: 0 })),
    ...values.flatMap((index) =>
      Array.from({ length: request.rawHeaders[index]?.length ?? 0 }, (_, at) => ({ in: 'header' as const, at, index })),
    ),
  ];
  // Some changes are no change to what is signed: the next one is taken then.
  for (let turn = 0; ; turn += 1) {
    const place = places[(seed + turn * 31) % places.length];
    if (place === undefined) throw new Error('There is nothing to change.');
    const changed = changedAt(request, place, ((seed + turn) % 93) + 1);
    if (changed !== undefined) return changed;
  }
}

type Place = { readonly in: 'body' | 'url' | 'header'; readonly at: number; readonly index: number };

function changedAt(request: SignedRequest, { in: where, at, index }: Place, by: number): SignedRequest | undefined {
  if (where === 'body') {
    const rawBody = Buffer.from(request.rawBody);
    rawBody[at] = (rawBody[at] ?? 0) ^ by;
    return { ...request, rawBody };
  }
  const before = where === 'url' ? request.rawUrl : (request.rawHeaders[index] ?? '');
  const char = String.fromCharCode(0x21 + ((before.charCodeAt(at) - 0x21 + by) % 94));
  const after = before.slice(0, at) + char + before.slice(at + 1);
  if (where === 'url') return sameTarget(before, after) ? undefined : { ...request, rawUrl: after };
  const isAuthorization = after.startsWith('AWS4') && before.startsWith('AWS4');
  if (isUncovered(before, after) && !isAuthorization) return undefined;
  if (after.replace(/[ \t]/g, '') === before.replace(/[ \t]/g, '')) return undefined;
  return { ...request, rawHeaders: request.rawHeaders.with(index, after) };
}

/** Two ways to write the same: the case of hexadecimal digits, an ampersand or a slash too many. */
const sameTarget = (before: string, after: string): boolean => canonical(before) === canonical(after);
const canonical = (target: string): string =>
  target
    .replace(/%[0-9a-f]{2}/gi, (hex) => hex.toUpperCase())
    .replace(/\/+/g, '/')
    .replace(/\/\.(?=\/|\?|$)/g, '')
    .replace(/&+/g, '&')
    .replace(/=(?=&|$)/g, '')
    .replace(/[?&]+$/, '');
