/**
 * Checkpoints: copying the write-ahead log into the database file, between two batches, so that no answer waits for it.
 * Each makes the commit horizon durable, too: after a power cut it lags behind by no more than the log has grown since.
 *
 * SQLite's own checkpoint within a commit stays as a fallback (see database.ts).
 */
import type { Db } from './database.ts';

/** Pages of the log, of 4 KiB each, after which it is copied: 16 MiB. */
export const checkpointPages = 4_096;
/** When somebody's long read held up a checkpoint, the next is tried after so many more: 4 MiB. */
const retryPages = 1_024;

/** What SQLite answers: whether somebody was in the way, pages in the log, pages of them that are copied. */
type LogState = readonly [busy: number, pages: number, copied: number];

/** @returns a function that copies the log if it has grown enough. @returns whether it did */
export function createCheckpoints(db: Db): () => boolean {
  // Looks and copies nothing: a microsecond and a half.
  const look = db.prepare<[], LogState>('pragma wal_checkpoint(noop)').raw();
  const copy = db.prepare<[], LogState>('pragma wal_checkpoint(passive)').raw();
  let triedAtPages = 0;
  return () => {
    const [, pages] = look.get() ?? [0, 0, 0];
    // A log that was copied whole is written from its beginning again.
    if (pages < triedAtPages) triedAtPages = 0;
    if (pages < checkpointPages || (triedAtPages > 0 && pages < triedAtPages + retryPages)) return false;
    triedAtPages = pages;
    copy.get();
    return true;
  };
}
