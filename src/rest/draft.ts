/**
 * From a request to what is sent: a raw body with its headers, or an entry of a batch. Both end in a Draft, and what
 * defines a request ends in its fingerprint, by which a reused Idempotency-Key is found out.
 */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { Fault } from '../domain/errors.ts';
import { DeduplicationId, GroupId } from '../domain/fifo.ts';
import { limits } from '../domain/limits.ts';
import {
  Attribute,
  AttributeName,
  type Attributes,
  base64Pattern,
  type Draft,
  noAttributes,
} from '../domain/message.ts';
import { firstProblem } from '../domain/zod-problem.ts';
import { bodyKind, essenceOf, formType } from '../http/media-type.ts';
import { invalid } from '../http/parameters.ts';
import { anyJson, BodyEncoding } from './message-json.ts';

export type DraftOptions = {
  readonly delaySeconds?: number | undefined;
  readonly groupId?: string | undefined;
  readonly deduplicationId?: string | undefined;
};

const printable = /^[ -~]+$/;
const contentTypePattern = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;[ -~]*)?$/;

/** The draft of a single send: the body is the message. @throws invalidArgument, malformedBody */
export function rawDraft(body: Buffer, headers: IncomingHttpHeaders, options: DraftOptions): Draft {
  const contentType = contentTypeOf(headers['content-type']);
  return { body: checkedText(body, contentType), contentType, attributes: attributesOf(headers), ...options };
}

/** What is recorded: as sent, but for what curl -d says when nobody said anything. */
function contentTypeOf(header: string | undefined): string {
  if (header === undefined || header === '') return 'application/octet-stream';
  if (header === formType || essenceOf(header) === formType) return 'text/plain';
  return checkedContentType(header, 'Content-Type');
}

function checkedContentType(contentType: string, name: string): string {
  if (contentType.length > limits.contentTypeCharsMax) {
    throw invalid(name, `must be at most ${limits.contentTypeCharsMax} characters long`);
  }
  if (contentTypePattern.test(contentType)) return contentType;
  throw invalid(name, 'must be a content type such as application/json');
}

/** What says that it is text must be text, or nobody could read it. */
function checkedText(body: Buffer, contentType: string): Buffer {
  if (bodyKind(contentType) === 'binary' || isUtf8(body)) return body;
  throw Fault.of('malformedBody', {
    problem: `The body is announced as ${contentType} but is not valid UTF-8; send other bytes as application/octet-stream.`,
  });
}

const attributePrefix = 'attr-';

/** The string attributes of the `Attr-…` headers. */
function attributesOf(headers: IncomingHttpHeaders): Attributes {
  let attributes: Map<string, Attribute> | undefined;
  for (const header in headers) {
    if (!header.startsWith(attributePrefix)) continue;
    attributes ??= new Map();
    const name = header.slice(attributePrefix.length);
    attributes.set(name, checkedAttribute(name, headerText(headers[header])));
  }
  if (attributes === undefined) return noAttributes;
  if (attributes.size > limits.attributesPerMessageMax) throw tooManyAttributes(attributes.size);
  return attributes;
}

const tooManyAttributes = (count: number): Fault =>
  invalid('attributes', `a message has at most ${limits.attributesPerMessageMax} of them, not ${count}`);

function checkedAttribute(name: string, value: string): Attribute {
  const named = AttributeName.safeParse(name);
  if (!named.success) throw invalid(`Attr-${name}`, firstProblem(named.error).problem);
  const attribute = Attribute.safeParse({ type: 'String', value });
  if (!attribute.success) throw invalid(`Attr-${name}`, firstProblem(attribute.error).problem);
  return attribute.data;
}

/** Node reads headers as Latin-1; programs send UTF-8. */
function headerText(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join(', ') : (value ?? '');
  if (printable.test(text)) return text;
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : text;
}

const attributeExample = { tenant: { type: 'String', value: 'acme' } };

