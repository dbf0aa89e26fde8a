/**
 * A message: what is sent, what is kept of it, and the state that follows from facts.
 *
 *     send with delay ─▶ DELAYED ── delay over ──▶ AVAILABLE ── receive ──▶ IN FLIGHT ── delete ──▶ (gone)
 *     send ──────────────────────────────────────▶ │    ▲                     │  │
 *                        ▲                         │    └── timeout passes ───┤  └─ dead-letter ──▶ dead-letter queue
 *                        └──── back-off, release with a delay ───────────────┘
 *                                                  └── receive past the maximum ──▶ dead-letter queue
 *
 * No state is stored. `visibleAt` says from when on a message can be received, `heldUntil` until when the receiver of
 * the newest receipt holds it; with the present instant the state follows.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { type FaultData, fault, isFault } from './errors.ts';
import { contentDeduplicationId } from './fifo.ts';
import { type Instant, secondsAfter } from './instant.ts';
import { limits } from './limits.ts';
import type { Queue } from './queue.ts';
import type { QueueSettings } from './queue-attributes.ts';

/** `String`, `Number` or `Binary`, with an optional label of one's own: `Number.int`. */
const attributeTypePattern = /^(?:String|Number|Binary)(?:\..+)?$/su;
const reservedNamePattern = /^(?:aws\.|amazon\.)/i;
export const attributeNamePattern = /^(?!\.)(?!.*\.\.)[\p{L}\p{N}_.-]+(?<!\.)$/u;
export const numberPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** The characters XML 1.0 can carry, which SQS allows in text. @see https://www.w3.org/TR/xml/#charsets */
const textPattern = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;
export const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether text holds only characters that SQS and XML can carry: no lone surrogates, no control characters. */
export const isPlainText = (text: string): boolean => text.isWellFormed() && textPattern.test(text);

export const AttributeName = z
  .string()
  .min(1)
  .max(limits.attributeNameCharsMax)
  .regex(attributeNamePattern, 'may hold letters, digits, "_", "-" and "."; no "." at either end and no two in a row')
  .refine((name) => !reservedNamePattern.test(name), 'must not begin with "AWS." or "Amazon."');

/** A typed attribute; the value of a Binary one is base64. */
export const Attribute = z
  .strictObject({
    type: z
      .string()
      .max(limits.attributeTypeCharsMax)
      .regex(attributeTypePattern, 'must be String, Number or Binary, with an optional ".label"')
      .describe('`String`, `Number` or `Binary`, with an optional label: `Number.int`.'),
    value: z.string().min(1).describe('The value as text; of a Binary attribute the base64 form.'),
  })
  .refine(({ type, value }) => !type.startsWith('Number') || numberPattern.test(value), {
    error: 'the value of a Number attribute must be a number',
    path: ['value'],
  })
  .refine(({ type, value }) => !type.startsWith('Binary') || base64Pattern.test(value), {
    error: 'the value of a Binary attribute must be base64',
    path: ['value'],
  })
  .refine(({ value }) => isPlainText(value), {
    error: 'holds a character that cannot be carried (control characters, lone surrogates, U+FFFE, U+FFFF)',
    path: ['value'],
  })
  .meta({ id: 'Attribute' });
export type Attribute = z.infer<typeof Attribute>;
/** Name → attribute. A Map, since names such as `__proto__` or `1` are legal and keep their order. */
export type Attributes = ReadonlyMap<string, Attribute>;

/** What a sender gives. */
export type Draft = {
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly attributes: Attributes;
  readonly delaySeconds?: number | undefined;
  readonly groupId?: string | undefined;
  readonly deduplicationId?: string | undefined;
  /** The sender's trace, for X-Ray: `AWSTraceHeader`. */
  readonly traceHeader?: string | undefined;
};

/** Something that went wrong with a message: when, and the sentence that the worker or the service gave. */
export type Failure = { readonly at: Instant; readonly reason: string };

