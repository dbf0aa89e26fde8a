/**
 * Sending lines of JSON as they come: each line is a message, stored in slices while the upload goes on.
 *
 * Memory holds one line and one slice, whatever the length of the upload: the next bytes are read when a slice is on
 * disk. A line that is wrong fails alone. With `atomic` the lines are held, up to the size of a JSON batch, and sent
 * at once.
 */
import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { Fault, type FaultData, fault, isFault } from '../domain/errors.ts';
import { secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { type Draft, noAttributes } from '../domain/message.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { readJson } from '../http/json.ts';
import { invalid, readQuery } from '../http/parameters.ts';
import type { Sent } from '../storage/port.ts';
import { abortedUnlessFault, batchJson, batchQuery, draftOrFault, isDraft, merged, sendAborted } from './batch.ts';
import type { RestDeps } from './deps.ts';
import { type DraftOptions, entryDraft } from './draft.ts';
import { askedOf } from './problems.ts';
import { jsonType } from './send.ts';

type Entry = Draft | FaultData;
type LineOptions = DraftOptions & { readonly isEnvelope: boolean };

export async function sendLines(
  deps: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  queue: QueueName,
): Promise<string | FastifyReply> {
  try {
    return await sendUpload(deps, request, reply, queue);
  } finally {
    // What was not read is not worth reading: the connection ends with the answer.
    if (!(request.body as Readable).readableEnded) reply.header('connection', 'close');
  }
}

async function sendUpload(
  deps: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  queue: QueueName,
): Promise<string | FastifyReply> {
  const { atomic = false, envelope = false, delay, group } = readQuery(batchQuery, request.query);
  if (request.headers['idempotency-key'] !== undefined) {
    throw invalid('Idempotency-Key', 'is not possible with lines; send {"messages":[…]} as application/json');
  }
  const entries = readEntries(request, deps, { delaySeconds: delay, groupId: group, isEnvelope: envelope });
  const send: SendSlice = (drafts) => deps.broker.messages.send(request.principal, queue, drafts, { isAtomic: atomic });
  const outcomes = atomic ? await sendTogether(entries, send) : await sendInSlices(entries, send);
  if (atomic && outcomes.some(isFault)) return sendAborted(reply, outcomes);
  if (outcomes.length === 0) throw Fault.of('emptyBody', {});
  reply.header('content-type', jsonType);
  return batchJson(outcomes, askedOf(request));
}

type SendSlice = (drafts: readonly Draft[]) => Promise<readonly (Sent | FaultData)[]>;

/** Stores slice after slice; what is on disk stays there when a later slice fails. */
async function sendInSlices(entries: AsyncIterable<Entry>, send: SendSlice): Promise<readonly (Sent | FaultData)[]> {
  const outcomes: (Sent | FaultData)[] = [];
  let slice: Entry[] = [];
  let sliceBytes = 0;

  const store = async (): Promise<boolean> => {
    const stored = await sendSlice(slice, send, outcomes.length === 0);
    outcomes.push(...stored.outcomes);
    slice = [];
    sliceBytes = 0;
    return stored.isOver;
  };

  for await (const entry of entries) {
    slice.push(entry);
    sliceBytes += isFault(entry) ? 0 : entry.body.byteLength;
    const isFull = slice.length >= limits.batchSliceEntriesMax || sliceBytes >= limits.batchSliceBytesMax;
    if (isFull && (await store())) return outcomes;
  }
  if (slice.length > 0) await store();
  return outcomes;
}

/** A fault of the first slice is that of the request; of a later one, that of the entries in it and the last word. */
async function sendSlice(slice: readonly Entry[], send: SendSlice, isFirst: boolean) {
  const drafts = slice.filter(isDraft);
  try {
    return { outcomes: merged(slice, await send(drafts)), isOver: false };
  } catch (error) {
    if (isFirst || !(error instanceof Fault)) throw error;
    const { data } = error;
    return { outcomes: slice.map((entry) => (isFault(entry) ? entry : data)), isOver: true };
  }
}

/** @throws bodyTooLarge when the lines are more than may be held */
async function sendTogether(entries: AsyncIterable<Entry>, send: SendSlice): Promise<readonly (Sent | FaultData)[]> {
  const held: Entry[] = [];
  let heldBytes = 0;
  for await (const entry of entries) {
    held.push(entry);
    heldBytes += isFault(entry) ? 0 : entry.body.byteLength;
    if (heldBytes > limits.batchBytesMax) throw Fault.of('bodyTooLarge', { bytesMax: limits.batchBytesMax });
  }
  if (held.some(isFault)) return held.map(abortedUnlessFault);
  return send(held.filter(isDraft));
}

/** The entries of the upload; one beyond the most there may be is a fault, and the last. */
async function* readEntries(
  request: FastifyRequest,
  { clock, arrivals }: RestDeps,
  options: LineOptions,
): AsyncGenerator<Entry> {
  arrivals.arrived(request);
  const watch = watchProgress(clock);
  let count = 0;
  try {
    for await (const line of splitLines(request.body as Readable, watch)) {
      if (line !== tooLong && isBlank(line)) continue;
      count += 1;
      if (count > limits.batchEntriesMax) {
        yield fault('invalidArgument', {
          name: `line ${count}`,
          problem: `is beyond the ${limits.batchEntriesMax} lines of one request; it and all after it were not sent`,
        });
        return;
      }
      yield lineEntry(line, count, options);
    }
  } catch (error) {
    // What came before is stored, or about to be: the upload's end is told as the last result.
    yield uploadFault(error);
  } finally {
    watch.end();
  }
}

/** An upload that stopped or broke off; anything else is a bug. */
function uploadFault(error: unknown): FaultData {
  if (error instanceof Fault) return error.data;
  if ((error as { code?: unknown }).code === 'ECONNRESET')
    return fault('malformedBody', { problem: 'The body ended early.' });
  throw error;
}

const tooLong = Symbol('a line longer than the limit');
type Line = Buffer | typeof tooLong;

const isBlank = (line: Buffer): boolean => line.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

function lineEntry(line: Line, number: number, options: LineOptions): Entry {
  if (line === tooLong) return fault('bodyTooLarge', { bytesMax: limits.batchLineBytesMax });
  return draftOrFault(() =>
    options.isEnvelope ? envelopeDraft(line, number, options) : bodyDraft(line, number, options),
  );
}

function envelopeDraft(line: Buffer, number: number, options: LineOptions): Draft {
  const { value, bodyText } = readJson(line, 'document');
  return entryDraft(value, bodyText(0), options, `line ${number}`);
}

function bodyDraft(line: Buffer, number: number, { delaySeconds, groupId }: LineOptions): Draft {
  const body = trimmed(line);
  if (!isUtf8(body)) throw Fault.of('malformedBody', { problem: `Line ${number} is not valid UTF-8.` });
  try {
    JSON.parse(body.toString('utf8'));
  } catch {
    throw Fault.of('malformedBody', { problem: `Line ${number} is not valid JSON.` });
  }
  return { body, contentType: 'application/json', attributes: noAttributes, delaySeconds, groupId };
}

/** Without the carriage return of a Windows line. */
const trimmed = (line: Buffer): Buffer => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line);