/** An entry of a batch. A received message without its receipt is one, too. */
export const SendEntry = z
  .strictObject({
    body: anyJson(
      'The message. Without a content type a string is sent as `text/plain`, anything else as `application/json`.',
    ).meta({ examples: [{ orderId: 42 }] }),
    bodyEncoding: BodyEncoding.optional(),
    contentType: z
      .string()
      .min(1)
      .max(limits.contentTypeCharsMax)
      .optional()
      .describe('The content type of the body.')
      .meta({ examples: ['application/json'] }),
    attributes: z
      .record(
        AttributeName,
        z.union([
          z
            .string()
            .transform((value) => ({ type: 'String', value }))
            .pipe(Attribute),
          Attribute,
        ]),
      )
      .refine((attributes) => Object.keys(attributes).length <= limits.attributesPerMessageMax, {
        error: `a message has at most ${limits.attributesPerMessageMax} of them`,
      })
      .optional()
      .describe('Name → typed value; text alone is a String.')
      .meta({ examples: [attributeExample] }),
    delaySeconds: z
      .int()
      .min(0)
      .max(limits.delaySecondsMax)
      .optional()
      .describe('How long the message waits before it can be received.')
      .meta({ examples: [30] }),
    groupId: GroupId.optional()
      .describe('The message group.')
      .meta({ examples: ['customer-7'] }),
    deduplicationId: DeduplicationId.optional()
      .describe('FIFO: the deduplication id.')
      .meta({ examples: ['a1'] }),
  })
  .meta({ id: 'SendEntry', description: 'One message of a batch.' });
type SendEntry = z.infer<typeof SendEntry>;

/** Compiled when the first batch comes: it takes longer than all else at start. */
let fastEntry: typeof SendEntry | undefined;

/**
 * The draft of an entry.
 * @param bodyText the body as it was written, when it is JSON
 * @param defaults what the query says for entries that say nothing
 * @param at how the entry is called in sentences
 * @throws invalidArgument
 */
export function entryDraft(entry: unknown, bodyText: string | undefined, defaults: DraftOptions, at: string): Draft {
  fastEntry ??= z.compile(SendEntry);
  const parsed = fastEntry.safeParse(entry);
  if (!parsed.success) throw Fault.of('invalidArgument', firstProblem(parsed.error, at));
  const { data } = parsed;
  if (data.body === undefined || bodyText === undefined)
    throw invalid(`${at}.body`, 'is missing: it must be the message');
  const contentType = entryContentType(data, at);
  return {
    body: entryBody(data, bodyText, contentType, at),
    contentType,
    attributes: data.attributes === undefined ? noAttributes : new Map(Object.entries(data.attributes)),
    delaySeconds: data.delaySeconds ?? defaults.delaySeconds,
    groupId: data.groupId ?? defaults.groupId,
    deduplicationId: data.deduplicationId,
  };
}

function entryContentType({ contentType, bodyEncoding, body }: SendEntry, at: string): string {
  if (contentType !== undefined) return checkedContentType(contentType, `${at}.contentType`);
  if (bodyEncoding === 'base64') return 'application/octet-stream';
  return typeof body === 'string' ? 'text/plain' : 'application/json';
}

function entryBody({ body, bodyEncoding }: SendEntry, bodyText: string, contentType: string, at: string): Buffer {
  // Symmetric with a receive: under a JSON type the value itself is the message, as it was written.
  if (bodyEncoding === undefined && bodyKind(contentType) === 'json') return Buffer.from(bodyText);
  if (typeof body !== 'string') {
    throw invalid(
      `${at}.body`,
      `must be a string ${bodyEncoding === undefined ? `for ${contentType}` : 'with a bodyEncoding'}`,
    );
  }
  if (bodyEncoding === 'base64') {
    if (!base64Pattern.test(body)) throw invalid(`${at}.body`, 'must be base64');
    return checkedText(Buffer.from(body, 'base64'), contentType);
  }
  if (!body.isWellFormed()) throw invalid(`${at}.body`, 'holds a lone surrogate, which no text can carry');
  return Buffer.from(body);
}

/** SHA-256 over all that defines a send: another request under the same Idempotency-Key has another fingerprint. */
export function fingerprintOf(drafts: readonly Draft[], form: 'single' | 'batch' | 'atomic batch'): string {
  const hash = createHash('sha256').update(form);
  for (const { body, contentType, attributes, delaySeconds, groupId, deduplicationId } of drafts) {
    const facts = [contentType, [...attributes], delaySeconds, groupId, deduplicationId, body.byteLength];
    hash.update(`\n${JSON.stringify(facts)}\n`).update(body);
  }
  return hash.digest('hex');
}
