/** Looking at messages without touching them, and an operator's removal of one. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { limits } from '../domain/limits.ts';
import { bytesOfAll, type Message, messageBytes, messageState } from '../domain/message.ts';
import { sealCursor } from '../http/cursor.ts';
import { readWithinRoom } from '../http/departures.ts';
import type { Operation } from '../http/operation.ts';
import { choice, cursor, readQuery, wholeNumber } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import { listJson, PeekedMessage, peekedJson } from './message-json.ts';
import { messageOf, queueOf } from './parameters.ts';
import { jsonType } from './send.ts';

export const nextCursor = z
  .string()
  .optional()
  .describe('The `cursor` of the next page; absent on the last one.')
  .meta({ examples: ['5S_97m9yZGVycw'] });

export const MessageList = z
  .object({ items: z.array(PeekedMessage).describe('Oldest first.'), nextCursor })
  .meta({ id: 'MessageList', description: 'A page of messages.' });

const peekQuery = {
  state: choice(['all', 'available', 'inFlight', 'delayed'], 'Only messages in this state; all unless given.'),
  limit: wholeNumber(1, limits.peekMessagesMax, `Messages per page; ${limits.peekMessagesDefault} unless given.`, 5),
  cursor,
};

async function peek({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const query = readQuery(peekQuery, request.query);
  const { state = 'all', limit = limits.peekMessagesDefault, cursor } = query;
  const page = await readWithinRoom(
    reply,
    (bytesMax) => broker.messages.peek(request.principal, queueOf(request), { state, limit, cursor, bytesMax }),
    ({ items }) => bytesOfAll(items),
  );
  const items = page.items.map((message) => viewOf(message, clock));
  const next = page.nextCursor === null ? '' : `,"nextCursor":"${sealCursor(page.nextCursor)}"`;
  reply.header('content-type', jsonType);
  return listJson('{"items":[', items, `]${next}}`);
}

const viewOf = (message: Message, clock: RestDeps['clock']): string =>
  peekedJson(message, messageState(message, clock.now()));

async function getMessage({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const message = await readWithinRoom(
    reply,
    () => broker.messages.get(request.principal, queueOf(request), messageOf(request)),
    messageBytes,
  );
  reply.header('content-type', jsonType);
  return viewOf(message, clock);
}

async function removeMessage(
  { broker }: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  await broker.messages.remove(request.principal, queueOf(request), messageOf(request));
  return reply.code(204).send();
}

export const messageOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'GET',
    url: '/v1/queues/:queue/messages',
    operationId: 'peekMessages',
    action: 'peek',
    body: 'none',
    doc: {
      tag: 'Messages',
      summary: 'Look at messages',
      description:
        'The messages of a queue, oldest first. Changes nothing: nobody receives them, nothing is counted. A page looks at ' +
        'so many messages and no more: with `state` it may hold few or none, and still have a `nextCursor`.\n\n' +
        '`curl "localhost:8080/v1/queues/orders/messages?state=all&limit=5"`',
      query: peekQuery,
      answers: {
        200: { description: 'A page of messages.', content: { 'application/json': { schema: MessageList } } },
      },
      faults: ['queueNotFound'],
    },
    handle: (request, reply) => peek(deps, request, reply),
  },
  {
    method: 'GET',
    url: '/v1/queues/:queue/messages/:messageId',
    operationId: 'getMessage',
    action: 'peek',
    body: 'none',
    doc: {
      tag: 'Messages',
      summary: 'Look at one message',
      description: 'One message of a queue. Changes nothing.',
      answers: {
        200: { description: 'The message.', content: { 'application/json': { schema: PeekedMessage } } },
      },
      faults: ['queueNotFound', 'messageNotFound'],
    },
    handle: (request, reply) => getMessage(deps, request, reply),
  },
  {
    method: 'DELETE',
    url: '/v1/queues/:queue/messages/:messageId',
    operationId: 'deleteMessage',
    action: 'removeMessage',
    body: 'none',
    doc: {
      tag: 'Messages',
      summary: 'Remove one message',
      description:
        'For operators: removes a message whether or not somebody holds it. Receivers delete what they hold by its receipt.',
      answers: { 204: { description: 'It is gone.' } },
      faults: ['queueNotFound', 'messageNotFound'],
    },
    handle: (request, reply) => removeMessage(deps, request, reply),
  },
];
