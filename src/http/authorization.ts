/**
 * Who asks, and whether they may: one hook in front of every route.
 *
 * Every route declares the action it is; one without stops start-up. Without access keys everyone acts in the
 * configured account. A server open on loopback is reachable from every web page its user visits, so it answers only
 * requests that name it as localhost and come from no other origin (DNS rebinding, cross-site requests).
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';

/** What a route does, in the terms in which keys will be given. `public` needs no key. */
export type Action =
  | 'public'
  | 'look'
  | 'createQueue'
  | 'readQueue'
  | 'updateQueue'
  | 'deleteQueue'
  | 'purge'
  | 'send'
  | 'receive'
  | 'settle'
  | 'peek'
  | 'removeMessage'
  | 'redrive'
  | 'readTask'
  | 'cancelTask'
  | 'readMetrics';

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal;
  }
}

export type Access = {
  readonly account: string;
  /** `open`: no keys. */
  readonly auth: 'open';
  /** Whether the listener is reachable from this machine only. */
  readonly isLoopback: boolean;
  /** Further names under which an open loopback server may be asked, with or without a port. */
  readonly allowedHosts: readonly string[];
};

const loopbackHost = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/** Puts the authorisation hook in front of all routes of the instance and refuses to start with an undeclared one. */
export function authorize(app: FastifyInstance, access: Access): void {
  const undeclared: string[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    if (config?.action === undefined) undeclared.push(`${method} ${url}`);
  });
  app.addHook('onReady', async () => {
    if (undeclared.length > 0) throw new Error(`These routes declare no action: ${undeclared.join(', ')}.`);
  });

  const principal: Principal = { account: access.account };
  const checkHost = access.isLoopback ? loopbackGuard(access.allowedHosts) : undefined;
  app.decorateRequest('principal');
  app.addHook('onRequest', (request, _reply, done) => {
    checkHost?.(request);
    request.principal = principal;
    done();
  });
}

/** @throws forbiddenHost */
function loopbackGuard(allowedHosts: readonly string[]): (request: FastifyRequest) => void {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const isAllowed = (host: string) =>
    loopbackHost.test(host) || allowed.has(host.toLowerCase()) || allowed.has(host.toLowerCase().replace(/:\d+$/, ''));
  // Clients say the same host again and again: one comparison instead of a regular expression.
  let lastGood: string | undefined;
  return ({ headers: { host, origin } }) => {
    if (host === undefined || (host !== lastGood && !isAllowed(host))) {
      throw Fault.of('forbiddenHost', { host: host ?? '' });
    }
    lastGood = host;
    if (origin !== undefined && origin !== `http://${host}`) throw Fault.of('forbiddenHost', { host: origin });
  };
}
