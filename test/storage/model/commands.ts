/** Commands for an engine and the model: each does the same to both and compares what they say. */
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { Fault, isFault } from '../../../src/domain/errors.ts';
import { messageState, type Receipt } from '../../../src/domain/message.ts';
import { QueueName, type QueueSettingsPatch } from '../../../src/domain/queue-attributes.ts';
import type { Settlement } from '../../../src/storage/port.ts';
import { bodyOf, codeOf, type DraftText, nextTaskId, nth, type Trial } from '../../support/storage.ts';
import {
  attemptMs,
  type Given,
  type Model,
  type ModelDraft,
  type ModelMessage,
  type ModelQueue,
  type ModelSettings,
} from './model.ts';

/** The queues of every sequence; short retentions, so that messages expire within a few commands. */
const settingsOf: Readonly<Record<string, Partial<ModelSettings>>> = {
  q: { retentionSeconds: 120, retryDelaySeconds: [0, 10] },
  'q-dlq': { retentionSeconds: 100 },
  'q.fifo': { retentionSeconds: 400 },
  'r.fifo': { retentionSeconds: 90, deduplicationScope: 'messageGroup', contentBasedDeduplication: true },
  'dlq.fifo': { retentionSeconds: 200 },
};
const queueNames = Object.keys(settingsOf);
const dlqNameOf = (name: string): string => (name.endsWith('.fifo') ? 'dlq.fifo' : 'q-dlq');

const initial: ModelSettings = {
  visibilityTimeoutSeconds: 30,
  retentionSeconds: 60,
  retryDelaySeconds: [],
  deduplicationScope: 'queue',
  contentBasedDeduplication: false,
};

async function create(model: Model, t: Trial, name: string): Promise<void> {
  const settings = { ...initial, ...settingsOf[name] };
  const { deduplicationScope, contentBasedDeduplication, ...both } = settings;
  const named: QueueSettingsPatch = name.endsWith('.fifo')
    ? { ...both, deduplicationScope, contentBasedDeduplication }
    : both;
  const { id } = await t.put(name, named);
  if (!model.queues.has(name)) model.create(id, name, settings);
}

/** A storage with all queues, and the model of it. */
export async function begin(model: Model, t: Trial): Promise<void> {
  model.advanceTo(t.now);
  for (const name of queueNames) await create(model, t, name);
}

/** The doctor looks after so many commands, at each `inspect` and at the end: after every one it would take most of the time. */
const auditEvery = 5;

type Command = fc.AsyncCommand<Model, Trial>;

const command = (name: string, run: (model: Model, t: Trial) => Promise<void>): Command => ({
  check: () => true,
  async run(model, t) {
    await run(model, t);
    await agree(model, t);
    model.commandCount += 1;
    if (model.commandCount % auditEvery === 0) expect(await t.audit()).toEqual([]);
  },
  toString: () => name,
});

/** A command on a queue: where the queue is gone, the engine must say so. */
const onQueue = (
  name: string,
  what: string,
  ask: (t: Trial, model: Model) => Promise<unknown>,
  run: (queue: ModelQueue, model: Model, t: Trial) => Promise<void>,
): Command =>
  command(`${what} ${name}`, async (model, t) => {
    const queue = model.queues.get(name);
    if (queue !== undefined) return run(queue, model, t);
    const error = await ask(t, model).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ data: { fault: 'queueNotFound' } });
  });

/** What is there and how much of it: the same in both, at every instant. */
async function agree(model: Model, t: Trial): Promise<void> {
  const queues = [...model.queues.values()];
  const stats = await t.storage.queueStats({ queueIds: queues.map(({ id }) => id), now: t.now });
  for (const [i, { messages, name, totals }] of queues.entries()) {
    const count = (state: string) => messages.filter((message) => stateOf(message, model.now) === state).length;
    expect(stats[i], `the numbers of ${name}`).toMatchObject({
      availableCount: count('available'),
      inFlightCount: count('inFlight'),
      delayedCount: count('delayed'),
      bytes: messages.reduce((sum, { body }) => sum + body.length, 0),
      sentTotal: totals.sent,
      receivedTotal: totals.received,
      redeliveredTotal: totals.redelivered,
      deletedTotal: totals.deleted,
      deadLetteredTotal: totals.deadLettered,
      redrivenTotal: totals.redriven,
    });
  }
}

