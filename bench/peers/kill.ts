/**
 * What a `kill -9` does: messages are sent by many clients, the server is killed in the middle, started again on the
 * same folder, and everything it still has is received. What was acknowledged and is not there is missing.
 *
 * A killed process loses what it had in its own memory; what it had written survives in the system's cache, fsync or not.
 * So this shows less than a loss of power would.
 */
import { openClient, type PeerClient } from './client.ts';
import { PeerProcess } from './process.ts';
import type { Place } from './table.ts';
import { type Peer, titleOf } from './table.ts';

export type Kill = {
  readonly peer: string;
  readonly acknowledged: number;
  readonly missing: number;
};

export type KillOptions = {
  readonly clients: number;
  /** Sends go on for so long before the kill, and on until so many are acknowledged, as long as it is no minute. */
  readonly seconds: number;
  readonly leastCount: number;
  /** No client sends more than this. */
  readonly sendsMax: number;
  readonly packages: string;
  readonly cores: string | undefined;
};

const queue = 'kill';
/** Receives in a row that find nothing before the queue counts as empty. */
const emptyMax = 3;
const secondsMax = 60;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function kill(
  peer: Peer,
  place: Place,
  options: KillOptions,
  watch: (process: PeerProcess) => void,
): Promise<Kill> {
  const { port } = place;
  const open = () => openClient(peer.speaks, { port, queue, ask: peer.ask, max: 10, packages: options.packages });
  const first = await PeerProcess.start(peer, place, options.cores);
  watch(first);
  const maker = await open();
  await maker.createQueue();
  const senders = await Promise.all(Array.from({ length: options.clients }, open));
  const acknowledged = new Set<string>();
  const sending = senders.map(async (sender, i) => {
    await sender.createQueue();
    for (let n = 0; n < options.sendsMax; n += 1) {
      const body = `message-${i}-${n}`;
      await sender.send([body]);
      acknowledged.add(body);
    }
  });
  const ended = Promise.allSettled(sending);
  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 1_000;
  const isEnough = () => elapsed() > options.seconds && acknowledged.size >= options.leastCount;
  while (!isEnough() && elapsed() < secondsMax) await pause(20);
  await first.kill();
  // A client whose answer never comes may never tell.
  await Promise.race([ended, pause(2_000)]);
  await Promise.allSettled([maker, ...senders].map((client) => Promise.race([client.close(), Promise.resolve()])));
  const acknowledgedCount = acknowledged.size;
  if (acknowledgedCount === 0) throw new Error('Nothing was acknowledged before the kill.');

  const second = await PeerProcess.start(peer, place, options.cores);
  watch(second);
  const reader = await open();
  await reader.createQueue();
  await drain(reader, (body) => acknowledged.delete(body));
  await reader.close();
  await second.stop();
  return { peer: titleOf(peer), acknowledged: acknowledgedCount, missing: acknowledged.size };
}

async function drain(reader: PeerClient, seen: (body: string) => void): Promise<void> {
  for (let emptyCount = 0; emptyCount < emptyMax; ) {
    const taken = await reader.receive(10);
    emptyCount = taken.length === 0 ? emptyCount + 1 : 0;
    for (const { body } of taken) seen(body);
    if (taken.length > 0) await reader.delete(taken);
  }
}
