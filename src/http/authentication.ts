/**
 * Who asks: the access key of a request, as `Authorization: Bearer id.secret` or as basic authentication
 * (`curl -u id:secret`).
 *
 * Without keys a server on loopback is open to this machine. It is reachable from every web page its user visits, so it
 * answers only requests that name it as localhost and come from no other origin (DNS rebinding, cross-site requests).
 * A wrong secret and an unknown id get the same answer after the same work.
 * @see https://www.rfc-editor.org/rfc/rfc6750 and https://www.rfc-editor.org/rfc/rfc7617
 */
import type { FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { holdsSecret, parseBearer } from '../domain/access-key.ts';
import { Fault } from '../domain/errors.ts';
import { openPrincipal, type Principal } from '../domain/principal.ts';
import { type FailedLogins, failedLogins } from './failed-logins.ts';
import { invalid } from './parameters.ts';

export type Access = {
  /** Whose queues everybody sees on an open server. */
  readonly account: string;
  /** `open`: no keys, ever. `keys`: with a key, as soon as there is one. */
  readonly auth: 'open' | 'keys';
  /** Whether the listener is reachable from this machine only. */
  readonly isLoopback: boolean;
  /** Further names under which an open loopback server may be asked, with or without a port. */
  readonly allowedHosts: readonly string[];
};

/** What is asked of the keys. */
export type KeyBook = {
  readonly isEmpty: () => boolean;
  readonly isKnown: (keyId: string) => boolean;
  readonly check: (keyId: string, secret: string) => Principal | undefined;
};

/** Decides for every edge whether a key is needed, and counts who fails. */
export type Gate = {
  /** Everybody may do everything now. */
  readonly isOpen: () => boolean;
  /** Who everybody is on an open server. */
  readonly anyone: Principal;
  readonly failed: FailedLogins;
  /** Who asks. @throws forbiddenHost, credentialsMissing, credentialsInvalid, credentialsThrottled, invalidArgument */
  readonly identify: (request: FastifyRequest) => Principal;
  /** On an open server: that the request is meant for it, and comes from no other site's page. @throws forbiddenHost */
  readonly requireOwnHost: (request: FastifyRequest) => void;
};

export function createGate(access: Access, keys: KeyBook, clock: Pick<Clock, 'now'>): Gate {
  const anyone = openPrincipal(access.account);
  const failed = failedLogins(clock);
  const isGuarded = access.isLoopback || access.allowedHosts.length > 0;
  const checkHost = isGuarded ? hostGuard(access.allowedHosts) : requireOwnPages;
  const isOpen = () => access.auth === 'open' || (access.isLoopback && keys.isEmpty());
  return {
    isOpen,
    anyone,
    failed,
    requireOwnHost(request) {
      if (isOpen()) checkHost(request);
    },
    identify(request) {
      if (isOpen()) return anyone;
      const { keyId, secret } = credentialsOf(request);
      const counted = keys.isKnown(keyId) ? keyId : '';
      failed.requireCalm(request.ip, counted);
      const principal = keys.check(keyId, secret);
      if (principal !== undefined) return principal;
      failed.count(request.ip, counted);
      throw Fault.of('credentialsInvalid', {});
    },
  };
}

type Credentials = { readonly keyId: string; readonly secret: string };

/** A declared secret may hold any printable character. */
const headerPattern = /^(bearer|basic) +([!-~]+)$/i;
/** What is no key: it is compared all the same. */
const noCredentials: Credentials = { keyId: '', secret: '' };

/** @throws credentialsMissing, credentialsInvalid, invalidArgument */
function credentialsOf({ headers, raw }: FastifyRequest): Credentials {
  const header = headers.authorization;
  if (header === undefined || header === '') {
    // In a URL it would stand in the logs of every proxy on the way.
    if (holdsSecret(raw.url ?? ''))
      throw invalid('query', 'holds a secret, which belongs into the header Authorization');
    throw Fault.of('credentialsMissing', {});
  }
  if (isRepeated(raw.rawHeaders, 'authorization')) throw invalid('Authorization', 'is given more than once');
  const [, scheme = '', text = ''] = headerPattern.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case 'bearer':
      return parseBearer(text) ?? noCredentials;
    case 'basic':
      // A browser adds basic credentials by itself, also to requests that another site's page makes.
      if (isForeign(headers.origin, headers.host)) throw Fault.of('credentialsInvalid', {});
      return parseBasic(text) ?? noCredentials;
    default:
      throw Fault.of('credentialsInvalid', {});
  }
}

/**
 * Whether a header comes more than once. Node keeps the first of some; which one was meant is not ours to guess.
 * @param header in lower case
 */
export function isRepeated(rawHeaders: readonly string[], header: string): boolean {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === header.length && name.toLowerCase() === header) count += 1;
  }
  return count > 1;
}

const isForeign = (origin: string | undefined, host: string | undefined): boolean =>
  origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;

function parseBasic(text: string): Credentials | undefined {
  const pair = Buffer.from(text, 'base64').toString('latin1');
  const colon = pair.indexOf(':');
  return colon === -1 ? undefined : { keyId: pair.slice(0, colon), secret: pair.slice(colon + 1) };
}

const loopbackHost = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/** Pages of other sites, which a browser on this network shows, have no business here. @throws forbiddenHost */
function requireOwnPages({ headers: { host, origin } }: FastifyRequest): void {
  if (isForeign(origin, host)) throw Fault.of('forbiddenHost', { host: origin ?? '' });
}

/** @throws forbiddenHost */
function hostGuard(allowedHosts: readonly string[]): (request: FastifyRequest) => void {
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
