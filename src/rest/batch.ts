/**
 * Sending many: a JSON envelope in one transaction, or lines of JSON as they come.
 *
 * An entry that is wrong fails alone; with `atomic` nothing is stored then, and the answer is its problem.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Fault, type FaultData, fault, isFault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import type { Draft } from '../domain/message.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { bytesOf, lineTypes, requireType } from '../http/bodies.ts';
import { readJson } from '../http/json.ts';
import { essenceOf } from '../http/media-type.ts';
import type { Operation } from '../http/operation.ts';
import { flag, invalid, readQuery } from '../http/parameters.ts';
import type { Sent } from '../storage/port.ts';
import type { RestDeps } from './deps.ts';
import { type DraftOptions, entryDraft, SendEntry } from './draft.ts';
import type { Asked } from './errors.ts';
import { listJson } from './message-json.ts';
import { delay, group, idempotencyHeader, queueOf } from './parameters.ts';
import { askedOf, Problem, problemOf, sendFault } from './problems.ts';
import { jsonType, sendIdempotency, sentJson } from './send.ts';
import { sendLines } from './upload.ts';

export const SendBatch = z
  .strictObject({
    messages: z
      .array(SendEntry)
      .min(1)
      .max(limits.batchEntriesMax)
      .describe(`1 to ${limits.batchEntriesMax} messages.`)
      .meta({
        examples: [[{ body: { orderId: 42 } }, { body: 'hello', attributes: { tenant: 'acme' }, delaySeconds: 30 }]],
      }),
  })
  .meta({ id: 'SendMessagesRequest', description: 'Messages to send together.' });

/** The envelope alone: each entry is read by itself, so that a wrong one fails alone. */
const Envelope = z.strictObject({ messages: z.array(z.unknown()).min(1).max(limits.batchEntriesMax) });

export const SendOutcome = z
  .object({
    messageId: z
      .string()
      .optional()
      .describe('The id of the message, when it is stored.')
      .meta({
        examples: ['0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'],
      }),
    sequenceNumber: z
      .string()
      .optional()
      .describe('FIFO: 20 digits.')
      .meta({ examples: ['00000000000000000042'] }),
    isDuplicate: z
      .boolean()
      .optional()
      .describe('True when it names an earlier message.')
      .meta({ examples: [false] }),
    error: Problem.optional().describe('Why the message is not stored.'),
  })
  .meta({ id: 'SendOutcome', description: 'What became of one entry: a stored message or an error.' });

export const SendBatchAnswer = z
  .object({
    results: z.array(SendOutcome).describe('One per entry, in order.'),
    sentCount: z
      .int()
      .min(0)
      .describe('Entries that are stored.')
      .meta({ examples: [2] }),
    failedCount: z
      .int()
      .min(0)
      .describe('Entries that are not.')
      .meta({ examples: [0] }),
  })
  .meta({ id: 'SendMessagesResult', description: 'What became of each entry.' });

export const batchQuery = {
  delay,
  group,
  atomic: flag('All or nothing: when one entry is refused, none is stored and the answer is its problem.'),
  envelope: flag('Lines only: each line is an entry as in the JSON form, not a body.'),
};

/** What became of one entry. */
export type Outcome = Sent | FaultData;

export const outcomeJson = (outcome: Outcome, asked: Asked): string =>
  isFault(outcome) ? `{"error":${JSON.stringify(problemOf(outcome as never, asked))}}` : sentJson(outcome);

/** The answer of a batch. */
export function batchJson(outcomes: readonly Outcome[], asked: Asked): string {
  const failedCount = outcomes.filter(isFault).length;
  const results = outcomes.map((outcome) => outcomeJson(outcome, asked));
  const counts = `"sentCount":${outcomes.length - failedCount},"failedCount":${failedCount}`;
  return listJson('{"results":[', results, `],${counts}}`);
}

/** The answer of a batch of which nothing is stored: the problem of the first entry at fault, and all results. */
export function refuseBatch(reply: FastifyReply, outcomes: readonly Outcome[]): FastifyReply {
  const faults = outcomes.filter(isFault);
  const cause = faults.find(({ fault: code }) => code !== 'batchAborted') ?? faults[0];
  if (cause === undefined) throw new Error('A batch was refused without a cause.');
  const { results } = JSON.parse(batchJson(outcomes, askedOf(reply.request))) as { results: unknown };
  return sendFault(reply, cause, { results });
}

/** The drafts of an envelope; a fault where an entry is wrong. */
function readEnvelope(request: FastifyRequest, defaults: DraftOptions): readonly (Draft | FaultData)[] {
  const { value, bodyText } = readJson(bytesOf(request), 'messages');
  const { messages } = parseEnvelope(value);
  return messages.map((entry, i) => draftOrFault(() => entryDraft(entry, bodyText(i), defaults, `messages[${i}]`)));
}

const noMessages = (): Fault =>
  invalid(
    'messages',
    `must be a list of 1 to ${limits.batchEntriesMax} entries, as in {"messages":[{"body":"hello"}]}`,
  );

