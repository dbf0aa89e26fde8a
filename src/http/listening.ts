/**
 * Where the server listens: at one address, or at each that `localhost` has here (127.0.0.1 and ::1).
 *
 * There is one HTTP server all the same. Further addresses have a bare listener each, which hands its connections over to
 * that one: what holds for connections, for their number and their end holds for all. Fastify, left to itself, opens a
 * second HTTP server for `localhost`, which has none of what was set on the first.
 */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** Where on each address; port 0: a free one of the first. */
type Where = { readonly port: number; readonly reusePort?: boolean };

/**
 * Listens at all addresses, on one port; ends with the instance.
 * @returns the first address, such as `http://127.0.0.1:8080`
 * @throws Error of the system, such as EADDRINUSE; nothing listens any more then
 */
export type Listen = (addresses: readonly string[], where: Where) => Promise<string>;

/** The addresses of a host to listen on: those of `localhost`; any other host stands for itself. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  if (host !== 'localhost') return [host];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

/** Must be called after other hooks are added: at the end they may wait for none of its connections. */
export function prepareToListen(app: FastifyInstance): Listen {
  const further: Server[] = [];
  let closing: Promise<unknown> | undefined;
  app.addHook('preClose', (done) => {
    closing = Promise.all(further.map(closed));
    done();
  });
  app.addHook('onClose', async () => void (await closing));

  return async ([first = '127.0.0.1', ...others], where) => {
    const url = await app.listen({ ...where, host: first });
    const { port } = app.server.address() as AddressInfo;
    try {
      for (const host of others) {
        const listener = await handOver(app, { ...where, port, host });
        if (listener !== undefined) further.push(listener);
      }
    } catch (error) {
      await app.close();
      throw error;
    }
    return url;
  };
}

/** The name has it, the machine has not: as in a container without IPv6. */
export const isAbsentAddress = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'EADDRNOTAVAIL' || error.code === 'EAFNOSUPPORT');

/** @returns a listener whose connections are those of the HTTP server; undefined where there is no such address */
async function handOver(app: FastifyInstance, where: Where & { readonly host: string }): Promise<Server | undefined> {
  // As Node.js makes its HTTP servers.
  const listener = createServer({ allowHalfOpen: true, noDelay: true });
  listener.on('connection', (socket) => app.server.emit('connection', socket));
  try {
    listener.listen({ ...where });
    await once(listener, 'listening');
    return listener;
  } catch (error) {
    if (isAbsentAddress(error)) return undefined;
    throw error;
  }
}

const closed = (listener: Server): Promise<unknown> => new Promise((resolve) => listener.close(resolve));

/**
 * A port that is shared lets any program of the same user in that shares it, too, another Sluice for instance. So one
 * that shares nothing is tried first, at each address. @throws Error of the system, such as EADDRINUSE
 */
export async function requireOwnPort(addresses: readonly string[], port: number): Promise<void> {
  if (port === 0) return;
  for (const host of addresses) {
    const probe = createServer();
    probe.listen({ host, port, exclusive: true });
    try {
      await once(probe, 'listening');
    } catch (error) {
      if (isAbsentAddress(error)) continue;
      throw error;
    }
    probe.close();
    await once(probe, 'close');
  }
}
