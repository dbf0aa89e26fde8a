/**
 * The data directory: who may use it, and the files beside the database.
 *
 * No `fs` call ever opens the database, its -wal or its -shm: closing such a descriptor drops SQLite's POSIX locks in
 * the whole process. What stands here touches other files only, or asks the file system without opening.
 *
 *     sluice.db (-wal, -shm)   the data
 *     lock.db                  held exclusively by the running server; the kernel lets go of it at a crash
 *     horizon                  the number of the newest acknowledged commit
 *     master.key               seals the secrets of access keys, unless the operator gives a master key
 *     reserve                  space given back when the disk is full, so that deletes still find room
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import Database from 'better-sqlite3';
import { StartupError } from '../startup-error.ts';

/** Creates the directory if need be, private to its owner, and makes its name durable. @throws StartupError */
export function prepareDirectory(directory: string): string {
  const path = resolve(directory);
  try {
    makeDirectory(path);
  } catch (error) {
    throw new StartupError(
      `The data directory ${path} cannot be created: ${messageOf(error)}. Give the server one that it may write to (SLUICE_DATA_DIR).`,
      { cause: error },
    );
  }
  return path;
}

/** Part by part: Node's own recursion never ends below /proc, where what is missing cannot be made. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, 0o700);
  syncDirectory(dirname(path));
}

export const databasePath = (directory: string): string => join(directory, 'sluice.db');

/** Who only asks whether the directory is served holds the lock for an instant. */
const lockWaitMs = 250;

/** Holds the directory for this process until the returned function is called. @throws StartupError when another has it */
export function lockDirectory(directory: string): () => void {
  let db: Database.Database | undefined;
  try {
    db = new Database(join(directory, 'lock.db'), { timeout: lockWaitMs });
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec(
      'begin exclusive; create table if not exists lock (id integer primary key) strict; commit; begin exclusive',
    );
  } catch (error) {
    db?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new StartupError(
        `Another Sluice server is running on the data directory ${directory}. Stop it first, or give this one another directory (SLUICE_DATA_DIR).`,
      );
    }
    throw new StartupError(
      `The data directory ${directory} cannot be used: ${messageOf(error)}. It must be a folder in which this user may write.`,
      { cause: error },
    );
  }
  const held = db;
  return () => held.close();
}

/** Whether a server holds the directory now. To be asked by another process than the server's. */
export function isServed(directory: string): boolean {
  const path = join(directory, 'lock.db');
  if (!existsSync(path)) return false;
  const db = new Database(path, { readonly: true, timeout: 0 });
  try {
    db.prepare('select count(*) from sqlite_schema').get();
    return false;
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) return true;
    throw error;
  } finally {
    db.close();
  }
}

export const hasDatabase = (directory: string): boolean => existsSync(databasePath(directory));
export const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

const horizonBytes = 32;

/**
 * The commit horizon: written after each commit and before its answers, synced with each checkpoint. After a power cut it
 * may lag behind the database, but it can never be ahead of it unless acknowledged commits are missing: a deleted or
 * damaged -wal file, an old copy put back, a disk that lied.
 */
export type Horizon = {
  readonly write: (commitNumber: number) => void;
  readonly sync: () => void;
  readonly close: () => void;
};

/** The horizon on disk; undefined when there is none or it is damaged (then it proves nothing). */
export function readHorizon(directory: string): { readonly epoch: Buffer; readonly commitNumber: number } | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(join(directory, 'horizon'));
  } catch {
    return undefined;
  }
  if (bytes.length !== horizonBytes || bytes.readUInt32BE(28) !== crc32(bytes.subarray(0, 28))) return undefined;
  return { epoch: bytes.subarray(0, 16), commitNumber: Number(bytes.readBigUInt64BE(16)) };
}

export type HorizonTrouble = 'missing' | 'damaged';

/** A look that falls into a write of the server may see half of it. */
const horizonLooksMax = 3;

/** Why the horizon proves nothing: acknowledged commits could be missing, and nobody would know. Undefined: it proves. */
export function horizonTrouble(directory: string): HorizonTrouble | undefined {
  for (let looks = 0; looks < horizonLooksMax; looks += 1) if (readHorizon(directory) !== undefined) return undefined;
  return existsSync(join(directory, 'horizon')) ? 'damaged' : 'missing';
}

