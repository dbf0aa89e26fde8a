/** Receiving: as JSON, or one message as it is, with its facts in headers. Both are POST, since they change state. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { HeldMessage, ReceiveOptions } from '../broker/messages.ts';
import { sequenceText } from '../domain/fifo.ts';
import { limits } from '../domain/limits.ts';
import type { Attributes } from '../domain/message.ts';
import { kindOfName } from '../domain/queue.ts';
import { requireNoBody } from '../http/bodies.ts';
import { clientGone } from '../http/client-gone.ts';
import { roomFor } from '../http/departures.ts';
import type { HeaderDoc, Operation } from '../http/operation.ts';
import { invalid, readQuery, wholeNumber } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import { asUnread, instantText, listJson, ReceivedMessage, receivedJson } from './message-json.ts';
import { originOf } from './origin.ts';
import { attempt, queueOf, visibility, wait } from './parameters.ts';
import { jsonType } from './send.ts';

export const ReceiveAnswer = z
  .object({ messages: z.array(ReceivedMessage).describe('The messages; none when there was none.') })
  .meta({ id: 'ReceivedMessages', description: 'Messages in the hands of their receiver.' });

const receiveQuery = {
  max: wholeNumber(1, limits.receiveMessagesMax, 'How many messages at most; 1 unless given.', 10),
  wait,
  visibility,
  attempt,
};
const nextQuery = { wait, visibility };

const noMessages = '{"messages":[]}';

async function receive({ broker }: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const queue = queueOf(request);
  const query = readQuery(receiveQuery, request.query);
  requireNoBody(request);
  if (query.attempt !== undefined && kindOfName(queue) === 'standard') {
    throw invalid('attempt', `is for FIFO queues, and ${JSON.stringify(queue)} is a standard queue`);
  }
  const options = receiveOptions(reply, query.max ?? 1, query);
  const messages = await broker.messages.receive(request.principal, queue, options);
  reply.header('content-type', jsonType);
  if (messages.length === 0) return noMessages;
  return listJson(
    '{"messages":[',
    messages.map((message) => receivedJson(message, message.receiptHandle)),
    ']}',
  );
}

function receiveOptions(
  reply: FastifyReply,
  max: number,
  query: { readonly wait?: number; readonly visibility?: number; readonly attempt?: string },
): ReceiveOptions {
  return {
    max,
    waitSeconds: query.wait,
    visibilitySeconds: query.visibility,
    attemptId: query.attempt,
    signal: clientGone(reply),
    room: roomFor(reply),
  };
}

async function receiveRaw({ broker }: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const queue = queueOf(request);
  const query = readQuery(nextQuery, request.query);
  requireNoBody(request);
  const [message] = await broker.messages.receive(request.principal, queue, receiveOptions(reply, 1, query));
  if (message === undefined) return reply.code(204).send();
  reply.headers(factHeaders(message, `${originOf(request)}/v1/queues/${queue}/receipts/`));
  return reply.send(asUnread(message.body));
}

const headerToken = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What arrives as it was sent: printable, and no blanks at the ends, which HTTP strips. */
const headerValue = /^[!-~](?:[ -~]*[!-~])?$/;
const contentTypeValue = /^[!-~](?:[ -~]*[!-~])?$/;

/** The facts of a message as headers: nothing of a sender's gets there unless it is printable ASCII. */
function factHeaders(message: HeldMessage, receiptsUrl: string): Record<string, string> {
  const { contentType, receiptHandle, groupId, deduplicationId, history } = message;
  const headers: Record<string, string> = {
    'content-type': contentTypeValue.test(contentType) ? contentType : 'application/octet-stream',
    'message-id': message.messageId,
    'receipt-handle': receiptHandle,
    'receipt-url': receiptsUrl + receiptHandle,
    'receive-count': String(message.receiveCount),
    'sent-at': instantText(message.sentAt),
    // A body is never a page of this server, whatever its type says.
    'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
  };
  if (groupId !== '') headers['group-id'] = groupId;
  if (deduplicationId !== '') {
    headers['deduplication-id'] = deduplicationId;
    headers['sequence-number'] = sequenceText(message.sequence);
  }
  if (history.lastFailure !== undefined) {
    headers['last-failure'] = encodeURIComponent(history.lastFailure.reason.toWellFormed());
  }
  return message.attributes.size === 0 ? headers : { ...headers, ...attributeHeaders(message.attributes) };
}

/** Clients refuse answers with very large headers; curl and Node take 16 KiB and more. */
const attributeHeaderBytesMax = 8_192;