const stateOf = ({ visibleAt, heldUntil }: ModelMessage, now: number) =>
  messageState({ visibleAt: visibleAt as never, heldUntil: heldUntil as never }, now as never);

/** Every message as peek shows it, and what audit finds. */
async function inspect(model: Model, t: Trial): Promise<void> {
  for (const queue of model.queues.values()) {
    const shown = await t.peek(queue.name);
    const facts = (list: readonly object[]) =>
      list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    expect(
      facts(
        shown.map((message) => ({
          id: message.messageId,
          body: bodyOf(message),
          groupId: message.groupId,
          times: [message.sentAt, message.enqueuedAt, message.visibleAt],
          state: messageState(message, t.now),
          receives: [message.receiveCount, message.firstReceivedAt],
          source: message.history.deadLetter?.queue ?? null,
        })),
      ),
      `the messages of ${queue.name}`,
    ).toEqual(
      facts(
        queue.messages.map((message) => ({
          id: message.id,
          body: message.body,
          groupId: message.groupId,
          times: [message.sentAt, message.enqueuedAt, message.visibleAt],
          state: stateOf(message, model.now),
          receives: [message.receiveCount, message.firstReceivedAt],
          source: message.source,
        })),
      ),
    );
  }
  expect(await t.audit()).toEqual([]);
}

// Send

type Entry = { readonly kind: number; readonly group: number; readonly dedup: number; readonly delay: number };

/** A draft of few possible ids and groups, so that they meet; now and then one that must be refused. */
function draftOf(name: string, { kind, group, dedup, delay }: Entry, order: number): ModelDraft {
  const isFifo = name.endsWith('.fifo');
  const body = kind === 0 ? '' : name === 'r.fifo' && kind < 8 ? `content ${dedup}` : `body ${order}`;
  const hasId = isFifo ? !(name === 'r.fifo' && kind < 8) && kind !== 1 : kind === 1;
  return {
    body,
    groupId: isFifo && kind !== 2 ? `g${group}` : '',
    deduplicationId: hasId ? `d${dedup}` : null,
    delaySeconds: isFifo ? (kind === 3 ? 1 : null) : delay === 0 ? null : delay,
  };
}

const wireOf = ({ body, groupId, deduplicationId, delaySeconds }: ModelDraft): DraftText => ({
  body,
  ...(groupId === '' ? {} : { groupId }),
  ...(deduplicationId === null ? {} : { deduplicationId }),
  ...(delaySeconds === null ? {} : { delaySeconds }),
});

async function send(queue: ModelQueue, model: Model, t: Trial, entries: readonly Entry[], isAtomic: boolean) {
  const drafts = entries.map((entry) => draftOf(queue.name, entry, model.nextOrder()));
  const verdicts = model.judgeSend(queue, drafts, isAtomic);
  const outcomes = await t.trySend(queue.name, drafts.map(wireOf), { isAtomic });
  expect(outcomes).toHaveLength(drafts.length);
  for (const [i, verdict] of verdicts.entries()) {
    const outcome = nth(outcomes, i);
    if (verdict.is === 'fault' || isFault(outcome)) {
      expect(codeOf(outcome), `entry ${i}`).toBe(verdict.is === 'fault' ? verdict.code : 'ok');
      continue;
    }
    expect(outcome.isDuplicate, `entry ${i}`).toBe(verdict.is === 'duplicate');
    if (verdict.is === 'duplicate') {
      const first = /^entry (\d+)$/.exec(verdict.id);
      const id = first === null ? verdict.id : nth(outcomes, Number(first[1]));
      const named = typeof id === 'string' ? { messageId: id, sequence: verdict.sequence } : id;
      expect(outcome).toMatchObject({ messageId: 'messageId' in named ? named.messageId : '' });
      continue;
    }
    if (queue.isFifo) expect(outcome.sequence).toBeGreaterThan(queue.lastSequence);
    else expect(outcome.sequence).toBeNull();
    queue.lastSequence = outcome.sequence ?? 0;
    model.store(queue, verdict, outcome.messageId, outcome.sequence);
  }
}

