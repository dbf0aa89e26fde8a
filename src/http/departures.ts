/**
 * Answers under way: how much memory those together may hold that their clients have not read yet. A client that reads
 * slowly, or asks for much and reads nothing, keeps its answer here until it is left.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Fault } from '../domain/errors.ts';
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
  /** What all of them hold. */
  readonly heldBytes: () => number;
};

declare module 'fastify' {
  interface FastifyInstance {
    departures: Departures;
  }
  interface FastifyReply {
    /** What its messages hold in memory, until they are read. */
    heldBytes: number;
  }
}

/** The room that what is received for the answer must find. */
export const roomFor = (reply: FastifyReply) => ({
  freeBytes: reply.server.departures.freeBytes,
  hold: (bytes: number) => reply.server.departures.hold(reply, bytes),
});

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
  app.decorate('departures', {
    hold(reply, bytes) {
      // Nobody is there to read it.
      if (reply.raw.destroyed) return undefined;
      const isFirst = reply.heldBytes === 0;
      const refusal = room.hold(reply, bytes);
      if (refusal === undefined && isFirst) reply.raw.once('close', () => room.release(reply));
      return refusal;
    },
    freeBytes: room.freeBytes,
    heldBytes: room.heldBytes,
  } satisfies Departures);
}
