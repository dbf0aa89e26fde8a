/** Answers to bytes that are not HTTP: Node's parser refused them, so there is no request to answer in. */
import type { Socket } from 'node:net';

type ClientError = Error & { readonly code?: string };

const answers = {
  HPE_HEADER_OVERFLOW: { status: 431, title: 'Request header fields too large', code: 'headers_too_large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, title: 'Request timeout', code: 'request_timeout' },
} as const;
const other = { status: 400, title: 'Bad request', code: 'malformed_request' } as const;

/** Writes a problem document by hand and closes the connection. */
export function answerClientError(error: ClientError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  if (!socket.writable) {
    socket.destroy(error);
    return;
  }
  const answer =
    error.code !== undefined && error.code in answers ? answers[error.code as keyof typeof answers] : other;
  const body = JSON.stringify({
    type: `urn:sluice:problem:${answer.code}`,
    title: answer.title,
    status: answer.status,
    code: answer.code,
    detail: 'The request is not valid HTTP/1.1, or larger or slower than is taken here.',
  });
  socket.end(
    `HTTP/1.1 ${answer.status} ${answer.title}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
