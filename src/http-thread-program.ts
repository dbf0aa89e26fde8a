/**
 * A further HTTP thread: a frontend of its own on the port and the storage of the process. The upkeep loop, the metrics
 * of the whole and the end of the process are the main thread's.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Upkeep } from './broker/upkeep.ts';
import { clockFrom } from './clock.ts';
import { createFrontend } from './frontend.ts';
import { answerTo, type HttpThreadData, type HttpThreadHears, type HttpThreadSays } from './http-threads.ts';
import { randomIds } from './ids.ts';
import { openLog } from './log.ts';
import { type Counted, createCounts, metricsContentType } from './metrics/metrics.ts';
import { watchWriter } from './process-end.ts';
import { joinSqlite } from './storage/sqlite/engine.ts';

const parent = parentPort;
if (parent === null) throw new Error('This file runs as a thread.');
const say = (message: HttpThreadSays, transfer: MessagePort[] = []): void => parent.postMessage(message, transfer);

const { config, port, share, monotonicZeroAt, masterKey } = workerData as HttpThreadData;
const log = openLog(config);
const clock = clockFrom(monotonicZeroAt);
const storage = joinSqlite(share, clock.elapsedMs);
const counts = createCounts();

const upkeep: Upkeep = {
  start: () => undefined,
  stop: async () => undefined,
  expect: (at) => say({ says: 'expect', at }),
};

/** Whichever thread is scraped, the answer tells of all. */
const render = async (): Promise<string> =>
  (await answerTo<string>((reply) => say({ says: 'render', reply }, [reply]))) ?? '';

const frontend = await createFrontend({
  config,
  log,
  storage,
  clock,
  ids: randomIds(),
  masterKey,
  upkeep,
  metricsOf: () => ({ ...counts, render, contentType: metricsContentType }),
  prepareKeys: ({ keys }) => keys.load(),
});

parent.on('message', async (message: HttpThreadHears) => {
  switch (message.hears) {
    case 'count': {
      const figures = { ...storage.health(), longPollCount: frontend.broker.waiters.count() };
      return message.reply.postMessage({ series: await counts.counted(), figures } satisfies Counted);
    }
    case 'stop':
      await frontend.stop();
      await storage.close();
      // In a thread, pino does not write what is left by itself.
      return log.flush(() => process.exit());
  }
});

// What is thrown here ends the process: the main thread sees only the requests of its own.
watchWriter(
  clock,
  () => storage.health().stalledMs,
  (cause) => {
    throw cause;
  },
);

await frontend.listen(port);
say({ says: 'serving' });