// Receive

type Take = { readonly limit: number; readonly visibility: number; readonly attempt: number };

async function receive(queue: ModelQueue, model: Model, t: Trial, { limit, visibility, attempt }: Take): Promise<void> {
  const attemptId = attempt === 0 ? undefined : `a${attempt}`;
  const earlier = attemptId !== undefined && queue.isFifo ? model.attempt(queue, attemptId) : undefined;
  const answer = await t
    .look(queue.name, { limit, visibilitySeconds: visibility, attemptId })
    .catch((error: unknown) => {
      if (error instanceof Fault) return error.data;
      throw error;
    });
  // Whether the 300th second still counts is left open.
  const isOpen = earlier !== undefined && model.now - earlier.attempt.at === attemptMs;
  const isReplay = earlier !== undefined && (!isOpen || isFault(answer) || isSameAs(answer.messages, earlier.messages));
  if (isReplay && earlier.messages === 'touched') return void expect(codeOf(answer)).toBe('attemptIdReused');
  if (isFault(answer)) throw new Error(`A receive was refused with ${answer.fault}.`);
  if (isReplay && earlier.messages !== 'touched') {
    expect(answer.messages.map(({ messageId }) => messageId)).toEqual(earlier.messages.map(({ id }) => id));
    for (const [i, message] of earlier.messages.entries()) {
      expect(nth(answer.messages, i).receipt).toEqual(message.newest);
      model.hold(queue, message, visibility);
      compare(message, nth(answer.messages, i));
    }
    return model.remember(queue, `a${attempt}`, earlier.attempt.at, answer.messages);
  }
  const moved = await findMoved(queue, model, t);
  const taken = answer.messages.map(({ messageId }) => messageId);
  expect(model.judgeReceive(queue, limit, taken, new Set(moved.map(({ id }) => id)))).toBeUndefined();
  for (const message of moved) {
    const target = model.deadLetterTarget(queue, message);
    if (target !== undefined) model.deadLetter(queue, target, message);
  }
  for (const received of answer.messages) {
    const message = nth(queue.messages.filter(({ id }) => id === received.messageId));
    model.take(queue, message, visibility, received.receipt);
    compare(message, received);
  }
  if (attemptId !== undefined && queue.isFifo && taken.length > 0)
    model.remember(queue, attemptId, model.now, answer.messages);
  judgeNextLook(queue, model, answer.nextVisibleAt, taken.length < limit);
}

/** By their receipts: a receive that begins anew may well hand out the same messages. */
const isSameAs = (received: readonly { receipt: Receipt }[], expected: readonly ModelMessage[] | 'touched'): boolean =>
  expected !== 'touched' &&
  isDeepStrictEqual(
    received.map(({ receipt }) => receipt),
    expected.map(({ newest }) => newest),
  );

/** Which of those received too often the engine has moved, in the order of the queue. */
async function findMoved(queue: ModelQueue, model: Model, t: Trial): Promise<readonly ModelMessage[]> {
  const candidates = queue.messages.filter((message) => model.deadLetterTarget(queue, message) !== undefined);
  const moved: ModelMessage[] = [];
  for (const message of candidates.toSorted((a, b) => a.order - b.order)) {
    if ((await t.findMessage(queue.name, message.id)) === null) moved.push(message);
  }
  return moved;
}

