/** What the holder of a message does with it: delete, extend, release, give up on it; one by one or many at once. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type SettlementAsk, settleOne } from '../broker/messages.ts';
import { type FaultData, fault, isFault } from '../domain/errors.ts';
import { type Instant, toRfc3339 } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { readDocument, requireNoBody } from '../http/bodies.ts';
import type { Operation } from '../http/operation.ts';
import { invalid, readQuery } from '../http/parameters.ts';
import type { Settled } from '../storage/port.ts';
import type { RestDeps } from './deps.ts';
import type { Asked } from './errors.ts';
import { InstantText } from './message-json.ts';
import { delay, queueOf, Reason, reason, receiptOf, visibility } from './parameters.ts';
import { askedOf, Problem, problemOf } from './problems.ts';

const noQuery = {};
const handleExample = 'AQAAAAAHAAAAAAAqAAAAAQAAAADx3k2m8v0Yc5Jw1b9RkQzT';

const visibilityTimeoutSeconds = z
  .int()
  .min(0)
  .max(limits.visibilityTimeoutSecondsMax)
  .describe('How long the message stays hidden, from now on; 0 gives it back at once.')
  .meta({ examples: [120] });
const delaySeconds = z
  .int()
  .min(0)
  .max(limits.delaySecondsMax)
  .optional()
  .describe("How long the message waits before it can be received again; the queue's back-off unless given.")
  .meta({ examples: [60] });

export const ChangeVisibility = z
  .strictObject({ visibilityTimeoutSeconds })
  .meta({ id: 'ChangeVisibilityRequest', description: 'A new visibility timeout.' });

/** What the body says when the query may say it. */
const SomeVisibility = z.strictObject({ visibilityTimeoutSeconds: visibilityTimeoutSeconds.optional() });

export const ReleaseMessage = z
  .strictObject({ delaySeconds, reason: Reason.optional() })
  .meta({ id: 'ReleaseMessageRequest', description: 'How a message is given back.' });

export const DeadLetterMessage = z
  .strictObject({ reason: Reason.optional() })
  .meta({ id: 'DeadLetterMessageRequest', description: 'Why a message is given up.' });

export const VisibleAt = z
  .object({ visibleAt: InstantText.describe('From when on the message can be received again.') })
  .meta({ id: 'VisibilityResult', description: 'When the message can be received again.' });

/** Settles the one message of the path. @throws receiptInvalid, receiptForeign, receiptExpired and others */
function settle(deps: RestDeps, request: FastifyRequest, ask: SettlementAsk): Promise<Settled> {
  return settleOne(settleAll(deps, request, queueOf(request), [ask]));
}

/** A message that is gone is, to whoever held it, a receipt that holds no more. */
async function settleAll(
  { broker }: RestDeps,
  request: FastifyRequest,
  queue: QueueName,
  asks: readonly SettlementAsk[],
): Promise<readonly Outcome[]> {
  const outcomes = await broker.messages.settle(request.principal, queue, asks);
  return outcomes.map((outcome) =>
    isFault(outcome) && outcome.fault === 'messageNotFound' ? fault('receiptExpired', {}) : outcome,
  );
}

/** @throws Error when the engine says nothing, which it may only for a message that is gone */
function visibleAtOf({ visibleAt }: Settled): { visibleAt: string } {
  if (visibleAt === null) throw new Error('A message that is kept has no instant at which it is visible.');
  return { visibleAt: toRfc3339(visibleAt) };
}

async function deleteReceived(deps: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  readQuery(noQuery, request.query);
  requireNoBody(request);
  await settle(deps, request, { does: 'delete', receiptHandle: receiptOf(request) });
  return reply.code(204).send();
}

async function changeVisibility(deps: RestDeps, request: FastifyRequest) {
  const query = readQuery({ visibility }, request.query);
  const body = readDocument(request, SomeVisibility);
  requireOnce(query.visibility, body.visibilityTimeoutSeconds, 'visibility');
  const visibilitySeconds = query.visibility ?? body.visibilityTimeoutSeconds;
  if (visibilitySeconds === undefined)
    throw invalid('visibility', 'is missing: say ?visibility=2m, or send {"visibilityTimeoutSeconds":120}');
  const settled = await settle(deps, request, { does: 'extend', receiptHandle: receiptOf(request), visibilitySeconds });
  return visibleAtOf(settled);
}

async function release(deps: RestDeps, request: FastifyRequest) {
  const query = readQuery({ delay, reason }, request.query);
  const body = readDocument(request, ReleaseMessage);
  requireOnce(query.delay, body.delaySeconds, 'delay');
  requireOnce(query.reason, body.reason, 'reason');
  const settled = await settle(deps, request, {
    does: 'release',
    receiptHandle: receiptOf(request),
    delaySeconds: query.delay ?? body.delaySeconds,
    reason: query.reason ?? body.reason,
  });
  return visibleAtOf(settled);
}

