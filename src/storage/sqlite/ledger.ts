/**
 * What the single writer knows while it works: the queues in use, the counter of numbers, and the sums that change with
 * every message. Sums are gathered here during a transaction and written once before it commits, so a commit of a
 * hundred sends updates one counter row, not a hundred.
 *
 * Everything here is a copy of the database; after a rollback it is forgotten and read again.
 */
import { LRUCache } from 'lru-cache';
import { type Instant, instant } from '../../domain/instant.ts';
import type { Queue, QueueRef } from '../../domain/queue.ts';
import type { Change, ReadyNotice } from '../port.ts';
import type { Db } from './database.ts';
import { type QueueRow, queueNotFound, queueOf, selectSimilarNames } from './queues.ts';

/** Queues that the writer keeps at hand; one costs about 1 KiB. */
const queuesCachedMax = 20_000;
/** hidden_counts are kept per millisecond, and per this many: ten seconds, ten minutes. */
const wideMs = 10_000;
const widestMs = 600_000;
export const hiddenWidths = [1, wideMs, widestMs] as const;

/** A queue as the writer sees it. */
export type Book = {
  readonly queue: Queue;
  readonly backlogId: number;
  readonly deduplicationScope: string;
  /** When a purge that has an interval was last done; 0: never. */
  readonly purgedAt: number;
  messageCount: number;
  bytes: number;
  /** At least the number of messages in flight: visibility timeouts that pass are not subtracted. */
  heldCountAtMost: number;
};

/** The counters of a queue; names as in queue_counters. */
export type CounterName =
  | 'sent'
  | 'received'
  | 'deleted'
  | 'redelivered'
  | 'dead_lettered'
  | 'expired'
  | 'purged'
  | 'redriven'
  | 'quarantined';

type CounterDelta = { message_count: number; bytes: number } & Record<CounterName, number>;

const noCounters = (): CounterDelta => ({
  message_count: 0,
  bytes: 0,
  sent: 0,
  received: 0,
  deleted: 0,
  redelivered: 0,
  dead_lettered: 0,
  expired: 0,
  purged: 0,
  redriven: 0,
  quarantined: 0,
});

const selectBook = /* sql */ `
  select q.id, q.account, q.name, q.kind, q.settings, q.deduplication_scope, q.backlog_id, q.version, q.created_at,
         q.modified_at, q.purged_at, c.message_count, c.bytes
    from queues q join queue_counters c on c.queue_id = q.id`;

const selectState = /* sql */ `
  select commit_number as commitNumber, epoch, next_number as nextNumber, high_water_at as highWaterAt,
         seal_secret as sealSecret
    from engine_state`;

const updateState = /* sql */ `
  update engine_state set commit_number = @commitNumber, next_number = @nextNumber, high_water_at = @highWaterAt`;

const addCounters = /* sql */ `
  update queue_counters
     set message_count = message_count + @message_count, bytes = bytes + @bytes, sent = sent + @sent,
         received = received + @received, deleted = deleted + @deleted, redelivered = redelivered + @redelivered,
         dead_lettered = dead_lettered + @dead_lettered, expired = expired + @expired, purged = purged + @purged,
         redriven = redriven + @redriven, quarantined = quarantined + @quarantined
   where queue_id = @queueId`;

const addHidden = /* sql */ `
  insert into hidden_counts (backlog_id, width, at, hidden, held) values (@backlogId, @width, @at, @hidden, @held)
  on conflict do update set hidden = hidden + excluded.hidden, held = held + excluded.held`;

/**
 * Messages hidden and held at @now: the rest of the running ten seconds exactly, the rest of the running ten minutes in
 * steps of ten seconds, what follows in steps of ten minutes: at most 10,000, 60, and for two weeks 2,016 rows. The driver
 * binds instants as reals, whose quotient would be one too: the cast keeps the bucket whole.
 */
export const sumHidden = /* sql */ `
  select coalesce(sum(hidden), 0) as hiddenCount, coalesce(sum(held), 0) as heldCount
    from (select hidden, held from hidden_counts
           where backlog_id = @backlogId and width = 1 and at > @now
             and at < (cast(@now as integer) / ${wideMs} + 1) * ${wideMs}
          union all
          select hidden, held from hidden_counts
           where backlog_id = @backlogId and width = ${wideMs} and at > cast(@now as integer) / ${wideMs}
             and at < (cast(@now as integer) / ${widestMs} + 1) * ${widestMs / wideMs}
          union all
          select hidden, held from hidden_counts
           where backlog_id = @backlogId and width = ${widestMs} and at > cast(@now as integer) / ${widestMs})`;

export type StateRow = {
  readonly commitNumber: number;
  readonly epoch: Buffer;
  readonly nextNumber: number;
  readonly highWaterAt: number;
  readonly sealSecret: Buffer;
};