/** A receive that found all there was must not say "now", or who waits would ask for ever; nor a moment too late. */
function judgeNextLook(queue: ModelQueue, model: Model, at: number | null, foundAll: boolean): void {
  const hidden = queue.messages.filter(({ visibleAt }) => visibleAt > model.now);
  const lines = model.lines(queue);
  const canBeHad = lines.some(({ must }) => must.length > 0);
  const mayBeHad = canBeHad || lines.some(({ may }) => may.length > 0);
  if (foundAll && !mayBeHad && at !== null) expect(at, 'the instant to look again').toBeGreaterThan(model.now);
  if (canBeHad) expect(at, 'the instant to look again').toBeLessThanOrEqual(model.now);
  if (hidden.length > 0 && !canBeHad && queue.ghosts.length === 0) {
    const heads = hidden.filter(
      (message) =>
        !queue.isFifo || !queue.messages.some((one) => one.groupId === message.groupId && one.order < message.order),
    );
    expect(at).not.toBeNull();
    if (heads.length > 0) expect(at).toBeLessThanOrEqual(Math.min(...heads.map(({ visibleAt }) => visibleAt)));
  }
}

function compare(message: ModelMessage, received: Awaited<ReturnType<Trial['receiveOne']>>): void {
  const { failures } = message;
  expect({ ...received, body: bodyOf(received) }).toMatchObject({
    body: message.body,
    groupId: message.groupId,
    sentAt: message.sentAt,
    enqueuedAt: message.enqueuedAt,
    visibleAt: message.visibleAt,
    heldUntil: message.heldUntil,
    receiveCount: message.receiveCount,
    firstReceivedAt: message.firstReceivedAt,
    history: {
      ...(message.source === null ? {} : { deadLetter: { queue: message.source } }),
      ...(failures.first === undefined ? {} : { firstFailure: { reason: failures.first } }),
      ...(failures.last === undefined ? {} : { lastFailure: { reason: failures.last } }),
    },
  });
}

// Settle

type Settle = {
  readonly does: Settlement['does'];
  /** One of the last receipts; one whose message somebody else holds by now; or any. */
  readonly pick: 'late' | 'stale' | 'any';
  readonly which: number;
  readonly seconds: number;
};

function pickGiven(model: Model, { pick, which }: Pick<Settle, 'pick' | 'which'>): Given | undefined {
  const given = {
    late: () => model.given.slice(-4),
    stale: () => model.given.filter((one) => model.isOvertaken(one)),
    any: () => model.given,
  }[pick]();
  return given.at(-1 - (which % Math.max(given.length, 1)));
}

async function settle(queue: ModelQueue, model: Model, t: Trial, given: Given, ask: Settle): Promise<void> {
  const { does, which, seconds } = ask;
  const { receipt } = given;
  const reason = `reason ${which}`;
  const settlement: Settlement = {
    delete: { does: 'delete' as const, receipt },
    extend: { does: 'extend' as const, receipt, visibilitySeconds: seconds },
    release: { does: 'release' as const, receipt, ...(seconds === 9 ? {} : { delaySeconds: seconds }), reason },
    deadLetter: { does: 'deadLetter' as const, receipt, reason },
  }[does];
  const outcome = nth(await t.settle(queue.name, settlement));
  const held = model.heldBy(queue, given);
  if ('allowed' in held) {
    if (held.isGone && does === 'delete' && !isFault(outcome)) {
      return void expect(outcome).toEqual({ visibleAt: null, messageId: null });
    }
    const allowed =
      held.isGone && does === 'delete' ? held.allowed.filter((code) => code !== 'messageNotFound') : held.allowed;
    return void expect(allowed, `${does} with this receipt`).toContain(codeOf(outcome));
  }
  switch (does) {
    case 'delete':
      model.remove(queue, held);
      queue.totals.deleted += 1;
      return void expect(outcome).toEqual({ visibleAt: null, messageId: held.id });
    case 'extend':
      if (model.isTooLong(held, seconds)) return void expect(codeOf(outcome)).toBe('visibilityTooLong');
      model.hold(queue, held, seconds);
      return void expect(outcome).toEqual({ visibleAt: held.visibleAt, messageId: held.id });
    case 'release':
      if (seconds !== 9 && seconds > queue.settings.retentionSeconds) {
        return void expect(codeOf(outcome)).toBe('delayTooLong');
      }
      held.heldUntil = 0;
      held.visibleAt = model.now + (seconds === 9 ? model.backOff(queue, held) : seconds) * 1000;
      model.fail(held, reason);
      return void expect(outcome).toEqual({ visibleAt: held.visibleAt, messageId: held.id });
    case 'deadLetter': {
      const target = queue.deadLetter === null ? undefined : model.queues.get(queue.deadLetter.queue);
      if (target === undefined) return void expect(codeOf(outcome)).toBe('deadLetterQueueMissing');
      model.fail(held, reason);
      model.deadLetter(queue, target, held);
      return void expect(outcome).toMatchObject({ messageId: held.id });
    }
  }
}

