/**
 * How the process ends when it must, and what makes it: a writer that is silent is a disk that hangs, or a bug; a
 * restart finds out, and nothing that was acknowledged is lost by it.
 */
import type { Cancel, Clock } from './clock.ts';
import { secondsAfter } from './domain/instant.ts';
import { limits } from './domain/limits.ts';

/** What the last write of the log gets to finish: it is under way on a thread that ends with the program. */
const lastWordsMs = 500;

/**
 * Ends the process with 1. Node's own exit waits for threads, for ever where one hangs in a call of the system; and the
 * first process of a container cannot kill itself. So the program is replaced by one that only fails.
 */
export function endAtOnce(): never {
  process.on('exit', () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, lastWordsMs);
    process.execve?.(process.execPath, ['node', '--eval', 'process.exitCode = 1'], {});
  });
  process.exit(1);
}

/** Tells once when work has waited too long for the writer. @param stalledMs how long it has been silent with work waiting */
export function watchWriter(clock: Clock, stalledMs: () => number, tell: (cause: Error) => void): Cancel {
  const look = () => {
    const silentMs = stalledMs();
    if (silentMs <= limits.writerSilentSecondsMax * 1_000) cancel = arm();
    else tell(new Error(`The writer has not answered for ${Math.round(silentMs)} ms.`));
  };
  const arm = () => clock.at(secondsAfter(clock.now(), limits.writerLookedAtSeconds), look);
  let cancel = arm();
  return () => cancel();
}
