import { createHmac, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { receiptSeal } from '../../src/domain/receipt-handle.ts';

const receipt = { queueId: 2 ** 40 - 1, message: 2 ** 48 - 1, receive: 2 ** 32 - 1 };
const invalid = { fault: 'receiptInvalid', facts: {} };

describe('a receipt handle', () => {
  it('is sealed with HMAC-SHA256, cut to 16 bytes', () => {
    const secret = randomBytes(32);
    const bytes = Buffer.from(receiptSeal(secret).seal(receipt), 'base64url');
    const expected = createHmac('sha256', secret).update(bytes.subarray(0, 20)).digest().subarray(0, 16);
    expect(bytes.subarray(20)).toEqual(expected);
  });

  it('opens to the receipt that was sealed, at the bounds as well', () => {
    const seal = receiptSeal(randomBytes(32));
    expect(seal.open(seal.seal(receipt))).toEqual(receipt);
    const least = { queueId: 0, message: 0, receive: 0 };
    expect(seal.open(seal.seal(least))).toEqual(least);
  });

  it('does not open when any bit of it is another', () => {
    const seal = receiptSeal(randomBytes(32));
    const bytes = Buffer.from(seal.seal(receipt), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const other = Buffer.from(bytes);
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(seal.open(other.toString('base64url'))).toEqual(invalid);
    }
  });

  it('does not open with the secret of other data, nor as garbage', () => {
    const handle = receiptSeal(randomBytes(32)).seal(receipt);
    const seal = receiptSeal(randomBytes(32));
    for (const text of [handle, '', handle.slice(1), `${handle}A`, 'ä'.repeat(48)])
      expect(seal.open(text)).toEqual(invalid);
  });
});
