/**
 * Sending lines of JSON as they come: each line is a message, stored in slices while the upload goes on, and answered
 * while it goes on, so that neither lines nor results are bounded by memory.
 *
 * A line that is wrong fails alone. The status is decided by the first slice of which something is stored; an upload
 * whose first lines are all refused is refused as a whole. What has a result in the answer is on disk. With `atomic` the
 * lines are held, up to the size of a JSON batch, and sent at once.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault, type FaultData, fault, isFault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { type Draft, messageBytes, noAttributes } from '../domain/message.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { readJson } from '../http/json.ts';
import { invalid, readQuery } from '../http/parameters.ts';
import {
  abortedUnlessFault,
  batchJson,
  batchQuery,
  draftOrFault,
  isDraft,
  merged,
  type Outcome,
  outcomeJson,
  refuseBatch,
} from './batch.ts';
import type { RestDeps } from './deps.ts';
import { type DraftOptions, entryDraft } from './draft.ts';
import { type Line, splitLines, tooLong, type UploadWatch, watchUpload } from './lines.ts';
import { askedOf } from './problems.ts';
import { jsonType } from './send.ts';

type Entry = Draft | FaultData;
type LineOptions = DraftOptions & { readonly isEnvelope: boolean };
type SendSlice = (drafts: readonly Draft[]) => Promise<readonly Outcome[]>;

/** An upload under way. */
type Upload = {
  readonly deps: RestDeps;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly options: LineOptions;
  readonly send: SendSlice;
  readonly watch: UploadWatch;
  /** What it keeps in memory beside the line that is being read. */
  readonly held: { entryBytes: number; answer: Readable | undefined };
};

export async function sendLines(
  deps: RestDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  queue: QueueName,
): Promise<string | FastifyReply> {
  const { atomic: isAtomic = false, envelope = false, delay, group } = readQuery(batchQuery, request.query);
  if (request.headers['idempotency-key'] !== undefined) {
    throw invalid('Idempotency-Key', 'is not possible with lines; send {"messages":[…]} as application/json');
  }
  deps.arrivals.arrived(request);
  const upload: Upload = {
    deps,
    request,
    reply,
    options: { delaySeconds: delay, groupId: group, isEnvelope: envelope },
    send: (drafts) => deps.broker.messages.send(request.principal, queue, drafts, { isAtomic }),
    watch: watchUpload(deps.clock),
    held: { entryBytes: 0, answer: undefined },
  };
  let answer: Answer;
  try {
    answer = await (isAtomic ? sendTogether(upload) : sendAsTheyCome(upload));
  } finally {
    // What was not read is not worth reading: the connection ends with the answer.
    if (!(request.body as Readable).readableEnded) reply.header('connection', 'close');
    if (upload.held.answer === undefined) upload.watch.end();
  }
  return answer();
}

/** Gives the answer, when all that its headers say is known. */
type Answer = () => string | FastifyReply;

function answerAtOnce(
  { reply, request }: Upload,
  outcomes: readonly Outcome[],
  { isAtomic }: { isAtomic: boolean },
): Answer {
  if (outcomes.length === 0) throw Fault.of('emptyBody', {});
  if (isAtomic ? outcomes.some(isFault) : outcomes.every(isFault)) return () => refuseBatch(reply, outcomes);
  return () => {
    reply.header('content-type', jsonType);
    return batchJson(outcomes, askedOf(request));
  };
}

/** Answers at once what came in one slice, and what was refused whole; else while the upload goes on. */
async function sendAsTheyCome(upload: Upload): Promise<Answer> {
  const slices = storeSlices(upload);
  const outcomes: Outcome[] = [];
  // While nothing is stored the upload may still be refused; a thousand lines say enough about the rest.
  while (outcomes.length < limits.batchEntriesMax) {
    const next = await slices.next();
    if (next.done === true) break;
    outcomes.push(...next.value.outcomes);
    if (next.value.isLast) break;
    if (!outcomes.every(isFault)) return answerAsTheyCome(upload, outcomes, slices);
  }
  return answerAtOnce(upload, outcomes, { isAtomic: false });
}

/** How much of an answer waits for a client that reads nothing until it has sent everything: 100,000 results. */
const answerBytesMax = 8 * 1_048_576;

function answerAsTheyCome(upload: Upload, first: readonly Outcome[], slices: AsyncIterable<Slice>): Answer {
  const { reply, held } = upload;
  held.answer = Readable.from(answerText(upload, first, slices), { objectMode: false, highWaterMark: answerBytesMax });
  // Nobody knows yet how the upload will end.
  return () => reply.header('connection', 'close').header('content-type', jsonType).send(held.answer);
}

