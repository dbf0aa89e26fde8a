/** Message ids as bytes, as hexadecimal digits and as text. */
import { describe, expect, it } from 'vitest';
import { instant } from '../../../src/domain/instant.ts';
import { bytesOfId, makeMessageId, parseMessageId, uuidText } from '../../../src/storage/sqlite/message-id.ts';

const id = makeMessageId(instant(0x0197_f3a2_6c1e), 2 ** 48 - 2, 0x3ff_ffff);
const text = '0197f3a2-6c1e-7fff-bfff-fffffffffffe';
const hex = text.replaceAll('-', '');

describe('a message id', () => {
  it('is the same text from its bytes and from their digits', () => {
    expect([uuidText(id), uuidText(hex)]).toEqual([text, text]);
  });

  it('is read back from its text, with the number in it', () => {
    expect(parseMessageId(text)).toEqual({ hex, number: 2 ** 48 - 2 });
    expect(parseMessageId('no id')).toBeUndefined();
  });

  it('is bytes again, and one that was cut is not made whole by the id before it', () => {
    expect(bytesOfId(hex)).toEqual(id);
    expect(bytesOfId(hex.slice(0, -2))).toEqual(id.subarray(0, 15));
  });
});
