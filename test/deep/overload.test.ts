/**
 * A server that is offered three times what its disk can write: what is too much is refused before it is accepted, in
 * memory that does not grow, while receives, deletes, small sends and the probe go on.
 */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { buildShim, shimEnvironment } from '../support/disk-shim.ts';
import { memoryOf, startServer, temporaryFolder } from '../support/process.ts';
import { type Caller, type Outcome, openCaller } from '../support/requests.ts';
import { sizeOf } from '../support/sizes.ts';

/** Each sync of the disk takes so much longer; at most 4 MiB are written per sync. */
const syncMs = 150;
const bodyBytes = 262_144;
/** Half of them find room at once, each for some seconds; the others come again after a second, as they are told to. */
const senderCount = 400;
const consumerCount = 4;

/**
 * What memory may grow by: bodies and answers up to their limits, each of them three times, since a body is there as it
 * came, as text, and in the writer's thread until it is written; and a quarter more that waits to be collected.
 */
const growthBytesMax = (limits.bodiesHeldBytesMax + limits.answersHeldBytesMax) * 3 * 1.25;
/** How much more it may be in the last third of the time than in the one before. */
const driftBytesMax = 64 * 1_048_576;

const bodyOf = (id: string): string => id.padEnd(bodyBytes, '.');
const idOf = (body: string): string => body.slice(0, body.indexOf('.') + 1);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const inShort = (outcome: Outcome): string => JSON.stringify(outcome).slice(0, 400);
const json = { 'content-type': 'application/json' };

type Answer = 'accepted' | 'refused' | 'wrong';

/** Both ways to send, and what their answers say. */
const faces = {
  rest: {
    send: (call: Caller, url: string, id: string) => call('POST', `${url}/v1/queues/bulk/messages`, bodyOf(id)),
    read(outcome: Outcome): Answer {
      if (outcome.how !== 'answered') return 'wrong';
      if (outcome.status === 201) return 'accepted';
      const isRefusal = outcome.status === 503 || outcome.status === 429;
      return isRefusal && Number(outcome.headers['retry-after']) >= 1 ? 'refused' : 'wrong';
    },
  },
  sqs: {
    send(call: Caller, url: string, id: string) {
      const members = { QueueUrl: `${url}/000000000000/bulk`, MessageBody: bodyOf(id) };
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
      return call('POST', url, JSON.stringify(members), headers);
    },
    read(outcome: Outcome): Answer {
      if (outcome.how !== 'answered') return 'wrong';
      if (outcome.status === 200) return 'accepted';
      // After these two the SDKs of AWS try again by themselves.
      const code = String(outcome.headers['x-amzn-query-error']);
      return ['ServiceUnavailable;Receiver', 'RequestThrottled;Sender'].includes(code) ? 'refused' : 'wrong';
    },
  },
} as const;
type Face = keyof typeof faces;

/** What senders were told, by how they sent, and what receivers got. */
type Books = {
  readonly accepted: Record<Face, string[]>;
  readonly refused: Record<Face, string[]>;
  readonly taken: string[];
  readonly problems: string[];
};
const openBooks = (): Books => ({
  accepted: { rest: [], sqs: [] },
  refused: { rest: [], sqs: [] },
  taken: [],
  problems: [],
});

type Load = { readonly url: string; readonly books: Books; readonly isOver: () => boolean };

async function send({ url, books, isOver }: Load, name: number): Promise<void> {
  const call = openCaller();
  const face = name % 2 === 0 ? 'rest' : 'sqs';
  for (let n = 0; !isOver(); n += 1) {
    const id = `${name}-${n}.`;
    const outcome = await faces[face].send(call, url, id);
    const answer = faces[face].read(outcome);
    if (answer === 'wrong') books.problems.push(`${id} was told ${inShort(outcome)}`);
    else books[answer][face].push(id);
    if (answer === 'refused') await pause(1_000);
  }
}

async function consume(load: Load): Promise<void> {
  const call = openCaller();
  while (!load.isOver()) await take(call, load);
}

/** Receives, compares and deletes. @returns how many came */
async function take(call: Caller, { url, books }: Pick<Load, 'url' | 'books'>): Promise<number> {
  const got = await call('POST', `${url}/v1/queues/bulk/messages/receive?max=100&visibility=1h`);
  if (got.how !== 'answered' || got.status !== 200) {
    books.problems.push(`A receive was told ${inShort(got)}`);
    return 0;
  }
  const { messages } = JSON.parse(got.text) as { messages: { body: string; receiptHandle: string }[] };
  if (messages.length === 0) return 0;
  for (const { body } of messages) {
    const id = idOf(body);
    if (body !== bodyOf(id)) books.problems.push(`${id} came with another body.`);
    books.taken.push(id);
  }
  const handles = JSON.stringify({ delete: messages.map(({ receiptHandle }) => receiptHandle) });
  const gone = await call('POST', `${url}/v1/queues/bulk/receipts/batch`, handles, json);
  if (gone.how !== 'answered' || gone.status !== 200) books.problems.push(`A delete was told ${inShort(gone)}`);
  return messages.length;
}

