/**
 * A queue service as the documents describe it, in plain arrays: the judge of an engine's answers to whatever sequence
 * of commands. Where the documents leave a choice (which of two messages of one instant is first, which group is next,
 * when upkeep removes what has expired) it accepts any of them and follows the engine's.
 *
 * Time is `now`, in milliseconds. A message is gone at the end of its retention. A message is held while
 * `heldUntil > now` and can be received from `visibleAt` on.
 */
import type { FaultCode } from '../../../src/domain/errors.ts';
import type { Receipt, ReceivedMessage } from '../../../src/domain/message.ts';

export type ModelSettings = {
  readonly visibilityTimeoutSeconds: number;
  readonly retentionSeconds: number;
  readonly retryDelaySeconds: number[];
  readonly deduplicationScope: 'queue' | 'messageGroup';
  readonly contentBasedDeduplication: boolean;
};

export type ModelMessage = {
  readonly id: string;
  readonly body: string;
  readonly groupId: string;
  readonly sentAt: number;
  /** Where it stands in its queue: later ones are greater. */
  order: number;
  enqueuedAt: number;
  visibleAt: number;
  heldUntil: number;
  receiveCount: number;
  firstReceivedAt: number | null;
  lastReceivedAt: number;
  newest: Receipt | null;
  source: string | null;
  failures: { first?: string; last?: string };
  /** Has been in another queue: what an old receipt finds then is left open. */
  hasMoved: boolean;
};

export type ModelQueue = {
  readonly id: number;
  readonly name: string;
  readonly isFifo: boolean;
  readonly settings: ModelSettings;
  delaySeconds: number;
  deadLetter: { readonly queue: string; readonly maxReceiveCount: number } | null;
  messages: ModelMessage[];
  /** Expired messages that were hidden: until upkeep has met them they may still block their group. */
  ghosts: ModelMessage[];
  dedups: { readonly key: string; readonly at: number; readonly id: string; readonly sequence: number | null }[];
  attempts: Map<string, Attempt>;
  lastSequence: number;
  totals: Record<'sent' | 'received' | 'redelivered' | 'deleted' | 'deadLettered' | 'redriven', number>;
};

type Attempt = { readonly at: number; held: readonly { readonly receipt: Receipt; readonly heldUntil: number }[] };

export type ModelTask = {
  readonly taskId: string;
  readonly source: ModelQueue;
  readonly destination: string | null;
  readonly limit: number | null;
  /** Messages that came later are not its business. */
  readonly orderMax: number;
  movedCount: number;
};

/** A receipt that was given out, and where. */
export type Given = {
  readonly queue: string;
  readonly id: string;
  readonly receipt: Receipt;
  readonly queueAt: ModelQueue;
};

/** What a send of one draft must come to. */
export type Verdict =
  | { readonly is: 'fault'; readonly code: FaultCode }
  | { readonly is: 'duplicate'; readonly id: string; readonly sequence: number | null }
  | { readonly is: 'new'; readonly message: Omit<ModelMessage, 'id'>; readonly key: string | null };

export type ModelDraft = {
  readonly body: string;
  readonly groupId: string;
  readonly deduplicationId: string | null;
  readonly delaySeconds: number | null;
};

const deduplicationMs = 300_000;
export const attemptMs = 300_000;
const holdMsMax = 43_200_000;

export class Model {
  now = 0;
  commandCount = 0;
  readonly queues = new Map<string, ModelQueue>();
  tasks: ModelTask[] = [];
  readonly given: Given[] = [];
  #order = 0;

  nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  // Queues

  create(id: number, name: string, settings: ModelSettings): void {
    const totals = { sent: 0, received: 0, redelivered: 0, deleted: 0, deadLettered: 0, redriven: 0 };
    this.queues.set(name, {
      id,
      name,
      isFifo: name.endsWith('.fifo'),
      settings,
      delaySeconds: 0,
      deadLetter: null,
      totals,
      messages: [],
      ghosts: [],
      dedups: [],
      attempts: new Map(),
      lastSequence: 0,
    });
  }

  purge(queue: ModelQueue): void {
    Object.assign(queue, { messages: [], ghosts: [], dedups: [], attempts: new Map() });
  }

  /** On FIFO queues the delay holds for messages that wait for it already. */
  setDelay(queue: ModelQueue, seconds: number): void {
    queue.delaySeconds = seconds;
    if (!queue.isFifo) return;
    for (const message of queue.messages) {
      const isDelayedBySend = message.newest === null && !message.hasMoved && message.visibleAt > this.now;
      if (isDelayedBySend) message.visibleAt = Math.max(message.sentAt + seconds * 1000, this.now);
    }
  }

