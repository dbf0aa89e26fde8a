/**
 * Receipt handles: a receipt, sealed so that only this data set's own handles open.
 *
 * Layout, 36 bytes as 48 characters of base64url: version (1), queue (5), message (6), receive (4),
 * reserved (4), HMAC-SHA256 over the former, cut to 16 bytes. A garbage handle costs one HMAC and no read.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { type FaultData, fault } from './errors.ts';
import type { Receipt } from './message.ts';

const version = 1;
const plainBytes = 20;
const sealBytes = 16;
const handlePattern = /^[A-Za-z0-9_-]{48}$/;

export type ReceiptSeal = {
  readonly seal: (receipt: Receipt) => string;
  /** @returns the receipt, or receiptInvalid for anything that this data set did not seal */
  readonly open: (handle: string) => Receipt | FaultData;
};

/** @param secret 32 random bytes that live as long as the data */
export function receiptSeal(secret: Uint8Array): ReceiptSeal {
  const mac = hmac(secret);
  // One place for all of them: a handle is text again before the next one is begun.
  const bytes = Buffer.alloc(plainBytes + sealBytes);
  const plain = bytes.subarray(0, plainBytes);
  const given = bytes.subarray(plainBytes);
  const expected = Buffer.alloc(sealBytes);
  return {
    seal(receipt) {
      bytes.writeUInt8(version, 0);
      bytes.writeUIntBE(receipt.queueId, 1, 5);
      bytes.writeUIntBE(receipt.message, 6, 6);
      bytes.writeUInt32BE(receipt.receive, 12);
      bytes.writeUInt32BE(0, 16);
      given.write(mac(plain), 'latin1');
      return bytes.toString('base64url');
    },
    open(handle) {
      if (!handlePattern.test(handle)) return fault('receiptInvalid', {});
      bytes.write(handle, 'base64url');
      expected.write(mac(plain), 'latin1');
      const isGenuine = timingSafeEqual(expected, given);
      if (!isGenuine || bytes.readUInt8(0) !== version) return fault('receiptInvalid', {});
      return {
        queueId: bytes.readUIntBE(1, 5),
        message: bytes.readUIntBE(6, 6),
        receive: bytes.readUInt32BE(12),
      };
    },
  };
}

const blockBytes = 64;
const digestBytes = 32;

/**
 * HMAC-SHA256 over the plain part of a handle, as latin1 text, made of two one-shot digests. Every message is sealed once
 * and opened once: 3.2 and 1.9 microseconds in all, where Node's Hmac object makes them 6.0 and 4.6.
 * @see https://www.rfc-editor.org/rfc/rfc2104
 */
function hmac(secret: Uint8Array): (plain: Uint8Array) => string {
  const inner = Buffer.alloc(blockBytes + plainBytes, 0x36);
  const outer = Buffer.alloc(blockBytes + digestBytes, 0x5c);
  for (const [i, byte] of secret.entries()) {
    inner[i] = 0x36 ^ byte;
    outer[i] = 0x5c ^ byte;
  }
  return (plain) => {
    inner.set(plain, blockBytes);
    outer.write(hash('sha256', inner, 'binary'), blockBytes, 'latin1');
    return hash('sha256', outer, 'binary');
  };
}
