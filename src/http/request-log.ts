/**
 * One line and one measurement per request, and the id that joins a request, its line and its answer.
 *
 * The line holds the pattern of the route, never the URL: receipt handles stand in URLs. Bodies are never logged.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { queueNamePattern } from '../domain/queue-attributes.ts';
import type { Ids } from '../ids.ts';
import type { RequestMetrics } from './metrics.ts';

/** What a client may give as the id of its request. */
export const saneRequestId = /^[\w.:+/=-]{1,128}$/;

/** Gives each request its id: the client's `X-Request-Id` if that is sane, else one of our own, unique and cheap. */
export function requestIds(clock: Clock, ids: Ids): (request: IncomingMessage) => string {
  const prefix = `${clock.now().toString(36)}-${ids.salt().toString(36)}-`;
  let count = 0;
  return ({ headers }) => {
    const given = headers['x-request-id'];
    if (typeof given === 'string' && saneRequestId.test(given)) return given;
    count += 1;
    return prefix + count.toString(36);
  };
}

/** No route matched. */
const noRoute = '(none)';

export function logRequests(
  app: FastifyInstance,
  { log, clock, metrics }: { log: Logger; clock: Clock; metrics: RequestMetrics | undefined },
): void {
  app.addHook('onResponse', (request, reply, done) => {
    const ms = clock.elapsedMs() - request.startedMs;
    const route = request.is404 ? noRoute : (request.routeOptions.config.url ?? noRoute);
    metrics?.observeRequest(request.method, route, reply.statusCode, ms / 1000);
    if (log.isLevelEnabled('info')) log.info(lineOf(request, reply, route, ms), 'request');
    done();
  });
}

function lineOf(request: FastifyRequest, reply: FastifyReply, route: string, ms: number) {
  return {
    requestId: request.id,
    method: request.method,
    route,
    status: reply.statusCode,
    ms: Math.round(ms * 1000) / 1000,
    queue: queueOf(request),
    // Who asked; nobody in particular on an open server, nobody at all when they were refused.
    key: request.principal?.id,
    // Who guesses is to be found.
    address: reply.statusCode === 401 || reply.statusCode === 429 ? request.ip : undefined,
  };
}

/** The queue that the path names, when it is a name at all. */
function queueOf({ params }: FastifyRequest): string | undefined {
  const { queue } = params as { readonly queue?: string };
  return queue !== undefined && queueNamePattern.test(queue) ? queue : undefined;
}
