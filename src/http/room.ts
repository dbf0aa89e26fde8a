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
  readonly release: (holder: Holder) => void;
  /** How much there is for one more large one. */
  readonly freeBytes: () => number;
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
  const partOf = (bytes: number, isAlone: boolean) => bytes / (isAlone ? 1 : shareCount);
  return {
    hold(holder, bytes) {
      const others = heldBytes - holder.heldBytes;
      const most = bytes > limits.smallBodyBytesMax ? largeBytesMax : bytesMax;
      const isMore = bytes > holder.heldBytes;
      if (isMore && others + bytes > partOf(most, others === 0)) return Fault.of('overloaded', {});
      heldBytes = others + bytes;
      holder.heldBytes = bytes;
      return undefined;
    },
    release(holder) {
      heldBytes -= holder.heldBytes;
      holder.heldBytes = 0;
    },
    freeBytes: () => Math.max(0, partOf(largeBytesMax, heldBytes === 0) - heldBytes),
    heldBytes: () => heldBytes,
  };
}
