/**
 * Requests of one connection, one after the other: the next begins when the answer before it has been handed to the
 * kernel. So what was sent later takes effect later, and a connection holds at most one answer that is not read.
 *
 * Node.js calls for each request as it comes and keeps only the answers in order. An answer that waits for those before
 * it has no socket yet, and is told when it gets one: that is all there is to know, and costs the usual request, before
 * which there is none, one comparison. Where the answer before ends the connection, those that wait never begin.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';

export const pipelineLimits = {
  /** Requests that wait behind others, of all connections and threads together: one costs 2 KiB, and leaves 6 more to be
   *  collected. With one too many the connection that brought it is closed. */
  waitingMax: 10_000,
} as const;

declare module 'node:net' {
  interface Socket {
    /** Requests that wait behind another; absent: none ever has. */
    waitingCount?: number;
  }
}

/** What Node.js notes of the last answer that a connection may have. */
type LimitedAnswer = ServerResponse & { readonly maxRequestsOnConnectionReached: boolean };

/** The answer that has the connection now; Node.js keeps it there for itself. */
export const answerUnderWay = (socket: Duplex): ServerResponse | undefined =>
  (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;

/**
 * Must be called before other hooks are added: nothing of a request is to happen before its turn.
 * @param shareCount how many share the number of those that may wait; this instance gets its part
 */
export function takeTurns(app: FastifyInstance, shareCount = 1): void {
  const waitingMax = Math.ceil(pipelineLimits.waitingMax / shareCount);
  let waitingCount = 0;

  app.addHook('onRequest', (request, reply, done) => {
    const { raw: answer } = reply;
    // Else Node.js says that the connection is over, does not end it, and answers the next request with a bare 503.
    if ((answer as LimitedAnswer).maxRequestsOnConnectionReached) answer.shouldKeepAlive = false;
    if (answer.socket !== null) return done();
    const { socket } = request.raw;
    join(socket);
    answer.once('socket', () => {
      // Other connections have their turn, too, and first of all the end of the answer before.
      setImmediate(() => {
        if (socket.destroyed) return;
        leave(socket);
        done();
      });
    });
  });

  function join(socket: Socket): void {
    if (socket.waitingCount === undefined) {
      socket.once('close', () => {
        waitingCount -= socket.waitingCount ?? 0;
      });
    }
    socket.waitingCount = (socket.waitingCount ?? 0) + 1;
    waitingCount += 1;
    // At the end of a request that it has read Node.js reads on, so not before that.
    if (socket.waitingCount === 2) process.nextTick(readOnOrNot, socket);
    if (waitingCount > waitingMax) socket.destroy();
  }

  function leave(socket: Socket): void {
    socket.waitingCount = (socket.waitingCount ?? 0) - 1;
    waitingCount -= 1;
    readOnOrNot(socket);
  }
}

/**
 * From the second that waits on, nothing more is read until all have begun: what Node.js has read (64 KiB at a time) is
 * all that a connection keeps. While only one has come to wait, the end of the connection is still seen, unless it has a
 * body of more than that: Node.js does not read on behind a body that nobody takes.
 */
function readOnOrNot(socket: Socket): void {
  if (socket.waitingCount === 0) socket.resume();
  else socket.pause();
}
