/** Memory that requests share: each may hold some of it, and what would be too much is refused. */
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';

/** Who holds some of it. */
export type Holder = { heldBytes: number };

export type Room = {
  /**
   * From now on the holder has so many bytes in all; less than before gives room back. What is alone may have all threads'
   * room, since the part of one may be less than the largest body.
   * @returns overloaded when it is more than before and there is no room
   */
  readonly hold: (holder: Holder, bytes: number) => Fault | undefined;
  /** The same for what is there already: it counts, and is not refused. */
  readonly keep: (holder: Holder, bytes: number) => void;
  readonly release: (holder: Holder) => void;
  /** How much there is for one more large one. */
  readonly freeBytes: () => number;
  /** Whether a small one may find none. */
  readonly isFull: () => boolean;
  /** What all of them hold. */
  readonly heldBytes: () => number;
};

type Bounds = { readonly bytesMax: number; readonly largeBytesMax: number };

/**
 * @param largeBytesMax large ones leave some room, so that a few slow clients do not shut out everybody's small ones
 * @param shareCount how many share the memory; this one gets its part
 */
export function sharedRoom({ bytesMax, largeBytesMax }: Bounds, shareCount: number): Room {
  let heldBytes = 0;
  const keep = (holder: Holder, bytes: number) => {
    heldBytes += bytes - holder.heldBytes;
    holder.heldBytes = bytes;
  };
  const partOf = (bytes: number, isAlone: boolean) => bytes / (isAlone ? 1 : shareCount);
  return {
    hold(holder, bytes) {
      const others = heldBytes - holder.heldBytes;
      const most = bytes > limits.smallBodyBytesMax ? largeBytesMax : bytesMax;
      const isMore = bytes > holder.heldBytes;
      if (isMore && others + bytes > partOf(most, others === 0)) return Fault.of('overloaded', {});
      keep(holder, bytes);
      return undefined;
    },
    keep,
    release: (holder) => keep(holder, 0),
    freeBytes: () => Math.max(0, partOf(largeBytesMax, heldBytes === 0) - heldBytes),
    isFull: () => heldBytes + limits.smallBodyBytesMax > partOf(bytesMax, heldBytes === 0),
    heldBytes: () => heldBytes,
  };
}
