/**
 * Request bodies: who parses what, and how long they may take to arrive.
 *
 * Fastify parses nothing: bodies come as bytes (or a stream of lines) and each operation reads them by one function,
 * whatever the headers said. A body that stops arriving is cut off after a while; Node's own `requestTimeout` cannot
 * be used for that, since it would also cut a long upload that moves.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Cancel, Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { readJson } from './json.ts';
import { essenceOf, isForeignCharset } from './media-type.ts';
import { invalid } from './parameters.ts';
import { firstProblem } from './zod-problem.ts';

/** The content types under which lines of JSON come. */
export const lineTypes = ['application/x-ndjson', 'application/jsonl', 'application/x-jsonlines'] as const;

const noBytes = Buffer.alloc(0);

/** The bytes of the request; none when it has no body. Not for streamed bodies. */
export const bytesOf = (request: FastifyRequest): Buffer => (Buffer.isBuffer(request.body) ? request.body : noBytes);

/** Makes every body of the scope arrive as bytes. */
export function takeBytes(app: FastifyInstance, arrivals: Arrivals, bodyLimit: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (request, body, done) => {
    arrivals.ended(request);
    if (isEncoded(request)) done(encodingRefused(request));
    else done(null, body);
  });
}

/** Makes bodies of lines arrive as streams; the operation says when they have ended. */
export function takeLines(app: FastifyInstance): void {
  app.addContentTypeParser([...lineTypes], (request, payload, done) => {
    if (isEncoded(request)) done(encodingRefused(request));
    else done(null, payload);
  });
}

// No decompression at all: a small request must not become a large one.
const isEncoded = ({ headers }: FastifyRequest): boolean =>
  headers['content-encoding'] !== undefined && headers['content-encoding'].toLowerCase() !== 'identity';

const encodingRefused = ({ headers }: FastifyRequest): Fault =>
  Fault.of('unsupportedMediaType', {
    contentType: `Content-Encoding: ${String(headers['content-encoding']).slice(0, 64)}`,
    accepted: 'the body without a content encoding',
  });

/** @throws unsupportedMediaType unless the body is announced as one of the types, in UTF-8 */
export function requireType(request: FastifyRequest, accepted: readonly string[]): string {
  const contentType = request.headers['content-type'] ?? '';
  const essence = essenceOf(contentType);
  if (accepted.includes(essence) && !isForeignCharset(contentType)) return essence;
  throw Fault.of('unsupportedMediaType', { contentType: contentType.slice(0, 128), accepted: accepted.join(' or ') });
}

export const documentTypes = ['application/json'] as const;

/**
 * The JSON document of a request as its schema types it; an absent body reads as `{}`.
 * @throws unsupportedMediaType, malformedBody, invalidArgument
 */
export function readDocument<T>(
  request: FastifyRequest,
  schema: z.ZodType<T>,
  accepted: readonly string[] = documentTypes,
): T {
  const bytes = bytesOf(request);
  if (bytes.byteLength === 0) return parseAs(schema, {});
  requireType(request, accepted);
  return parseAs(schema, readJson(bytes).value);
}

/** @throws invalidArgument naming the first value that is wrong */
export function parseAs<T>(schema: z.ZodType<T>, value: unknown, at?: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw Fault.of('invalidArgument', firstProblem(parsed.error, at));
}

/** @throws invalidArgument when an operation without a body was sent one that says something */
export function requireNoBody(request: FastifyRequest): void {
  const bytes = bytesOf(request);
  if (bytes.byteLength === 0 || bytes.toString('latin1').trim() === '{}') return;
  throw invalid('body', 'is not read here: what can be said goes into the query string');
}

export const arrivalLimits = {
  /** A body that is read whole must have arrived by then. */
  wholeBodySecondsMax: 30,
  /** How often those still arriving are looked at. */
  checkSeconds: 5,
} as const;

/** Bodies that are still arriving. */
export type Arrivals = {
  readonly begun: (reply: FastifyReply) => void;
  /** The body is there, or is read by someone who looks after it. */
  readonly ended: (request: FastifyRequest) => void;
  readonly close: () => void;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request came, in milliseconds of the clock's measuring. */
    startedMs: number;
    /** Set while its body arrives. */
    arrival: FastifyReply | undefined;
  }
}

/** Cuts off requests whose body does not arrive, with 408. Costs two set operations per request with a body. */
export function trackArrivals(clock: Clock): Arrivals {
  const arriving = new Set<FastifyReply>();
  let cancel: Cancel | undefined;

  const check = () => {
    cancel = undefined;
    const now = clock.elapsedMs();
    for (const reply of arriving) {
      // In the order of their coming: those behind are younger.
      if (now - reply.request.startedMs < arrivalLimits.wholeBodySecondsMax * 1_000) break;
      arriving.delete(reply);
      if (!reply.sent) reply.header('connection', 'close').send(Fault.of('requestTimeout', {}));
    }
    if (arriving.size > 0) arm();
  };
  const arm = () => {
    cancel ??= clock.at(secondsAfter(clock.now(), arrivalLimits.checkSeconds), check);
  };

  return {
    begun(reply) {
      const { headers } = reply.request;
      const length = headers['content-length'];
      if ((length === undefined || length === '0') && headers['transfer-encoding'] === undefined) return;
      reply.request.arrival = reply;
      arriving.add(reply);
      arm();
    },
    ended(request) {
      if (request.arrival === undefined) return;
      arriving.delete(request.arrival);
      request.arrival = undefined;
    },
    close: () => cancel?.(),
  };
}

/** Bytes that a document may have. */
export const documentBytesMax = limits.documentBytesMax;
