/** SQLite engines for tests: in memory, and in a folder of their own that goes away with the storage. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ids } from '../../src/ids.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { countingIds } from './ids.ts';
import { recordingLog } from './log.ts';
import { type Engine, type EngineOptions, trialStart } from './storage.ts';

type Place = {
  readonly directory: string;
  readonly ids: Ids;
  readonly hasOwnThread: boolean;
  readonly options: EngineOptions;
};

const openAt = ({ options, ...place }: Place): Promise<Storage> =>
  openSqlite({ ...place, ...options, log: recordingLog(), now: trialStart });

export const memoryEngine: Engine = {
  name: 'sqlite in memory',
  open: (options = {}) => openAt({ directory: ':memory:', ids: countingIds(), hasOwnThread: false, options }),
};

/** Where each storage lives, so that it can be opened again and removed. */
const places = new WeakMap<Storage, Place>();

const onFile = (name: string, hasOwnThread: boolean, folder = tmpdir()): Engine => ({
  name,
  async open(options = {}) {
    const directory = await mkdtemp(join(folder, 'sluice-'));
    const place = { directory, ids: countingIds(), hasOwnThread, options };
    const storage = await openAt(place);
    places.set(storage, place);
    return storage;
  },
  async reopen(storage) {
    const place = placeOf(storage);
    await storage.close();
    const reopened = await openAt(place);
    places.set(reopened, place);
    return reopened;
  },
  async discard(storage) {
    await rm(placeOf(storage).directory, { recursive: true, force: true });
  },
});

export const fileEngine = onFile('sqlite in a file', false);
/** A file that can be opened again, and whose syncs cost nothing: for many and short lives. */
export const memoryFileEngine = onFile('sqlite in a file in memory', false, '/dev/shm');
/** As a server runs it; slow to open, so it is for the deep tests. */
export const threadEngine = onFile('sqlite in a file with a thread for its writer', true);

function placeOf(storage: Storage): Place {
  const place = places.get(storage);
  if (place === undefined) throw new Error('This storage was not opened here.');
  return place;
}
