/** How the client calls this server, for URLs in answers. Headers that proxies add are not trusted. */
import type { FastifyRequest } from 'fastify';

const saneHost = /^[\w.:[\]-]{1,255}$/;

/** `http://` and the request's own Host. */
export function originOf({ headers: { host } }: FastifyRequest): string {
  return host !== undefined && saneHost.test(host) ? `http://${host}` : 'http://localhost';
}
