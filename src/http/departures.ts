/**
 * Answers under way: how much memory those together may hold that their clients have not read yet. A client that reads
 * slowly, or asks for much and reads nothing, keeps its answer here until it is left.
 *
 * Messages find room before they become an answer, by their own bytes; then the answer counts, as long as it has become.
 * Whatever else is long (lists, metrics, documents) counts when it is there, and gives way when that is possible.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { sharedRoom } from './room.ts';

export type Departures = {
  /**
   * From now on the answer holds so many bytes in all, until it is read or its client has gone; less than before gives
   * room back. What is alone may have all threads' room.
   * @returns overloaded when it is more than before and there is no room
   */
  readonly hold: (reply: FastifyReply, bytes: number) => Fault | undefined;
  /** How much room there is for one more large answer. */
  readonly freeBytes: () => number;
  /** Whether a small one may find none. */
  readonly isFull: () => boolean;
  /** What all of them hold. */
  readonly heldBytes: () => number;
};

declare module 'fastify' {
  interface FastifyInstance {
    departures: Departures;
  }
  interface FastifyReply {
    /** What it holds in memory, until it is read. */
    heldBytes: number;
  }
}

/** The room that what is received for the answer must find. */
export const roomFor = (reply: FastifyReply) => ({
  freeBytes: reply.server.departures.freeBytes,
  isFull: reply.server.departures.isFull,
  hold: (bytes: number) => reply.server.departures.hold(reply, bytes),
});

/**
 * Reads as much as there is room for, and holds what it came to. For what is read at once: nothing is held meanwhile.
 * @param read given the most bytes to read: none when there is room for a small answer alone
 * @throws overloaded
 */
export async function readWithinRoom<T>(
  reply: FastifyReply,
  read: (bytesMax: number) => Promise<T>,
  bytesOf: (found: T) => number,
): Promise<T> {
  const { departures } = reply.server;
  if (departures.isFull()) throw Fault.of('overloaded', {});
  const found = await read(Math.min(limits.receiveBytesMax, departures.freeBytes()));
  const refusal = departures.hold(reply, bytesOf(found));
  if (refusal !== undefined) throw refusal;
  return found;
}

/** Holds room for the most that may be read, reads, and keeps what it came to. @throws overloaded before anything is read */
export async function readForAnswer<T>(
  reply: FastifyReply,
  bytesMax: number,
  read: () => Promise<T>,
  bytesOf: (found: T) => number,
): Promise<T> {
  const { departures } = reply.server;
  const refusal = departures.hold(reply, bytesMax);
  if (refusal !== undefined) throw refusal;
  const found = await read();
  departures.hold(reply, bytesOf(found));
  return found;
}

/** @param shareCount how many share the memory for answers; this instance gets its part */
export function trackDepartures(app: FastifyInstance, shareCount = 1): void {
  const { answersHeldBytesMax: bytesMax, largeAnswersHeldBytesMax: largeBytesMax } = limits;
  const room = sharedRoom({ bytesMax, largeBytesMax }, shareCount);
  app.decorateReply('heldBytes', 0);
  const releaseAtEnd = (reply: FastifyReply) => reply.raw.once('close', () => room.release(reply));
  const hold: Departures['hold'] = (reply, bytes) => {
    // Nobody is there to read it.
    if (reply.raw.destroyed) return undefined;
    const isFirst = reply.heldBytes === 0;
    const refusal = room.hold(reply, bytes);
    if (refusal === undefined && isFirst) releaseAtEnd(reply);
    return refusal;
  };
  const { freeBytes, isFull, heldBytes } = room;
  app.decorate('departures', { hold, freeBytes, isFull, heldBytes } satisfies Departures);

  app.addHook('onSend', (request, reply, payload, done) => {
    const bytes = lengthOf(payload);
    const isCounted = reply.heldBytes > 0;
    if (reply.raw.destroyed || (bytes <= limits.answerUncountedBytesMax && !isCounted)) return done(null, payload);
    // Whoever was given something, or changed it, is told.
    const mayGiveWay = !isCounted && request.method === 'GET' && request.routeOptions.config.action !== 'signed';
    // Alone it may be as long as it is: metrics of very many queues have no page.
    const refusal = mayGiveWay && heldBytes() > 0 ? room.hold(reply, bytes) : undefined;
    if (refusal !== undefined) {
      // What was said of the answer is not true of the refusal.
      reply.header('cache-control', 'no-store').removeHeader('etag');
      return done(refusal);
    }
    room.keep(reply, bytes);
    if (!isCounted) releaseAtEnd(reply);
    done(null, payload);
  });
}

/** Of what is streamed nobody knows; whoever does that bounds it. */
function lengthOf(payload: unknown): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return Buffer.isBuffer(payload) ? payload.byteLength : 0;
}