async function deadLetter(deps: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const query = readQuery({ reason }, request.query);
  const body = readDocument(request, DeadLetterMessage);
  requireOnce(query.reason, body.reason, 'reason');
  await settle(deps, request, {
    does: 'deadLetter',
    receiptHandle: receiptOf(request),
    reason: query.reason ?? body.reason,
  });
  return reply.code(204).send();
}

/** @throws invalidArgument when something is said in the query and in the body */
function requireOnce(inQuery: unknown, inBody: unknown, name: string): void {
  if (inQuery !== undefined && inBody !== undefined)
    throw invalid(name, 'is given in the query and in the body; right would be either, not both');
}

const receiptHandle = z
  .string()
  .max(1_024)
  .describe('The receipt handle of the receive.')
  .meta({ examples: [handleExample] });

export const ExtendEntry = z
  .strictObject({ receiptHandle, visibilityTimeoutSeconds })
  .meta({ id: 'ExtendEntry', description: 'A message to hold on to.' });
export const ReleaseEntry = z
  .strictObject({ receiptHandle, delaySeconds, reason: Reason.optional() })
  .meta({ id: 'ReleaseEntry', description: 'A message to give back.' });
export const DeadLetterEntry = z
  .strictObject({ receiptHandle, reason: Reason.optional() })
  .meta({ id: 'DeadLetterEntry', description: 'A message to give up on.' });

export const SettleBatch = z
  .strictObject({
    delete: z
      .array(receiptHandle)
      .optional()
      .describe('Receipt handles of messages that are done.')
      .meta({ examples: [[handleExample]] }),
    extend: z.array(ExtendEntry).optional().describe('Messages to hold on to.'),
    release: z.array(ReleaseEntry).optional().describe('Messages to give back.'),
    deadLetter: z.array(DeadLetterEntry).optional().describe('Messages to give up on.'),
  })
  .meta({
    id: 'SettleMessagesRequest',
    description: `What to do with held messages, ${limits.batchEntriesMax} in all at most.`,
  });
type SettleBatch = z.infer<typeof SettleBatch>;
/** Compiled when it is first needed. */
let fastSettleBatch: typeof SettleBatch | undefined;

export const SettleOutcome = z
  .object({
    visibleAt: InstantText.optional().describe('Extended or released: from when on it can be received again.'),
    error: Problem.optional().describe('Why it was not done.'),
  })
  .meta({ id: 'SettleOutcome', description: 'What became of one entry; empty when it was deleted or dead-lettered.' });

const outcomes = (what: string) =>
  z.array(SettleOutcome).optional().describe(`One per entry of \`${what}\`, in order.`);
export const SettleAnswer = z
  .object({
    delete: outcomes('delete'),
    extend: outcomes('extend'),
    release: outcomes('release'),
    deadLetter: outcomes('deadLetter'),
    settledCount: z
      .int()
      .min(0)
      .describe('Entries that were done.')
      .meta({ examples: [1] }),
    failedCount: z
      .int()
      .min(0)
      .describe('Entries that were not.')
      .meta({ examples: [0] }),
  })
  .meta({ id: 'SettleMessagesResult', description: 'What became of each entry, under the names of the request.' });

const settlementKinds = ['delete', 'extend', 'release', 'deadLetter'] as const;
type SettlementKind = (typeof settlementKinds)[number];

function asksOf(batch: SettleBatch): readonly SettlementAsk[] {
  return [
    ...(batch.delete ?? []).map((handle) => ({ does: 'delete', receiptHandle: handle }) as const),
    ...(batch.extend ?? []).map(
      (entry) =>
        ({
          does: 'extend',
          receiptHandle: entry.receiptHandle,
          visibilitySeconds: entry.visibilityTimeoutSeconds,
        }) as const,
    ),
    ...(batch.release ?? []).map((entry) => ({ does: 'release', ...entry }) as const),
    ...(batch.deadLetter ?? []).map((entry) => ({ does: 'deadLetter', ...entry }) as const),
  ];
}

type Outcome = Settled | FaultData;
type OutcomeView = { visibleAt?: string; error?: Problem };

function outcomeView(outcome: Outcome, kind: SettlementKind, asked: Asked): OutcomeView {
  if (isFault(outcome)) return { error: problemOf(outcome as never, asked) };
  return (kind === 'extend' || kind === 'release') && outcome.visibleAt !== null
    ? { visibleAt: toRfc3339(outcome.visibleAt as Instant) }
    : {};
}

async function settleMany(deps: RestDeps, request: FastifyRequest) {
  const queue = queueOf(request);
  readQuery(noQuery, request.query);
  fastSettleBatch ??= z.compile(SettleBatch);
  const batch = readDocument(request, fastSettleBatch);
  const asks = asksOf(batch);
  if (asks.length === 0)
    throw invalid('body', 'must name at least one message in delete, extend, release or deadLetter');
  if (asks.length > limits.batchEntriesMax) {
    throw invalid('body', `must name at most ${limits.batchEntriesMax} messages in all, not ${asks.length}`);
  }
  const settled = await settleAll(deps, request, queue, asks);
  const failedCount = settled.filter(isFault).length;
  return {
    ...groupedOutcomes(batch, settled, askedOf(request)),
    settledCount: settled.length - failedCount,
    failedCount,
  };
}