export function openHorizon(directory: string, epoch: Uint8Array): Horizon {
  const file = openSync(join(directory, 'horizon'), 'a+', 0o600);
  closeSync(file);
  const fd = openSync(join(directory, 'horizon'), 'r+');
  const bytes = Buffer.alloc(horizonBytes);
  bytes.set(epoch, 0);
  return {
    write(commitNumber) {
      bytes.writeBigUInt64BE(BigInt(commitNumber), 16);
      bytes.writeUInt32BE(crc32(bytes.subarray(0, 28)), 28);
      if (writeSync(fd, bytes, 0, horizonBytes, 0) < horizonBytes) throw new Error('The horizon was written in part.');
    },
    sync: () => fdatasyncSync(fd),
    close: () => closeSync(fd),
  };
}

const reserveBytes = 16 * 1_048_576;

/** Space kept aside: given up when the disk is full, taken back when there is room again. */
export type Reserve = {
  /** Gives the space back to the file system. */
  readonly release: () => void;
  /** Takes it again if the disk has room for twice as much. @returns whether it is held now */
  readonly restore: () => boolean;
};

export function openReserve(directory: string): Reserve {
  const path = join(directory, 'reserve');
  const isHeld = () => {
    try {
      return statSync(path).size === reserveBytes;
    } catch {
      return false;
    }
  };
  return {
    release: () => rmSync(path, { force: true }),
    restore() {
      if (isHeld()) return true;
      if (freeBytes(directory) < 2 * reserveBytes) return false;
      try {
        writeReserve(path);
      } catch {
        // Without it the server works as well, until the disk is full.
        rmSync(path, { force: true });
        return false;
      }
      return true;
    },
  };
}

/** Random bytes, so that no file system stores them as a hole or squeezes them; in pieces, to spare memory. */
function writeReserve(path: string): void {
  const fd = openSync(path, 'w', 0o600);
  try {
    const piece = randomBytes(reserveBytes / 64);
    for (let written = 0; written < reserveBytes; written += piece.byteLength) writeSync(fd, piece);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Bytes of the write-ahead log: a stat opens nothing. */
export function walBytes(directory: string): number {
  try {
    return statSync(`${databasePath(directory)}-wal`).size;
  } catch {
    return 0;
  }
}

export const freeBytes = (directory: string): number => {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
};

/** File systems whose locks or syncs cannot be trusted, as Linux numbers them.
 *  @see https://www.sqlite.org/useovernet.html and statfs(2) */
const networkFileSystems = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
  [0x65735546, 'FUSE'],
]);

/** The name of the network file system that the directory lies on, if it does. */
export const networkFileSystem = (directory: string): string | undefined =>
  // Where the system's word is short, some of the numbers come as negative ones.
  networkFileSystems.get(statfsSync(directory).type >>> 0);

/** @throws StartupError */
export function requireLocalFileSystem(directory: string): void {
  const name = networkFileSystem(directory);
  if (name === undefined) return;
  throw new StartupError(
    `The data directory ${directory} is on ${name}, a file system whose locks and syncs cannot be trusted: acknowledged messages may be lost. Give it a local disk (SLUICE_DATA_DIR), or set SLUICE_ALLOW_NETWORK_FS=true to start all the same.`,
  );
}

/**
 * The master key that lies beside the data, made when it is missing: 64 hexadecimal digits, for its owner's eyes only.
 * @param make 32 random bytes
 * @throws StartupError when others can read it, or it cannot be read or made
 */
export function masterKeyFile(directory: string, make: () => Uint8Array): string {
  const path = join(prepareDirectory(directory), 'master.key');
  try {
    if (existsSync(path)) {
      if ((statSync(path).mode & 0o077) !== 0) throw new Error('others may read it; right would be mode 0600');
      return readFileSync(path, 'utf8');
    }
    const text = Buffer.from(make()).toString('hex');
    const fd = openSync(path, 'wx', 0o600);
    writeSync(fd, `${text}\n`);
    fsyncSync(fd);
    closeSync(fd);
    syncDirectory(dirname(path));
    return text;
  } catch (error) {
    throw new StartupError(`The master key ${path} cannot be used: ${messageOf(error)}.`, { cause: error });
  }
}

/** Makes the names in it durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