/** What befell a message beyond being sent and received. */
export type MessageHistory = {
  readonly firstFailure?: Failure;
  readonly lastFailure?: Failure;
  /** Where it came from, when it lies in a dead-letter queue. */
  readonly deadLetter?: { readonly queue: string; readonly receiveCount: number; readonly at: Instant };
};

/** Nothing has befallen it. */
export const noHistory: MessageHistory = {};

export type MessageState = 'available' | 'inFlight' | 'delayed';

/** A message as it lies in a queue. */
export type Message = {
  readonly messageId: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly attributes: Attributes;
  /** Empty where there is none. */
  readonly traceHeader: string;
  /** Who sent it: the id of a principal. Empty in data that are older than that. */
  readonly senderId: string;
  /** Empty where there is none. */
  readonly groupId: string;
  /** Empty on standard queues. */
  readonly deduplicationId: string;
  /** Rises for ever within a queue: the order of a FIFO queue. */
  readonly sequence: number;
  readonly sentAt: Instant;
  /** The start of its retention. */
  readonly enqueuedAt: Instant;
  readonly visibleAt: Instant;
  readonly heldUntil: Instant;
  readonly receiveCount: number;
  readonly firstReceivedAt: Instant | null;
  readonly history: MessageHistory;
};

/** Proof of one receive, before it is sealed into a receipt handle. */
export type Receipt = {
  readonly queueId: number;
  /** The engine's key of the message. */
  readonly message: number;
  /** Which receive of the message; a later one makes this receipt void. */
  readonly receive: number;
};

export type ReceivedMessage = Message & { readonly receipt: Receipt };

/** The state at `now`. A message can be hidden without being held: delayed by its sender, a release or a back-off. */
export function messageState(message: Pick<Message, 'visibleAt' | 'heldUntil'>, now: Instant): MessageState {
  if (message.visibleAt <= now) return 'available';
  return message.heldUntil > now ? 'inFlight' : 'delayed';
}

/** The instants of a message received at `now`: held for the visibility timeout, then hidden for the back-off. */
export function hideFor(
  settings: Pick<QueueSettings, 'retryDelaySeconds'>,
  receiveCount: number,
  now: Instant,
  visibilitySeconds: number,
): { heldUntil: Instant; visibleAt: Instant } {
  const heldUntil = secondsAfter(now, visibilitySeconds);
  if (visibilitySeconds === 0) return { heldUntil, visibleAt: heldUntil };
  return { heldUntil, visibleAt: secondsAfter(heldUntil, retryDelayOf(settings, receiveCount)) };
}

/** The back-off after the given number of receives: the list's last value repeats, an empty list is no back-off. */
export const retryDelayOf = (settings: Pick<QueueSettings, 'retryDelaySeconds'>, receiveCount: number): number =>
  settings.retryDelaySeconds[Math.min(Math.max(receiveCount, 1), settings.retryDelaySeconds.length) - 1] ?? 0;

/** Bytes that count against limits: the body, and of each attribute the name, the type and the raw value. */
export function messageBytes(draft: Pick<Draft, 'body' | 'attributes'>): number {
  let bytes = draft.body.byteLength;
  for (const [name, { type, value }] of draft.attributes) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(type);
    bytes += type.startsWith('Binary') ? Buffer.byteLength(value, 'base64') : Buffer.byteLength(value);
  }
  return bytes;
}

export const bytesOfAll = (messages: readonly Pick<Draft, 'body' | 'attributes'>[]): number =>
  messages.reduce((sum, message) => sum + messageBytes(message), 0);

/** A draft that a queue took: what the queue's settings and type make of it. */
export type Admitted = {
  readonly bytes: number;
  readonly visibleAt: Instant;
  readonly groupId: string;
  readonly deduplicationId: string;
};

/**
 * Checks a draft against the queue it is sent to: its options first, then its size. A refused one leaves no trace.
 * @returns what to store, or the fault: emptyBody, messageTooLarge, delayTooLong, delayNotAllowed, groupRequired,
 * deduplicationIdRequired, deduplicationIdNotAllowed
 */
