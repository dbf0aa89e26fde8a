/**
 * A disk that loses its power: fed with what a program did to it, in order, it tells what may be left at any point.
 *
 * Content is durable when its file was synced after it was written; a name is durable when its folder was synced after it
 * was given or taken. Of everything else, anything may be there or not: that is stricter than any one file system.
 */
import type { DiskEvent } from './disk-shim.ts';

/** What a power cut leaves of the changes that were not synced. */
export const crashModels = ['none', 'all', 'prefix', 'subset', 'torn'] as const;
export type CrashModel = (typeof crashModels)[number];

/** A disk writes whole sectors. */
const sectorBytes = 512;

/** A file apart from its name: renamed it is the same, removed and made again it is another. */
type Inode = number;
type Change =
  | { readonly kind: 'link'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly name: string }
  | { readonly kind: 'write'; readonly inode: Inode; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly inode: Inode; readonly size: number };

/** Names and contents. */
class Image {
  readonly names: Map<string, Inode>;
  readonly #contents: Map<Inode, Buffer>;
  readonly #sizes: Map<Inode, number>;
  /** Whose bytes are ours to change: a copy shares them with its original until it writes. */
  readonly #owned: Set<Inode>;

  constructor(from?: Image) {
    this.names = new Map(from?.names);
    this.#contents = new Map(from === undefined ? [] : from.#contents);
    this.#sizes = new Map(from === undefined ? [] : from.#sizes);
    this.#owned = new Set();
  }

  change(change: Change): void {
    switch (change.kind) {
      case 'link':
        this.names.set(change.name, change.inode);
        return;
      case 'unlink':
        this.names.delete(change.name);
        return;
      case 'write':
        return this.#write(change);
      case 'truncate':
        return this.#truncate(change.inode, change.size);
    }
  }

  files(): ReadonlyMap<string, Buffer> {
    const nothing = Buffer.alloc(0);
    return new Map(
      [...this.names].map(([name, inode]) => [
        name,
        this.#contents.get(inode)?.subarray(0, this.#sizes.get(inode)) ?? nothing,
      ]),
    );
  }

  #write({ inode, offset, bytes }: Extract<Change, { kind: 'write' }>): void {
    const end = offset + bytes.byteLength;
    this.#ownUpTo(inode, end);
    this.#sizes.set(inode, Math.max(end, this.#sizes.get(inode) ?? 0));
    bytes.copy(this.#contents.get(inode) ?? Buffer.alloc(0), offset);
  }

  #truncate(inode: Inode, size: number): void {
    this.#ownUpTo(inode, size);
    this.#contents.get(inode)?.fill(0, size);
    this.#sizes.set(inode, size);
  }

  /** Room for so many bytes that nobody else sees. It doubles, so that a file that grows is not copied at each write. */
  #ownUpTo(inode: Inode, size: number): void {
    const present = this.#contents.get(inode);
    if (this.#owned.has(inode) && present !== undefined && present.byteLength >= size) return;
    const room = Buffer.alloc(Math.max(size, this.#owned.has(inode) ? 2 * size : 0, present?.byteLength ?? 0));
    present?.copy(room);
    this.#contents.set(inode, room);
    this.#owned.add(inode);
  }
}

export class CrashDisk {
  readonly #durable = new Image();
  #pending: Change[] = [];
  /** Names as the running program sees them. */
  readonly #present = new Map<string, Inode>();
  #inodeCount = 0;

  take(event: DiskEvent): void {
    switch (event.kind) {
      case 'create':
        this.#inodeCount += 1;
        this.#present.set(event.name, this.#inodeCount);
        this.#pending.push({ kind: 'link', name: event.name, inode: this.#inodeCount });
        return;
      case 'unlink':
        this.#present.delete(event.name);
        this.#pending.push({ kind: 'unlink', name: event.name });
        return;
      case 'rename': {
        const inode = this.#inodeOf(event.name);
        this.#present.delete(event.name);
        this.#present.set(event.to, inode);
        this.#pending.push({ kind: 'link', name: event.to, inode }, { kind: 'unlink', name: event.name });
        return;
      }
      case 'write':
      case 'truncate': {
        const { name, ...change } = event;
        this.#pending.push({ ...change, inode: this.#inodeOf(name) });
        return;
      }
      case 'sync':
        return this.#sync(event.name);
      case 'answer':
      case 'fault':
        return;
    }
  }

  /** The files that a cut at this point may leave: one of many such sets, except for `none` and `all`. */
  cut(model: CrashModel, random: () => number): ReadonlyMap<string, Buffer> {
    const image = new Image(this.#durable);
    for (const change of chosen(this.#pending, model, random)) image.change(change);
    return image.files();
  }

  #sync(name: string): void {
    const inode = name === '' ? undefined : this.#inodeOf(name);
    const isSynced = (change: Change) =>
      ('inode' in change && change.kind !== 'link' ? change.inode : undefined) === inode;
    for (const change of this.#pending.filter(isSynced)) this.#durable.change(change);
    this.#pending = this.#pending.filter((change) => !isSynced(change));
  }

  #inodeOf(name: string): Inode {
    const inode = this.#present.get(name);
    if (inode === undefined) throw new Error(`${name} was changed before it was made.`);
    return inode;
  }
}

function chosen(changes: readonly Change[], model: CrashModel, random: () => number): readonly Change[] {
  switch (model) {
    case 'none':
      return [];
    case 'all':
      return changes;
    case 'prefix':
      return changes.slice(0, Math.floor(random() * (changes.length + 1)));
    case 'subset':
      return changes.filter(() => random() < 0.5);
    case 'torn':
      return changes.flatMap((change) =>
        change.kind === 'write' ? sectors(change).filter(() => random() < 0.5) : random() < 0.5 ? [change] : [],
      );
  }
}

/** A write, cut where a disk may stop in the middle of it. */
function sectors(change: Extract<Change, { kind: 'write' }>): readonly Change[] {
  const cut: Change[] = [];
  for (let from = 0; from < change.bytes.byteLength; ) {
    const offset = change.offset + from;
    const end = Math.min(from + sectorBytes - (offset % sectorBytes), change.bytes.byteLength);
    cut.push({ ...change, offset, bytes: change.bytes.subarray(from, end) });
    from = end;
  }
  return cut;
}
