/**
 * Requests over connections of the test's own, told apart by how they ended: a client that cannot tell a refused
 * connection from a cut one, or a whole answer from a torn one, cannot say whether a server kept its word.
 */
import { Agent, type IncomingMessage, request } from 'node:http';

export type Outcome =
  | {
      readonly how: 'answered';
      readonly status: number;
      readonly headers: IncomingMessage['headers'];
      readonly text: string;
    }
  /** Nobody listened. */
  | { readonly how: 'unheard' }
  /** The connection ended before an answer began. */
  | { readonly how: 'cut' }
  /** An answer began, and did not come whole. */
  | { readonly how: 'torn' };

export type Caller = (
  method: string,
  url: string,
  body?: string | Buffer,
  /** Beside the length; the type is text unless one is given. */
  headers?: Readonly<Record<string, string>>,
) => Promise<Outcome>;

/** A client with one connection, which it keeps as long as the server does. */
export function openCaller(): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return (method, url, body, given = {}) =>
    new Promise((resolve) => {
      const headers = {
        'content-type': 'text/plain',
        'content-length': body === undefined ? 0 : Buffer.byteLength(body),
        ...given,
      };
      const sending = request(url, { method, agent, headers });
      sending.on('error', (error) => resolve({ how: isUnheard(error) ? 'unheard' : 'cut' }));
      sending.on('response', (response) => {
        const parts: Buffer[] = [];
        response.on('error', () => resolve({ how: 'torn' }));
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => {
          const { statusCode = 0, headers: told } = response;
          resolve({ how: 'answered', status: statusCode, headers: told, text: Buffer.concat(parts).toString() });
        });
      });
      sending.end(body);
    });
}

const isUnheard = (error: Error): boolean => 'code' in error && error.code === 'ECONNREFUSED';
