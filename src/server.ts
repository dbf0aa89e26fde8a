/**
 * The HTTP server: one Fastify instance with everything that is served, built from what it is given. Tests, the bench
 * and the process build the same one.
 *
 * What crosses every request stands here, in this order: request id, its turn, closing, authorisation, arrival of bodies; and
 * after the answer the log line. Edges are mounted as plugins.
 */
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Logger } from 'pino';
import type { Broker } from './broker/broker.ts';
import type { Cancel, Clock } from './clock.ts';
import { Fault } from './domain/errors.ts';
import { secondsAfter } from './domain/instant.ts';
import { limits } from './domain/limits.ts';
import { type Arrivals, trackArrivals } from './http/arrivals.ts';
import { type Access, createGate, type Gate, isRepeated } from './http/authentication.ts';
import { authorize } from './http/authorization.ts';
import { documentBytesMax, takeBytes } from './http/bodies.ts';
import { answerClientError, answerConnect } from './http/client-errors.ts';
import { trackDepartures } from './http/departures.ts';
import { mountDocs } from './http/docs.ts';
import { endLines } from './http/line-end.ts';
import { type Listen, prepareToListen } from './http/listening.ts';
import type { RequestMetrics } from './http/metrics.ts';
import { type ApiDocuments, documentApi } from './http/openapi.ts';
import { takeTurns } from './http/pipelining.ts';
import { logRequests, requestIds } from './http/request-log.ts';
import { listRoutes } from './http/routes.ts';
import type { Ids } from './ids.ts';
import type { Readiness } from './rest/deps.ts';
import { mountRest, restInfo } from './rest/index.ts';
import { answerError, answerProblems } from './rest/problems.ts';
import { draftOf, jsonType, messageBodyBytesMax, sentJson } from './rest/send.ts';
import type { SqsSettings } from './sqs/action.ts';
import { createGuard } from './sqs/guard.ts';
import { mountSqs, type SqsDeps } from './sqs/index.ts';
import { createAuthenticate } from './sqs/signature.ts';

export type ServerDeps = {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Logger;
  readonly metrics?: RequestMetrics | undefined;
  readonly version: string;
  readonly access: Access;
  readonly isReady: () => Readiness;
  /** HTTP threads of this process, between which memory for bodies and answers, and connections, are divided. Default: 1. */
  readonly threadCount?: number | undefined;
  /** Default: that of `httpLimits`. */
  readonly stillnessMsMax?: number | undefined;
  /** What of the SQS facade is not as usual. */
  readonly sqs?: Partial<SqsSettings> | undefined;
  /** Sees every answer before it is sent: how tests compare all of them with the OpenAPI document. */
  readonly checkAnswer?: ((request: FastifyRequest, reply: FastifyReply, payload: unknown) => void) | undefined;
  /** Mounts `POST /reference`: the same work as a send, but nothing is stored. For the bench. */
  readonly referenceRoute?: boolean | undefined;
};

export type Server = FastifyInstance & {
  readonly documents: ApiDocuments;
  readonly arrivals: Arrivals;
  readonly listenAt: Listen;
};

/** What one client, or one connection, may cost before any of our code runs. */
export const httpLimits = {
  headersTimeoutMs: 10_000,
  /** Off: bodies are timed one by one, since this would also cut long uploads that move. */
  requestTimeoutMs: 0,
  keepAliveTimeoutMs: 65_000,
  /** How long nothing may move on a connection with a request in hand: longer than any long poll. Who does not read an
   *  answer holds it in memory for twice as long at most: Node.js begins anew when it finds that a part has gone out. */
  stillnessMsMax: 60_000,
  connectionsCheckMs: 5_000,
  requestsPerSocketMax: 10_000,
  /** Of all threads together. */
  connectionsMax: 10_000,
  headerBytesMax: 16_384,
  headersMax: 100,
  /** Longer ones fail with the header bytes; every part of a path is checked by its operation. */
  pathPartCharsMax: 16_384,
} as const;