/** Takes back a receive, as if nobody had been there to have it. */
async function undo(queue: ModelQueue, model: Model, t: Trial, given: Given): Promise<void> {
  const undoneCount = await t.unreceive(queue.name, [given.receipt]);
  const message = model.asLeft(queue, given);
  expect(undoneCount).toBe(message === undefined ? 0 : 1);
  if (message !== undefined) model.undo(queue, message);
}

// Upkeep and tasks

async function startRedrive(queue: ModelQueue, model: Model, t: Trial, to: string | null, limit: number | null) {
  const running = model.tasks.find(({ source }) => source === queue);
  const target = to === null ? undefined : model.queues.get(to);
  const isInvalid = to !== null && (target === undefined || target === queue || target.isFifo !== queue.isFifo);
  const taskId = nextTaskId();
  const ask = { taskId, source: t.ref(queue.name), destination: to, ratePerSecond: null, limit, now: t.now };
  const answer = await t.storage.startRedrive(ask).catch((error: unknown) => {
    if (error instanceof Fault) return error.data;
    throw error;
  });
  if (isInvalid) return void expect(codeOf(answer)).toBe(target === undefined ? 'queueNotFound' : 'redriveInvalid');
  if (running !== undefined) return void expect(codeOf(answer)).toBe('redriveRunning');
  expect(answer).toMatchObject({ isNew: true, task: { status: 'running', movedCount: 0 } });
  model.tasks.push({ taskId, source: queue, destination: to, limit, orderMax: model.nextOrder(), movedCount: 0 });
}

async function upkeep(model: Model, t: Trial): Promise<void> {
  await t.upkeep();
  for (const task of [...model.tasks]) {
    let hasNowhere = false;
    const lines = new Set<string>();
    // What went with its queue was not moved, also when there is another queue of that name.
    const isGone = model.queues.get(task.source.name) !== task.source;
    for (const message of isGone ? [] : model.movable(task)) {
      if (model.isHomeless(task, message)) continue;
      const isMoved = (await t.findMessage(task.source.name, message.id).catch(() => undefined)) === null;
      const target = model.targetOf(task, message);
      if (target === undefined || target === task.source) hasNowhere = true;
      if (isMoved) {
        if (task.source.isFifo)
          expect(lines, 'a message overtook an earlier one of its group').not.toContain(message.groupId);
        if (target === undefined) throw new Error(`${message.id} was moved and has nowhere to go.`);
        model.redrive(task, target, message);
      } else lines.add(message.groupId);
    }
    const { status, movedCount, skippedCount } = await t.task(task.taskId);
    expect(movedCount).toBe(task.movedCount);
    if (task.limit !== null) expect(movedCount).toBeLessThanOrEqual(task.limit);
    const left = task.source.messages.filter(({ order }) => order <= task.orderMax);
    if (status === 'completed' && movedCount !== task.limit) {
      expect(
        left.filter((message) => !model.isHomeless(task, message)),
        'a task ended early',
      ).toEqual([]);
      expect(skippedCount).toBe(left.length);
    }
    if (status === 'failed') expect((hasNowhere && task.destination !== null) || isGone, 'a task failed').toBe(true);
    expect(status).not.toBe('cancelled');
    if (status !== 'running') model.tasks = model.tasks.filter((one) => one !== task);
  }
}