  // Time

  advanceTo(now: number): void {
    this.now = now;
    for (const queue of this.queues.values()) this.expire(queue);
  }

  expire(queue: ModelQueue): void {
    const isOver = ({ enqueuedAt }: ModelMessage) => enqueuedAt + queue.settings.retentionSeconds * 1000 <= this.now;
    queue.ghosts.push(...queue.messages.filter((message) => queue.isFifo && isOver(message)));
    queue.messages = queue.messages.filter((message) => !isOver(message));
  }

  /** Instants at which something changes by itself, to come. */
  boundaries(): readonly number[] {
    const all = [...this.queues.values()].flatMap(({ messages, dedups, attempts, settings }) => [
      ...messages.flatMap(({ visibleAt, heldUntil, enqueuedAt }) => [
        visibleAt,
        heldUntil,
        enqueuedAt + settings.retentionSeconds * 1000,
      ]),
      ...dedups.map(({ at }) => at + deduplicationMs),
      ...[...attempts.values()].map(({ at }) => at + attemptMs),
    ]);
    return [...new Set(all)].filter((at) => at > this.now).sort((a, b) => a - b);
  }

  // Send

  judgeSend(queue: ModelQueue, drafts: readonly ModelDraft[], isAtomic: boolean): readonly Verdict[] {
    const keys = new Map<string, number>();
    const verdicts = drafts.map((draft, i) => this.#judgeDraft(queue, draft, keys, i));
    if (!isAtomic || verdicts.every(({ is }) => is !== 'fault')) return verdicts;
    return verdicts.map((verdict) => (verdict.is === 'fault' ? verdict : { is: 'fault', code: 'batchAborted' }));
  }

  #judgeDraft(queue: ModelQueue, draft: ModelDraft, keys: Map<string, number>, i: number): Verdict {
    if (draft.body === '') return { is: 'fault', code: 'emptyBody' };
    const delay = queue.isFifo ? queue.delaySeconds : (draft.delaySeconds ?? queue.delaySeconds);
    const fresh = () => ({
      body: draft.body,
      groupId: draft.groupId,
      sentAt: this.now,
      enqueuedAt: this.now,
      order: this.nextOrder(),
      visibleAt: this.now + delay * 1000,
      heldUntil: 0,
      receiveCount: 0,
      firstReceivedAt: null,
      lastReceivedAt: 0,
      newest: null,
      source: null,
      failures: {},
      hasMoved: false,
    });
    if (!queue.isFifo) {
      if (draft.deduplicationId !== null) return { is: 'fault', code: 'deduplicationIdNotAllowed' };
      if (delay > queue.settings.retentionSeconds) return { is: 'fault', code: 'delayTooLong' };
      return { is: 'new', message: fresh(), key: null };
    }
    if (draft.groupId === '') return { is: 'fault', code: 'groupRequired' };
    if ((draft.delaySeconds ?? 0) > 0) return { is: 'fault', code: 'delayNotAllowed' };
    const { contentBasedDeduplication, deduplicationScope } = queue.settings;
    const id = draft.deduplicationId ?? (contentBasedDeduplication ? `content of ${draft.body}` : null);
    if (id === null) return { is: 'fault', code: 'deduplicationIdRequired' };
    const key = JSON.stringify([deduplicationScope === 'messageGroup' ? draft.groupId : '', id]);
    // Within 300 seconds of the first send, and no longer; a duplicate within the batch points at its entry.
    const first = queue.dedups.findLast((dedup) => dedup.key === key && this.now - dedup.at <= deduplicationMs);
    if (first !== undefined) return { is: 'duplicate', id: first.id, sequence: first.sequence };
    const inBatch = keys.get(key);
    if (inBatch !== undefined) return { is: 'duplicate', id: `entry ${inBatch}`, sequence: null };
    keys.set(key, i);
    return { is: 'new', message: fresh(), key };
  }

  store(queue: ModelQueue, verdict: Verdict & { is: 'new' }, id: string, sequence: number | null): void {
    queue.messages.push({ ...verdict.message, id, failures: {} });
    if (verdict.key !== null) queue.dedups.push({ key: verdict.key, at: this.now, id, sequence });
    queue.totals.sent += 1;
  }

  // Receive