function parseEnvelope(value: unknown): z.infer<typeof Envelope> {
  const parsed = Envelope.safeParse(value);
  if (parsed.success) return parsed.data;
  const unknown = parsed.error.issues.find((issue) => issue.code === 'unrecognized_keys')?.keys[0];
  throw unknown === undefined
    ? noMessages()
    : invalid(unknown.slice(0, 64), 'is not a member that is known here; there is messages alone');
}

/** The draft, or the fault that making it threw. */
export function draftOrFault(make: () => Draft): Draft | FaultData {
  try {
    return make();
  } catch (error) {
    if (error instanceof Fault) return error.data;
    throw error;
  }
}

export const isDraft = (entry: Draft | FaultData): entry is Draft => !isFault(entry);

async function sendEnvelope(
  { broker }: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  queue: QueueName,
): Promise<string | FastifyReply> {
  const {
    atomic: isAtomic = false,
    envelope,
    delay: delaySeconds,
    group: groupId,
  } = readQuery(batchQuery, request.query);
  if (envelope !== undefined) throw invalid('envelope', 'is for lines of JSON; this form is an envelope always');
  if (bytesOf(request).byteLength === 0) throw noMessages();
  requireType(request, ['application/json', ...lineTypes]);
  const entries = readEnvelope(request, { delaySeconds, groupId });
  const drafts = entries.filter(isDraft);
  if (isAtomic && drafts.length < entries.length) return refuseBatch(reply, entries.map(abortedUnlessFault));
  const idempotency = sendIdempotency(request, queue, drafts, isAtomic ? 'atomic batch' : 'batch');
  // Sent even when no entry is left, so that a queue that is not there is told.
  const sent = await broker.messages.send(request.principal, queue, drafts, { isAtomic, idempotency });
  const outcomes = merged(entries, sent);
  if (outcomes.every(isFault) || (isAtomic && outcomes.some(isFault))) return refuseBatch(reply, outcomes);
  reply.header('content-type', jsonType);
  return batchJson(outcomes, askedOf(request));
}

/** The outcomes of all entries, from those of the entries that could be sent. */
export function merged(entries: readonly (Draft | FaultData)[], sent: readonly Outcome[]): readonly Outcome[] {
  let next = 0;
  return entries.map((entry) => {
    if (isFault(entry)) return entry;
    const outcome = sent[next++];
    if (outcome === undefined) throw new Error('The broker answered fewer outcomes than it was asked for.');
    return outcome;
  });
}

export const abortedUnlessFault = (entry: Draft | FaultData): FaultData =>
  isFault(entry) ? entry : fault('batchAborted', {});

function sendMany(deps: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<string | FastifyReply> {
  const queue = queueOf(request);
  const essence = essenceOf(request.headers['content-type'] ?? '');
  return (lineTypes as readonly string[]).includes(essence)
    ? sendLines(deps, request, reply, queue)
    : sendEnvelope(deps, request, reply, queue);
}

const linesExample = '{"orderId":42}\n{"orderId":43}\n';

export const batchOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'POST',
    url: '/v1/queues/:queue/messages/batch',
    operationId: 'sendMessages',
    action: 'send',
    body: 'batch',
    doc: {
      tag: 'Messages',
      summary: 'Send many messages',
      description:
        `Up to ${limits.batchEntriesMax} messages as a JSON envelope, or any number of lines of JSON (NDJSON), each of which is a ` +
        'body. Each entry succeeds or fails by itself; `results` has one outcome per entry, in order, so look at ' +
        '`failedCount`. When none is stored, the answer is the problem of the first, with a member `results` of its own. ' +
        `With \`atomic=true\` it is all or nothing, for at most ${limits.batchEntriesMax} entries. ` +
        '`delay` and `group` count for entries that say nothing of their own.\n\n' +
        'Lines are stored and answered as they come: what has a result is on disk. Read the answer while sending ' +
        `more than 100,000 of them. An upload whose first ${limits.batchEntriesMax} lines are all refused ends there.\n\n` +
        "`curl --data-binary @jobs.ndjson -H 'content-type: application/x-ndjson' localhost:8080/v1/queues/orders/messages/batch`",
      query: batchQuery,
      headers: { 'Idempotency-Key': idempotencyHeader },
      request: {
        isRequired: true,
        content: {
          'application/json': { schema: SendBatch },
          'application/x-ndjson': {
            schema: { type: 'string', description: 'One JSON value per line: the body of one message.' },
            example: linesExample,
          },
        },
      },
      answers: {
        200: {
          description: 'What became of each entry.',
          content: { 'application/json': { schema: SendBatchAnswer } },
        },
      },
      faults: [
        'queueNotFound',
        'malformedBody',
        'bodyTooLarge',
        'unsupportedMediaType',
        'idempotencyKeyReused',
        'messageTooLarge',
        'queueFull',
        'storageFull',
      ],
    },
    handle: (request, reply) => sendMany(deps, request, reply),
  },
];
