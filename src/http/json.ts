/**
 * JSON from outside: bytes → valid UTF-8 → bounded depth and keys, no duplicate keys → parsed without prototype
 * poisoning.
 *
 * The bounds are checked on the text before anything is parsed, so that hostile input costs one pass. The same pass
 * notes where the bodies of messages lie, so that a body that is JSON is stored as it was written: numbers beyond
 * 2^53 and the order and spelling of members survive.
 */
import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';

/** Where bodies of messages lie: the text itself, the member `body` of it, or that of the entries of its list `messages`. */
export type BodyPlace = 'text' | 'document' | 'messages';

/** Levels around a body: it may nest as deep in one place as in another. */
const levelsAround: { readonly [P in BodyPlace]: number } = { text: 0, document: 1, messages: 3 };

export type JsonText = {
  readonly value: unknown;
  /** The text of the body of entry `index` (0 for `document`), as it was written; none for `text`, which is the body. */
  readonly bodyText: (index: number) => string | undefined;
};

const malformed = (problem: string): Fault => Fault.of('malformedBody', { problem });

/**
 * @param subject how the text is called in sentences
 * @throws malformedBody
 */
export function readJson(bytes: Buffer, bodies?: BodyPlace, subject = 'The body'): JsonText {
  if (!isUtf8(bytes)) throw malformed(`${subject} is not valid UTF-8.`);
  const text = bytes.toString('utf8');
  const spans = scan(text, bodies, subject);
  try {
    const value: unknown = secureJson.parse(text, undefined, { protoAction: 'error', constructorAction: 'error' });
    return {
      value,
      bodyText: (index) => {
        const span = spans.get(index);
        return span === undefined ? undefined : text.slice(span.from, span.to);
      },
    };
  } catch (cause) {
    throw malformed(`${subject} ${poisonOf(cause) ?? 'is not valid JSON'}.`);
  }
}

/** Whether text is JSON no deeper than allowed, so that it can stand inside an answer as it is. */
export function isEmbeddable(text: string): boolean {
  try {
    JSON.parse(text);
  } catch {
    return false;
  }
  return isShallow(text);
}

/** The deepest nesting is within the limit. Counts brackets outside strings; the text must be valid JSON. */
function isShallow(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === quote) i = endOfString(text, i) - 1;
    else if (code === openBrace || code === openBracket) {
      depth += 1;
      if (depth > limits.jsonDepthMax) return false;
    } else if (code === closeBrace || code === closeBracket) depth -= 1;
  }
  return true;
}

function poisonOf(cause: unknown): string | undefined {
  return cause instanceof SyntaxError && cause.message.includes('forbidden prototype property')
    ? 'holds a member named "__proto__" or "constructor.prototype", which is refused'
    : undefined;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;

type Span = { readonly from: number; readonly to: number };
type Frame = {
  readonly isObject: boolean;
  readonly from: number;
  readonly keys: Set<string> | undefined;
  expectsKey: boolean;
  key: string;
  index: number;
};

/** One pass over text that may be anything; what is not JSON is left to the parser to refuse. */
function scan(text: string, bodies: BodyPlace | undefined, subject: string): Map<number, Span> {
  const spans = new Map<number, Span>();
  const frames: Frame[] = [];
  const depthMax = limits.jsonDepthMax + (bodies === undefined ? 0 : levelsAround[bodies]);
  let top: Frame | undefined;
  let i = 0;

  const note = (from: number, to: number) => {
    if (bodies === undefined || top === undefined || !top.isObject || top.key !== 'body') return;
    if (bodies === 'document' && frames.length === 1) spans.set(0, { from, to });
    if (bodies === 'messages' && frames.length === 3 && frames[0]?.key === 'messages') {
      spans.set(frames[1]?.index ?? 0, { from, to });
    }
  };

  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code === colon) i += 1;
    else if (code === quote) {
      const end = endOfString(text, i);
      if (top?.expectsKey === true) enterKey(top, text.slice(i, end), subject);
      else note(i, end);
      i = end;
    } else if (code === openBrace || code === openBracket) {
      if (frames.length >= depthMax) throw malformed(`${subject} nests deeper than ${limits.jsonDepthMax} levels.`);
      const isObject = code === openBrace;
      top = { isObject, from: i, keys: isObject ? new Set() : undefined, expectsKey: isObject, key: '', index: 0 };
      frames.push(top);
      i += 1;
    } else if (code === closeBrace || code === closeBracket) {
      const closed = frames.pop();
      if (closed === undefined) return spans;
      top = frames.at(-1);
      i += 1;
      note(closed.from, i);
    } else if (code === comma) {
      if (top !== undefined) {
        top.index += 1;
        top.expectsKey = top.isObject;
      }
      i += 1;
    } else {
      const end = endOfToken(text, i);
      // A whole number has no sign of zero; in the body of a message it is the sender's business.
      if (text.slice(i, end) === '-0' && bodies === undefined)
        throw malformed('"-0" is not a number that is taken here.');
      note(i, end);
      i = end;
    }
  }
  return spans;
}

/** Takes note of a member's name. @throws malformedBody for one that is there already, or one too many */
function enterKey(frame: Frame, quoted: string, subject: string): void {
  const key = quoted.includes('\\') ? unescaped(quoted) : quoted.slice(1, -1);
  frame.expectsKey = false;
  frame.key = key;
  if (frame.keys === undefined) return;
  if (frame.keys.has(key)) throw malformed(`${subject} names the member ${JSON.stringify(key.slice(0, 64))} twice.`);
  frame.keys.add(key);
  if (frame.keys.size > limits.jsonKeysPerObjectMax) {
    throw malformed(
      `${subject} holds an object of more than ${limits.jsonKeysPerObjectMax} members; a message body like that can be sent alone, or as text with "bodyEncoding": "text".`,
    );
  }
}

function unescaped(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}

/** The index after the closing quote of the string that opens at `from`. */
function endOfString(text: string, from: number): number {
  let at = from;
  while (true) {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}

const tokenEnd = /[\s,:[\]{}"]/g;

/** The index after a number or a word. */
function endOfToken(text: string, from: number): number {
  tokenEnd.lastIndex = from;
  const found = tokenEnd.exec(text);
  return found === null ? text.length : Math.max(found.index, from + 1);
}
