/** A disk whose fsync takes longer: a small library, built when it is needed, that is loaded before libc. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const slowFsyncMs = 5;

/** The environment of a server on a slow disk; undefined where there is no compiler, or another system. */
export function slowDisk(directory: string): Readonly<Record<string, string>> | undefined {
  if (process.platform !== 'linux') return undefined;
  const library = join(directory, 'slow-fsync.so');
  const source = fileURLToPath(new URL('slow-fsync.c', import.meta.url));
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  return { LD_PRELOAD: library, SLOW_FSYNC_US: String(slowFsyncMs * 1_000) };
}
