/**
 * Faults as problem documents: one table with a row per code, which does not compile while one is missing.
 *
 * The detail says which value is wrong and what would be right; the hint is the next thing to do, as a command where
 * one exists. @see https://www.rfc-editor.org/rfc/rfc9457
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { Fault, type FaultCode, type FaultData, type FaultFacts, fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { may } from '../domain/principal.ts';
import { faultOfFramework } from '../http/framework-errors.ts';
import type { RouteList } from '../http/routes.ts';
import { originOf } from './origin.ts';

type FaultRow<F> = {
  readonly status: number;
  readonly title: string;
  readonly detail: (facts: F) => string;
  /** @param origin the server as the client calls it, such as `http://localhost:8080` */
  readonly hint?: (facts: F, origin: string) => string;
  /** Seconds after which a retry may succeed. */
  readonly retryAfterSeconds?: number;
};

const retryWithKey = 'Ask again: with the same deduplication id or Idempotency-Key nothing is done twice.';

export const restFaults: { readonly [C in FaultCode]: FaultRow<FaultFacts[C]> } = {
  invalidArgument: {
    status: 400,
    title: 'Invalid argument',
    detail: ({ name, problem }) => `${name}: ${problem}.`,
  },
  malformedBody: { status: 400, title: 'Malformed body', detail: ({ problem }) => problem },
  unsupportedMediaType: {
    status: 415,
    title: 'Unsupported media type',
    detail: ({ contentType, accepted }) =>
      `${contentType === '' ? 'A body without a content type' : JSON.stringify(contentType)} is not read here; send ${accepted}.`,
    hint: () => 'With curl, --json sets the content type of JSON.',
  },
  bodyTooLarge: {
    status: 413,
    title: 'Body too large',
    detail: ({ bytesMax }) => `The body is larger than the ${bytesMax} bytes that are read here.`,
  },
  routeNotFound: {
    status: 404,
    title: 'Not found',
    detail: ({ path }) => `There is nothing at ${path}.`,
    hint: (_facts, origin) => `curl ${origin}/ shows what there is; ${origin}/docs documents it.`,
  },
  methodNotAllowed: {
    status: 405,
    title: 'Method not allowed',
    detail: ({ method, path, allowed }) => `${method} is not possible at ${path}; ${allowed} is.`,
  },
  requestTimeout: {
    status: 408,
    title: 'Request timeout',
    detail: () => 'The body did not arrive in time.',
  },
  forbiddenHost: {
    status: 403,
    title: 'Forbidden host',
    detail: ({ host }) =>
      `This server is open to programs on its own machine only, and ${JSON.stringify(host.slice(0, 128))} is not a name for it.`,
    hint: () => 'Ask for localhost or 127.0.0.1, or name the host in SLUICE_ALLOWED_HOSTS.',
  },

  credentialsMissing: {
    status: 401,
    title: 'Credentials missing',
    detail: () => 'This server answers to access keys only, and the request has none.',
    hint: (_facts, origin) => `curl -u <id>:<secret> ${origin}/, or the header Authorization: Bearer <key>.`,
  },
  credentialsInvalid: {
    status: 401,
    title: 'Credentials invalid',
    detail: () => 'The credentials are not those of an access key in force.',
  },
  credentialsThrottled: {
    status: 429,
    title: 'Too many failed attempts',
    detail: () => 'Too many requests from this address had wrong credentials.',
    hint: ({ seconds }) => `Correct them, and ask again in ${seconds} seconds.`,
    retryAfterSeconds: limits.failedLoginWindowSeconds,
  },
  accessDenied: {
    status: 403,
    title: 'Access denied',
    detail: ({ action, queue }) =>
      `No scope of the access key allows ${action}${queue === undefined ? '' : ` on ${quoted(queue)}`}.`,
    hint: () => 'A key that may manage keys can give it the scope: PATCH /v1/keys/<key>.',
  },
  keyNotFound: {
    status: 404,
    title: 'Key not found',
    detail: ({ key }) => `There is no access key ${quoted(key)}.`,
    hint: (_facts, origin) => `curl ${origin}/v1/keys lists them.`,
  },
  keyExists: {
    status: 409,
    title: 'Key exists',
    detail: ({ key }) => `There is an access key ${quoted(key)} already.`,
  },
  keyDeclared: {
    status: 409,
    title: 'Key declared in the settings file',
    detail: ({ key }) => `The access key ${quoted(key)} is declared in the settings file of the server.`,
    hint: () => 'Change it there, and start the server again.',
  },
  keyNeeded: {
    status: 409,
    title: 'Key needed',
    detail: ({ problem }) => `${problem}.`,
    hint: () => 'A key with the scope {"actions":["*"],"queues":["*"]} may do everything.',
  },
  tooManyKeys: {
    status: 409,
    title: 'Too many keys',
    detail: ({ countMax }) => `There are ${countMax} access keys already, which is the most there can be.`,
    hint: () => 'Delete keys that are no longer needed.',
  },

  queueNotFound: {
    status: 404,
    title: 'Queue not found',
    detail: ({ queue }) => `There is no queue ${quoted(queue)}.`,
    hint: ({ queue, similar }, origin) =>
      similar === undefined
        ? `curl -X PUT ${origin}/v1/queues/${queue} creates it.`
        : `Did you mean ${quoted(similar)}?`,
  },
  queueExists: {
    status: 409,
    title: 'Queue exists',
    detail: ({ queue, differing }) => `The queue ${quoted(queue)} exists with other values of ${differing.join(', ')}.`,
    hint: ({ queue }, origin) => `curl ${origin}/v1/queues/${queue} shows it; PATCH changes it.`,
  },
  queueDeletedRecently: {
    status: 409,
    title: 'Queue deleted recently',
    detail: ({ queue, seconds }) => `The queue ${quoted(queue)} was deleted less than ${seconds} seconds ago.`,
  },
  purgeInProgress: {
    status: 409,
    title: 'Purged recently',
    detail: ({ queue, seconds }) => `The queue ${quoted(queue)} was purged less than ${seconds} seconds ago.`,
  },
  queueChanged: {
    status: 412,
    title: 'Queue changed',
    detail: ({ queue, version }) => `The queue ${quoted(queue)} was changed since: its ETag is now "${version}".`,
    hint: () => 'Read it again, and repeat the change with the new ETag.',
  },
  queueFull: {
    status: 429,
    title: 'Queue full',
    detail: ({ queue, limit, value }) => `The queue ${quoted(queue)} would pass its ${limit} of ${value}.`,
    hint: ({ limit }) => `Receive and delete messages, or raise ${limit}.`,
    retryAfterSeconds: 1,
  },
  tooManyQueues: {
    status: 409,
    title: 'Too many queues',
    detail: ({ countMax }) => `There are ${countMax} queues already, which is the most there can be.`,
    hint: () => 'Delete queues that are no longer needed.',
  },
  settingNotForKind: {
    status: 400,
    title: 'Setting of another queue type',
    detail: ({ setting, kind }) => `${setting}: a ${kind} queue has no such thing.`,
    hint: ({ kind }) => (kind === 'standard' ? 'A queue whose name ends in .fifo is a FIFO queue.' : 'Leave it out.'),
  },
  settingInvalid: {
    status: 400,
    title: 'Invalid setting',
    detail: ({ setting, problem }) => `${setting}: ${problem}.`,
  },
  deadLetterQueueInvalid: {
    status: 400,
    title: 'Invalid dead-letter queue',
    detail: ({ queue, problem }) => `deadLetter.queue: ${quoted(queue)} ${problem}.`,
  },
  deadLetterQueueMissing: {
    status: 409,
    title: 'No dead-letter queue',
    detail: ({ queue }) => `The queue ${quoted(queue)} has no dead-letter queue to move the message to.`,
    hint: ({ queue }, origin) =>
      `curl -X PATCH --json '{"deadLetter":{"queue":"${queue}-dlq","maxReceiveCount":5}}' ${origin}/v1/queues/${queue} sets one that exists.`,
  },

  emptyBody: {
    status: 400,
    title: 'Empty body',
    detail: () => 'A message needs a body of at least one byte.',
    hint: (_facts, origin) => `curl -d 'hello' ${origin}/v1/queues/<queue>/messages`,
  },
  messageTooLarge: {
    status: 413,
    title: 'Message too large',
    detail: ({ bytes, bytesMax }) =>
      `The body and the attributes are ${bytes} bytes together; the queue takes messages of at most ${bytesMax} bytes.`,
    hint: () => 'Store what is large elsewhere, and send where it is.',
  },
  messageNotFound: {
    status: 404,
    title: 'Message not found',
    detail: ({ messageId, queue }) => `There is no message ${quoted(messageId)} in the queue ${quoted(queue)}.`,
  },
  messageInFlight: {
    status: 409,
    title: 'Message in flight',
    detail: ({ messageId }) => `Somebody holds the message ${quoted(messageId)}.`,
  },
  delayTooLong: {
    status: 400,
    title: 'Delay too long',
    detail: ({ delaySeconds, delaySecondsMax }) =>
      `delay: ${delaySeconds} seconds are more than the ${delaySecondsMax} for which the queue keeps a message.`,
  },
  delayNotAllowed: {
    status: 400,
    title: 'No delay on FIFO queues',
    detail: () => 'delay: a message of a FIFO queue has no delay of its own, since it would overtake or block others.',
    hint: () => 'Set delaySeconds of the queue, which is the delay of all its messages.',
  },
  groupRequired: {
    status: 400,
    title: 'Message group required',
    detail: ({ queue }) => `group: ${quoted(queue)} is a FIFO queue, whose messages need a message group.`,
    hint: ({ queue }, origin) => `curl -d 'hello' "${origin}/v1/queues/${queue}/messages?group=42&dedup=a1"`,
  },
  deduplicationIdRequired: {
    status: 400,
    title: 'Deduplication id required',
    detail: ({ queue }) => `dedup: ${quoted(queue)} needs a deduplication id with each message.`,
    hint: () => 'Add ?dedup=…, or set contentBasedDeduplication of the queue to true.',
  },
  deduplicationIdNotAllowed: {
    status: 400,
    title: 'No deduplication id on standard queues',
    detail: ({ queue }) => `dedup: ${quoted(queue)} is a standard queue, which has no deduplication ids.`,
    hint: () => 'Send the header Idempotency-Key instead, or use a FIFO queue.',
  },
  batchAborted: {
    status: 409,
    title: 'Batch aborted',
    detail: () => 'The batch is all or nothing, and another of its entries was refused.',
  },
  idempotencyKeyReused: {
    status: 422,
    title: 'Idempotency key reused',
    detail: () => 'The Idempotency-Key was used with another request within the last 24 hours.',
    hint: () => 'Use a new key for each new request, and the same key only to repeat one.',
  },
  attemptIdReused: {
    status: 409,
    title: 'Attempt id reused',
    detail: () => 'attempt: the messages of this attempt have changed since, so it cannot be repeated.',
    hint: () => 'Receive with a new attempt id.',
  },
  tooManyInFlight: {
    status: 429,
    title: 'Too many messages in flight',
    detail: ({ queue, countMax }) =>
      `${countMax} messages of the queue ${quoted(queue)} are held, the most there can be.`,
    hint: () => 'Delete messages that are done.',
    retryAfterSeconds: 1,
  },
  tooManyWaiters: {
    status: 429,
    title: 'Too many long polls',
    detail: ({ countMax }) => `${countMax} receives are waiting already, the most there can be.`,
    hint: () => 'Receive without waiting, or with fewer connections.',
    retryAfterSeconds: 1,
  },

  receiptInvalid: {
    status: 400,
    title: 'Invalid receipt handle',
    detail: () => 'The receipt handle was not made by this server.',
    hint: () => 'Use the receiptHandle of a receive as it came.',
  },
  receiptForeign: {
    status: 400,
    title: "Another queue's receipt handle",
    detail: ({ queue }) => `The receipt handle is not one of the queue ${quoted(queue)}.`,
  },
  receiptExpired: {
    status: 410,
    title: 'Receipt expired',
    detail: () => 'The message is no longer held by this receipt: its visibility timeout has passed, or it is gone.',
    hint: () => 'Receive it again; a longer visibility timeout, or PATCH of the receipt in time, prevents this.',
  },
  visibilityTooLong: {
    status: 400,
    title: 'Visibility timeout too long',
    detail: ({ secondsMax }) =>
      `visibilityTimeoutSeconds: a message may be held for 12 hours from its receive; ${secondsMax} seconds are left.`,
  },

  redriveSourceUnknown: {
    status: 409,
    title: 'Source unknown',
    detail: ({ queue, messageId }) =>
      `The message ${quoted(messageId)} in ${quoted(queue)} was not dead-lettered, or its source is gone: nobody knows where it came from.`,
    hint: ({ queue }, origin) => `curl -X POST "${origin}/v1/queues/${queue}/redrive?to=<queue>" names where to.`,
  },
  redriveRunning: {
    status: 409,
    title: 'Redrive running',
    detail: ({ queue, task }) => `The task ${quoted(task)} moves the messages of ${quoted(queue)} already.`,
    hint: ({ task }, origin) => `curl ${origin}/v1/tasks/${task} shows it; DELETE cancels it.`,
  },
  redriveInvalid: { status: 400, title: 'Invalid redrive', detail: ({ problem }) => `redrive: ${problem}.` },
  taskNotFound: {
    status: 404,
    title: 'Task not found',
    detail: ({ task }) => `There is no task ${quoted(task)}.`,
    hint: (_facts, origin) => `curl ${origin}/v1/tasks lists them.`,
  },
  taskNotActive: {
    status: 409,
    title: 'Task not active',
    detail: ({ task, status }) => `The task ${quoted(task)} is ${status}.`,
  },

  overloaded: {
    status: 503,
    title: 'Overloaded',
    detail: () => 'The server has more in hand than it may hold at once; nothing of this request was done.',
    retryAfterSeconds: 1,
  },
  storageFull: {
    status: 507,
    title: 'Storage full',
    detail: () => 'The disk is full: nothing is taken until there is room; receive and delete go on.',
    hint: () => 'Free space in the data directory, or delete messages.',
    retryAfterSeconds: 5,
  },
  storageFailed: {
    status: 500,
    title: 'Storage failed',
    detail: () => 'The disk reported an error: whether the request took effect is unknown.',
    hint: () => retryWithKey,
  },
  shuttingDown: {
    status: 503,
    title: 'Shutting down',
    detail: () => 'The server is stopping; nothing of this request was done.',
    retryAfterSeconds: 1,
  },
};