export async function buildServer(deps: ServerDeps): Promise<Server> {
  const { broker, clock, ids, log, metrics, isReady, version, access } = deps;
  const app = createInstance(deps);
  const documents = await documentApi(app, restInfo(version));
  app.decorate('documents', documents);
  const routes = listRoutes(app);
  const arrivals = trackArrivals(clock, deps.threadCount);
  app.decorate('arrivals', arrivals);
  trackDepartures(app, deps.threadCount);

  takeTurns(app, deps.threadCount);
  admitRequests(app, clock);
  watchConnections(app, clock, deps.threadCount);
  const gate = createGate(access, broker.keys, clock);
  authorize(app, gate);
  timeBodies(app, arrivals);
  if (deps.checkAnswer !== undefined) checkAnswers(app, deps.checkAnswer);
  logRequests(app, { log, clock, metrics });
  answerProblems(app, routes, log);
  // Bodies sent to where nothing is are read like others, and ignored.
  takeBytes(app, arrivals, documentBytesMax);

  mountRest(app, { broker, clock, log, metrics, isReady, version, arrivals }, documents);
  const sqs = { ...usualSqs, ...deps.sqs };
  mountSqs(app, { broker, clock, ids, log, arrivals, settings: sqs, authenticate: signedBy(deps, gate, sqs.region) });
  mountDocs(app, '/docs', '/openapi.json');
  if (deps.referenceRoute === true) mountReference(app, deps, arrivals);
  app.decorate('listenAt', prepareToListen(app));
  await app.ready();
  return app as Server;
}

function createInstance(deps: ServerDeps): FastifyInstance {
  const { clock, ids, log, stillnessMsMax = httpLimits.stillnessMsMax } = deps;
  const app: FastifyInstance = fastify({
    logger: false,
    genReqId: requestIds(clock, ids),
    requestIdHeader: false,
    exposeHeadRoutes: false,
    // Answered by a hook, as a problem.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: httpLimits.keepAliveTimeoutMs,
    connectionTimeout: stillnessMsMax,
    maxRequestsPerSocket: httpLimits.requestsPerSocketMax,
    routerOptions: { maxParamLength: httpLimits.pathPartCharsMax },
    http: {
      maxHeaderSize: httpLimits.headerBytesMax,
      headersTimeout: httpLimits.headersTimeoutMs,
      requestTimeout: httpLimits.requestTimeoutMs,
      connectionsCheckingInterval: httpLimits.connectionsCheckMs,
      // A request without one is refused by a hook, as a problem.
      requireHostHeader: false,
    },
    frameworkErrors: (error, request, reply) => {
      setCommonHeaders(reply, request.id);
      answerError(error, request, reply, log);
    },
    clientErrorHandler: (error, socket) => answerClientError(error, socket, httpLimits.headerBytesMax),
  });
  app.server.on('connect', (_request, socket) => answerConnect(socket));
  // Else Node.js refuses them by itself, without a word.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  // No route takes it, with a body or without: it is answered like any other method, not asked for a content type.
  app.addHttpMethod('QUERY', { overrideExisting: true });
  return app;
}

/** The first hook: what holds for every request before anybody asks what it wants. */
function admitRequests(app: FastifyInstance, clock: Clock): void {
  const state = closingState(app);
  app.decorateRequest('startedMs', 0);
  app.addHook('onRequest', (request, reply, done) => {
    request.startedMs = clock.elapsedMs();
    setCommonHeaders(reply, request.id);
    // The probes answer to the end: /readyz says that the server is stopping.
    if (state.isClosing && request.routeOptions.config.action !== 'public') throw Fault.of('shuttingDown', {});
    requireSaneRequestLine(request);
    requireSaneHeaders(request);
    done();
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    // A kept connection that was busy when the server began to stop would hold the stop up until it times out.
    if (state.isClosing) reply.header('connection', 'close');
    // Fastify closes on a client in the middle of its body, who would see a broken pipe and not the answer.
    else if (reply.statusCode === 503 && request.arrival !== undefined) reply.removeHeader('connection');
    done(null, payload);
  });
}

/** How long a server that stops waits for the first byte of a connection. */
const silentSecondsMax = 1;

/**
 * Bounds the number of connections at all addresses together, and ends at a stop those over which nothing has come yet:
 * Node.js takes them for busy, and would wait for their timeout.
 */
