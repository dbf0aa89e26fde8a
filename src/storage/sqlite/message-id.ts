/**
 * Message ids: UUIDs of version 7 that also tell where the message lies.
 *
 *     48 bits  milliseconds since 1970        12 bits  chance      (after the version)
 *     14 bits  chance (after the variant)     48 bits  the message's number, its key in the table
 *
 * So a message is found by its id without an index over ids, which would cost a B-tree write per send and per delete.
 * @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
 */
import { parse, stringify } from 'uuid';
import type { Instant } from '../../domain/instant.ts';

/** @param salt 26 random bits */
export function makeMessageId(at: Instant, number: number, salt: number): Buffer {
  const id = Buffer.allocUnsafe(16);
  id.writeUIntBE(at, 0, 6);
  id.writeUInt16BE(0x7000 | (salt & 0xfff), 6);
  id.writeUInt16BE(0x8000 | ((salt >>> 12) & 0x3fff), 8);
  id.writeUIntBE(number, 10, 6);
  return id;
}

export const uuidText = (id: Uint8Array): string => stringify(id);

/** The message's number. */
export const numberOf = (id: Buffer): number => id.readUIntBE(10, 6);

/** When the message was sent, in milliseconds since 1970. */
export const sentAtOf = (id: Buffer): number => id.readUIntBE(0, 6);

/** The id's bytes and the number in it; undefined for text that is no UUID. */
export function parseMessageId(text: string): { readonly bytes: Buffer; readonly number: number } | undefined {
  try {
    const bytes = Buffer.from(parse(text));
    return { bytes, number: numberOf(bytes) };
  } catch {
    return undefined;
  }
}
