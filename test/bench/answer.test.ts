/** How the load generator finds the end of an answer, whatever the pieces it arrives in. */
import { describe, expect, it } from 'vitest';
import { answerIn } from '../../bench/connection.ts';

const answers = [
  { name: 'of a length', text: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', body: 'hello' },
  { name: 'without a body', text: 'HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n', body: '' },
  {
    name: 'in chunks',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nb;note=1\r\n, you there\r\n0\r\n\r\n',
    body: 'hello, you there',
  },
  { name: 'of no chunk', text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', body: '' },
];

describe('an answer', () => {
  it.each(answers)('$name is whole with its last byte, and asks for more before', ({ text, body }) => {
    const bytes = Buffer.from(text);
    const whole = answerIn(bytes);
    expect(typeof whole === 'number' ? whole : whole.body.toString()).toBe(body);
    for (let length = 0; length < bytes.byteLength; length += 1) {
      const needed = answerIn(bytes.subarray(0, length));
      if (typeof needed !== 'number') throw new Error(`Taken for whole after ${length} bytes.`);
      expect(needed).toBeGreaterThan(length);
      expect(needed).toBeLessThanOrEqual(bytes.byteLength);
    }
  });
});