type BookRow = QueueRow & { readonly message_count: number; readonly bytes: number };

export class Ledger {
  readonly #statements;
  readonly #books: LRUCache<string, Book>;
  #counters = new Map<number, CounterDelta>();
  /** By backlog and millisecond. */
  #hidden = new Map<number, Map<number, HiddenSums>>();
  #ready = new Map<number, { at: Instant; count: number }>();
  #changes: Change[] = [];
  #commitNumber: number;
  #nextNumber: number;
  #highWaterAt: number;
  /** Whether the operation in hand has changed anything: a fault after that would leave half of it. */
  #isTouched = false;

  /** @param cachedMax books kept at hand */
  constructor(db: Db, cachedMax = queuesCachedMax) {
    this.#books = new LRUCache({ max: cachedMax });
    this.#statements = {
      state: db.prepare<[], StateRow>(selectState),
      updateState: db.prepare(updateState),
      bookByName: db.prepare<[{ account: string; name: string }], BookRow>(
        `${selectBook} where q.account = @account and q.name = @name`,
      ),
      bookById: db.prepare<[{ id: number }], BookRow>(`${selectBook} where q.id = @id + 0`),
      addCounters: db.prepare(addCounters),
      addHidden: db.prepare(addHidden),
      sumHidden: db.prepare<[{ backlogId: number; now: number }], { hiddenCount: number; heldCount: number }>(
        sumHidden,
      ),
      similar: db.prepare<[{ account: string; from: string }], string>(selectSimilarNames).pluck(),
    };
    const state = this.#readState();
    this.#commitNumber = state.commitNumber;
    this.#nextNumber = state.nextNumber;
    this.#highWaterAt = state.highWaterAt;
  }

  /** The queue of that name. @throws queueNotFound */
  book(ref: QueueRef): Book {
    const book = this.findBook(ref);
    if (book !== undefined) return book;
    throw queueNotFound(ref, this.#statements.similar.all({ account: ref.account, from: ref.name.slice(0, 1) }));
  }

  findBook(ref: { readonly account: string; readonly name: string }): Book | undefined {
    const key = `${ref.account}/${ref.name}`;
    const cached = this.#books.get(key);
    if (cached !== undefined) return cached;
    const row = this.#statements.bookByName.get({ account: ref.account, name: ref.name });
    return row === undefined ? undefined : this.#remember(key, row);
  }

  bookById(id: number): Book | undefined {
    const row = this.#statements.bookById.get({ id });
    if (row === undefined) return undefined;
    const key = `${row.account}/${row.name}`;
    return this.#books.get(key) ?? this.#remember(key, row);
  }

  /** To be called when a queue's row has changed or is gone. */
  forget(ref: { readonly account: string; readonly name: string }): void {
    this.flush();
    this.#books.delete(`${ref.account}/${ref.name}`);
  }

  /** The number that number() would give. */
  get nextNumber(): number {
    return this.#nextNumber;
  }

  /** A number that no one has had: message ids, sequences, backlogs, turns. Rises for ever. */
  number(): number {
    this.#isTouched = true;
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    return number;
  }

  count(book: Book, counter: CounterName, by: number): void {
    this.#isTouched = true;
    this.#delta(book)[counter] += by;
  }

  /** Messages came into the queue, or left it (negative). */
  keep(book: Book, messages: number, bytes: number): void {
    this.#isTouched = true;
    book.messageCount += messages;
    book.bytes += bytes;
    const delta = this.#delta(book);
    delta.message_count += messages;
    delta.bytes += bytes;
  }

  /** A message of the queue is hidden until and held until these instants (sign 1), or no longer is (sign -1). */
  hide(book: Book, times: { visibleAt: number; heldUntil: number }, now: Instant, sign: 1 | -1): void {
    if (times.visibleAt <= now) return;
    this.#isTouched = true;
    const sums = this.#sumsOf(book.backlogId);
    addSums(sums, times.visibleAt, sign, 0);
    if (times.heldUntil <= now) return;
    addSums(sums, times.heldUntil, 0, sign);
    book.heldCountAtMost += sign;
  }

  /** Exactly how many messages are in flight. */
  heldCount(book: Book, now: Instant): number {
    this.flush();
    book.heldCountAtMost = this.#statements.sumHidden.get({ backlogId: book.backlogId, now })?.heldCount ?? 0;
    return book.heldCountAtMost;
  }

  /** Something in the queue can be received from `at` on; whoever waits is told after the commit. */
  ready(book: Book, at: number, count = 1): void {
    const present = this.#ready.get(book.queue.id);
    if (present === undefined) this.#ready.set(book.queue.id, { at: instant(at), count });
    else {
      if (at < present.at) present.at = instant(at);
      present.count += count;
    }
  }

  /** The queue is gone: everyone who waits is to look. */
  gone(queueId: number, now: Instant): void {
    this.#ready.set(queueId, { at: now, count: 0 });
  }

  /** Whoever knows it as it was is told after the commit. */
  changed(change: Change): void {
    this.#changes.push(change);
  }

  /** The operation in hand changed something; a refusal after that is a mistake of ours. */
  get isTouched(): boolean {
    return this.#isTouched;
  }

  /** @returns the time of the operation: what comes later is not earlier, though another thread asked the clock before */
  startOperation(now: Instant): Instant {
    this.#isTouched = false;
    if (now > this.#highWaterAt) this.#highWaterAt = now;
    return instant(this.#highWaterAt);
  }

  /** Writes what was gathered: before the commit, or when a sum must be exact in between. */
  flush(): void {
    for (const [queueId, delta] of this.#counters) this.#statements.addCounters.run({ queueId, ...delta });
    for (const [backlogId, sums] of this.#hidden) {
      for (const width of hiddenWidths) this.#writeHidden(backlogId, width, width === 1 ? sums : widened(sums, width));
    }
    this.#counters.clear();
    this.#hidden.clear();
  }

  /** The last writes of a transaction. @returns the number of the commit that follows */
  close(): number {
    this.flush();
    this.#commitNumber += 1;
    this.#statements.updateState.run({
      commitNumber: this.#commitNumber,
      nextNumber: this.#nextNumber,
      highWaterAt: this.#highWaterAt,
    });
    return this.#commitNumber;
  }

  /** What waiting receivers are to be told, once. */
  takeReady(): readonly ReadyNotice[] {
    const notices = [...this.#ready].map(([queueId, { at, count }]) => ({ queueId, at, count }));
    this.#ready = new Map();
    return notices;
  }

  /** What others are to know no longer, once. */
  takeChanges(): readonly Change[] {
    return this.#changes.splice(0);
  }

  /** After a rollback: nothing that was gathered or remembered holds. Numbers that were drawn are never drawn again. */
  reset(): void {
    this.#books.clear();
    this.#counters = new Map();
    this.#hidden = new Map();
    this.#ready = new Map();
    this.#changes = [];
    this.#commitNumber = this.#readState().commitNumber;
  }

  #readState(): StateRow {
    const state = this.#statements.state.get();
    if (state === undefined) throw new Error('engine_state has no row.');
    return state;
  }

  #remember(key: string, row: BookRow): Book {
    // The row lacks what this transaction has gathered and not yet written.
    const delta = this.#counters.get(row.id);
    const book: Book = {
      queue: queueOf(row),
      backlogId: row.backlog_id,
      deduplicationScope: row.deduplication_scope,
      purgedAt: row.purged_at,
      messageCount: row.message_count + (delta?.message_count ?? 0),
      bytes: row.bytes + (delta?.bytes ?? 0),
      // Not known: the first receive counts.
      heldCountAtMost: Number.MAX_SAFE_INTEGER,
    };
    this.#books.set(key, book);
    return book;
  }

  #delta(book: Book): CounterDelta {
    const present = this.#counters.get(book.queue.id);
    if (present !== undefined) return present;
    const fresh = noCounters();
    this.#counters.set(book.queue.id, fresh);
    return fresh;
  }

  #sumsOf(backlogId: number): Map<number, HiddenSums> {
    const present = this.#hidden.get(backlogId);
    if (present !== undefined) return present;
    const fresh = new Map<number, HiddenSums>();
    this.#hidden.set(backlogId, fresh);
    return fresh;
  }

  #writeHidden(backlogId: number, width: number, sums: ReadonlyMap<number, HiddenSums>): void {
    for (const [at, { hidden, held }] of sums) {
      if (hidden !== 0 || held !== 0) this.#statements.addHidden.run({ backlogId, width, at, hidden, held });
    }
  }
}

/** How many messages more, or fewer, become visible (hidden) or stop being held (held) at an instant. */
type HiddenSums = { hidden: number; held: number };

function addSums(sums: Map<number, HiddenSums>, at: number, hidden: number, held: number): void {
  const present = sums.get(at);
  if (present === undefined) sums.set(at, { hidden, held });
  else {
    present.hidden += hidden;
    present.held += held;
  }
}

/** The same sums in steps of so many milliseconds. */
function widened(sums: ReadonlyMap<number, HiddenSums>, width: number): ReadonlyMap<number, HiddenSums> {
  const wide = new Map<number, HiddenSums>();
  for (const [at, { hidden, held }] of sums) addSums(wide, Math.floor(at / width), hidden, held);
  return wide;
}
