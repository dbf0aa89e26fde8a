/** Parameters that several operations share, and the reading of path parameters. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { AttemptId, DeduplicationId, GroupId } from '../domain/fifo.ts';
import { limits } from '../domain/limits.ts';
import { isPlainText } from '../domain/message.ts';
import { QueueName, queueNamePattern } from '../domain/queue-attributes.ts';
import type { HeaderDoc } from '../http/operation.ts';
import { duration, invalid, text } from '../http/parameters.ts';

const idSchema = (maxLength: number) => ({ minLength: 1, maxLength, pattern: '^[!-~]+$' });

export const delay = duration(limits.delaySecondsMax, 'How long the message waits before it can be received.', '30s');
export const wait = duration(
  limits.waitSecondsMax,
  "How long to wait for a message when there is none; the queue's `waitSeconds` unless given.",
  '20s',
);
export const visibility = duration(
  limits.visibilityTimeoutSecondsMax,
  "How long the message stays hidden from others; the queue's `visibilityTimeoutSeconds` unless given.",
  '2m',
);
export const group = text(
  GroupId,
  idSchema(limits.groupIdCharsMax),
  'The message group: within one, a FIFO queue delivers in order.',
  'customer-7',
);
export const dedup = text(
  DeduplicationId,
  idSchema(limits.deduplicationIdCharsMax),
  'FIFO: the deduplication id. A send with the same one within five minutes stores nothing and answers the first.',
  'a1',
);
export const attempt = text(
  AttemptId,
  idSchema(limits.attemptIdCharsMax),
  'FIFO: an id of this receive. The same id within five minutes answers the same messages, so a lost answer can be asked for again.',
  'r1',
);

/** The sentence kept with a failed message. */
export const Reason = z
  .string()
  .min(1)
  .max(limits.reasonCharsMax)
  .refine(isPlainText, 'holds a character that cannot be carried')
  .describe('Why; kept with the message, also in the dead-letter queue.')
  .meta({ examples: ['db down'] });
export const reason = text(
  Reason,
  { minLength: 1, maxLength: limits.reasonCharsMax },
  'Why; kept with the message, also in the dead-letter queue.',
  'db down',
);

export const idempotencyHeader: HeaderDoc = {
  description:
    'Makes the request safe to repeat: within 24 hours the same key does nothing twice. 1 to 255 printable ASCII characters.',
  schema: { type: 'string', minLength: 1, maxLength: limits.idempotencyKeyCharsMax, pattern: '^[!-~]+$' },
  example: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
};
const idempotencyKeyPattern = /^[!-~]{1,255}$/;

/** @throws invalidArgument */
export function idempotencyKeyOf({ headers }: FastifyRequest): string | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key === 'string' && idempotencyKeyPattern.test(key)) return key;
  throw invalid(
    'Idempotency-Key',
    `must be 1 to ${limits.idempotencyKeyCharsMax} printable ASCII characters without blanks`,
  );
}

/** The queue that the path names. @throws invalidArgument */
export function queueOf({ params }: FastifyRequest): QueueName {
  const { queue } = params as { readonly queue: string };
  // The pattern is the whole schema; tested alone it costs a tenth of a parse on the hottest path.
  if (queueNamePattern.test(queue)) return queue as QueueName;
  throw invalid('queue', QueueName.safeParse(queue).error?.issues[0]?.message ?? 'is not a queue name');
}

export const receiptOf = ({ params }: FastifyRequest): string =>
  (params as { readonly receiptHandle: string }).receiptHandle;

const taskPattern = /^[0-9a-f-]{36}$/i;
/** @throws invalidArgument */
export function taskOf({ params }: FastifyRequest): string {
  const { task } = params as { readonly task: string };
  if (taskPattern.test(task)) return task;
  throw invalid('task', 'must be a task id, as the redrive answered it');
}

const messagePattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** @throws invalidArgument */
export function messageOf({ params }: FastifyRequest): string {
  const { messageId } = params as { readonly messageId: string };
  if (messagePattern.test(messageId)) return messageId.toLowerCase();
  throw invalid('messageId', 'must be a message id, as the send answered it');
}
