/**
 * Whether who asks may do it: one hook in front of every route, with the one function of the domain.
 *
 * Every route declares the action it is; one without stops start-up. The queue is the one in the path; what an operation
 * comes upon beyond it (targets, tasks, lists) is asked for in the broker, with the same function.
 */
import type { FastifyInstance } from 'fastify';
import type { Action } from '../domain/action.ts';
import { type Principal, authorize as requireScope } from '../domain/principal.ts';
import type { Gate } from './authentication.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks. On routes whose action is `signed` only once they have checked the signature. */
    principal: Principal;
  }
}

/** Puts the authorisation hook in front of all routes of the instance and refuses to start with an undeclared one. */
export function authorize(app: FastifyInstance, gate: Gate): void {
  const undeclared: string[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.action === undefined) undeclared.push(`${method} ${url}`);
  });
  app.addHook('onReady', async () => {
    if (undeclared.length > 0) throw new Error(`These routes declare no action: ${undeclared.join(', ')}.`);
  });

  app.decorateRequest('principal');
  app.addHook('onRequest', (request, _reply, done) => {
    gate.requireOwnHost(request);
    // A path that is no route is nobody's business without a key either.
    const action: Action = request.routeOptions.config.action ?? 'look';
    if (action !== 'public' && action !== 'signed') {
      request.principal = gate.identify(request);
      requireScope(request.principal, action, queueOf(request.params));
    }
    done();
  });
}

/** The queue that the path names, be it a name or not: what is none is refused by the operation. */
const queueOf = (params: unknown): string | undefined => (params as { readonly queue?: string } | undefined)?.queue;