const quoted = (name: string): string => JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);

/** Facts that programs can use are members of the problem of their own. */
export const Problem = z
  .object({
    type: z
      .string()
      .describe('A URI for the kind of problem.')
      .meta({ examples: ['urn:sluice:problem:queue_not_found'] }),
    title: z
      .string()
      .describe('The kind of problem in words.')
      .meta({ examples: ['Queue not found'] }),
    status: z
      .int()
      .min(100)
      .max(599)
      .describe('The HTTP status.')
      .meta({ examples: [404] }),
    code: z
      .string()
      .describe('The kind of problem for programs: snake_case, stable; more may come.')
      .meta({ examples: ['queue_not_found'] }),
    detail: z
      .string()
      .describe('Which value is wrong, and what would be right.')
      .meta({ examples: ['There is no queue "orders".'] }),
    hint: z
      .string()
      .optional()
      .describe('What to do next.')
      .meta({ examples: ['curl -X PUT http://localhost:8080/v1/queues/orders creates it.'] }),
    requestId: z
      .string()
      .optional()
      .describe('The id of the request, as in the header X-Request-Id and in the log.')
      .meta({ examples: ['mfx2k1q0-1a2b3c-1'] }),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457). A batch has one per failed entry.' });
export type Problem = z.infer<typeof Problem>;

export const problemType = 'application/problem+json';

/** The code on the wire. */
export const wireCode = (code: string): string => code.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function rowOf<C extends FaultCode>(code: C): FaultRow<FaultFacts[C]> {
  return restFaults[code];
}

/** The problem document of a fault. */
export function problemOf<C extends FaultCode>(
  data: { readonly fault: C; readonly facts: FaultFacts[C] },
  origin: string,
  requestId?: string,
): Problem {
  const row = rowOf(data.fault);
  const code = wireCode(data.fault);
  const hint = row.hint?.(data.facts, origin);
  return {
    type: `urn:sluice:problem:${code}`,
    title: row.title,
    status: row.status,
    code,
    detail: row.detail(data.facts),
    ...(hint === undefined ? {} : { hint }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

export const statusOfFault = (code: FaultCode): number => restFaults[code].status;

/** Browsers ask for id and secret on this, so that `/docs` can be opened. @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 */
const challenge = 'Basic realm="sluice", charset="UTF-8", Bearer realm="sluice"';

/** Ends the request with the problem of a fault; `extension` adds members. */
export function sendFault(reply: FastifyReply, data: FaultData, extension?: Record<string, unknown>): FastifyReply {
  const { request } = reply;
  const row = rowOf(data.fault);
  const told = forAsker(data, request);
  const problem = problemOf(told as { fault: typeof told.fault; facts: never }, originOf(request), request.id);
  if (row.retryAfterSeconds !== undefined) reply.header('retry-after', String(row.retryAfterSeconds));
  if (row.status === 401) reply.header('www-authenticate', challenge);
  if (data.fault === 'methodNotAllowed') reply.header('allow', data.facts.allowed);
  return reply
    .code(row.status)
    .header('content-type', problemType)
    .send(Buffer.from(JSON.stringify({ ...problem, ...extension })));
}

/** "Did you mean" tells no names of queues outside the scopes of who asks. */
function forAsker(data: FaultData, { principal }: FastifyRequest): FaultData {
  if (data.fault !== 'queueNotFound' || data.facts.similar === undefined) return data;
  if (principal !== undefined && may(principal, 'look', data.facts.similar)) return data;
  return fault('queueNotFound', { queue: data.facts.queue });
}

/** What is said of a bug: nothing that could leak. */
function sendBug(reply: FastifyReply): FastifyReply {
  const problem: Problem = {
    type: 'urn:sluice:problem:internal_error',
    title: 'Internal error',
    status: 500,
    code: 'internal_error',
    detail: 'The server failed in a way it should not: whether the request took effect is unknown.',
    hint: retryWithKey,
    requestId: reply.request.id,
  };
  return reply
    .code(500)
    .header('content-type', problemType)
    .send(Buffer.from(JSON.stringify(problem)));
}

/** Turns whatever was thrown into the one answer that fits it. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  const known = error instanceof Fault ? error : faultOfFramework(error, frameworkFacts(request));
  if (known !== undefined) {
    if (known.data.fault === 'storageFailed') log.error({ requestId: request.id, err: known }, 'storage failed');
    return sendFault(reply, known.data);
  }
  log.error({ requestId: request.id, err: error }, 'request failed');
  return sendBug(reply);
}

function frameworkFacts(request: FastifyRequest) {
  return {
    contentType: (request.headers['content-type'] ?? '').slice(0, 128),
    path: pathOf(request),
  };
}

/** The path as it was asked, without the query. */
const pathOf = ({ url }: FastifyRequest): string => (url.split('?', 1)[0] ?? '').slice(0, 256);

/** Errors, unknown paths and wrong methods of the instance, as problems. */
export function answerProblems(app: FastifyInstance, routes: RouteList, log: Logger): void {
  app.setErrorHandler<FastifyError>((error, request, reply) => answerError(error, request, reply, log));
  app.setNotFoundHandler((request, reply) => {
    const { method } = request;
    const path = pathOf(request);
    const methods = routes.methodsOf(path);
    return methods.length === 0
      ? sendFault(reply, fault('routeNotFound', { method, path }))
      : sendFault(reply, fault('methodNotAllowed', { method, path, allowed: methods.join(', ') }));
  });
}
