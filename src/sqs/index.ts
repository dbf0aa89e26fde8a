/**
 * The SQS facade: one plugin that answers both protocols of SQS at `POST /` and at the addresses of queues.
 *
 * A request goes through: its raw bytes are authenticated, its protocol reads action and members, the action's schema
 * checks them, the action runs, the protocol writes what it gave. Whatever is thrown on the way is written in the
 * request's protocol, too.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import type { Principal } from '../domain/principal.ts';
import type { Arrivals } from '../http/arrivals.ts';
import { bytesOf, takeBytes } from '../http/bodies.ts';
import { faultOfFramework } from '../http/framework-errors.ts';
import { prefersJson } from '../http/media-type.ts';
import { sayWhenToRetry } from '../http/retry-after.ts';
import { sendText } from '../http/text.ts';
import type { Ids } from '../ids.ts';
import type { ActionContext, SqsSettings } from './action.ts';
import { errorOfFault, SqsError, sqsShapes } from './errors.ts';
import { emulatorHealth, healthPaths } from './health.ts';
import { jsonType, queryErrorHeader, writeJson, writeJsonError } from './json.ts';
import { peekMessages } from './peek.ts';
import { writeXml, writeXmlError, xmlType } from './query.ts';
import { queryJsonType, writeQueryJson, writeQueryJsonError } from './query-json.ts';
import { originOf } from './queue-url.ts';
import { type Call, inputOf, isJson, readCall, rememberCalls, saysNothing } from './request.ts';

export type SqsDeps = {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly arrivals: Arrivals;
  readonly settings: SqsSettings;
  /** Who asks, by the request as it came: raw headers, and the raw bytes of the body that a signature covers. */
  readonly authenticate: (request: FastifyRequest, rawBody: Buffer) => Principal | Promise<Principal>;
};

/** `//` is what becomes of `/` at the end of an endpoint whose client adds the path as it is. */
const rootPaths = ['/', '//'];
/** The addresses of queues; those after the first are other emulators'. A trailing slash is tolerated. */
const queuePaths = ['/:account(^\\d{12}$)/:queue', '/queue/:region/:account/:queue', '/queue/:queue'].flatMap(
  (path) => [path, `${path}/`],
);
const peekPaths = ['/_aws/sqs/messages', '/_aws/sqs/messages/:region/:account/:queue'];

/** Mounts the facade. It shares `GET /`, and all addresses that are nobody's, by what the request says. */
export function mountSqs(app: FastifyInstance, deps: SqsDeps): void {
  app.addConstraintStrategy(spokenProtocol);
  rememberCalls(app);
  app.register(async (scope) => {
    takeBytes(scope, deps.arrivals, limits.sqsBodyBytesMax);
    scope.setErrorHandler((error, request, reply) => answerError(error, request, reply, deps));
    const common = { config: { action: 'signed' as const } };
    const handler = (request: FastifyRequest, reply: FastifyReply) => serve(request, reply, deps);
    const asks = { constraints: { [spokenProtocol.name]: sqsSpoken } };
    for (const url of rootPaths) scope.route({ ...common, method: 'POST', url, handler });
    scope.route({ ...common, ...asks, method: 'GET', url: '/', handler });
    scope.route({ ...common, ...asks, method: ['GET', 'POST'], url: '/*', handler });
    for (const url of queuePaths) scope.route({ ...common, method: ['GET', 'POST'], url, handler });
    for (const url of healthPaths) {
      const config = { action: 'public' as const };
      scope.route({ config, method: ['GET', 'HEAD'], url, handler: () => emulatorHealth });
    }
    for (const url of peekPaths) {
      scope.route({
        ...common,
        method: ['GET', 'POST'],
        url,
        handler: async (request, reply) => {
          const principal = await deps.authenticate(request, bytesOf(request));
          return peekMessages(request, reply, contextOf(request, reply, principal, deps, true), newRequestId(deps));
        },
      });
    }
  });
}

const sqsSpoken = 'sqs';

type Strategy = Parameters<FastifyInstance['addConstraintStrategy']>[0];
type Handlers = ReturnType<Strategy['storage']>;

