/** A FIFO queue with one large message group whose head is in flight: all of it waits, and others must not. */
import { pino } from 'pino';
import { instant } from '../src/domain/instant.ts';
import { limits } from '../src/domain/limits.ts';
import { type Draft, noAttributes } from '../src/domain/message.ts';
import { defaultAccount } from '../src/domain/principal.ts';
import { QueueName } from '../src/domain/queue-attributes.ts';
import { randomIds } from '../src/ids.ts';
import { openSqlite } from '../src/storage/sqlite/engine.ts';

/** Makes the queue in an empty folder, straight through the engine. */
export async function fillBlockedGroup(
  directory: string,
  name: string,
  count: number,
  bodyBytes: number,
): Promise<void> {
  const now = instant(Date.now());
  const storage = await openSqlite({ directory, ids: randomIds(), log: pino({ level: 'silent' }), now });
  const queue = { account: defaultAccount, name: QueueName.parse(name) };
  await storage.putQueue({ queue, kind: 'fifo', settings: {}, now });
  const body = new Uint8Array(Buffer.alloc(bodyBytes, 'x'));
  for (let sent = 0; sent < count; ) {
    const size = Math.min(limits.batchEntriesMax, count - sent);
    const drafts = Array.from({ length: size }, (_, i): Draft => {
      return {
        body,
        contentType: 'text/plain',
        attributes: noAttributes,
        groupId: 'blocked',
        deduplicationId: `b-${sent + i}`,
      };
    });
    await storage.send({ queue, drafts, isAtomic: false, now });
    sent += size;
  }
  const visibilitySeconds = limits.visibilityTimeoutSecondsMax;
  await storage.receive({ queue, limit: 1, bytesMax: limits.receiveBytesMax, visibilitySeconds, now });
  await storage.close();
}
