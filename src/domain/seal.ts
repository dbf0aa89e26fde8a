/**
 * Secrets at rest: AES-256-GCM under a key that is derived from the master key.
 *
 * Layout: version (1), fingerprint of the master key (8), initialisation vector (12), ciphertext, tag (16). What the
 * secret belongs to is bound to it (associated data), so that a row copied onto another opens nothing. The fingerprint
 * tells "another master key" from "damaged".
 * @see https://csrc.nist.gov/pubs/sp/800/38/d/final
 */
import { createCipheriv, createDecipheriv, hash, hkdfSync } from 'node:crypto';

const version = 1;
const fingerprintBytes = 8;
const ivBytes = 12;
const tagBytes = 16;
const headBytes = 1 + fingerprintBytes + ivBytes;

/** Bytes of a master key. */
export const masterKeyBytes = 32;

export type Seal = {
  /** @param iv 12 random bytes, never used again */
  readonly seal: (secret: string, boundTo: string, iv: Uint8Array) => Uint8Array;
  /** @returns undefined for what another master key sealed, what is damaged or bound to something else */
  readonly open: (sealed: Uint8Array, boundTo: string) => string | undefined;
  /** Whether this master key sealed it. */
  readonly isOurs: (sealed: Uint8Array) => boolean;
};

export const sealIvBytes = ivBytes;

export function secretSeal(masterKey: Uint8Array): Seal {
  const key = Buffer.from(hkdfSync('sha256', masterKey, '', 'sluice: secrets of access keys', 32));
  const fingerprint = hash('sha256', key, 'buffer').subarray(0, fingerprintBytes);
  const isOurs = (sealed: Uint8Array) =>
    sealed[0] === version && fingerprint.equals(sealed.subarray(1, 1 + fingerprintBytes));
  return {
    seal(secret, boundTo, iv) {
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(boundTo));
      const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.of(version), fingerprint, iv, text, cipher.getAuthTag()]);
    },
    open(sealed, boundTo) {
      if (sealed.length < headBytes + tagBytes || !isOurs(sealed)) return undefined;
      const iv = sealed.subarray(1 + fingerprintBytes, headBytes);
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes });
      decipher.setAAD(Buffer.from(boundTo)).setAuthTag(sealed.subarray(sealed.length - tagBytes));
      try {
        return (
          decipher.update(sealed.subarray(headBytes, sealed.length - tagBytes), undefined, 'utf8') +
          decipher.final('utf8')
        );
      } catch {
        return undefined;
      }
    },
    isOurs,
  };
}

/** A master key as people write it: 64 hexadecimal digits, or 32 bytes in base64. @returns undefined for anything else */
export function parseMasterKey(text: string): Buffer | undefined {
  const trimmed = text.trim();
  if (/^[0-9a-f]{64}$/i.test(trimmed)) return Buffer.from(trimmed, 'hex');
  return /^[\w+/-]{43}=?$/.test(trimmed) ? Buffer.from(trimmed, 'base64') : undefined;
}