export function admit(queue: Queue, draft: Draft, now: Instant): Admitted | FaultData {
  const { settings } = queue;
  if (draft.body.byteLength === 0) return fault('emptyBody', {});
  const options = optionsFor(queue, draft);
  if (isFault(options)) return options;
  const { delaySeconds, groupId, deduplicationId } = options;
  if (delaySeconds > settings.retentionSeconds) {
    return fault('delayTooLong', { delaySeconds, delaySecondsMax: settings.retentionSeconds });
  }
  const bytes = messageBytes(draft);
  if (bytes > settings.maxMessageBytes) {
    return fault('messageTooLarge', { bytes, bytesMax: settings.maxMessageBytes });
  }
  return { bytes, visibleAt: secondsAfter(now, delaySeconds), groupId, deduplicationId };
}

type Options = { readonly delaySeconds: number; readonly groupId: string; readonly deduplicationId: string };
type Optional = Pick<Draft, 'body' | 'delaySeconds' | 'groupId' | 'deduplicationId'>;

/** What the type of a queue makes of the options of a draft, whatever its content is. */
export const optionsFor = (queue: Queue, draft: Optional): Options | FaultData =>
  queue.kind === 'standard' ? standardOptions(queue, draft) : fifoOptions(queue, draft);

function standardOptions({ name, settings }: Queue, draft: Optional): Options | FaultData {
  if (draft.deduplicationId !== undefined) return fault('deduplicationIdNotAllowed', { queue: name });
  return {
    delaySeconds: draft.delaySeconds ?? settings.delaySeconds,
    groupId: draft.groupId ?? '',
    deduplicationId: '',
  };
}

function fifoOptions({ name, settings }: Queue, draft: Optional): Options | FaultData {
  if (draft.groupId === undefined) return fault('groupRequired', { queue: name });
  // As on SQS: a FIFO queue has one delay for all, since a message of its own delay would overtake or block others.
  if (draft.delaySeconds !== undefined && draft.delaySeconds > 0) return fault('delayNotAllowed', {});
  const deduplicationId =
    draft.deduplicationId ?? (settings.contentBasedDeduplication ? contentDeduplicationId(draft.body) : undefined);
  if (deduplicationId === undefined) return fault('deduplicationIdRequired', { queue: name });
  return { delaySeconds: settings.delaySeconds, groupId: draft.groupId, deduplicationId };
}

/** Attributes as one text, and back: an array of [name, type, value], which keeps order and odd names. */
export const encodeAttributes = (attributes: Attributes): string =>
  attributes.size === 0 ? '' : JSON.stringify([...attributes].map(([name, { type, value }]) => [name, type, value]));

export function decodeAttributes(text: string): Attributes {
  if (text === '') return noAttributes;
  const rows = JSON.parse(text) as [string, string, string][];
  return new Map(rows.map(([name, type, value]) => [name, { type, value }]));
}
export const noAttributes: Attributes = new Map();

/**
 * The checksum kept beside a message and verified at each delivery: CRC-32 over the message id, the texts and the
 * body, which finds every single flipped bit.
 */
export const messageChecksum = (parts: {
  messageId: Uint8Array;
  contentType: string;
  attributes: string;
  groupId: string;
  traceHeader: string;
  senderId: string;
  body: Uint8Array;
}): number => {
  const { contentType, attributes, groupId, traceHeader, senderId } = parts;
  // Messages that have neither keep the checksum that they had before there were such things.
  const sender = traceHeader === '' && senderId === '' ? '' : `\0${traceHeader}\0${senderId}`;
  return crc32(parts.body, crc32(`${contentType}\0${attributes}\0${groupId}${sender}`, crc32(parts.messageId)));
};

/** The history after one more failure. */
export const withFailure = (history: MessageHistory, failure: Failure): MessageHistory => ({
  ...history,
  firstFailure: history.firstFailure ?? failure,
  lastFailure: failure,
});
