/** The only drawer of chance. Everything else gets an Ids. */
import { randomBytes, randomInt } from 'node:crypto';
import { v7 } from 'uuid';
import type { Instant } from './domain/instant.ts';

export interface Ids {
  /** A time-ordered UUID. @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 */
  uuid(at: Instant): string;
  /** 26 random bits, for message ids. */
  salt(): number;
  /** Random bytes for a secret. */
  secret(bytes: number): Uint8Array;
}

/** Drawn at once: one call for 16 bytes costs 3 µs, as much as checking what was sent. */
const poolBytes = 4_096;
const uuidBytes = 16;

export function randomIds(): Ids {
  let pool = Buffer.alloc(0);
  const drawn = (): Uint8Array => {
    if (pool.byteLength === 0) pool = randomBytes(poolBytes);
    const bytes = pool.subarray(0, uuidBytes);
    pool = pool.subarray(uuidBytes);
    return bytes;
  };
  return {
    uuid: (at) => v7({ msecs: at, random: drawn() }),
    salt: () => randomInt(2 ** 26),
    secret: (bytes) => randomBytes(bytes),
  };
}
