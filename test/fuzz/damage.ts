/** Text that somebody damaged, cut, blew up or made up: what a parser meets in the open. */
import fc from 'fast-check';

/** What parsers of this kind have stumbled over elsewhere. */
const traps = [
  '',
  '\0',
  '\ufeff',
  '\ud800',
  '\ufffe',
  '\r\n',
  '\u2028',
  '%',
  '%00',
  '%c0%af',
  '+',
  '__proto__',
  'constructor',
  'toString',
  '-0',
  '1e400',
  '9007199254740993',
  '99999999999999999999',
  '01',
  '0x1',
  'NaN',
  '..',
  '{{',
  ']]>',
  '&amp;',
  '\\u0000',
  "';--",
  '*',
  '?',
  '=',
  '&',
  '.',
  ',',
  ':',
  '"',
];

/** One way to damage text; `at` and `to` are places in it. */
type Damage = (text: string, at: number, to: number, piece: string) => string;
const damages: readonly Damage[] = [
  (text, at, _to, piece) => text.slice(0, at) + piece + text.slice(at),
  (text, at, _to, piece) => text.slice(0, at) + piece + text.slice(at + 1),
  (text, at) => text.slice(0, at),
  (text, at) => text.slice(at),
  (text, at, to) => text.slice(0, at) + text.slice(to),
  (text, at, to) => text.slice(0, to) + text.slice(at, to).repeat(3) + text.slice(to),
  (text, at) =>
    text.slice(0, at) + String.fromCharCode((text.charCodeAt(at) || 0) ^ (1 << (at % 8))) + text.slice(at + 1),
  (text) => text.toUpperCase(),
  (text) => text + text,
];

/** What comes of good text when it is damaged one to three times. */
export const damaged = (good: fc.Arbitrary<string>): fc.Arbitrary<string> => {
  const place = fc.nat(1_000);
  const step = fc.tuple(fc.constantFrom(...damages), place, place, fc.constantFrom(...traps));
  return fc.tuple(good, fc.array(step, { minLength: 1, maxLength: 3 })).map(([text, steps]) =>
    steps.reduce((before, [damage, one, other, piece]) => {
      const [at, to] = [one % (before.length + 1), other % (before.length + 1)];
      return damage(before, Math.min(at, to), Math.max(at, to), piece);
    }, text),
  );
};

/** Good, damaged, and nonsense. */
export const anything = (good: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 2, arbitrary: good },
    { weight: 5, arbitrary: damaged(good) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...traps), { maxLength: 12 }).map((all) => all.join('')) },
  );

/** What is repeated in a text that is meant to take long. */
const bombUnits = [
  '[',
  '{"a":',
  '{"a":1,',
  '"',
  '\\',
  '(',
  'a',
  'A',
  '0',
  '-',
  ' ',
  '\t',
  '\n',
  '\r\n',
  ',',
  ';',
  ';q=',
  '.',
  'a.',
  'a=&',
  'x.1.',
  '%41',
  '%',
  '*',
  'a*',
  '*?',
  ':',
  'a: ',
  '- ',
  '&a [*a,',
  '/',
  'é',
  '\u0000',
  '\ufeff',
];

/** Texts of a size, alone, and behind and before a good one. */
export const bombs = (good: string, chars: number): readonly string[] =>
  bombUnits.flatMap((unit) => {
    const long = unit.repeat(Math.ceil(chars / unit.length));
    const half = good.length >> 1;
    return [long, good + long, long + good, good.slice(0, half) + long + good.slice(half)];
  });

/** The text with one thing changed: a character replaced, left out, doubled or in another case, or cut, or longer. */
export const tampered = (text: string): readonly string[] => {
  const all = Array.from(text, (char, i) => {
    const [before, after] = [text.slice(0, i), text.slice(i + 1)];
    const swapped = char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase();
    const next = String.fromCharCode(char.charCodeAt(0) ^ 1);
    return [next, 'A', '-', '_', swapped, '', char + char, `${char} `].map((other) => before + other + after);
  }).flat();
  const cuts = Array.from(text, (_char, i) => text.slice(0, i));
  const longer = ['A', '=', ' ', '\n', '\0', 'é', '.', text].map((end) => text + end);
  const turned = [...text].reverse().join('');
  return [...new Set([...all, ...cuts, ...longer, ` ${text}`, turned])].filter((other) => other !== text);
};