/** `Attr-…` for attributes that a header can carry, and all of them in `Attributes` when one cannot be. */
function attributeHeaders(attributes: Attributes): Record<string, string> {
  const headers: Record<string, string> = {};
  let bytes = 0;
  for (const [name, { value }] of attributes) {
    const header = `attr-${name.toLowerCase()}`;
    if (!headerToken.test(name) || !headerValue.test(value) || header in headers) continue;
    headers[header] = value;
    bytes += header.length + value.length;
  }
  if (Object.keys(headers).length < attributes.size) {
    const all = Buffer.from(JSON.stringify(Object.fromEntries(attributes))).toString('base64url');
    headers.attributes = all;
    bytes += all.length;
  }
  return bytes > attributeHeaderBytesMax ? { 'attributes-omitted': String(attributes.size) } : headers;
}

const text = (description: string, example: string): HeaderDoc => ({
  description,
  schema: { type: 'string' },
  example,
});
const always = (header: HeaderDoc): HeaderDoc => ({ ...header, isRequired: true });

const rawHeaders: Readonly<Record<string, HeaderDoc>> = {
  'Message-Id': always(text('The id of the message.', '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d')),
  'Receipt-Handle': always(text('Proof of this receive.', 'AQAAAAAHAAAAAAAqAAAAAQAAAADx3k2m8v0Yc5Jw1b9RkQzT')),
  'Receipt-Url': always(
    text(
      'DELETE it when the work is done.',
      'http://localhost:8080/v1/queues/orders/receipts/AQAAAAAHAAAAAAAqAAAAAQAAAADx3k2m8v0Yc5Jw1b9RkQzT',
    ),
  ),
  'Receive-Count': always({
    description: 'How often it was received.',
    schema: { type: 'integer', format: 'int32' },
    example: '1',
  }),
  'Sent-At': always({
    description: 'When it was sent.',
    schema: { type: 'string', format: 'date-time' },
    example: '2026-01-31T12:00:00.000Z',
  }),
  'Group-Id': text('The message group, if it has one.', 'customer-7'),
  'Deduplication-Id': text('FIFO: the deduplication id.', 'a1'),
  'Sequence-Number': text('FIFO: the place in the order; 20 digits.', '00000000000000000042'),
  'Last-Failure': text('The reason of the last failure, percent-encoded, if there was one.', 'db%20down'),
  'Attr-Tenant': text('An example: the value of each attribute that a header can carry is in `Attr-<name>`.', 'acme'),
  Attributes: text(
    'All attributes as base64url of JSON, when one of them does not fit into a header of its own.',
    'e30',
  ),
  'Attributes-Omitted': text('How many attributes the message has, when they are too large for headers.', '2'),
};

const receiveFaults = ['queueNotFound', 'tooManyInFlight', 'tooManyWaiters', 'attemptIdReused'] as const;

export const receiveOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'POST',
    url: '/v1/queues/:queue/messages/receive',
    operationId: 'receiveMessages',
    action: 'receive',
    body: 'none',
    doc: {
      tag: 'Messages',
      summary: 'Receive messages',
      description:
        `Up to ${limits.receiveMessagesMax} messages, each hidden from others for the visibility timeout. Delete what is done; ` +
        'what is not comes again. With `wait` the answer comes as soon as there is a message.\n\n' +
        '`curl -X POST "localhost:8080/v1/queues/orders/messages/receive?max=10&wait=20s"`',
      query: receiveQuery,
      answers: {
        200: {
          description: 'The messages; an empty list when there was none.',
          content: { 'application/json': { schema: ReceiveAnswer } },
          links: {
            deleteReceivedMessage: {
              operationId: 'deleteReceivedMessage',
              parameters: {
                queue: '$request.path.queue',
                receiptHandle: '$response.body#/messages/0/receiptHandle',
              },
              description: 'Delete the first one.',
            },
          },
        },
      },
      faults: receiveFaults,
    },
    handle: (request, reply) => receive(deps, request, reply),
  },
  {
    method: 'POST',
    url: '/v1/queues/:queue/messages/next',
    operationId: 'receiveRawMessage',
    action: 'receive',
    body: 'none',
    doc: {
      tag: 'Messages',
      summary: 'Receive one message as it is',
      description:
        'The body of the answer is the message, under its own content type; what is known of it stands in headers. ' +
        'For shells and other small clients.\n\n`curl -sD- -X POST "localhost:8080/v1/queues/orders/messages/next?wait=20s"`',
      query: nextQuery,
      answers: {
        200: {
          description: 'The message.',
          headers: rawHeaders,
          content: {
            '*/*': { schema: { type: 'string', format: 'binary', description: 'The bytes that were sent.' } },
          },
        },
        204: { description: 'There was none.' },
      },
      faults: receiveFaults.filter((code) => code !== 'attemptIdReused'),
    },
    handle: (request, reply) => receiveRaw(deps, request, reply),
  },
];
