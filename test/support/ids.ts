/** Ids without chance: the same calls give the same ids in every run. */
import { createHash } from 'node:crypto';
import { v4, v7 } from 'uuid';
import type { Ids } from '../../src/ids.ts';

export function countingIds(): Ids {
  let count = 0;
  const bytes = (length: number): Uint8Array => {
    count += 1;
    const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, block) =>
      createHash('sha256').update(`${count}/${block}`).digest(),
    );
    return Buffer.concat(blocks).subarray(0, length);
  };
  return {
    uuid: (at) => v7({ msecs: at, random: bytes(16), seq: count }),
    requestId: () => v4({ random: bytes(16) }),
    salt() {
      count += 1;
      return count % 2 ** 26;
    },
    secret: bytes,
  };
}
