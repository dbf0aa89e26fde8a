/**
 * The writer's thread: opens the data, runs what it is sent, answers after the commit.
 *
 * Whoever asks does so through a port and waits for the answer before it asks again. What lies in other ports when one
 * is heard goes into the same commit: several threads wait for one sync of the disk, as several requests of one do.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { instant } from '../../domain/instant.ts';
import { randomIds } from '../../ids.ts';
import { StartupError } from '../startup-error.ts';
import { packAnswer, transferOf, unpackRequests } from './crossing.ts';
import { openStore, type Request, type Store, type StoreOptions } from './store.ts';
import type { ThreadHears, ThreadSays } from './writer.ts';

const parent = parentPort;
if (parent === null) throw new Error('This file runs as a thread.');
const say = (port: MessagePort, message: ThreadSays, handedOver: ArrayBuffer[] = []): void =>
  port.postMessage(message, handedOver);
const messageOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** Those who may ask; the first is the thread that began this one. */
const ports = new Set<MessagePort>([parent]);

const store = open();
if (store !== undefined) {
  const { sealSecret, highWaterAt } = store.state;
  say(parent, { says: 'open', sealSecret: new Uint8Array(sealSecret), highWaterAt: instant(highWaterAt) });
  listen(parent, store);
}

function listen(port: MessagePort, store: Store): void {
  port.on('message', (message: ThreadHears) => hear({ port, message }, store));
}

type Heard = { readonly port: MessagePort; readonly message: ThreadHears };

function hear({ port, message }: Heard, store: Store): void {
  switch (message.hears) {
    case 'run': {
      const others = waitingInOthers(port);
      run([{ port, requests: unpackRequests(message.requests) }, ...others.flatMap(partOf)], store);
      for (const other of others) if (other.message.hears !== 'run') hear(other, store);
      return;
    }
    case 'join':
      ports.add(message.port);
      message.port.on('close', () => ports.delete(message.port));
      return listen(message.port, store);
    case 'close':
      store.close();
      for (const open of ports) open.close();
  }
}

/** The next message of every other port that has one. */
function waitingInOthers(heard: MessagePort): readonly Heard[] {
  const found: Heard[] = [];
  for (const port of ports) {
    if (port === heard) continue;
    const waiting = receiveMessageOnPort(port) as { readonly message: ThreadHears } | undefined;
    if (waiting !== undefined) found.push({ port, message: waiting.message });
  }
  return found;
}

/** What one port asks for in a commit. */
type Part = { readonly port: MessagePort; readonly requests: readonly Request[] };

const partOf = ({ port, message }: Heard): readonly Part[] =>
  message.hears === 'run' ? [{ port, requests: unpackRequests(message.requests) }] : [];

function run(parts: readonly Part[], store: Store): void {
  try {
    const { outcomes, ...rest } = store.run(parts.flatMap(({ requests }) => requests));
    const { ready, changes } = rest;
    let next = 0;
    for (const { port, requests } of parts) {
      const own = parts.length === 1 ? outcomes : outcomes.slice(next, next + requests.length);
      next += requests.length;
      const answer = packAnswer(requests, { ...rest, outcomes: own });
      say(port, { says: 'done', answer }, transferOf(answer));
    }
    if (ready.length + changes.length > 0) {
      const asked = new Set(parts.map(({ port }) => port));
      for (const port of ports) if (!asked.has(port)) say(port, { says: 'news', news: { ready, changes } });
    }
    store.afterBatch();
  } catch (error) {
    for (const port of ports) say(port, { says: 'fatal', message: messageOf(error) });
  }
}

function open(): Store | undefined {
  try {
    return openStore({ ...(workerData as Omit<StoreOptions, 'ids'>), ids: randomIds() });
  } catch (error) {
    const isExpected = error instanceof StartupError;
    if (parent !== null) {
      say(parent, { says: 'cannotOpen', isExpected, message: isExpected ? error.message : messageOf(error) });
      parent.close();
    }
    return undefined;
  }
}