type Probed = { readonly outcome: Outcome; readonly ms: number };

/** Asks again and again, with a pause between. @returns all answers, when the load is over */
async function probe({ isOver }: Load, pauseMs: number, ask: (call: Caller) => Promise<Outcome>) {
  const call = openCaller();
  const seen: Probed[] = [];
  while (!isOver()) {
    const begun = performance.now();
    const outcome = await ask(call);
    seen.push({ outcome, ms: performance.now() - begun });
    await pause(pauseMs);
  }
  return seen;
}

async function sample<T>({ isOver }: Load, look: () => T): Promise<readonly T[]> {
  const seen: T[] = [];
  for (; !isOver(); await pause(50)) seen.push(look());
  return seen;
}

const statusesOf = (seen: readonly Probed[]) =>
  new Set(seen.map(({ outcome }) => (outcome.how === 'answered' ? outcome.status : outcome.how)));
const quantile = (numbers: readonly number[], share: number): number =>
  numbers.toSorted((a, b) => a - b)[Math.ceil(numbers.length * share) - 1] ?? Number.NaN;
const third = <T>(seen: readonly T[], nth: 0 | 1 | 2): readonly T[] =>
  seen.slice((seen.length * nth) / 3, (seen.length * (nth + 1)) / 3);
const mebibytes = (bytes: number): number => Math.round(bytes / 1_048_576);

describe('a server that is offered three times what its disk can write', () => {
  it('refuses what is too much before it is accepted, in memory that does not grow', async () => {
    const folder = temporaryFolder();
    const slow = startServer(folder, shimEnvironment(buildShim(temporaryFolder()), folder, { syncMs }));
    const url = await slow.url;
    const call = openCaller();
    for (const queue of ['bulk', 'small']) await call('PUT', `${url}/v1/queues/${queue}`, '{}', json);
    const idleBytes = memoryOf(slow);
    const books = openBooks();
    const endMs = performance.now() + sizeOf('overloadSeconds') * 1_000;
    const load: Load = { url, books, isOver: () => performance.now() > endMs };

    const [memory, probes, smallSends] = await Promise.all([
      sample(load, () => memoryOf(slow)),
      probe(load, 100, (own) => own('GET', `${url}/livez`)),
      probe(load, 0, (own) => own('POST', `${url}/v1/queues/small/messages`, 'small')),
      ...Array.from({ length: consumerCount }, () => consume(load)),
      ...Array.from({ length: senderCount }, (_, name) => send(load, name)),
    ]);
    const { accepted, refused, problems } = books;
    const takenMeanwhile = books.taken.length;
    const probeMs = probes.map(({ ms }) => ms);
    const smallMs = smallSends.map(({ ms }) => ms);
    const peak = Math.max(...memory);
    console.log(
      `accepted ${accepted.rest.length} + ${accepted.sqs.length}, refused ${refused.rest.length} + ${refused.sqs.length}, ` +
        `taken meanwhile ${takenMeanwhile}, small sends ${smallSends.length}; ` +
        `median of a probe ${Math.round(quantile(probeMs, 0.5))} ms, of a small send ${Math.round(quantile(smallMs, 0.5))} ms; ` +
        `memory ${mebibytes(idleBytes)} MiB idle, ${mebibytes(peak)} MiB at most`,
    );
    expect(problems).toEqual([]);
    expect(peak - idleBytes, 'memory at most').toBeLessThan(growthBytesMax);
    expect(quantile(third(memory, 2), 0.5), 'memory at the end').toBeLessThan(
      quantile(third(memory, 1), 0.5) + driftBytesMax,
    );
    // Otherwise there was no overload.
    for (const face of ['rest', 'sqs'] as const) {
      expect(accepted[face].length, face).toBeGreaterThan(20);
      expect(refused[face].length, face).toBeGreaterThan(accepted[face].length);
    }
    // Who takes work away is not refused for those who bring too much, nor are small messages and probes.
    expect(takenMeanwhile).toBeGreaterThan(50);
    expect([statusesOf(probes), statusesOf(smallSends)]).toEqual([new Set([200]), new Set([201])]);
    // A probe does not wait for the disk, as sends do.
    expect(quantile(probeMs, 0.5), 'the probe').toBeLessThan(quantile(smallMs, 0.5) / 2);

    // After the load it is as quick as its disk again.
    const begun = performance.now();
    expect(await call('POST', `${url}/v1/queues/small/messages`, 'after')).toMatchObject({ status: 201 });
    expect(performance.now() - begun).toBeLessThan(quantile(smallMs, 0.5) / 2);

    // All that was accepted is on disk, once, and nothing that was refused.
    slow.child.kill('SIGTERM');
    await slow.ended;
    const sound = { url: await startServer(folder).url, books };
    while ((await take(openCaller(), sound)) > 0);
    expect(books.taken.toSorted()).toEqual([...accepted.rest, ...accepted.sqs].sort());
    expect(problems).toEqual([]);
  });
});