// Time

function advance(model: Model, t: Trial, ms: number): void {
  t.advance(ms / 1000);
  model.advanceTo(t.now);
}

/** Lets time pass until everything that is there was received and deleted: nothing may be stuck or forgotten. */
export async function drain(model: Model, t: Trial): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    if ([...model.queues.values()].every(({ messages }) => messages.length === 0)) return inspect(model, t);
    for (const queue of model.queues.values()) {
      const givenBefore = model.given.length;
      await receive(queue, model, t, { limit: 100, visibility: 5, attempt: 0 });
      for (const given of model.given.slice(givenBefore)) {
        await settle(queue, model, t, given, { does: 'delete', pick: 'late', which: 0, seconds: 0 });
      }
    }
    // To the next instant at which anything changes; upkeep looks at retention every second or so.
    const [next = model.now] = model.boundaries();
    advance(model, t, Math.max(next - model.now, 2_000));
    await upkeep(model, t);
  }
  throw new Error('Messages are left that nobody can receive.');
}

// The commands, with how often each comes

const anyQueue = fc.constantFrom('q', 'q', 'q.fifo', 'q.fifo', 'r.fifo', 'q-dlq', 'dlq.fifo');
const anyEntry = fc.record({
  kind: fc.nat(15),
  group: fc.nat(2),
  dedup: fc.nat(3),
  delay: fc.constantFrom(0, 0, 0, 7, 60, 121),
});
const anySeconds = fc.constantFrom(0, 1, 9, 30, 60, 43_200);

const sends = fc
  .tuple(anyQueue, fc.array(anyEntry, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([name, entries, isAtomic]) =>
    onQueue(
      name,
      `send ${JSON.stringify({ entries, isAtomic })} to`,
      (t) => t.trySend(name, ['x']),
      (queue, model, t) => send(queue, model, t, entries, isAtomic),
    ),
  );

const receives = (attempt: fc.Arbitrary<number>) =>
  fc
    .tuple(anyQueue, fc.constantFrom(1, 1, 2, 3, 10), fc.constantFrom(0, 5, 30, 30, 350), attempt)
    .map(([name, limit, visibility, attemptNumber]) =>
      onQueue(
        name,
        `receive ${JSON.stringify({ limit, visibility, attempt: attemptNumber })} from`,
        (t) => t.receive(name),
        (queue, model, t) => receive(queue, model, t, { limit, visibility, attempt: attemptNumber }),
      ),
    );

const settles = fc
  .record({
    // Now and then at another queue than the receipt's.
    name: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, anyQueue),
    does: fc.constantFrom<Settle['does']>('delete', 'delete', 'extend', 'release', 'deadLetter'),
    pick: fc.constantFrom<Settle['pick']>('late', 'late', 'late', 'stale', 'any'),
    which: fc.nat(20),
    seconds: anySeconds,
  })
  .map(({ name, ...ask }) =>
    command(`${JSON.stringify(ask)} at ${name ?? 'its queue'}`, async (model, t) => {
      const given = pickGiven(model, ask);
      const queue = model.queues.get(name ?? given?.queue ?? '');
      if (given !== undefined && queue !== undefined) await settle(queue, model, t, given, ask);
    }),
  );

const undos = fc
  .record({ pick: fc.constantFrom<Settle['pick']>('late', 'late', 'stale', 'any'), which: fc.nat(20) })
  .map((ask) =>
    command(`undo ${JSON.stringify(ask)}`, async (model, t) => {
      const given = pickGiven(model, ask);
      const queue = given === undefined ? undefined : model.queues.get(given.queue);
      if (given !== undefined && queue !== undefined) await undo(queue, model, t, given);
    }),
  );

