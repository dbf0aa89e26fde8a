/**
 * Requests of one connection, one after the other: the next begins when the answer before it has been handed to the
 * kernel. So what was sent later takes effect later, and a connection holds at most one answer that is not read.
 *
 * Node.js calls for each request as it comes and keeps only the answers in order. An answer that waits for those before
 * it has no socket yet, and is told when it gets one: that is all there is to know, and costs the usual request, before
 * which there is none, one comparison. Where the answer before ends the connection, those that wait never begin.
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-9.3.2
 */
import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';

export const pipelineLimits = {
  /** What waits behind others, of all connections and threads together: with more the connection that brought it is
   *  closed. That is 10,240 requests without bodies. */
  waitingBytesMax: 20 * 1_048_576,
  /** What a request counts for beside its body. It costs that, and leaves three times as much to be collected. */
  requestBytes: 2_048,
  /** What a piece of a body counts for beside its bytes, since it may come one byte at a time. Measured: 500. */
  pieceBytes: 512,
  /** While more than that waits on a connection, nothing more is read there. */
  readOnBytesMax: 65_536,
} as const;

declare module 'node:net' {
  interface Socket {
    /** What the requests count for that wait behind another; absent: none ever has. */
    waitingBytes?: number;
  }
}

/** What Node.js notes of the last answer that a connection may have. */
type LimitedAnswer = ServerResponse & { readonly maxRequestsOnConnectionReached: boolean };

/** The answer that has the connection now; Node.js keeps it there for itself. */
export const answerUnderWay = (socket: Duplex): ServerResponse | undefined =>
  (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;

/** A request that waits, and what it counts for. */
type Waiting = { readonly raw: IncomingMessage; readonly socket: Socket; bytes: number };

/**
 * Must be called before other hooks are added: nothing of a request is to happen before its turn.
 * @param shareCount how many share the memory for what waits; this instance gets its part
 */
export function takeTurns(app: FastifyInstance, shareCount = 1): void {
  const bytesMax = pipelineLimits.waitingBytesMax / shareCount;
  let waitingBytes = 0;

  app.addHook('onRequest', (request, reply, done) => {
    const { raw: answer } = reply;
    // Else Node.js says that the connection is over, does not end it, and answers the next request with a bare 503.
    if ((answer as LimitedAnswer).maxRequestsOnConnectionReached) answer.shouldKeepAlive = false;
    if (answer.socket !== null) return done();
    const { raw } = request;
    const waiting: Waiting = { raw, socket: raw.socket, bytes: 0 };
    join(waiting);
    answer.once('socket', () => {
      // Other connections have their turn, too, and first of all the end of the answer before.
      setImmediate(() => {
        if (waiting.socket.destroyed) return;
        leave(waiting);
        done();
      });
    });
  });

  function join(waiting: Waiting): void {
    const { raw, socket } = waiting;
    if (socket.waitingBytes === undefined) {
      socket.once('close', () => forget(socket));
      // Node.js reads on by itself at the end of each request, and when the one in front takes its body. Where it has
      // just paused again, since answers are not read, it stays so: the two would call each other for ever.
      socket.on('resume', () => {
        if (!socket.isPaused() || keepsEnough(socket)) readOnOrNot(socket);
      });
    }
    count(waiting, pipelineLimits.requestBytes);
    onPiece(raw, (bytes) => count(waiting, bytes + pipelineLimits.pieceBytes));
  }

  function leave(waiting: Waiting): void {
    onPiece(waiting.raw, undefined);
    count(waiting, -waiting.bytes);
  }

  function count(waiting: Waiting, bytes: number): void {
    const { socket } = waiting;
    if (socket.destroyed) return;
    waiting.bytes += bytes;
    waitingBytes += bytes;
    socket.waitingBytes = (socket.waitingBytes ?? 0) + bytes;
    // Only who brings more may be over; what it held is free at once, or its neighbours of this turn would be over, too.
    if (bytes > 0 && waitingBytes > bytesMax) {
      forget(socket);
      socket.destroy();
    } else readOnOrNot(socket);
  }

  function forget(socket: Socket): void {
    waitingBytes -= socket.waitingBytes ?? 0;
    socket.waitingBytes = 0;
  }
}

/** Hears of each piece of a body as Node.js puts it by, until told otherwise: of that it tells nobody else. */
function onPiece(raw: IncomingMessage, hear: ((bytes: number) => void) | undefined): void {
  if (hear === undefined) {
    Reflect.deleteProperty(raw, 'push');
    return;
  }
  raw.push = (piece: Buffer | null) => {
    if (piece !== null) hear(piece.byteLength);
    return IncomingMessage.prototype.push.call(raw, piece);
  };
}

/**
 * Who does not read does not see that the client has gone. So reading goes on until there is more than a connection may
 * keep; what Node.js has read at once (64 KiB) comes on top of it.
 */
function readOnOrNot(socket: Socket): void {
  if (!keepsEnough(socket)) {
    if (socket.isPaused()) socket.resume();
  } else if (!socket.isPaused()) socket.pause();
  // Node.js reads all the same when it had asked to go on before: that comes true later, and it listens to this alone.
  else socket.emit('pause');
}

const keepsEnough = (socket: Socket): boolean => (socket.waitingBytes ?? 0) > pipelineLimits.readOnBytesMax;