/** Lines of bytes, without their ends; of one that is too long only that it is. */
async function* splitLines(body: Readable, watch: ProgressWatch): AsyncGenerator<Line> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let isSkipping = false;

  const take = (last: Buffer): Line => {
    const line = isSkipping || restBytes + last.byteLength > limits.batchLineBytesMax ? tooLong : joined(rest, last);
    rest = [];
    restBytes = 0;
    isSkipping = false;
    return line;
  };

  for await (const chunk of chunksOf(body, watch)) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      yield take(chunk.subarray(from, end));
      from = end + 1;
    }
    if (isSkipping || from === chunk.byteLength) continue;
    rest.push(chunk.subarray(from));
    restBytes += chunk.byteLength - from;
    if (restBytes > limits.batchLineBytesMax) {
      isSkipping = true;
      rest = [];
    }
  }
  if (restBytes > 0) yield take(Buffer.alloc(0));
}

const joined = (parts: readonly Buffer[], last: Buffer): Buffer =>
  parts.length === 0 ? last : Buffer.concat([...parts, last]);

/** The chunks of the body, without destroying the connection when reading stops early. */
async function* chunksOf(body: Readable, watch: ProgressWatch): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = body.iterator({ destroyOnReturn: false });
  while (true) {
    const next = await watch.orStalled(chunks.next());
    if (next.done === true) return;
    watch.moved(next.value.byteLength);
    yield next.value;
  }
}

/** An upload that brings less than this in that time, while it is waited for, has stopped. */
const progress = { seconds: 30, bytesMin: 1_024 } as const;

type ProgressWatch = {
  readonly moved: (bytes: number) => void;
  /** The promise, or requestTimeout when the upload stops before it resolves. */
  readonly orStalled: <T>(promise: Promise<T>) => Promise<T>;
  readonly end: () => void;
};

/** Watches that an upload moves. */
function watchProgress(clock: Clock): ProgressWatch {
  let movedBytes = 0;
  let stall: ((cause: Fault) => void) | undefined;

  const look = () => {
    // While nobody waits for bytes it is we who are slow.
    if (movedBytes < progress.bytesMin && stall !== undefined) stall(Fault.of('requestTimeout', {}));
    movedBytes = 0;
    cancel = arm();
  };
  const arm = () => clock.at(secondsAfter(clock.now(), progress.seconds), look);
  let cancel = arm();

  return {
    moved: (bytes) => {
      movedBytes += bytes;
    },
    orStalled: (promise) =>
      new Promise((resolve, reject) => {
        stall = reject;
        promise.then(resolve, reject);
      }).finally(() => {
        stall = undefined;
      }) as typeof promise,
    end: () => cancel(),
  };
}
