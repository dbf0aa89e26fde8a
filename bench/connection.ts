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
/** Shared by all connections: each read is dealt with before the next one begins. */
const readBuffer = Buffer.allocUnsafeSlow(512 * 1024);

export class Connection {
  readonly #port: number;
  readonly #onError: (cause: Error) => void;
  #socket: Socket | undefined;
  /** What has arrived of an answer that is not complete yet. */
  #parts: Buffer[] = [];
  #byteCount = 0;
  #neededBytes = 0;
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
    this.#forget();
    if (!this.#isEnding && this.#onAnswer !== undefined) this.#onError(cause);
  }

  #take(chunk: Buffer): void {
    this.#byteCount += chunk.byteLength;
    // Parts are joined only when the answer can be complete: a large one arrives in many.
    if (this.#byteCount < this.#neededBytes) {
      this.#parts.push(Buffer.from(chunk));
      return;
    }
    const bytes = this.#parts.length === 0 ? chunk : Buffer.concat([...this.#parts, chunk]);
    const answer = answerIn(bytes);
    if (typeof answer === 'number') {
      this.#neededBytes = answer;
      this.#parts.push(Buffer.from(chunk));
      return;
    }
    this.#forget();
    // The server ends a connection after so many requests, and says so in the last answer.
    if (answer.head.includes('\r\nconnection: close') || answer.head.includes('\r\nConnection: close')) this.#leave();
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(Number(answer.head.slice(9, 12)), answer.body);
  }

  #forget(): void {
    this.#parts = [];
    this.#byteCount = 0;
    this.#neededBytes = 0;
  }

  #leave(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

type Answer = { readonly head: string; readonly body: Buffer };

/**
 * The answer that the bytes are, or how many bytes are needed before it is worth another look.
 * Its end is told by its length or by chunks, as HTTP/1.1 has them; a body that only the connection's end ends is not
 * understood.
 */
export function answerIn(bytes: Buffer): Answer | number {
  const end = bytes.indexOf(headEnd);
  if (end === -1) return bytes.byteLength + 1;
  const head = bytes.toString('latin1', 0, end);
  const start = end + headEnd.byteLength;
  const length = lengthPattern.exec(head)?.[1];
  if (length === undefined && chunkedPattern.test(head)) return chunkedAnswer(head, bytes, start);
  const bodyEnd = start + Number(length ?? 0);
  return bytes.byteLength < bodyEnd ? bodyEnd : { head, body: bytes.subarray(start, bodyEnd) };
}

const lengthPattern = /\r\ncontent-length: *(\d+)/i;
const chunkedPattern = /\r\ntransfer-encoding: *chunked/i;
const lineEnd = Buffer.from('\r\n');

function chunkedAnswer(head: string, bytes: Buffer, start: number): Answer | number {
  const chunks: Buffer[] = [];
  for (let at = start; ; ) {
    const sizeEnd = bytes.indexOf(lineEnd, at);
    if (sizeEnd === -1) return bytes.byteLength + 1;
    const chunkStart = sizeEnd + lineEnd.byteLength;
    const chunkEnd = chunkStart + Number.parseInt(bytes.toString('latin1', at, sizeEnd), 16);
    const next = chunkEnd + lineEnd.byteLength;
    if (bytes.byteLength < next) return next;
    if (chunkEnd === chunkStart) return { head, body: Buffer.concat(chunks) };
    chunks.push(bytes.subarray(chunkStart, chunkEnd));
    at = next;
  }
}

/** A request as bytes. */
export function requestBytes(method: string, path: string, body?: string | Buffer, headers = ''): Buffer {
  const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}`;
  if (body === undefined) return Buffer.from(`${head}\r\n`, 'latin1');
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return Buffer.concat([Buffer.from(`${head}Content-Length: ${bytes.byteLength}\r\n\r\n`, 'latin1'), bytes]);
}
