/**
 * Message ids: UUIDs of version 7 that also tell where the message lies.
 *
 *     48 bits  milliseconds since 1970        12 bits  chance      (after the version)
 *     14 bits  chance (after the variant)     48 bits  the message's number, its key in the table
 *
 * So a message is found by its id without an index over ids, which would cost a B-tree write per send and per delete.
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
 */
import { parse } from 'uuid';
import type { Instant } from '../../domain/instant.ts';

/** @param salt 26 random bits */
export function makeMessageId(at: Instant, number: number, salt: number): Buffer {
  const id = Buffer.allocUnsafe(idBytes);
  id.writeUIntBE(at, 0, 6);
  id.writeUInt16BE(0x7000 | (salt & 0xfff), 6);
  id.writeUInt16BE(0x8000 | ((salt >>> 12) & 0x3fff), 8);
  id.writeUIntBE(number, 10, 6);
  return id;
}
const idBytes = 16;

/** @param id its bytes, or their 32 hexadecimal digits: what a row tells, since a text costs less to read than bytes */
export function uuidText(id: Buffer | string): string {
  const hex = typeof id === 'string' ? id : id.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The message's number. */
export const numberOf = (id: Buffer): number => id.readUIntBE(10, 6);

/** When the message was sent, in milliseconds since 1970. */
export const sentAtOf = (id: Buffer): number => id.readUIntBE(0, 6);

const scratch = Buffer.alloc(idBytes);
/** @returns the bytes of an id's hexadecimal digits, valid until the next call */
export function bytesOfId(hex: string): Buffer {
  // Of another length it is damaged, and must not be mended with what was here before.
  if (hex.length !== 2 * idBytes) return Buffer.from(hex, 'hex');
  scratch.write(hex, 'hex');
  return scratch;
}

/** The id's hexadecimal digits and the number in it; undefined for text that is no UUID. */
export function parseMessageId(text: string): { readonly hex: string; readonly number: number } | undefined {
  try {
    const bytes = Buffer.from(parse(text));
    return { hex: bytes.toString('hex'), number: numberOf(bytes) };
  } catch {
    return undefined;
  }
}
