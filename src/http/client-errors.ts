/** Answers to bytes that are not HTTP: Node's parser refused them, so there is no request to answer in. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { answerUnderWay } from './pipelining.ts';
import { saneRequestId } from './request-log.ts';

type ClientError = Error & { readonly code?: string; readonly rawPacket?: unknown };

type Answer = {
  readonly status: number;
  readonly title: string;
  readonly code: string;
  readonly detail: string;
  readonly hint: string;
};

const headersTooLarge = (headerBytesMax: number): Answer => ({
  status: 431,
  title: 'Request header fields too large',
  code: 'headers_too_large',
  detail: `The request line and the headers are more than ${headerBytesMax} bytes together.`,
  hint: 'Send long attributes in an entry of a batch, POST /v1/queues/orders/messages/batch, instead of headers.',
});
const headersTooSlow: Answer = {
  status: 408,
  title: 'Request timeout',
  code: 'request_timeout',
  detail: 'The headers did not arrive in time.',
  hint: 'Send the headers at once.',
};
const malformed: Answer = {
  status: 400,
  title: 'Bad request',
  code: 'malformed_request',
  detail: 'The request is not valid HTTP/1.1.',
  hint: 'Speak plain HTTP/1.1 here; for TLS put a proxy in front.',
};

const noProxy: Answer = {
  status: 400,
  title: 'Bad request',
  code: 'malformed_request',
  detail: 'CONNECT is for proxies, and this is none.',
  hint: 'Send requests to the server itself.',
};

function answerTo({ code }: ClientError, headerBytesMax: number): Answer {
  if (code === 'HPE_HEADER_OVERFLOW') return headersTooLarge(headerBytesMax);
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? headersTooSlow : malformed;
}

/** The id that the client gave, if it got so far. */
function requestIdOf({ rawPacket }: ClientError): string | undefined {
  if (!Buffer.isBuffer(rawPacket)) return undefined;
  const given = /^x-request-id:[ \t]*(\S+)\r$/im.exec(rawPacket.toString('latin1'))?.[1];
  return given !== undefined && saneRequestId.test(given) ? given : undefined;
}

/** Writes a problem document by hand and closes the connection. */
export function answerClientError(error: ClientError, socket: Socket, headerBytesMax: number): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  // The client has gone in the middle of a request, and will not read the answer to the one before either.
  const isGone = error.code === 'HPE_INVALID_EOF_STATE' && turnOn(socket) === 'later';
  if (!socket.writable || isGone) {
    socket.destroy(error);
    return;
  }
  // What has not come is what we do not read while requests wait.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && socket.isPaused()) return;
  inTurn(socket, () => endWith(socket, answerTo(error, headerBytesMax), requestIdOf(error)));
}

/** Node hands over the bare connection of a CONNECT, and without this closes it without a word. */
export function answerConnect(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  inTurn(socket, () => endWith(socket, noProxy, undefined));
}

/** Connections that end with such an answer: whatever else comes on them is not looked at. */
const ending = new WeakSet<Duplex>();

/** After the answers to the requests before: whoever reads this one must not take it for one of theirs. */
function inTurn(socket: Duplex, end: () => void): void {
  if (ending.has(socket)) return;
  ending.add(socket);
  const tryAgain = () => {
    if (socket.destroyed) return;
    const turn = turnOn(socket);
    if (turn === 'now') end();
    else if (turn === 'never') socket.destroy();
    else answerUnderWay(socket)?.once('close', tryAgain);
  };
  tryAgain();
}

/** `now` also for a request that is itself what cannot be read; `never` when the answer to it has begun. */
function turnOn(socket: Duplex): 'now' | 'later' | 'never' {
  const answer = answerUnderWay(socket);
  if (answer === undefined) return 'now';
  if (answer.req.complete || answer.writableEnded) return 'later';
  return answer.headersSent ? 'never' : 'now';
}

function endWith(socket: Duplex, answer: Answer, requestId: string | undefined): void {
  const { code, ...rest } = answer;
  const body = `${JSON.stringify({ type: `urn:sluice:problem:${code}`, ...rest, code, requestId })}\n`;
  const head = [
    `HTTP/1.1 ${answer.status} ${answer.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(requestId === undefined ? [] : [`X-Request-Id: ${requestId}`]),
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
