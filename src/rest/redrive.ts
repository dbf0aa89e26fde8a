/** Redrive: start (or try out) a move task, and watch or cancel tasks. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { RedriveAsk } from '../broker/redrive.ts';
import { toRfc3339 } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { bytesOfAll, messageState } from '../domain/message.ts';
import { QueueName } from '../domain/queue-attributes.ts';
import type { RedriveTask } from '../domain/redrive.ts';
import { requireNoBody } from '../http/bodies.ts';
import { readForAnswer } from '../http/departures.ts';
import type { Operation } from '../http/operation.ts';
import { flag, type Parameter, paging, readQuery, text, wholeNumber } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import type { Asked } from './errors.ts';
import { InstantText, PeekedMessage, peekedJson } from './message-json.ts';
import { nextCursor } from './messages.ts';
import { idempotencyHeader, idempotencyKeyOf, queueOf, taskOf } from './parameters.ts';
import { askedOf, problemOf } from './problems.ts';
import { pageOf } from './queues.ts';
import { jsonType } from './send.ts';

export const TaskStatusName = z
  .enum(['running', 'completed', 'cancelled', 'failed'])
  .describe('How far it is.')
  .meta({ id: 'TaskStatus', examples: ['running'] });

export const TaskFailure = z
  .object({
    code: z
      .string()
      .describe('The kind of problem, as in problems.')
      .meta({ examples: ['queue_not_found'] }),
    detail: z
      .string()
      .describe('What went wrong.')
      .meta({ examples: ['There is no queue "orders".'] }),
  })
  .meta({ id: 'TaskFailure', description: 'Why a task failed.' });

export const Task = z
  .object({
    taskId: z
      .string()
      .describe('The id of the task.')
      .meta({ examples: ['0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'] }),
    source: z
      .string()
      .describe('The queue whose messages move.')
      .meta({ examples: ['orders-dlq'] }),
    destination: z
      .string()
      .optional()
      .describe('Where they go; absent: each to the queue it came from.')
      .meta({ examples: ['orders'] }),
    status: TaskStatusName,
    moved: z
      .int()
      .min(0)
      .describe('Messages moved so far.')
      .meta({ examples: [120] }),
    toMove: z
      .int()
      .min(0)
      .describe('Messages to move, as counted at the start.')
      .meta({ examples: [500] }),
    skipped: z
      .int()
      .min(0)
      .describe(
        'Messages that stay because they have nowhere to go: sent there directly, or from a queue that is gone.',
      )
      .meta({ examples: [0] }),
    ratePerSecond: z
      .int()
      .optional()
      .describe('The most to move in a second.')
      .meta({ examples: [50] }),
    limit: z
      .int()
      .optional()
      .describe('The most to move in all.')
      .meta({ examples: [1_000] }),
    startedAt: InstantText.describe('When it was started.'),
    finishedAt: InstantText.optional().describe('When it ended.'),
    failure: TaskFailure.optional(),
  })
  .meta({ id: 'Task', description: 'A move task: survives restarts.' });

export const TaskList = z
  .object({ items: z.array(Task).describe('Newest first.'), nextCursor })
  .meta({ id: 'TaskList', description: 'A page of tasks.' });

export const RedrivePlanView = z
  .object({
    toMove: z
      .int()
      .min(0)
      .describe('Messages that would move.')
      .meta({ examples: [500] }),
    skipped: z
      .int()
      .min(0)
      .describe('Messages that would stay because they have nowhere to go.')
      .meta({ examples: [0] }),
    samples: z
      .array(PeekedMessage)
      .describe(`The first of those that would move, ${limits.redriveSamplesMax} at most.`),
  })
  .meta({ id: 'RedrivePlan', description: 'What a redrive would do.' });

function viewOf(task: RedriveTask, asked: Asked) {
  const { destination, ratePerSecond, limit, finishedAt, failure } = task;
  const problem = failure === null ? undefined : problemOf(failure as never, asked);
  return {
    taskId: task.taskId,
    source: task.source,
    ...(destination === null ? {} : { destination }),
    status: task.status,
    moved: task.movedCount,
    toMove: task.toMoveCount,
    skipped: task.skippedCount,
    ...(ratePerSecond === null ? {} : { ratePerSecond }),
    ...(limit === null ? {} : { limit }),
    startedAt: toRfc3339(task.startedAt),
    ...(finishedAt === null ? {} : { finishedAt: toRfc3339(finishedAt) }),
    ...(problem === undefined ? {} : { failure: { code: problem.code, detail: problem.detail } }),
  };
}

// The schema brands what it let through: a string becomes a QueueName.
const to = text(
  QueueName,
  { pattern: '^([A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\\.fifo)$' },
  'The queue to move to; each message goes back to the queue it came from unless given.',
  'orders',
) as Parameter<QueueName>;

const redriveQuery = {
  to,
  rate: wholeNumber(
    1,
    limits.redriveRatePerSecondMax,
    'The most messages to move in a second; as fast as possible unless given.',
    50,
  ),
  limit: wholeNumber(1, Number.MAX_SAFE_INTEGER, 'The most messages to move in all; all unless given.', 1_000),
  dryRun: flag('Only tell what would move.'),
};

async function startRedrive(deps: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  const source = queueOf(request);
  const query = readQuery(redriveQuery, request.query);
  requireNoBody(request);
  const ask = { destination: query.to ?? null, limit: query.limit ?? null };
  if (query.dryRun === true) return planRedrive(deps, request, reply, ask);
  const ratePerSecond = query.rate ?? null;
  const key = idempotencyKeyOf(request);
  const idempotency =
    key === undefined
      ? undefined
      : { key, fingerprint: fingerprintOf([source, ask.destination, ask.limit, ratePerSecond]) };
  const task = await deps.broker.redrive.start(request.principal, source, { ...ask, ratePerSecond, idempotency });
  reply.code(202).header('location', `/v1/tasks/${task.taskId}`);
  return viewOf(task, askedOf(request));
}

async function planRedrive(
  { broker, clock }: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  ask: RedriveAsk,
): Promise<string> {
  const { toMoveCount, skippedCount, samples } = await readForAnswer(
    reply,
    limits.redriveSamplesMax * limits.messageBytesMax,
    () => broker.redrive.plan(request.principal, queueOf(request), ask),
    (plan) => bytesOfAll(plan.samples),
  );
  const now = clock.now();
  reply.header('content-type', jsonType);
  return `{"toMove":${toMoveCount},"skipped":${skippedCount},"samples":[${samples.map((message) => peekedJson(message, messageState(message, now))).join(',')}]}`;
}

const fingerprintOf = (facts: readonly unknown[]): string =>
  createHash('sha256')
    .update(JSON.stringify(['redrive', ...facts]))
    .digest('hex');

async function listTasks({ broker }: RestDeps, request: FastifyRequest) {
  const { limit = limits.pageItemsDefault, cursor } = readQuery(paging, request.query);
  const page = await broker.redrive.list(request.principal, { limit, cursor });
  return pageOf(page, (task) => viewOf(task, askedOf(request)));
}

async function getTask({ broker }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  return viewOf(await broker.redrive.get(request.principal, taskOf(request)), askedOf(request));
}

async function cancelTask({ broker }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  return viewOf(await broker.redrive.cancel(request.principal, taskOf(request)), askedOf(request));
}

const taskContent = { 'application/json': { schema: Task } };

export const redriveOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'POST',
    url: '/v1/queues/:queue/redrive',
    operationId: 'startRedrive',
    action: 'redrive',
    body: 'none',
    doc: {
      tag: 'Redrive',
      summary: 'Move messages back',
      description:
        'Starts a task that moves the messages of a queue, mostly a dead-letter queue, back to where they came from, or to ' +
        'the queue `to`. `dryRun=true` tells what would move, and moves nothing.\n\n' +
        '`curl -X POST "localhost:8080/v1/queues/orders-dlq/redrive?rate=50"`',
      query: redriveQuery,
      headers: { 'Idempotency-Key': idempotencyHeader },
      answers: {
        '2XX': {
          description: '200 with `dryRun`: what would move.',
          content: { 'application/json': { schema: RedrivePlanView } },
        },
        202: {
          description: 'The task has started.',
          headers: {
            Location: {
              description: 'Where the task is.',
              schema: { type: 'string', format: 'uri-reference' },
              example: '/v1/tasks/0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
              isRequired: true,
            },
          },
          content: taskContent,
          links: {
            getTask: {
              operationId: 'getTask',
              parameters: { task: '$response.body#/taskId' },
              description: 'Watch its progress.',
            },
          },
        },
      },
      faults: ['queueNotFound', 'redriveInvalid', 'redriveRunning', 'idempotencyKeyReused'],
    },
    handle: (request, reply) => startRedrive(deps, request, reply),
  },
  {
    method: 'GET',
    url: '/v1/tasks',
    operationId: 'listTasks',
    action: 'readTask',
    body: 'none',
    doc: {
      tag: 'Redrive',
      summary: 'List tasks',
      description: 'Move tasks, newest first; finished ones are kept for a while.',
      query: paging,
      answers: { 200: { description: 'A page of tasks.', content: { 'application/json': { schema: TaskList } } } },
      faults: [],
    },
    handle: (request) => listTasks(deps, request),
  },
  {
    method: 'GET',
    url: '/v1/tasks/:task',
    operationId: 'getTask',
    action: 'readTask',
    body: 'none',
    doc: {
      tag: 'Redrive',
      summary: 'Look at a task',
      description: 'How far a move task is.',
      answers: { 200: { description: 'The task.', content: taskContent } },
      faults: ['taskNotFound'],
    },
    handle: (request) => getTask(deps, request),
  },
  {
    method: 'DELETE',
    url: '/v1/tasks/:task',
    operationId: 'cancelTask',
    action: 'cancelTask',
    body: 'none',
    doc: {
      tag: 'Redrive',
      summary: 'Cancel a task',
      description: 'Ends a running move task. What was moved stays moved.',
      answers: { 200: { description: 'The task as it ended.', content: taskContent } },
      faults: ['taskNotFound', 'taskNotActive'],
    },
    handle: (request) => cancelTask(deps, request),
  },
];
