/**
 * Request bodies: who parses what.
 *
 * Fastify parses nothing: bodies come as bytes (or a stream of lines) and each operation reads them by one function,
 * whatever the headers said.
 */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { firstProblem } from '../domain/zod-problem.ts';
import type { Arrivals } from './arrivals.ts';
import { readJson } from './json.ts';
import { essenceOf, isForeignCharset } from './media-type.ts';
import { invalid } from './parameters.ts';

/** The content types under which lines of JSON come. */
export const lineTypes = ['application/x-ndjson', 'application/jsonl', 'application/x-jsonlines'] as const;

const noBytes = Buffer.alloc(0);

/** The bytes of the request; none when it has no body. Not for streamed bodies. */
export const bytesOf = (request: FastifyRequest): Buffer => (Buffer.isBuffer(request.body) ? request.body : noBytes);

/** Makes every body of the scope arrive as bytes. */
export function takeBytes(app: FastifyInstance, arrivals: Arrivals, bytesMax: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (request, payload, done) => {
    if (isEncoded(request)) return done(encodingRefused(request));
    collect(request, payload, bytesMax, arrivals, done);
  });
}

/** What a body of unknown length gets at first; it doubles when that is full. */
const firstPieceBytes = 16_384;

/**
 * Reads the whole body into one piece of memory, taken at once when its length is announced, else by doubling. A list
 * of the chunks that came would hold a hundred times the bytes when each chunk has one.
 * @param done told bodyTooLarge, overloaded or malformedBody, else the bytes
 */
function collect(
  request: FastifyRequest,
  payload: Readable,
  bytesMax: number,
  arrivals: Arrivals,
  done: (error: Error | null, bytes?: Buffer) => void,
): void {
  const announced = Number(request.headers['content-length'] ?? Number.NaN);
  let body = noBytes;
  let filled = 0;

  const end = (error?: Error) => {
    payload.off('data', take).off('end', end).off('error', end);
    if (error !== undefined) {
      payload.resume();
      return done(error);
    }
    if (announced >= 0 && filled !== announced)
      return done(Fault.of('malformedBody', { problem: 'The body is not as long as its Content-Length says.' }));
    arrivals.arrived(request);
    done(null, body.subarray(0, filled));
  };
  const take = (chunk: Buffer) => {
    const needed = filled + chunk.byteLength;
    const refusal = needed > body.byteLength ? grow(needed) : undefined;
    if (refusal !== undefined) return end(refusal);
    filled += chunk.copy(body, filled);
  };
  const grow = (needed: number): Fault | undefined => {
    if (needed > bytesMax) return Fault.of('bodyTooLarge', { bytesMax });
    const bytes = needed === announced ? needed : Math.min(bytesMax, Math.max(needed, 2 * filled, firstPieceBytes));
    const refusal = arrivals.hold(request, bytes);
    if (refusal !== undefined) return refusal;
    const larger = Buffer.allocUnsafe(bytes);
    body.copy(larger, 0, 0, filled);
    body = larger;
    return undefined;
  };

  const refusal = announced > 0 ? grow(announced) : undefined;
  if (refusal !== undefined) return end(refusal);
  payload.on('data', take).on('end', end).on('error', end);
}

/** Makes bodies of lines arrive as streams; the operation says when they have ended. */
export function takeLines(app: FastifyInstance): void {
  app.addContentTypeParser([...lineTypes], (request, payload, done) => {
    if (isEncoded(request)) done(encodingRefused(request));
    else done(null, payload);
  });
}

/** Encodings that change nothing; the second is what some clients of AWS call theirs. */
const plainEncodings: readonly string[] = ['identity', 'amz-1.0'];

// No decompression at all: a small request must not become a large one.
const isEncoded = ({ headers: { 'content-encoding': encoding } }: FastifyRequest): boolean =>
  encoding !== undefined && !plainEncodings.includes(encoding.toLowerCase());

const encodingRefused = ({ headers }: FastifyRequest): Fault =>
  Fault.of('unsupportedMediaType', {
    contentType: (headers['content-type'] ?? '').slice(0, 128),
    accepted: 'the body without a content encoding',
    encoding: String(headers['content-encoding']).slice(0, 64),
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
 * The JSON document of a request as its schema types it; an absent body reads as `{}` where it may be absent.
 * @throws unsupportedMediaType, malformedBody, invalidArgument
 */
export function readDocument<T>(
  request: FastifyRequest,
  schema: z.ZodType<T>,
  accepted: readonly string[] = documentTypes,
): T {
  const bytes = bytesOf(request);
  if (bytes.byteLength === 0) {
    if (isBodyRequired(request)) throw Fault.of('malformedBody', { problem: 'The body is missing.' });
    return parseAs(schema, {});
  }
  requireType(request, accepted);
  return parseAs(schema, readJson(bytes).value);
}

const isBodyRequired = ({ routeOptions }: FastifyRequest): boolean =>
  routeOptions.config.operation?.doc.request?.isRequired === true;

const membersOf = (schema: z.ZodType): readonly string[] =>
  'shape' in schema && typeof schema.shape === 'object' && schema.shape !== null ? Object.keys(schema.shape) : [];

/** @throws invalidArgument naming the first value that is wrong */
export function parseAs<T>(schema: z.ZodType<T>, value: unknown, at?: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw Fault.of('invalidArgument', firstProblem(parsed.error, at, membersOf(schema)));
}

/** @throws invalidArgument when an operation without a body was sent one that says something */
export function requireNoBody(request: FastifyRequest): void {
  const bytes = bytesOf(request);
  if (bytes.byteLength === 0 || bytes.toString('latin1').trim() === '{}') return;
  throw invalid('body', 'is not read here: what can be said goes into the query string');
}

/** Bytes that a document may have. */
export const documentBytesMax = limits.documentBytesMax;
