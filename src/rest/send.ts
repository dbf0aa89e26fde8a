/** Sending one message: the body is the message, options are query parameters, attributes are headers. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { orThrow } from '../domain/errors.ts';
import { sequenceText } from '../domain/fifo.ts';
import { limits } from '../domain/limits.ts';
import type { Draft } from '../domain/message.ts';
import { kindOfName } from '../domain/queue.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { bytesOf } from '../http/bodies.ts';
import type { Operation } from '../http/operation.ts';
import { invalid, readQuery } from '../http/parameters.ts';
import type { Sent } from '../storage/port.ts';
import type { RestDeps } from './deps.ts';
import { fingerprintOf, rawDraft } from './draft.ts';
import { dedup, delay, group, idempotencyHeader, idempotencyKeyOf, queueOf } from './parameters.ts';

export const SendAnswer = z
  .object({
    messageId: z
      .string()
      .describe('The id of the message.')
      .meta({ examples: ['0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'] }),
    sequenceNumber: z
      .string()
      .optional()
      .describe('FIFO: rises with each message of the queue; 20 digits.')
      .meta({ examples: ['00000000000000000042'] }),
    isDuplicate: z
      .boolean()
      .describe(
        'True when the deduplication id or the Idempotency-Key named an earlier message, which is the one told.',
      )
      .meta({ examples: [false] }),
  })
  .meta({ id: 'SendResult', description: 'A message that is stored: on disk before this answer was given.' });

export const jsonType = 'application/json; charset=utf-8';

/** Written by hand: three members, on the hottest path. */
export const sentJson = ({ messageId, sequence, isDuplicate }: Sent): string =>
  sequence === null
    ? `{"messageId":"${messageId}","isDuplicate":${isDuplicate}}`
    : `{"messageId":"${messageId}","sequenceNumber":"${sequenceText(sequence)}","isDuplicate":${isDuplicate}}`;

const sendQuery = { delay, group, dedup };

/** The draft that a request stands for. @throws invalidArgument, malformedBody */
export function draftOf(request: FastifyRequest): Draft {
  const { delay: delaySeconds, group: groupId, dedup: deduplicationId } = readQuery(sendQuery, request.query);
  return rawDraft(bytesOf(request), request.headers, { delaySeconds, groupId, deduplicationId });
}

/** The idempotency of a send. @throws invalidArgument on a FIFO queue, which has deduplication ids */
export function sendIdempotency(
  request: FastifyRequest,
  queue: QueueName,
  drafts: readonly Draft[],
  form: Parameters<typeof fingerprintOf>[1],
): { key: string; fingerprint: string } | undefined {
  const key = idempotencyKeyOf(request);
  if (key === undefined) return undefined;
  if (kindOfName(queue) === 'fifo') {
    throw invalid('Idempotency-Key', 'is for standard queues; on a FIFO queue give a deduplication id, with dedup');
  }
  return { key, fingerprint: fingerprintOf(drafts, form) };
}

async function sendOne({ broker }: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const queue = queueOf(request);
  const drafts = [draftOf(request)];
  const idempotency = sendIdempotency(request, queue, drafts, 'single');
  const [outcome] = await broker.messages.send(request.principal, queue, drafts, { idempotency });
  if (outcome === undefined) throw new Error('The broker answered no outcome.');
  const sent = orThrow<Sent>(outcome);
  reply.code(201).header('content-type', jsonType);
  return sentJson(sent);
}

/** Bytes that are read: a little more than a message may have, so that the queue's own limit answers. */
export const messageBodyBytesMax = limits.messageBytesMax + 1_024;

const bodyContent = {
  'application/json': {
    schema: { description: 'Any JSON: the message.' },
    example: { orderId: 42 },
  },
  'text/plain': { schema: { type: 'string' }, example: 'hello' },
  'application/octet-stream': { schema: { type: 'string', format: 'binary' } },
};

export const sendOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'POST',
    url: '/v1/queues/:queue/messages',
    operationId: 'sendMessage',
    action: 'send',
    body: 'message',
    doc: {
      tag: 'Messages',
      summary: 'Send a message',
      description:
        'The body is the message, whatever its bytes and content type, which come back as they were sent. Headers named ' +
        '`Attr-…` become string attributes, with names in lower case. A form body (`curl -d`) is recorded as ' +
        '`text/plain`. Text and JSON must be UTF-8. Once answered, the message is on disk.\n\n' +
        '`curl -d hello localhost:8080/v1/queues/orders/messages`',
      query: sendQuery,
      headers: { 'Idempotency-Key': idempotencyHeader },
      request: { isRequired: true, description: 'The message.', content: bodyContent },
      answers: {
        201: {
          description: 'The message is stored.',
          content: { 'application/json': { schema: SendAnswer } },
          links: {
            receiveMessages: {
              operationId: 'receiveMessages',
              parameters: { queue: '$request.path.queue' },
              description: 'Receive it from the same queue.',
            },
          },
        },
      },
      faults: [
        'queueNotFound',
        'emptyBody',
        'malformedBody',
        'messageTooLarge',
        'bodyTooLarge',
        'unsupportedMediaType',
        'delayTooLong',
        'delayNotAllowed',
        'groupRequired',
        'deduplicationIdRequired',
        'deduplicationIdNotAllowed',
        'idempotencyKeyReused',
        'queueFull',
        'storageFull',
      ],
    },
    handle: (request, reply) => sendOne(deps, request, reply),
  },
];