const advances = fc.oneof(
  fc
    .constantFrom(1, 999, 1_000, 29_999, 30_000, 30_001, 100_000, 299_999, 300_000, 300_001)
    .map((ms) => command(`advance ${ms} ms`, async (model, t) => advance(model, t, ms))),
  fc.tuple(fc.nat(12), fc.constantFrom(-1, 0, 1)).map(([which, offset]) =>
    command(`advance to boundary ${which} ${offset} ms`, async (model, t) => {
      const boundaries = model.boundaries();
      const at = boundaries[which % Math.max(boundaries.length, 1)];
      if (at !== undefined) advance(model, t, Math.max(at + offset - model.now, 0));
    }),
  ),
);

const rare = fc.oneof(
  anyQueue.map((name) =>
    onQueue(
      name,
      'purge',
      (t) => t.purge(name),
      async (queue, model, t) => {
        // Expired messages that upkeep has not met may be counted or not.
        expect(await t.purge(name)).toBeGreaterThanOrEqual(queue.messages.length);
        model.purge(queue);
      },
    ),
  ),
  anyQueue.map((name) =>
    command(`put ${name}`, (model, t) => (model.queues.has(name) ? Promise.resolve() : create(model, t, name))),
  ),
  anyQueue.map((name) =>
    onQueue(
      name,
      'delete queue',
      (t) => t.deleteQueue(name),
      async (_queue, model, t) => {
        await t.deleteQueue(name);
        model.queues.delete(name);
      },
    ),
  ),
  fc.tuple(anyQueue, fc.constantFrom(0, 0, 3, 40)).map(([name, seconds]) =>
    onQueue(
      name,
      `set the delay to ${seconds} s of`,
      (t) => t.update(name, { delaySeconds: seconds }),
      async (queue, model, t) => {
        await t.update(name, { delaySeconds: seconds });
        model.setDelay(queue, seconds);
      },
    ),
  ),
);

const deadLetterPolicies = fc
  .tuple(fc.constantFrom('q', 'q.fifo', 'r.fifo'), fc.constantFrom(0, 1, 1, 2, 3))
  .map(([name, max]) =>
    onQueue(
      name,
      `dead-letter after ${max} receives of`,
      (t) => t.update(name, { deadLetter: null }),
      async (queue, model, t) => {
        const dlq = dlqNameOf(name);
        const deadLetter = max === 0 ? null : { queue: QueueName.parse(dlq), maxReceiveCount: max };
        const change = t.update(name, { deadLetter });
        if (deadLetter !== null && !model.queues.has(dlq)) {
          const error = await change.catch((reason: unknown) => reason);
          return void expect(error).toMatchObject({ data: { fault: 'deadLetterQueueInvalid' } });
        }
        await change;
        queue.deadLetter = deadLetter;
      },
    ),
  );

const redrives = fc
  .tuple(
    fc.constantFrom('q-dlq', 'dlq.fifo', 'q'),
    fc.constantFrom(null, null, ...queueNames),
    fc.constantFrom(null, 1, 3),
  )
  .map(([name, to, limit]) =>
    onQueue(
      name,
      `redrive to ${to} limit ${limit} from`,
      (t) => t.redrive(name),
      (queue, model, t) => startRedrive(queue, model, t, to, limit),
    ),
  );

export const anyCommands = (sizes: { readonly maxCommands: number }): fc.Arbitrary<Iterable<Command>> =>
  fc.commands(
    [
      ...[sends, sends, sends],
      ...[receives(fc.constant(0)), receives(fc.constant(0)), receives(fc.nat(2))],
      ...[settles, settles, settles],
      undos,
      ...[advances, advances],
      deadLetterPolicies,
      redrives,
      rare,
      fc.constant(command('upkeep', upkeep)),
      fc.constant(command('inspect', inspect)),
      fc.constant(command('restart', async (_model, t) => (t.canReopen ? t.reopen() : undefined))),
    ],
    { maxCommands: sizes.maxCommands, size: 'max' },
  );
