/**
 * Access keys: an id that may be seen and a secret that may not.
 *
 *     id      SLUICE + 14 of A–Z 2–7                   20 characters, as AWS has them; 70 random bits
 *     secret  slk_ + 43 of base64url + 6 of base64url  256 random bits, and a CRC-32 over id and bits
 *     key     id.secret                                what `Authorization: Bearer` carries
 *
 * The prefixes let scanners find a key that leaked; the checksum lets a tool see a typing mistake without asking, and
 * a secret that belongs to another id. Secrets that an operator declares may have any other form of enough length.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { Instant } from './instant.ts';
import { limits } from './limits.ts';
import type { Principal, Scope } from './principal.ts';

/** Ours, and those of AWS: a declared key may be one that clients have already. */
export const keyIdPattern = /^\w{16,128}$/;
export const KeyId = z
  .string()
  .regex(keyIdPattern, 'must be 16 to 128 letters, digits or "_"')
  .describe('The id of the key: the access key id of AWS SDKs, the user of basic authentication.')
  .meta({ examples: ['SLUICEX3MPLK7Q2WV5AB'] });

/** 20 to 128 printable ASCII characters without blanks. */
export const secretPattern = /^[!-~]{20,128}$/;
export const KeyName = z
  .string()
  .min(1)
  .max(limits.keyNameCharsMax)
  .regex(/^[\p{L}\p{N}\p{P}\p{S} ]*$/u, 'may hold letters, digits, punctuation and blanks')
  .describe('What the key is for.')
  .meta({ examples: ['order workers'] });

/** From when on a key is refused, as people write it. */
export const ExpiryText = z.iso
  .datetime({ offset: true, error: 'must be an instant such as "2027-01-31T12:00:00Z"' })
  .meta({ examples: ['2027-01-31T12:00:00.000Z'] });

/** A secret as it is kept: it can be compared, and opened by who has the master key. */
export type StoredSecret = {
  /** Rises within a key. */
  readonly number: number;
  /** SHA-256 of the secret: 256 random bits need no slow hash. */
  readonly hash: Uint8Array;
  /** The secret under AES-256-GCM, for signatures. */
  readonly sealed: Uint8Array;
  readonly createdAt: Instant;
  /** When a rotation ends it; null: with the key. */
  readonly expiresAt: Instant | null;
};

export type StoredKey = {
  readonly keyId: string;
  readonly account: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Declared in the settings file, where alone it can be changed. */
  readonly isDeclared: boolean;
  readonly createdAt: Instant;
  readonly createdBy: string | null;
  readonly expiresAt: Instant | null;
  /** The newest first; two while a rotation lasts. */
  readonly secrets: readonly StoredSecret[];
};

const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const keyIdPrefix = 'SLUICE';
const keyIdRandomChars = 14;
const secretPrefix = 'slk_';
/** Random bytes that an id and a secret take. */
export const randomBytesOf = { keyId: keyIdRandomChars, secret: 32 } as const;

/** @param random randomBytesOf.keyId bytes, of which five bits each are used */
export const keyIdOf = (random: Uint8Array): string =>
  keyIdPrefix + Array.from(random, (byte) => base32[byte & 31]).join('');

/** @param random randomBytesOf.secret bytes */
export function secretOf(keyId: string, random: Uint8Array): string {
  const bits = Buffer.from(random).toString('base64url');
  return secretPrefix + bits + checksum(keyId, bits);
}

function checksum(keyId: string, bits: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(`${keyId}.${bits}`));
  return bytes.toString('base64url');
}

const ownSecretPattern = /^slk_([\w-]{43})([\w-]{6})$/;

/** False for a secret of our own form that was mistyped or belongs to another id. */
export function isPlausible(keyId: string, secret: string): boolean {
  if (!secret.startsWith(secretPrefix)) return true;
  const [, bits = '', sum] = ownSecretPattern.exec(secret) ?? [];
  return sum === checksum(keyId, bits);
}

/** What `Authorization: Bearer` carries. */
export const bearerOf = (keyId: string, secret: string): string => `${keyId}.${secret}`;

const bearerPattern = /^(\w{16,128})\.([!-~]{20,128})$/;
/** Id and secret of a bearer key; undefined for what is none. */
export function parseBearer(text: string): { readonly keyId: string; readonly secret: string } | undefined {
  const [, keyId, secret] = bearerPattern.exec(text) ?? [];
  return keyId === undefined || secret === undefined ? undefined : { keyId, secret };
}

/** Something in a URL looks like a secret of ours, where logs of proxies would keep it. */
export const holdsSecret = (url: string): boolean => url.includes(secretPrefix);

export const hashOf = (secret: string): Buffer => hash('sha256', secret, 'buffer');

/** Whether the text is one of the secrets in force. Takes as long for a wrong one as for a right one. */
export function isSecretOf(key: StoredKey | undefined, secret: string, now: Instant): boolean {
  const given = hashOf(secret);
  let isRight = false;
  // A key that nobody has is compared with too, so that it takes no less time.
  for (const stored of key?.secrets ?? nobodysSecrets) {
    const isSame = timingSafeEqual(given, stored.hash);
    if (isSame && isInForce(stored, now)) isRight = true;
  }
  return isRight && key !== undefined && isInForce(key, now);
}

const nobodysSecrets = [{ hash: Buffer.alloc(32), expiresAt: null }] as const;

/** Whether a key or a secret has not ended. */
export const isInForce = ({ expiresAt }: { readonly expiresAt: Instant | null }, now: Instant): boolean =>
  expiresAt === null || now < expiresAt;

export const principalOf = ({ account, keyId, scopes }: StoredKey): Principal => ({ account, id: keyId, scopes });