/** The outcomes under the names of the request, absent where it named nothing. */
function groupedOutcomes(batch: SettleBatch, settled: readonly Outcome[], asked: Asked) {
  const views: { [K in SettlementKind]?: OutcomeView[] } = {};
  let from = 0;
  for (const kind of settlementKinds) {
    const entries = batch[kind];
    if (entries === undefined) continue;
    views[kind] = settled.slice(from, from + entries.length).map((outcome) => outcomeView(outcome, kind, asked));
    from += entries.length;
  }
  return views;
}

const receiptFaults = ['queueNotFound', 'receiptInvalid', 'receiptForeign', 'receiptExpired'] as const;

export const receiptOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'DELETE',
    url: '/v1/queues/:queue/receipts/:receiptHandle',
    operationId: 'deleteReceivedMessage',
    action: 'settle',
    body: 'none',
    doc: {
      tag: 'Receipts',
      summary: 'Delete the message held',
      description: 'The work is done: the message never comes again. Repeating it is fine.',
      answers: { 204: { description: 'It is gone.' } },
      faults: receiptFaults,
    },
    handle: (request, reply) => deleteReceived(deps, request, reply),
  },
  {
    method: 'PATCH',
    url: '/v1/queues/:queue/receipts/:receiptHandle',
    operationId: 'changeVisibility',
    action: 'settle',
    body: 'document',
    doc: {
      tag: 'Receipts',
      summary: 'Change its visibility timeout',
      description:
        'Holds the message for this long from now on. The body, or `visibility` in the query.\n\n' +
        '`curl -X PATCH "localhost:8080/v1/queues/orders/receipts/AQ…?visibility=2m"`',
      query: { visibility },
      request: {
        isRequired: false,
        content: { 'application/json': { schema: ChangeVisibility, example: { visibilityTimeoutSeconds: 120 } } },
      },
      answers: {
        200: { description: 'Held on.', content: { 'application/json': { schema: VisibleAt } } },
      },
      faults: [...receiptFaults, 'visibilityTooLong', 'unsupportedMediaType', 'malformedBody', 'bodyTooLarge'],
    },
    handle: (request) => changeVisibility(deps, request),
  },
  {
    method: 'POST',
    url: '/v1/queues/:queue/receipts/:receiptHandle/release',
    operationId: 'releaseMessage',
    action: 'settle',
    body: 'document',
    doc: {
      tag: 'Receipts',
      summary: 'Give it back',
      description:
        "It failed for now: others may receive it after `delay`, or after the queue's back-off. `reason` is kept with it. " +
        'Options are in the query or in the body.\n\n' +
        '`curl -X POST "localhost:8080/v1/queues/orders/receipts/AQ…/release?delay=1m&reason=db+down"`',
      query: { delay, reason },
      request: {
        isRequired: false,
        content: { 'application/json': { schema: ReleaseMessage, example: { delaySeconds: 60, reason: 'db down' } } },
      },
      answers: {
        200: { description: 'Given back.', content: { 'application/json': { schema: VisibleAt } } },
      },
      faults: [...receiptFaults, 'unsupportedMediaType', 'malformedBody', 'bodyTooLarge'],
    },
    handle: (request) => release(deps, request),
  },
  {
    method: 'POST',
    url: '/v1/queues/:queue/receipts/:receiptHandle/dead-letter',
    operationId: 'deadLetterMessage',
    action: 'settle',
    body: 'document',
    doc: {
      tag: 'Receipts',
      summary: 'Give up on it',
      description: 'It can never succeed: the message moves to the dead-letter queue now, with `reason`.',
      query: { reason },
      request: {
        isRequired: false,
        content: { 'application/json': { schema: DeadLetterMessage, example: { reason: 'no such customer' } } },
      },
      answers: {
        204: { description: 'It is in the dead-letter queue.' },
      },
      faults: [...receiptFaults, 'deadLetterQueueMissing', 'unsupportedMediaType', 'malformedBody', 'bodyTooLarge'],
    },
    handle: (request, reply) => deadLetter(deps, request, reply),
  },
  {
    method: 'POST',
    url: '/v1/queues/:queue/receipts/batch',
    operationId: 'settleMessages',
    action: 'settle',
    body: 'document',
    doc: {
      tag: 'Receipts',
      summary: 'Settle many messages',
      description:
        `Deletes, extends, releases and dead-letters up to ${limits.batchEntriesMax} held messages in one step on disk. Each entry ` +
        'succeeds or fails by itself.',
      request: {
        isRequired: true,
        content: {
          'application/json': {
            schema: SettleBatch,
            example: {
              delete: [handleExample],
              release: [{ receiptHandle: handleExample, delaySeconds: 60, reason: 'db down' }],
            },
          },
        },
      },
      answers: {
        200: { description: 'What became of each entry.', content: { 'application/json': { schema: SettleAnswer } } },
      },
      faults: ['queueNotFound', 'unsupportedMediaType', 'malformedBody', 'bodyTooLarge'],
    },
    handle: (request) => settleMany(deps, request),
  },
];
