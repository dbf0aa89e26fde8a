/** A JSON answer ends its line, so that the prompt of a shell after curl stands on one of its own. */
import type { FastifyInstance } from 'fastify';
import { departing } from './text.ts';

/** For documents that the scope's handlers return; messages that are given out as bytes stay as they are. */
export function endLines(scope: FastifyInstance): void {
  scope.addHook('onSend', (_request, reply, payload, done) => {
    const isDocument = typeof payload === 'string' && String(reply.getHeader('content-type')).includes('json');
    done(null, isDocument ? departing(payload, '\n') : payload);
  });
}
