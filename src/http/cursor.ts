/**
 * Cursors on the wire: the engine's own text in base64url with a checksum, so that clients need no escaping, see
 * nothing to build upon, and are told when they send something else.
 */
import { crc32 } from 'node:zlib';

const checksumBytes = 4;
const cursorPattern = /^[A-Za-z0-9_-]{6,1024}$/;

const checksumOf = (text: string): Buffer => {
  const bytes = Buffer.alloc(checksumBytes);
  bytes.writeUInt32BE(crc32(text));
  return bytes;
};

/** A cursor of the storage, for the client. */
export const sealCursor = (cursor: string): string =>
  Buffer.concat([checksumOf(cursor), Buffer.from(cursor)]).toString('base64url');

/** The cursor that was sealed; undefined for anything else. */
export function openCursor(sealed: string): string | undefined {
  if (!cursorPattern.test(sealed)) return undefined;
  const bytes = Buffer.from(sealed, 'base64url');
  // The last character has bits to spare: only one of its spellings is ours.
  if (bytes.toString('base64url') !== sealed) return undefined;
  const cursor = bytes.toString('utf8', checksumBytes);
  return checksumOf(cursor).equals(bytes.subarray(0, checksumBytes)) ? cursor : undefined;
}
