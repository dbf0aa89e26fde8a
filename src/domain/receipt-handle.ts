/**
 * Receipt handles: a receipt, sealed so that only this data set's own handles open.
 *
 * Layout, 36 bytes as 48 characters of base64url: version (1), queue (5), message (6), receive (4),
 * reserved (4), HMAC-SHA256 over the former, cut to 16 bytes. A garbage handle costs one HMAC and no read.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
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
  // Made once: from raw bytes Node makes a key anew for each HMAC, 17 microseconds instead of 3.
  const key = createSecretKey(secret);
  const mac = (plain: Uint8Array): Buffer => createHmac('sha256', key).update(plain).digest().subarray(0, sealBytes);
  return {
    seal(receipt) {
      const bytes = Buffer.alloc(plainBytes + sealBytes);
      bytes.writeUInt8(version, 0);
      bytes.writeUIntBE(receipt.queueId, 1, 5);
      bytes.writeUIntBE(receipt.message, 6, 6);
      bytes.writeUInt32BE(receipt.receive, 12);
      mac(bytes.subarray(0, plainBytes)).copy(bytes, plainBytes);
      return bytes.toString('base64url');
    },
    open(handle) {
      if (!handlePattern.test(handle)) return fault('receiptInvalid', {});
      const bytes = Buffer.from(handle, 'base64url');
      const genuine = timingSafeEqual(mac(bytes.subarray(0, plainBytes)), bytes.subarray(plainBytes));
      if (!genuine || bytes.readUInt8(0) !== version) return fault('receiptInvalid', {});
      return {
        queueId: bytes.readUIntBE(1, 5),
        message: bytes.readUIntBE(6, 6),
        receive: bytes.readUInt32BE(12),
      };
    },
  };
}
