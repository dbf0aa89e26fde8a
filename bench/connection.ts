/**
 * A keep-alive HTTP/1.1 connection, as lean as Node allows: requests are bytes made before, an answer is its status and
 * a window into the buffer it was read into. One request at a time; no pipelining.
 *
 * A common HTTP client costs more per request than the server under test, and would measure itself.
 */
import { connect, type Socket } from 'node:net';

/** @param body valid during the call only */
export type OnAnswer = (status: number, body: Buffer) => void;

const headEnd = Buffer.from('\r\n\r\n');
const noBytes = Buffer.alloc(0);
/** Shared by all connections: each read is dealt with before the next one begins. */
const readBuffer = Buffer.allocUnsafeSlow(512 * 1024);

export class Connection {
  readonly #port: number;
  readonly #onError: (cause: Error) => void;
  #socket: Socket | undefined;
  #rest: Buffer = noBytes;
  #onAnswer: OnAnswer | undefined;
  #isEnding = false;

  constructor(port: number, onError: (cause: Error) => void) {
    this.#port = port;
    this.#onError = onError;
  }

  request(bytes: Buffer, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer;
    this.#socket ??= this.#open();
    this.#socket.write(bytes);
  }

  close(): void {
    this.#isEnding = true;
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({
      host: '127.0.0.1',
      port: this.#port,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (length) => {
          if (this.#socket === socket) this.#take(readBuffer.subarray(0, length));
          return true;
        },
      },
    });
    socket.on('error', (cause) => this.#fail(socket, cause));
    socket.on('close', () => this.#fail(socket, new Error('The server closed the connection before it answered.')));
    return socket;
  }

  #fail(socket: Socket, cause: Error): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    if (!this.#isEnding && this.#onAnswer !== undefined) this.#onError(cause);
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = bytes.indexOf(headEnd);
    const head = end === -1 ? '' : bytes.toString('latin1', 0, end);
    const bodyStart = end + headEnd.byteLength;
    const bodyEnd = bodyStart + lengthOf(head);
    if (end === -1 || bytes.byteLength < bodyEnd) {
      this.#rest = bytes === chunk ? Buffer.from(chunk) : bytes;
      return;
    }
    this.#rest = noBytes;
    // The server ends a connection after so many requests, and says so in the last answer.
    if (head.includes('\r\nconnection: close') || head.includes('\r\nConnection: close')) this.#leave();
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(Number(head.slice(9, 12)), bytes.subarray(bodyStart, bodyEnd));
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

const lengthPattern = /\r\ncontent-length: (\d+)/i;
const lengthOf = (head: string): number => Number(lengthPattern.exec(head)?.[1] ?? 0);

/** A request as bytes. */
export function requestBytes(method: string, path: string, body?: string | Buffer, headers = ''): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}`;
  if (body === undefined) return Buffer.from(`${head}\r\n`, 'latin1');
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([Buffer.from(`${head}Content-Length: ${bytes.byteLength}\r\n\r\n`, 'latin1'), bytes]);
}