  /** The messages of one line in the order in which they can be received: those that must be there, then those that may. */
  #line(queue: ModelQueue, groupId: string): { must: ModelMessage[]; may: ModelMessage[] } {
    const line = { must: [] as ModelMessage[], may: [] as ModelMessage[] };
    const ofGroup = [...queue.messages, ...queue.ghosts].filter((message) => message.groupId === groupId);
    let isSure = true;
    for (const message of ofGroup.sort((a, b) => a.order - b.order)) {
      const isGhost = queue.ghosts.includes(message);
      if (message.visibleAt > this.now && !isGhost) break;
      if (message.visibleAt > this.now) isSure = false;
      else if (!isGhost) (isSure ? line.must : line.may).push(message);
    }
    return line;
  }

  /** Lines in which nothing is passed over: the groups of a FIFO queue, all that is visible of a standard one. */
  lines(queue: ModelQueue): readonly { must: ModelMessage[]; may: ModelMessage[] }[] {
    if (queue.isFifo) {
      return [...new Set(queue.messages.map(({ groupId }) => groupId))].map((groupId) => this.#line(queue, groupId));
    }
    const visible = queue.messages.filter(({ visibleAt }) => visibleAt <= this.now);
    return [{ must: visible.sort((a, b) => a.visibleAt - b.visibleAt || a.order - b.order), may: [] }];
  }

  /** Where a message goes instead of being delivered once more. */
  deadLetterTarget(queue: ModelQueue, message: ModelMessage): ModelQueue | undefined {
    if (queue.deadLetter === null || message.receiveCount < queue.deadLetter.maxReceiveCount) return undefined;
    return this.queues.get(queue.deadLetter.queue);
  }

  /**
   * Whether a receive may hand out these messages and dead-letter those.
   * @returns what is wrong, or undefined
   */
  judgeReceive(
    queue: ModelQueue,
    limit: number,
    taken: readonly string[],
    moved: ReadonlySet<string>,
  ): string | undefined {
    const takenSet = new Set(taken);
    const isDone = ({ id }: ModelMessage) => takenSet.has(id) || moved.has(id);
    const lines = this.lines(queue);
    const reachable = lines.flatMap(({ must, may }) => [...must, ...may]);
    if (takenSet.size !== taken.length || taken.length > limit) return 'too many, or one twice';
    for (const id of taken) {
      const message = reachable.find((one) => one.id === id);
      if (message === undefined) return `${id} cannot be received`;
      if (this.deadLetterTarget(queue, message) !== undefined) return `${id} was received too often`;
    }
    let partialCount = 0;
    for (const { must, may } of lines) {
      const line = [...must, ...may];
      const last = line.findLastIndex(isDone);
      const skipped = line
        .slice(0, Math.max(last, 0))
        .find((one) => !isDone(one) && (queue.isFifo || one.visibleAt < (line[last]?.visibleAt ?? 0)));
      if (skipped !== undefined) return `${skipped.id} was passed over`;
      const isWhole = must.every(isDone);
      if (!isWhole && taken.length < limit)
        return `${must.find((one) => !isDone(one))?.id} was left although there was room`;
      if (!isWhole && last >= 0) partialCount += 1;
    }
    if (partialCount > 1) return 'two groups were served in part';
    const byGroup = new Map<string, number>();
    for (const id of queue.isFifo ? taken : []) {
      const { groupId = '', order = 0 } = reachable.find((one) => one.id === id) ?? {};
      if (order < (byGroup.get(groupId) ?? 0)) return `${id} came out of order`;
      byGroup.set(groupId, order);
    }
    return undefined;
  }

  hold(queue: ModelQueue, message: ModelMessage, seconds: number): void {
    message.heldUntil = this.now + seconds * 1000;
    message.visibleAt = message.heldUntil + (seconds === 0 ? 0 : this.backOff(queue, message) * 1000);
  }

  backOff({ settings }: ModelQueue, { receiveCount }: ModelMessage): number {
    const { retryDelaySeconds: list } = settings;
    return list[Math.min(receiveCount, list.length) - 1] ?? 0;
  }

  take(queue: ModelQueue, message: ModelMessage, seconds: number, receipt: Receipt): void {
    queue.totals.received += 1;
    if (message.receiveCount > 0) queue.totals.redelivered += 1;
    message.receiveCount += 1;
    message.firstReceivedAt ??= this.now;
    message.lastReceivedAt = this.now;
    message.newest = receipt;
    this.hold(queue, message, seconds);
    this.given.push({ queue: queue.name, id: message.id, receipt, queueAt: queue });
  }

  /** What an attempt id stands for at this instant, if anything. */
  attempt(
    queue: ModelQueue,
    attemptId: string,
  ): { attempt: Attempt; messages: readonly ModelMessage[] | 'touched' } | undefined {
    const attempt = queue.attempts.get(attemptId);
    if (attempt === undefined || this.now - attempt.at > attemptMs) return undefined;
    const messages = attempt.held.map(({ receipt, heldUntil }) =>
      queue.messages.find((one) => isSame(one.newest, receipt) && one.heldUntil === heldUntil),
    );
    const intact = messages.filter((message) => message !== undefined);
    return { attempt, messages: intact.length === messages.length ? intact : 'touched' };
  }

  remember(queue: ModelQueue, attemptId: string, at: number, received: readonly ReceivedMessage[]): void {
    const held = received.map(({ receipt, heldUntil }) => ({ receipt, heldUntil }));
    queue.attempts.set(attemptId, { at, held });
  }

  /** The message of a receive that nothing has happened to since. */
  asLeft(queue: ModelQueue, given: Given): ModelMessage | undefined {
    if (given.queueAt !== queue) return undefined;
    return queue.messages.find(({ newest, heldUntil }) => isSame(newest, given.receipt) && heldUntil > 0);
  }

  undo(queue: ModelQueue, message: ModelMessage): void {
    queue.totals.received -= 1;
    if (message.receiveCount > 1) queue.totals.redelivered -= 1;
    message.receiveCount -= 1;
    if (message.receiveCount === 0) message.firstReceivedAt = null;
    Object.assign(message, { visibleAt: message.lastReceivedAt, heldUntil: 0 });
  }

  // Settle

  /** The message that a receipt holds, or the answers that are allowed instead. */
  heldBy(
    queue: ModelQueue,
    given: Given,
  ): ModelMessage | { readonly allowed: readonly FaultCode[]; readonly isGone: boolean } {
    if (given.queueAt !== queue) return { allowed: ['receiptForeign'], isGone: false };
    const message = queue.messages.find(({ id }) => id === given.id);
    if (message === undefined) {
      const hasMoved = this.#everMoved.has(given.id);
      return { allowed: hasMoved ? ['messageNotFound', 'receiptExpired'] : ['messageNotFound'], isGone: true };
    }
    const isHolder = isSame(message.newest, given.receipt) && message.heldUntil > this.now;
    return isHolder ? message : { allowed: ['receiptExpired'], isGone: false };
  }
  readonly #everMoved = new Set<string>();

  /** Whether somebody else holds the message that this receipt was for. */
  isOvertaken({ queueAt, id, receipt }: Given): boolean {
    const message = queueAt.messages.find((one) => one.id === id);
    return message !== undefined && !isSame(message.newest, receipt) && message.heldUntil > this.now;
  }

  isTooLong(message: ModelMessage, seconds: number): boolean {
    return this.now + seconds * 1000 - message.lastReceivedAt > holdMsMax;
  }

  fail(message: ModelMessage, reason: string): void {
    message.failures = { first: message.failures.first ?? reason, last: reason };
  }

  remove(queue: ModelQueue, message: ModelMessage): void {
    queue.messages = queue.messages.filter((one) => one !== message);
  }

  // Moves

  deadLetter(queue: ModelQueue, target: ModelQueue, message: ModelMessage): void {
    queue.totals.deadLettered += 1;
    this.#move(queue, target, message);
    message.source = queue.name;
    if (target.isFifo) message.enqueuedAt = this.now;
    this.expire(target);
  }

  /** Back with a fresh start. */
  redrive(task: ModelTask, target: ModelQueue, message: ModelMessage): void {
    task.source.totals.redriven += 1;
    task.movedCount += 1;
    this.#move(task.source, target, message);
    Object.assign(message, { source: null, enqueuedAt: this.now, receiveCount: 0, firstReceivedAt: null });
  }

  #move(from: ModelQueue, to: ModelQueue, message: ModelMessage): void {
    this.remove(from, message);
    this.#everMoved.add(message.id);
    Object.assign(message, { order: this.nextOrder(), visibleAt: this.now, heldUntil: 0, hasMoved: true });
    to.messages.push(message);
  }

  /** The messages that a task may move now, in the order of its source; the first of a group that cannot ends the group. */
  movable(task: ModelTask): readonly ModelMessage[] {
    const lines = this.lines(task.source);
    return lines.flatMap(({ must, may }) => [...must, ...may]).filter(({ order }) => order <= task.orderMax);
  }

  /** Whether a task without a destination has nowhere to move the message to: it passes it by. */
  isHomeless(task: ModelTask, message: ModelMessage): boolean {
    if (task.destination !== null) return false;
    const target = this.targetOf(task, message);
    return target === undefined || target === task.source;
  }

  targetOf(task: ModelTask, message: ModelMessage): ModelQueue | undefined {
    const name = task.destination ?? message.source;
    return name === null ? undefined : this.queues.get(name);
  }
}

const isSame = (a: Receipt | null, b: Receipt): boolean =>
  a !== null && a.queueId === b.queueId && a.message === b.message && a.receive === b.receive;
