/** Bytes on a socket: what only shows when a client writes HTTP by hand. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { expect } from 'vitest';
import { type Api, type ApiOptions, openApi } from './api.ts';

/** An API that listens. */
export async function listening(options: ApiOptions = {}): Promise<{ api: Api; port: number }> {
  const api = await openApi(options);
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  return { api, port: (api.server.server.address() as AddressInfo).port };
}

export async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  return socket;
}

/** Everything that the server answers until it closes the connection. */
export async function exchange(port: number, request: string | Buffer): Promise<string> {
  const socket = await open(port);
  socket.write(request);
  return all(socket);
}

export async function all(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

/** Lets input and output go on until the fact is there; the runner's timeout ends a vain wait. */
export async function until(api: Api, isSo: () => boolean): Promise<void> {
  while (!isSo()) await api.clock.advance({});
}

/** The client whose long poll waits leaves: it is over, and takes no message with it. */
export async function leavePoll(api: Api, client: Socket): Promise<void> {
  expect(api.broker.waiters.count()).toBe(1);
  client.destroy();
  await until(api, () => api.broker.waiters.count() === 0);
  await api.send('orders', 'x');
  expect(await api.counts('orders')).toEqual([1, 0, 0]);
}

export const host = 'Host: localhost';
/** A request without a body. */
export const plain = (start: string): string => `${start} HTTP/1.1\r\n${host}\r\n\r\n`;
/** A long poll of the queue `orders`. */
export const poll = plain('POST /v1/queues/orders/messages/receive?wait=20s');
/** The last request of a connection. */
export const head = (lines: readonly string[]): string => `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`;
export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
/** Of several answers. */
export const statusesOf = (answers: string): readonly number[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
