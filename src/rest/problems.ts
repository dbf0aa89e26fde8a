/**
 * Faults on the wire: problem documents, and the one answer that fits whatever was thrown.
 * @see https://www.rfc-editor.org/rfc/rfc9457
 */
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import { Fault, type FaultCode, type FaultData, type FaultFacts, fault } from '../domain/errors.ts';
import { may } from '../domain/principal.ts';
import { queueNamePattern } from '../domain/queue-attributes.ts';
import { faultOfFramework } from '../http/framework-errors.ts';
import { sayWhenToRetry } from '../http/retry-after.ts';
import type { RouteList } from '../http/routes.ts';
import { type Asked, type FaultRow, restFaults, retryWithKey, wireCode } from './errors.ts';
import { originOf } from './origin.ts';

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
      .min(1)
      .describe('What to do next: a command, with what it does after `#`, or a sentence.')
      .meta({ examples: ['curl -X PUT http://localhost:8080/v1/queues/orders # creates it'] }),
    requestId: z
      .string()
      .optional()
      .describe('The id of the request, as in the header X-Request-Id and in the log.')
      .meta({ examples: ['mfx2k1q0-1a2b3c-1'] }),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457). A batch has one per failed entry.' });
export type Problem = z.infer<typeof Problem>;

export const problemType = 'application/problem+json';

function rowOf<C extends FaultCode>(code: C): FaultRow<FaultFacts[C]> {
  return restFaults[code];
}

/** What hints are made of: a name that could mean something to a shell is none of a queue. */
export function askedOf(request: FastifyRequest): Asked {
  const { queue = '' } = (request.params ?? {}) as { readonly queue?: string };
  return {
    origin: originOf(request),
    queue: queueNamePattern.test(queue) ? queue : 'orders',
    route: request.is404 ? '' : (request.routeOptions.url ?? ''),
  };
}

/** The problem document of a fault. */
export function problemOf<C extends FaultCode>(
  data: { readonly fault: C; readonly facts: FaultFacts[C] },
  asked: Asked,
  requestId?: string,
): Problem {
  const row = rowOf(data.fault);
  const code = wireCode(data.fault);
  return {
    type: `urn:sluice:problem:${code}`,
    title: row.title,
    status: row.status,
    code,
    detail: row.detail(data.facts),
    hint: row.hint(data.facts, asked),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** Browsers ask for id and secret on this, so that `/docs` can be opened. @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1 */
const challenge = 'Basic realm="sluice", charset="UTF-8", Bearer realm="sluice"';

/** Ends the request with the problem of a fault; `extension` adds members. */
export function sendFault(reply: FastifyReply, data: FaultData, extension?: Record<string, unknown>): FastifyReply {
  const { request } = reply;
  const row = rowOf(data.fault);
  const told = forAsker(data, request);
  const problem = problemOf(told as { fault: typeof told.fault; facts: never }, askedOf(request), request.id);
  sayWhenToRetry(reply, data.fault);
  if (row.status === 401) reply.header('www-authenticate', challenge);
  if (data.fault === 'methodNotAllowed') reply.header('allow', data.facts.allowed);
  return reply
    .code(row.status)
    .header('content-type', problemType)
    .send(Buffer.from(`${JSON.stringify({ ...problem, ...extension })}\n`));
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
    .send(Buffer.from(`${JSON.stringify(problem)}\n`));
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
