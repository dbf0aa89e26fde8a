/**
 * Fair queues: who holds how much of a standard queue's messages in flight.
 *
 * A message group of a standard queue is a tenant. One that holds a large share of what is in flight is noisy, and the
 * messages of the quiet ones are handed out first. At most nine groups can be noisy at a time, since each has more than a
 * tenth, so a receive that passes them over stays cheap however many groups there are.
 *
 * Kept in memory, per second in which a visibility timeout ends: noise is a matter of the moment, and after a restart
 * it shows again as soon as messages are received.
 */
import { LRUCache } from 'lru-cache';
import type { Instant } from '../../domain/instant.ts';
import { limits } from '../../domain/limits.ts';

/** How long a judgement holds: with very many groups it costs more than a receive. */
const judgedEveryMs = 100;

/** Messages in flight by the second in which they cease to be; seconds that have passed are dropped when counted. */
class Holds {
  readonly #counts = new Map<number, number>();
  #total = 0;

  add(heldUntil: number, by: 1 | -1): void {
    const second = Math.ceil(heldUntil / 1_000);
    const before = this.#counts.get(second);
    // A message that was held before this process was started, or whose second was dropped, is not known here.
    if (before === undefined && by === -1) return;
    const after = (before ?? 0) + by;
    if (after === 0) this.#counts.delete(second);
    else this.#counts.set(second, after);
    this.#total += by;
  }

  /** How many there are at `now`. */
  count(now: Instant): number {
    const present = now / 1_000;
    for (const [second, count] of this.#counts) {
      if (second > present) continue;
      this.#counts.delete(second);
      this.#total -= count;
    }
    return this.#total;
  }

  /** At least how many. */
  get totalAtMost(): number {
    return this.#total;
  }
}

type Shares = {
  readonly all: Holds;
  readonly groups: Map<string, Holds>;
  /** Groups that may be noisy: they have had enough in flight to be. */
  readonly candidates: Set<string>;
  /** Groups whose holds have all passed are cleared away when there are so many. */
  sweepAtCount: number;
  judgedAt: number;
  noisy: readonly string[];
  /** The quiet group that was asked last; the next receive goes on behind it. */
  lastQuiet: string;
};

export class FairShares {
  readonly #queues = new LRUCache<number, Shares>({ max: limits.sharesKeptMax });

  /** A message of the queue is held until then (1), or no longer is (-1). */
  hold(queueId: number, groupId: string, heldUntil: number, now: Instant, by: 1 | -1): void {
    if (heldUntil <= now) return;
    const shares = this.#of(queueId);
    // Queues without groups are not followed.
    if (shares === undefined && (by === -1 || groupId === '')) return;
    const present = shares ?? this.#begin(queueId);
    present.all.add(heldUntil, by);
    if (groupId === '') return;
    const holds = present.groups.get(groupId) ?? new Holds();
    holds.add(heldUntil, by);
    if (holds.totalAtMost === 0) {
      present.groups.delete(groupId);
      present.candidates.delete(groupId);
      return;
    }
    present.groups.set(groupId, holds);
    if (present.groups.size >= present.sweepAtCount) sweep(present, now);
    if (holds.totalAtMost >= limits.noisyInFlightMin) present.candidates.add(groupId);
  }

  /** The noisy groups, the one with the fewest messages in flight first. */
  noisy(queueId: number, now: Instant): readonly string[] {
    const shares = this.#of(queueId);
    if (shares === undefined || shares.candidates.size === 0) return none;
    if (now - shares.judgedAt >= judgedEveryMs || shares.candidates.size <= judgedAtOnceMax) judge(shares, now);
    return shares.noisy;
  }

  /** The group behind which the next round among the quiet ones begins. */
  lastQuiet(queueId: number): string {
    return this.#of(queueId)?.lastQuiet ?? '';
  }
  setLastQuiet(queueId: number, groupId: string): void {
    const shares = this.#of(queueId);
    if (shares !== undefined) shares.lastQuiet = groupId;
  }

  forget(queueId: number): void {
    this.#queues.delete(queueId);
  }

  #of(queueId: number): Shares | undefined {
    return this.#queues.get(queueId);
  }

  #begin(queueId: number): Shares {
    const shares: Shares = {
      all: new Holds(),
      groups: new Map(),
      candidates: new Set(),
      sweepAtCount: sweepAtCountMin,
      judgedAt: Number.NEGATIVE_INFINITY,
      noisy: none,
      lastQuiet: '',
    };
    this.#queues.set(queueId, shares);
    return shares;
  }
}

/** Each sweep waits for twice as many as the last one left, so that its cost is spread. */
const sweepAtCountMin = 1_000;

function sweep(shares: Shares, now: Instant): void {
  for (const [groupId, holds] of shares.groups) {
    if (holds.count(now) > 0) continue;
    shares.groups.delete(groupId);
    shares.candidates.delete(groupId);
  }
  shares.sweepAtCount = Math.max(sweepAtCountMin, shares.groups.size * 2);
}

const none: readonly string[] = [];
/** So few candidates are judged at every receive. */
const judgedAtOnceMax = 16;

function judge(shares: Shares, now: Instant): void {
  const all = shares.all.count(now);
  const loud: { groupId: string; count: number }[] = [];
  for (const groupId of shares.candidates) {
    const count = shares.groups.get(groupId)?.count(now) ?? 0;
    if (count < limits.noisyInFlightMin) {
      shares.candidates.delete(groupId);
      if (count === 0) shares.groups.delete(groupId);
    } else if (count * 100 > all * limits.noisySharePercent) loud.push({ groupId, count });
  }
  shares.noisy = loud.sort((a, b) => a.count - b.count).map(({ groupId }) => groupId);
  shares.judgedAt = now;
}