/** Tells requests in SQS's protocols from others at addresses that both have. */
const spokenProtocol: Strategy = {
  name: 'protocol',
  storage() {
    const handlers = new Map<unknown, ReturnType<Handlers['get']>>();
    return {
      get: (value) => handlers.get(value) ?? null,
      set: (value, handler) => void handlers.set(value, handler),
    };
  },
  deriveConstraint({ url = '', headers }) {
    if (headers['x-amz-target'] !== undefined) return sqsSpoken;
    const query = url.indexOf('?');
    return query !== -1 && actionParameter.test(url.slice(query)) ? sqsSpoken : undefined;
  },
  validate: () => true,
  mustMatchWhenDerived: false,
};
const actionParameter = /[?&]Action=/;

const newRequestId = ({ ids }: SqsDeps): string => ids.requestId();

async function serve(request: FastifyRequest, reply: FastifyReply, deps: SqsDeps): Promise<FastifyReply> {
  const rawBody = bytesOf(request);
  const admitted = deps.authenticate(request, rawBody);
  // Seldom anything to wait for: a turn that is spared.
  const principal = admitted instanceof Promise ? await admitted : admitted;
  if (saysNothing(request, rawBody)) return answerNothing(reply, newRequestId(deps));
  const call = readCall(request, rawBody);
  const context = contextOf(request, reply, principal, deps, call.protocol === 'query');
  const result = await call.action.run(inputOf(call) as never, context);
  return answer(reply, call, result, newRequestId(deps));
}

function contextOf(
  request: FastifyRequest,
  reply: FastifyReply,
  principal: Principal,
  { settings, broker, clock }: SqsDeps,
  isQuery: boolean,
): ActionContext {
  const trace = request.headers['x-amzn-trace-id'];
  return {
    region: settings.region,
    publicUrl: settings.publicUrl,
    recreateSeconds: settings.recreateSeconds,
    broker,
    clock,
    principal,
    reply,
    // Most answers hold no address.
    origin: () => originOf(request, settings.publicUrl),
    traceHeader: typeof trace === 'string' && trace !== '' ? trace : undefined,
    isQuery,
  };
}

function answer(reply: FastifyReply, { protocol, action }: Call, result: object, requestId: string): FastifyReply {
  reply.header('x-amzn-requestid', requestId);
  if (protocol === 'json') return sendText(reply, jsonType, writeJson(result, action.output));
  if (prefersJson(reply.request.headers.accept)) {
    return sendText(reply, queryJsonType, writeQueryJson(action.name, result, action.output, requestId));
  }
  return sendText(reply, xmlType, writeXml(action.name, result, action.output, requestId));
}

/** What is answered at an address of SQS to a request that asks for no action. */
function answerNothing(reply: FastifyReply, requestId: string): FastifyReply {
  reply.code(404).header('x-amzn-requestid', requestId);
  return sendText(reply, xmlType, '<UnknownOperationException/>');
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, deps: SqsDeps): FastifyReply {
  const known = errorOf(error, request, deps.log);
  const requestId = newRequestId(deps);
  reply.code(sqsShapes[known.shape].status).header('x-amzn-requestid', requestId);
  if (known.fault !== undefined) sayWhenToRetry(reply, known.fault);
  if (isJson(request)) {
    reply.header('x-amzn-query-error', queryErrorHeader(known));
    return sendText(reply, jsonType, writeJsonError(known));
  }
  if (prefersJson(request.headers.accept)) return sendText(reply, queryJsonType, writeQueryJsonError(known, requestId));
  return sendText(reply, xmlType, writeXmlError(known, requestId));
}

function errorOf(error: unknown, request: FastifyRequest, log: Logger): SqsError {
  if (error instanceof SqsError) return error;
  const fault = error instanceof Fault ? error : faultOfFramework(error, { contentType: '', path: '' });
  if (fault !== undefined) {
    if (fault.data.fault === 'storageFailed') log.error({ requestId: request.id, err: fault }, 'storage failed');
    return errorOfFault(fault.data);
  }
  log.error({ requestId: request.id, err: error }, 'request failed');
  return new SqsError('InternalFailure', 'Whether the request took effect is unknown.');
}
