/** The only drawer of chance. Everything else gets an Ids. */
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import type { Instant } from './domain/instant.ts';

export interface Ids {
  /** A time-ordered UUID. @see https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7 */
  uuid(at: Instant): string;
  /** A random UUID, for answers: a third as dear as one in order of time. */
  requestId(): string;
  /** 26 random bits, for message ids. */
  salt(): number;
  /** Random bytes for a secret. */
  secret(bytes: number): Uint8Array;
}

export const randomIds = (): Ids => ({
  uuid: (at) => v7({ msecs: at }),
  requestId: () => randomUUID(),
  salt: () => randomInt(2 ** 26),
  secret: (bytes) => randomBytes(bytes),
});