function watchConnections(app: FastifyInstance, clock: Clock, threadCount = 1): void {
  const openMax = Math.ceil(httpLimits.connectionsMax / threadCount);
  const open = new Set<Socket>();
  app.server.on('connection', (socket: Socket) => {
    if (open.size >= openMax) {
      socket.destroy();
      return;
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  let cancel: Cancel | undefined;
  app.addHook('preClose', (done) => {
    cancel = clock.at(secondsAfter(clock.now(), silentSecondsMax), () => {
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
    });
    done();
  });
  app.addHook('onClose', async () => cancel?.());
}

function timeBodies(app: FastifyInstance, arrivals: Arrivals): void {
  app.decorateRequest('arrival');
  app.decorateRequest('heldBytes', 0);
  app.addHook('onRequest', (_request, reply, done) => {
    arrivals.begun(reply);
    done();
  });
  app.addHook('onClose', async () => arrivals.close());
}

type AnswerCheck = NonNullable<ServerDeps['checkAnswer']>;

function checkAnswers(app: FastifyInstance, check: AnswerCheck): void {
  app.addHook('onSend', async (request, reply, payload) => {
    check(request, reply, payload);
    return payload;
  });
}

/** Where nobody says otherwise. */
const usualSqs: SqsSettings = { region: 'us-east-1', recreateSeconds: limits.recreateSeconds };

/** Who signed a request to the SQS facade, by its bytes as they came; and that they may do what it asks. */
function signedBy({ broker, clock }: ServerDeps, gate: Gate, region: string): SqsDeps['authenticate'] {
  const authenticate = createAuthenticate({ keys: broker.keys, gate, clock });
  const guard = createGuard({ broker, clock, region });
  return (request, rawBody) => {
    const { raw, ip } = request;
    const principal = authenticate({
      method: raw.method ?? '',
      rawUrl: raw.url ?? '',
      rawHeaders: raw.rawHeaders,
      rawBody,
      peerAddress: ip,
    });
    request.principal = principal;
    const admitted = guard(request, rawBody, principal);
    return admitted === undefined ? principal : admitted.then(() => principal);
  };
}

/** No answer of the API is a page, may be framed, sniffed, or kept. */
function setCommonHeaders(reply: FastifyReply, requestId: string): void {
  reply
    .header('x-request-id', requestId)
    .header('x-content-type-options', 'nosniff')
    .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    .header('cache-control', 'no-store');
}

/** While the server stops, requests that still come are refused; what is in hand is finished. */
function closingState(app: FastifyInstance): { readonly isClosing: boolean } {
  const state = { isClosing: false };
  app.addHook('preClose', (done) => {
    state.isClosing = true;
    done();
  });
  return state;
}

const slash = 0x2f;

/** @throws invalidArgument */
function requireSaneRequestLine({ raw }: FastifyRequest): void {
  // `GET http://elsewhere/ HTTP/1.1` is how proxies are asked.
  if (raw.url?.charCodeAt(0) !== slash) {
    throw Fault.of('invalidArgument', { name: 'path', problem: 'must begin with "/": this is no proxy' });
  }
  // Node.js reads 0.9 and 2.0 as if they were these. Not 505: of what is answered with 5xx the effect is unknown.
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') {
    const problem = `must be HTTP/1.1 or HTTP/1.0, not HTTP/${raw.httpVersion}`;
    throw Fault.of('invalidArgument', { name: 'HTTP version', problem });
  }
}

/** Node.js lets the body of such a request come, and of no other. */
const bodyIsAskedFor = /\b100-continue\b/i;

/** @throws invalidArgument, expectationFailed */
function requireSaneHeaders({ raw, headers }: FastifyRequest): void {
  if (raw.rawHeaders.length > httpLimits.headersMax * 2) {
    throw Fault.of('invalidArgument', { name: 'headers', problem: `there are more than ${httpLimits.headersMax}` });
  }
  if (isRepeated(raw.rawHeaders, 'host'))
    throw Fault.of('invalidArgument', { name: 'Host', problem: 'is given twice' });
  if (headers.host === undefined && raw.httpVersion === '1.1')
    throw Fault.of('invalidArgument', { name: 'Host', problem: 'is missing, which HTTP/1.1 requires' });
  if (headers.expect !== undefined && !bodyIsAskedFor.test(headers.expect))
    throw Fault.of('expectationFailed', { expectation: headers.expect.slice(0, 128) });
  if (headers.upgrade !== undefined && headers.upgrade.toLowerCase() === 'websocket') {
    throw Fault.of('invalidArgument', { name: 'Upgrade', problem: 'there are no WebSockets here' });
  }
}

/** What a send costs without storing: the yardstick of the bench, in the same instance behind the same hooks. */
function mountReference(app: FastifyInstance, { clock, ids }: ServerDeps, arrivals: Arrivals): void {
  const messageId = ids.uuid(clock.now());
  app.register(async (scope) => {
    takeBytes(scope, arrivals, messageBodyBytesMax);
    endLines(scope);
    scope.post('/reference', { config: { action: 'public' } }, async (request, reply) => {
      draftOf(request);
      reply.code(201).header('content-type', jsonType);
      return sentJson({ messageId, sequence: null, isDuplicate: false });
    });
  });
}
