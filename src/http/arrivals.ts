/**
 * Bodies under way: how long they may take to arrive, and how much memory all of them together may hold.
 *
 * A body that stops arriving is cut off after a while; Node's own `requestTimeout` cannot be used for that, since it
 * would also cut a long upload that moves. Memory is promised before it is taken, by what a request announces or by what
 * has come of it, and given back when the request is over: what would be too much is refused before it is read.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Cancel, Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { sharedRoom } from './room.ts';

export const arrivalLimits = {
  /** A body that is read whole must have arrived by then. */
  wholeBodySecondsMax: 30,
  /** How often those still arriving are looked at. */
  checkSeconds: 5,
} as const;

/** Bodies that are under way. */
export type Arrivals = {
  readonly begun: (reply: FastifyReply) => void;
  /** The body is there, or is read by someone who looks after it: its time is no longer watched. */
  readonly arrived: (request: FastifyRequest) => void;
  /** See Room. */
  readonly hold: (request: FastifyRequest, bytes: number) => Fault | undefined;
  /** What all of them hold. */
  readonly heldBytes: () => number;
  readonly close: () => void;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** When the request came, in milliseconds of the clock's measuring. */
    startedMs: number;
    /** Set while its body arrives. */
    arrival: FastifyReply | undefined;
    /** What its body holds in memory, until the answer is out. */
    heldBytes: number;
  }
}

/**
 * Cuts off requests whose body does not arrive, with 408, and refuses those for which there is no room, with 503. Costs
 * two set operations and one listener per request with a body.
 * @param shareCount how many share the memory for bodies; this one gets its part
 */
export function trackArrivals(clock: Clock, shareCount = 1): Arrivals {
  const arriving = new Set<FastifyReply>();
  const { bodiesHeldBytesMax: bytesMax, largeBodiesHeldBytesMax: largeBytesMax } = limits;
  const room = sharedRoom({ bytesMax, largeBytesMax }, shareCount);
  let cancel: Cancel | undefined;

  const check = () => {
    cancel = undefined;
    const now = clock.elapsedMs();
    for (const reply of arriving) {
      // In the order of their coming: those behind are younger.
      if (now - reply.request.startedMs < arrivalLimits.wholeBodySecondsMax * 1_000) break;
      arriving.delete(reply);
      if (reply.sent) reply.request.raw.destroy();
      else reply.header('connection', 'close').send(Fault.of('requestTimeout', {}));
    }
    if (arriving.size > 0) arm();
  };
  const arm = () => {
    cancel ??= clock.at(secondsAfter(clock.now(), arrivalLimits.checkSeconds), check);
  };
  const arrived = (request: FastifyRequest) => {
    if (request.arrival === undefined) return;
    arriving.delete(request.arrival);
    request.arrival = undefined;
  };

  return {
    begun(reply) {
      const { request } = reply;
      const length = request.headers['content-length'];
      if ((length === undefined || length === '0') && request.headers['transfer-encoding'] === undefined) return;
      request.arrival = reply;
      arriving.add(reply);
      // Also when the client goes away, of which no hook tells.
      reply.raw.once('close', () => {
        room.release(request);
        // What comes after the answer is thrown away by Node.js, for no longer than a body may take.
        if (request.raw.complete === false && !request.raw.destroyed) request.raw.once('close', () => arrived(request));
        else arrived(request);
      });
      arm();
    },
    arrived,
    hold: room.hold,
    heldBytes: room.heldBytes,
    close: () => cancel?.(),
  };
}
