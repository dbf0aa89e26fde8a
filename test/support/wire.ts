/** Bytes on a socket: what only shows when a client writes HTTP by hand. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
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

export const host = 'Host: localhost';
/** The last request of a connection. */
export const head = (lines: readonly string[]): string => `${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n`;
export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
/** Of several answers. */
export const statusesOf = (answers: string): readonly number[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
