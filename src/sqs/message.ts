/** A received message on the wire: its body as text, and of its attributes those that were asked for. */
import { isUtf8 } from 'node:buffer';
import { sequenceText } from '../domain/fifo.ts';
import { type Attribute, type Attributes, isPlainText, type Message } from '../domain/message.ts';
import { anonymousId } from '../domain/principal.ts';
import type { ActionContext } from './action.ts';
import { md5, md5OfAttributes } from './md5.ts';
import { queueArn } from './queue-url.ts';
import { map, struct } from './shape.ts';

export const messageShape = struct({
  MessageId: 'text',
  ReceiptHandle: 'text',
  MD5OfBody: 'text',
  Body: 'text',
  Attributes: map('Attribute', 'Name', 'text'),
  MD5OfMessageAttributes: 'text',
  MessageAttributes: map(
    'MessageAttribute',
    'Name',
    struct({ StringValue: 'text', BinaryValue: 'text', DataType: 'text' }),
  ),
});

type Context = Pick<ActionContext, 'region' | 'principal'>;

/** System attribute → its value of a message; undefined where the message has none. */
const systemAttributes: Readonly<Record<string, (message: Message, context: Context) => string | undefined>> = {
  SenderId: ({ senderId }) => (senderId === '' ? anonymousId : senderId),
  SentTimestamp: ({ sentAt }) => String(sentAt),
  ApproximateReceiveCount: ({ receiveCount }) => String(receiveCount),
  ApproximateFirstReceiveTimestamp: ({ firstReceivedAt }) =>
    firstReceivedAt === null ? undefined : String(firstReceivedAt),
  MessageGroupId: ({ groupId }) => textOrNone(groupId),
  MessageDeduplicationId: ({ deduplicationId }) => textOrNone(deduplicationId),
  // Only messages of FIFO queues have a deduplication id, and only they have a place in an order.
  SequenceNumber: ({ deduplicationId, sequence }) => (deduplicationId === '' ? undefined : sequenceText(sequence)),
  AWSTraceHeader: ({ traceHeader }) => textOrNone(traceHeader),
  DeadLetterQueueSourceArn: ({ history: { deadLetter } }, context) =>
    deadLetter === undefined ? undefined : queueArn(context, deadLetter.queue),
};
const textOrNone = (text: string): string | undefined => (text === '' ? undefined : text);

type NamesAsked = {
  readonly AttributeNames?: readonly string[] | undefined;
  readonly MessageSystemAttributeNames?: readonly string[] | undefined;
};

/** The system attributes asked for in either list; names that nobody knows are passed over. */
export function systemAttributesAsked({
  AttributeNames = [],
  MessageSystemAttributeNames = [],
}: NamesAsked): readonly string[] {
  const asked = [...AttributeNames, ...MessageSystemAttributeNames];
  if (asked.length === 0) return asked;
  const known = Object.keys(systemAttributes);
  return asked.includes('All') ? known : known.filter((name) => asked.includes(name));
}

export type AttributeFilter = (name: string) => boolean;
const everything: AttributeFilter = () => true;

/**
 * Which message attributes are asked for: `All`, `.*` and `*` are all; `prefix.*` is every name that begins with the
 * prefix, whose dot does not belong to it; else the name itself. Names that cannot be match nothing.
 */
export function attributeFilter(names: readonly string[]): AttributeFilter | undefined {
  if (names.length === 0) return undefined;
  if (names.some((name) => name === 'All' || name === '.*' || name === '*')) return everything;
  const exact = new Set(names);
  const prefixes = names.filter((name) => name.endsWith('.*')).map((name) => name.slice(0, -2));
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** The members of a message. */
export function writeMessage(
  message: Message,
  receiptHandle: string,
  system: readonly string[],
  filter: AttributeFilter | undefined,
  context: Context,
): object {
  const body = bodyText(message.body);
  const attributes = chosen(message.attributes, filter);
  return {
    MessageId: message.messageId,
    ReceiptHandle: receiptHandle,
    MD5OfBody: md5(body),
    Body: body,
    Attributes: system.length === 0 ? undefined : systemMembers(message, system, context),
    MD5OfMessageAttributes: attributes === undefined ? undefined : md5OfAttributes(attributes),
    MessageAttributes: attributes === undefined ? undefined : attributeMembers(attributes),
  };
}

/** Text as it is; bytes that are no text of SQS's (sent through the other API) in base64. */
function bodyText(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!isUtf8(bytes)) return bytes.toString('base64');
  const text = bytes.toString('utf8');
  return isPlainText(text) ? text : bytes.toString('base64');
}

function chosen(attributes: Attributes, filter: AttributeFilter | undefined): Attributes | undefined {
  if (filter === undefined || attributes.size === 0) return undefined;
  const found = filter === everything ? attributes : new Map([...attributes].filter(([name]) => filter(name)));
  return found.size === 0 ? undefined : found;
}

function systemMembers(message: Message, names: readonly string[], context: Context): object | undefined {
  const found: Record<string, string> = {};
  let isEmpty = true;
  for (const name of names) {
    const value = systemAttributes[name]?.(message, context);
    if (value === undefined) continue;
    found[name] = value;
    isEmpty = false;
  }
  return isEmpty ? undefined : found;
}

const attributeMembers = (attributes: Attributes): object =>
  Object.fromEntries([...attributes].map(([name, attribute]) => [name, attributeMember(attribute)]));

const attributeMember = ({ type, value }: Attribute): object =>
  type.startsWith('Binary') ? { BinaryValue: value, DataType: type } : { StringValue: value, DataType: type };