/** The text of the answer, a part per slice. */
async function* answerText(
  { watch, reply, request, deps }: Upload,
  first: readonly Outcome[],
  slices: AsyncIterable<Slice>,
): AsyncGenerator<string> {
  const asked = askedOf(request);
  let sentCount = 0;
  let failedCount = 0;

  const partOf = (outcomes: readonly Outcome[], before: string): string => {
    const failed = outcomes.filter(isFault).length;
    failedCount += failed;
    sentCount += outcomes.length - failed;
    const part = before + outcomes.map((outcome) => outcomeJson(outcome, asked)).join(',');
    watch.moved(part.length);
    // Whoever reads nothing for so long has no use for the rest.
    watch.waiting(() => reply.raw.destroy());
    return part;
  };

  try {
    yield partOf(first, '{"results":[');
    watch.waiting(undefined);
    for await (const { outcomes } of slices) {
      yield partOf(outcomes, ',');
      watch.waiting(undefined);
    }
    yield `],"sentCount":${sentCount},"failedCount":${failedCount}}\n`;
  } catch (error) {
    deps.log.error({ requestId: request.id, err: error }, 'request failed');
    throw error;
  } finally {
    watch.end();
  }
}

type Slice = { readonly outcomes: readonly Outcome[]; readonly isLast: boolean };

/** Stores slice after slice; what is on disk stays there when a later slice fails. */
async function* storeSlices(upload: Upload): AsyncGenerator<Slice> {
  const { send, held } = upload;
  let slice: Entry[] = [];
  let isFirst = true;

  const store = async (isLast: boolean): Promise<Slice> => {
    const stored = await sendSlice(slice, send, { isFirst, isLast });
    slice = [];
    held.entryBytes = 0;
    isFirst = false;
    return stored;
  };

  for await (const entry of readEntries(upload)) {
    slice.push(entry);
    if (slice.length < limits.batchSliceEntriesMax && held.entryBytes < limits.batchSliceBytesMax) continue;
    const stored = await store(false);
    yield stored;
    if (stored.isLast) return;
  }
  if (slice.length > 0) yield await store(true);
}

/** A fault of the first slice is that of the request; of a later one, that of the entries in it and the last word. */
async function sendSlice(
  slice: readonly Entry[],
  send: SendSlice,
  { isFirst, isLast }: { readonly isFirst: boolean; readonly isLast: boolean },
): Promise<Slice> {
  try {
    return { outcomes: merged(slice, await send(slice.filter(isDraft))), isLast };
  } catch (error) {
    if (isFirst || !(error instanceof Fault)) throw error;
    const { data } = error;
    return { outcomes: slice.map((entry) => (isFault(entry) ? entry : data)), isLast: true };
  }
}

/** @throws bodyTooLarge when the lines are more than may be held */
async function sendTogether(upload: Upload): Promise<Answer> {
  const { send, held } = upload;
  const entries: Entry[] = [];
  for await (const entry of readEntries(upload)) {
    entries.push(entry);
    if (held.entryBytes > limits.batchBytesMax) throw Fault.of('bodyTooLarge', { bytesMax: limits.batchBytesMax });
    if (entries.length > limits.batchEntriesMax)
      throw Fault.of('bodyTooLarge', { bytesMax: limits.batchBytesMax, entriesMax: limits.batchEntriesMax });
  }
  const isRefused = entries.length === 0 || entries.some(isFault);
  const outcomes = isRefused ? entries.map(abortedUnlessFault) : await send(entries.filter(isDraft));
  return answerAtOnce(upload, outcomes, { isAtomic: true });
}

/** The entries of the upload; how it ended, when that was not well, is the last. */
async function* readEntries({ deps, request, options, watch, held }: Upload): AsyncGenerator<Entry> {
  const hold = (lineBytes: number): void => {
    const refusal = deps.arrivals.hold(request, lineBytes + held.entryBytes + (held.answer?.readableLength ?? 0));
    if (refusal !== undefined) throw refusal;
  };
  try {
    for await (const line of splitLines(request.body as Readable, watch, hold)) {
      const entry = lineEntry(line, options);
      held.entryBytes += isFault(entry) ? 0 : messageBytes(entry);
      yield entry;
    }
  } catch (error) {
    // What came before is stored, or about to be.
    yield uploadFault(error);
  }
}

/** An upload that stopped or broke off; anything else is a bug. */
function uploadFault(error: unknown): FaultData {
  if (error instanceof Fault) return error.data;
  if ((error as { code?: unknown }).code === 'ECONNRESET')
    return fault('malformedBody', { problem: 'The body ended early.' });
  throw error;
}

function lineEntry({ text, number }: Line, options: LineOptions): Entry {
  if (text === tooLong) return fault('bodyTooLarge', { bytesMax: limits.batchLineBytesMax });
  return draftOrFault(() =>
    options.isEnvelope ? envelopeDraft(text, number, options) : bodyDraft(text, number, options),
  );
}

function envelopeDraft(line: Buffer, number: number, options: LineOptions): Draft {
  const { value, bodyText } = readJson(line, 'document', `Line ${number}`);
  return entryDraft(value, bodyText(0), options, `line ${number}`);
}

/** Read as the body of an entry of a JSON batch would be, and kept as it was written. */
function bodyDraft(line: Buffer, number: number, { delaySeconds, groupId }: LineOptions): Draft {
  readJson(line, 'text', `Line ${number}`);
  return { body: trimmed(line), contentType: 'application/json', attributes: noAttributes, delaySeconds, groupId };
}

/** Without the carriage return of a Windows line. */
const trimmed = (line: Buffer): Buffer => (line.at(-1) === 0x0d ? line.subarray(0, -1) : line);
