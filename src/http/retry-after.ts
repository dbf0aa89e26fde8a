/** When to come again, in both APIs: of what was refused for now, and had no effect. */
import type { FastifyReply } from 'fastify';
import type { FaultCode } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';

/** Seconds after which a retry may succeed. */
export const retryAfterSeconds: { readonly [C in FaultCode]?: number } = {
  credentialsThrottled: limits.failedLoginWindowSeconds,
  queueFull: 1,
  tooManyInFlight: 1,
  tooManyWaiters: 1,
  overloaded: 1,
  storageFull: 5,
  shuttingDown: 1,
};

export function sayWhenToRetry(reply: FastifyReply, code: FaultCode): void {
  const seconds = retryAfterSeconds[code];
  if (seconds !== undefined) reply.header('retry-after', String(seconds));
}
