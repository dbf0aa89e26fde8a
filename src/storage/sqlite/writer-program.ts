/** The writer's thread: opens the data, runs what it is sent, answers after the commit. */
import { parentPort, workerData } from 'node:worker_threads';
import { instant } from '../../domain/instant.ts';
import { randomIds } from '../../ids.ts';
import { StartupError } from '../startup-error.ts';
import { openStore, type Store, type StoreOptions } from './store.ts';
import type { ThreadHears, ThreadSays } from './writer.ts';

const port = parentPort;
if (port === null) throw new Error('This file runs as a thread.');
const say = (message: ThreadSays): void => port.postMessage(message);
const messageOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

const store = open();
if (store !== undefined) {
  const { sealSecret, highWaterAt } = store.state;
  say({ says: 'open', sealSecret: new Uint8Array(sealSecret), highWaterAt: instant(highWaterAt) });
  port.on('message', (message: ThreadHears) => {
    if (message.hears === 'close') {
      store.close();
      port.close();
    } else {
      try {
        say({ says: 'done', answer: store.run(message.requests) });
        store.afterBatch();
      } catch (error) {
        say({ says: 'fatal', message: messageOf(error) });
      }
    }
  });
}

function open(): Store | undefined {
  try {
    return openStore({ ...(workerData as Omit<StoreOptions, 'ids'>), ids: randomIds() });
  } catch (error) {
    const isExpected = error instanceof StartupError;
    say({ says: 'cannotOpen', isExpected, message: isExpected ? error.message : messageOf(error) });
    port?.close();
    return undefined;
  }
}
