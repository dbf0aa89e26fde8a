/**
 * Messages as JSON: the schemas that document them, and the writer of the hot answers.
 *
 * Written by hand: a receive is the hottest answer there is, and a body that is JSON goes into it as it was sent, so
 * that numbers beyond 2^53 and the spelling of members survive. Optional members are absent, never null.
 */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { sequenceText } from '../domain/fifo.ts';
import { type Instant, toRfc3339 } from '../domain/instant.ts';
import { Attribute, type Attributes, type Failure, type Message, type MessageState } from '../domain/message.ts';
import { isEmbeddable } from '../http/json.ts';
import { bodyKind } from '../http/media-type.ts';

export const InstantText = z.iso.datetime({ precision: 3 }).meta({ examples: ['2026-01-31T12:00:00.000Z'] });

/** A member whose value may be any JSON. */
export const anyJson = (description: string) => z.unknown().describe(description);

export const BodyEncoding = z
  .enum(['text', 'base64'])
  .describe('How `body` stands for the bytes: `text` as they are, `base64` encoded. Absent: by the content type.')
  .meta({ id: 'BodyEncoding', examples: ['base64'] });

export const MessageStateName = z
  .enum(['available', 'inFlight', 'delayed'])
  .describe('`available`: can be received; `inFlight`: somebody holds it; `delayed`: waits for its time.')
  .meta({ id: 'MessageState', examples: ['available'] });

export const FailureView = z
  .object({
    at: InstantText.describe('When it was reported.'),
    reason: z
      .string()
      .describe('The reason that was given.')
      .meta({ examples: ['db down'] }),
  })
  .meta({ id: 'Failure', description: 'A failure that a receiver, or the service, reported.' });

export const DeadLetterView = z
  .object({
    sourceQueue: z
      .string()
      .describe('The queue it came from.')
      .meta({ examples: ['orders'] }),
    receiveCount: z
      .int()
      .describe('How often it had been received there.')
      .meta({ examples: [5] }),
    movedAt: InstantText.describe('When it was moved.'),
  })
  .meta({ id: 'DeadLetterOrigin', description: 'Where a dead-lettered message came from.' });

const messageId = z
  .string()
  .describe('The id that the send answered.')
  .meta({ examples: ['0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'] });

const messageMembers = {
  body: anyJson('JSON as it is, text as a string, anything else in base64 (see `bodyEncoding`).').meta({
    examples: [{ orderId: 42 }],
  }),
  bodyEncoding: BodyEncoding.optional(),
  contentType: z
    .string()
    .describe('As it was sent.')
    .meta({ examples: ['application/json'] }),
  attributes: z.record(z.string(), Attribute).describe('Name → typed value.'),
  groupId: z
    .string()
    .optional()
    .describe('The message group.')
    .meta({ examples: ['customer-7'] }),
  deduplicationId: z
    .string()
    .optional()
    .describe('FIFO: the deduplication id.')
    .meta({ examples: ['a1'] }),
  sequenceNumber: z
    .string()
    .optional()
    .describe('FIFO: rises with each message of the queue; 20 digits.')
    .meta({ examples: ['00000000000000000042'] }),
  sentAt: InstantText.describe('When it was first sent.'),
  receiveCount: z
    .int()
    .min(0)
    .describe('How often it was received from this queue.')
    .meta({ examples: [1] }),
  firstReceivedAt: InstantText.optional().describe('When it was first received from this queue.'),
  visibleAt: InstantText.describe('From when on it can be received (again).'),
  firstFailure: FailureView.optional(),
  lastFailure: FailureView.optional(),
  deadLetter: DeadLetterView.optional(),
};

export const ReceivedMessage = z
  .object({
    messageId,
    receiptHandle: z
      .string()
      .describe('Proof of this receive: deletes, extends or releases the message.')
      .meta({ examples: ['AQAAAAAHAAAAAAAqAAAAAQAAAADx3k2m8v0Yc5Jw1b9RkQzT'] }),
    ...messageMembers,
  })
  .meta({ id: 'ReceivedMessage', description: 'A message in the hands of its receiver.' });

export const PeekedMessage = z
  .object({ messageId, state: MessageStateName, ...messageMembers })
  .meta({ id: 'Message', description: 'A message as it lies in its queue.' });

