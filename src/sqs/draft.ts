/**
 * From what a client sends as a message to a draft and its checksums. Checked by hand: these are the hottest lines of
 * the facade, and every refusal has a sentence of its own.
 */
import { limits } from '../domain/limits.ts';
import {
  type Attribute,
  type Attributes,
  attributeNamePattern,
  base64Pattern,
  type Draft,
  isPlainText,
  noAttributes,
  numberPattern,
} from '../domain/message.ts';
import { invalidParameter, invalidValue, missing, SqsError } from './errors.ts';
import { md5, md5OfAttributes } from './md5.ts';
import { attributeMap, type MessageAttributeValue, text, whole } from './shape.ts';

/** What a message is made of, in SendMessage and in an entry of a batch. */
export const messageMembers = {
  MessageBody: text,
  DelaySeconds: whole,
  MessageAttributes: attributeMap('MessageAttribute', 'MessageAttributes'),
  MessageSystemAttributes: attributeMap('MessageSystemAttribute', 'MessageSystemAttributes'),
  MessageDeduplicationId: text,
  MessageGroupId: text,
};

type SentAttributes = Readonly<Record<string, MessageAttributeValue>>;
export type SentMessage = {
  readonly MessageBody?: string | undefined;
  readonly DelaySeconds?: number | undefined;
  readonly MessageAttributes?: SentAttributes | undefined;
  readonly MessageSystemAttributes?: SentAttributes | undefined;
  readonly MessageDeduplicationId?: string | undefined;
  readonly MessageGroupId?: string | undefined;
};

/** A draft, and what the answer says of it. */
export type Prepared = {
  readonly draft: Draft;
  readonly MD5OfMessageBody: string;
  readonly MD5OfMessageAttributes: string | undefined;
  readonly MD5OfMessageSystemAttributes: string | undefined;
};

/** The type that bodies sent through SQS are recorded with. */
const contentType = 'text/plain';

const idPattern = /^[!-~]{1,128}$/;

/** @throws SqsError naming the member, unless it is absent or an id */
export function requireId(member: string, value: string | undefined): void {
  if (value === undefined || idPattern.test(value)) return;
  const reason = `${member} can only include alphanumeric and punctuation characters. 1 to 128 in length.`;
  throw invalidValue(value, member, reason);
}

/** What can be said of a message without knowing its queue. @throws SqsError */
export function requireSaneOptions({ DelaySeconds, MessageGroupId, MessageDeduplicationId }: SentMessage): void {
  if (DelaySeconds !== undefined && (DelaySeconds < 0 || DelaySeconds > limits.sqsDelaySecondsMax)) {
    throw invalidValue(DelaySeconds, 'DelaySeconds', `DelaySeconds must be >= 0 and <= ${limits.sqsDelaySecondsMax}.`);
  }
  requireId('MessageGroupId', MessageGroupId);
  requireId('MessageDeduplicationId', MessageDeduplicationId);
}

/**
 * The draft of a message.
 * @param bodyMember how the body is called when it is missing
 * @param traceHeader of the request, for messages that bring none
 * @throws SqsError
 */
export function prepare(message: SentMessage, traceHeader: string | undefined, bodyMember = 'MessageBody'): Prepared {
  const { MessageBody: bodyText = '' } = message;
  if (bodyText === '') throw missing(bodyMember);
  if (!isPlainText(bodyText)) throw new SqsError('InvalidMessageContents', forbiddenText(bodyText));
  const attributes = attributesOf(message.MessageAttributes);
  const system = systemAttributesOf(message.MessageSystemAttributes);
  const body = Buffer.from(bodyText);
  return {
    draft: {
      body,
      contentType,
      attributes,
      delaySeconds: message.DelaySeconds,
      groupId: message.MessageGroupId,
      deduplicationId: message.MessageDeduplicationId,
      traceHeader: system.get(traceName)?.value ?? traceHeader,
    },
    MD5OfMessageBody: md5(body),
    MD5OfMessageAttributes: md5OfAttributes(attributes),
    MD5OfMessageSystemAttributes: md5OfAttributes(system),
  };
}

function forbiddenText(body: string): string {
  const found = Array.from(body).find((character) => !isPlainText(character)) ?? '';
  const hex = (found.codePointAt(0) ?? 0).toString(16);
  return `Invalid binary character '#x${hex}' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].`;
}

