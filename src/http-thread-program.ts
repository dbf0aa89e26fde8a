/**
 * A further HTTP thread: a frontend of its own on the port and the storage of the process. The upkeep loop, the metrics
 * of the whole and the end of the process are the main thread's.
 */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Upkeep } from './broker/upkeep.ts';
import { clockFrom } from './clock.ts';
import { createFrontend } from './frontend.ts';
import type { HttpThreadData, HttpThreadHears, HttpThreadSays } from './http-threads.ts';
import { randomIds } from './ids.ts';
import { openLog } from './log.ts';
import { type Counted, createCounts, metricsContentType } from './metrics/metrics.ts';
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
async function render(): Promise<string> {
  const { port1: reply, port2: answer } = new MessageChannel();
  say({ says: 'render', reply }, [reply]);
  const [text] = await once(answer, 'message');
  answer.close();
  return String(text);
}

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

await frontend.listen(port);
say({ says: 'serving' });