/** The bytes as a Buffer, without copying. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * The bytes to be sent as they are. Who reads them slowly keeps the whole block that they lie in, which is that of all
 * bodies that a commit gave out: when it is more than twice as large they are copied, 0.3 ms for a mebibyte.
 */
export const asUnread = (bytes: Uint8Array): Buffer =>
  bytes.buffer.byteLength > 2 * bytes.byteLength ? Buffer.from(bytes) : asBuffer(bytes);

/** Messages of one answer share most of their instants: the last few texts are kept. */
const instantTexts = new Map<Instant, string>();
const instantTextsMax = 64;
export function instantText(at: Instant): string {
  const known = instantTexts.get(at);
  if (known !== undefined) return known;
  if (instantTexts.size === instantTextsMax) instantTexts.clear();
  const text = toRfc3339(at);
  instantTexts.set(at, text);
  return text;
}

/** `"body":…` and, where needed, `,"bodyEncoding":…`. */
function bodyMembers({ body, contentType }: Message): string {
  const bytes = asBuffer(body);
  const kind = bodyKind(contentType);
  if (kind === 'binary' || !isUtf8(bytes)) return `"body":"${bytes.toString('base64')}","bodyEncoding":"base64"`;
  const text = bytes.toString('utf8');
  if (kind === 'text') return `"body":${JSON.stringify(text)}`;
  return isEmbeddable(text) ? `"body":${text}` : `"body":${JSON.stringify(text)},"bodyEncoding":"text"`;
}

function attributesJson(attributes: Attributes): string {
  if (attributes.size === 0) return '{}';
  const members: string[] = [];
  for (const [name, { type, value }] of attributes) {
    members.push(`${JSON.stringify(name)}:{"type":${JSON.stringify(type)},"value":${JSON.stringify(value)}}`);
  }
  return `{${members.join(',')}}`;
}

const failureJson = ({ at, reason }: Failure): string => `{"at":"${toRfc3339(at)}","reason":${JSON.stringify(reason)}}`;

/** Whether the message lies in a FIFO queue: only there has it a deduplication id. */
const isOrdered = (message: Message): boolean => message.deduplicationId !== '';

/** @param facts members that only this answer has, such as `"receiptHandle":"…"` */
function messageJson(message: Message, facts: string): string {
  const { history } = message;
  let json = `{"messageId":"${message.messageId}",${facts},${bodyMembers(message)}`;
  json += `,"contentType":${JSON.stringify(message.contentType)},"attributes":${attributesJson(message.attributes)}`;
  if (message.groupId !== '') json += `,"groupId":${JSON.stringify(message.groupId)}`;
  if (isOrdered(message)) {
    json += `,"deduplicationId":${JSON.stringify(message.deduplicationId)}`;
    json += `,"sequenceNumber":"${sequenceText(message.sequence)}"`;
  }
  json += `,"sentAt":"${instantText(message.sentAt)}","receiveCount":${message.receiveCount}`;
  if (message.firstReceivedAt !== null) json += `,"firstReceivedAt":"${instantText(message.firstReceivedAt)}"`;
  json += `,"visibleAt":"${instantText(message.visibleAt)}"`;
  if (history.firstFailure !== undefined) json += `,"firstFailure":${failureJson(history.firstFailure)}`;
  if (history.lastFailure !== undefined) json += `,"lastFailure":${failureJson(history.lastFailure)}`;
  if (history.deadLetter !== undefined) {
    const { queue, receiveCount, at } = history.deadLetter;
    json += `,"deadLetter":{"sourceQueue":${JSON.stringify(queue)},"receiveCount":${receiveCount},"movedAt":"${toRfc3339(at)}"}`;
  }
  return `${json}}`;
}

/** A message for its receiver. */
export const receivedJson = (message: Message, receiptHandle: string): string =>
  messageJson(message, `"receiptHandle":"${receiptHandle}"`);

/** A message for an operator. */
export const peekedJson = (message: Message, state: MessageState): string => messageJson(message, `"state":"${state}"`);

/** A list between two texts, made at once: a template around a joined list would copy the list a second time. */
export function listJson(head: string, items: readonly string[], tail: string): string {
  if (items.length === 0) return head + tail;
  const parts = [...items];
  parts[0] = head + parts[0];
  parts[parts.length - 1] += tail;
  return parts.join(',');
}
