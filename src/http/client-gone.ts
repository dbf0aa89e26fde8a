/** A signal that a client has gone: its long poll must not receive for it any more. */
import type { FastifyReply } from 'fastify';

/**
 * Makes the signal when it is first asked for, since most receives answer at once and never ask.
 * @returns a function that gives the same signal each time
 */
export function clientGone(reply: FastifyReply): () => AbortSignal {
  let signal: AbortSignal | undefined;
  return () => {
    signal ??= watch(reply);
    return signal;
  };
}

function watch({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  if (raw.destroyed || raw.socket?.destroyed === true) controller.abort();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