function attributesOf(sent: SentAttributes | undefined): Attributes {
  if (sent === undefined) return noAttributes;
  const entries = Object.entries(sent);
  if (entries.length === 0) return noAttributes;
  if (entries.length > limits.attributesPerMessageMax) {
    throw invalidParameter(
      `Number of message attributes [${entries.length}] exceeds the allowed maximum [${limits.attributesPerMessageMax}].`,
    );
  }
  return new Map(
    entries.map(([name, value]) => {
      requireName(name);
      return [name, attributeOf(name, value)];
    }),
  );
}

/** What is wrong with a name, in the order in which it is looked for. */
const nameProblems: readonly { readonly isWrong: (name: string) => boolean; readonly text: string }[] = [
  {
    isWrong: (name) => name === '',
    text: 'The request must contain non-empty message attribute name.',
  },
  {
    isWrong: (name) => name.length > limits.attributeNameCharsMax,
    text: 'Message (user) attribute name must be shorter than 256 bytes.',
  },
  {
    isWrong: (name) => /^(?:aws\.|amazon\.)/i.test(name),
    text: "You can't use message attribute names beginning with 'AWS.' or 'Amazon'. These strings are reserved for internal use.",
  },
  {
    isWrong: (name) => name.startsWith('.'),
    text: "Message (user) attribute name must not begin with character '.'.",
  },
  { isWrong: (name) => name.endsWith('.'), text: "Message (user) attribute name must not end with character '.'." },
  {
    isWrong: (name) => name.includes('..'),
    text: "Message (user) attribute name must not have successive '.' characters.",
  },
  {
    isWrong: (name) => !attributeNamePattern.test(name),
    text: 'Message (user) attribute name can only include alphanumeric characters, hyphens, underscores and periods.',
  },
];

function requireName(name: string): void {
  const problem = nameProblems.find(({ isWrong }) => isWrong(name));
  if (problem !== undefined) throw invalidParameter(problem.text);
}

const kindPattern = /^(String|Number|Binary)(?:\.[\s\S]+)?$/;

/** @param name as it is called in sentences */
function attributeOf(name: string, value: MessageAttributeValue): Attribute {
  const { DataType: type = '', StringValue, BinaryValue } = value;
  if ((value.StringListValues ?? value.BinaryListValues) !== undefined) {
    throw new SqsError(
      'UnsupportedOperation',
      'Message attribute list values in SendMessage operation are not supported.',
    );
  }
  const kind = kindPattern.exec(type)?.[1];
  if (kind === undefined || type.length > limits.attributeTypeCharsMax || !isPlainText(type)) {
    throw invalidParameter(
      `The type of message (user) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
    );
  }
  const isBinary = kind === 'Binary';
  const [own, other] = isBinary ? [BinaryValue, StringValue] : [StringValue, BinaryValue];
  if (other !== undefined && other !== '') {
    throw invalidParameter(
      `Message (user) attribute '${name}' with type '${kind}' must use field '${isBinary ? 'Binary' : 'String'}'.`,
    );
  }
  if (own === undefined || own === '') {
    throw invalidParameter(`Message (user) attribute '${name}' must contain a non-empty value of type '${kind}'.`);
  }
  if (isBinary) return { type, value: sameBase64(name, own) };
  if (!isPlainText(own)) {
    throw invalidParameter(`Message (user) attribute '${name}' holds a character that is not allowed.`);
  }
  if (kind === 'Number' && !numberPattern.test(own)) {
    throw invalidParameter(`Can't cast the value of message (user) attribute '${name}' to a number.`);
  }
  return { type, value: own };
}

/** Base64 as it is written canonically. @throws SqsError */
function sameBase64(name: string, value: string): string {
  if (!base64Pattern.test(value)) {
    throw new SqsError('SerializationException', `The binary value of '${name}' is not valid base64.`);
  }
  return value;
}

const traceName = 'AWSTraceHeader';

function systemAttributesOf(sent: SentAttributes | undefined): Attributes {
  if (sent === undefined) return noAttributes;
  return new Map(
    Object.entries(sent).map(([name, value]) => {
      if (name !== traceName) throw invalidParameter(`Message system attribute name '${name}' is invalid.`);
      const attribute = attributeOf(name, value);
      if (attribute.type !== 'String') {
        throw invalidParameter(`Message system attribute '${name}' must be of type 'String'.`);
      }
      return [name, attribute];
    }),
  );
}
