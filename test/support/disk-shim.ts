/**
 * The shims between a server and its machine: builds them, tells that of the disk (disk-shim.c) what to do, and reads
 * what it noted. That of the clock is clock-shim.c.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Builds one into the folder. @returns the path of the library */
export function buildShim(folder: string, name: 'disk' | 'clock' = 'disk'): string {
  const source = fileURLToPath(new URL(`${name}-shim.c`, import.meta.url));
  const library = join(folder, `${name}-shim.so`);
  const args = ['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', library, source, '-ldl', '-lpthread'];
  const { error, status, stderr } = spawnSync('gcc', args, { encoding: 'utf8' });
  if (error !== undefined) {
    const advice = `There is no gcc to build test/support/${name}-shim.c with: apt-get install gcc libc6-dev`;
    throw new Error(advice, { cause: error });
  }
  if (status !== 0) throw new Error(`test/support/${name}-shim.c does not build: ${stderr}`);
  return library;
}

export type DiskFault = {
  readonly operation: 'write' | 'sync' | 'truncate' | 'open' | 'unlink';
  /** `short`: half of the bytes are written. `kill`: the process dies in place of the call. */
  readonly error: 'EIO' | 'ENOSPC' | 'short' | 'kill';
  /** Which call of that operation; 1 is the first. */
  readonly nth: number;
  readonly times: 'once' | 'ever';
  /** Only files whose name ends so. */
  readonly suffix?: string;
};

type ShimOptions = {
  /** Where its changes and answers are noted. */
  readonly log?: string;
  readonly fault?: DiskFault;
  /** How much longer each sync takes. */
  readonly syncMs?: number;
};

/** The environment under which a program has the shim. */
export function shimEnvironment(
  library: string,
  folder: string,
  { log, fault, syncMs }: ShimOptions,
): Readonly<Record<string, string>> {
  const told = fault && [fault.operation, fault.error, fault.nth, fault.times, fault.suffix ?? ''].join(':');
  return {
    LD_PRELOAD: library,
    SHIM_FOLDER: folder,
    ...(log === undefined ? {} : { SHIM_LOG: log }),
    ...(told === undefined ? {} : { SHIM_FAULT: told }),
    ...(syncMs === undefined ? {} : { SHIM_SYNC_MS: String(syncMs) }),
  };
}

/** What happened, in the order in which it did. */
export type DiskEvent =
  | { readonly kind: 'create' | 'unlink'; readonly name: string }
  | { readonly kind: 'write'; readonly name: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly name: string; readonly size: number }
  | { readonly kind: 'rename'; readonly name: string; readonly to: string }
  /** The empty name is the folder itself. */
  | { readonly kind: 'sync'; readonly name: string }
  /** A call went wrong, as it was told to. */
  | { readonly kind: 'fault'; readonly name: string; readonly operation: string }
  /** An answer of 2xx left the server. */
  | { readonly kind: 'answer'; readonly requestId: string };

const headBytes = 14;

export function readShimLog(path: string): readonly DiskEvent[] {
  const log = readFileSync(path);
  const events: DiskEvent[] = [];
  for (let at = 0; at < log.byteLength; ) {
    const kind = String.fromCharCode(log.readUInt8(at));
    const nameEnd = at + headBytes + log.readUInt8(at + 1);
    const end = nameEnd + log.readUInt32LE(at + 2);
    const name = log.toString('utf8', at + headBytes, nameEnd);
    events.push(eventOf(kind, name, Number(log.readBigInt64LE(at + 6)), log.subarray(nameEnd, end)));
    at = end;
  }
  return events;
}

function eventOf(kind: string, name: string, offset: number, bytes: Buffer): DiskEvent {
  switch (kind) {
    case 'c':
      return { kind: 'create', name };
    case 'u':
      return { kind: 'unlink', name };
    case 'w':
      return { kind: 'write', name, offset, bytes };
    case 't':
      return { kind: 'truncate', name, size: offset };
    case 'r':
      return { kind: 'rename', name, to: bytes.toString() };
    case 's':
      return { kind: 'sync', name };
    case 'f':
      return { kind: 'fault', name, operation: bytes.toString() };
    case 'a':
      return { kind: 'answer', requestId: /\r\nx-request-id: (\S+)\r\n/i.exec(bytes.toString('latin1'))?.[1] ?? '' };
    default:
      throw new Error(`The log of the shim has a record of kind ${JSON.stringify(kind)}.`);
  }
}
