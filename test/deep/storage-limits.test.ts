/** The limit that takes many steps to reach: messages in flight in a queue. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { memoryEngine } from '../support/sqlite.ts';
import { expectRejection, type Trial, trialsOf } from '../support/storage.ts';

describe('the limit of messages in flight', () => {
  const trial = trialsOf(memoryEngine);

  /** So many messages, all of them held. */
  async function hold(t: Trial, queue: string, count: number): Promise<void> {
    for (let sent = 0; sent < count; sent += limits.batchEntriesMax) {
      const bodies = Array.from({ length: Math.min(limits.batchEntriesMax, count - sent) }, (_, i) => `${sent + i}`);
      const drafts = queue.endsWith('.fifo')
        ? bodies.map((body) => ({ body, groupId: body, deduplicationId: body }))
        : bodies;
      await t.send(queue, ...drafts);
    }
    for (let held = 0; held < count; ) held += (await t.receive(queue)).length;
  }

  it.each(['q', 'q.fifo'])('holds 120,000 messages of %s at once and refuses to hold one more', async (queue) => {
    const t = await trial();
    await t.put(queue, { visibilityTimeoutSeconds: 43_200 });
    const more = ['a', 'b'].map((body) => (queue === 'q' ? body : { body, groupId: body, deduplicationId: body }));
    await hold(t, queue, limits.inFlightPerQueueMax - 1);
    await t.send(queue, ...more);
    const last = await t.receive(queue, { limit: 1 });
    expect(last).toHaveLength(1);
    const data = await expectRejection(t.receive(queue, { limit: 1 }), 'tooManyInFlight');
    expect(data.facts).toEqual({ queue, countMax: limits.inFlightPerQueueMax });
    expect(await t.counts(queue)).toEqual([1, limits.inFlightPerQueueMax, 0]);
    for (const message of last) await t.delete(queue, message);
    expect(await t.receive(queue, { limit: 1 })).toHaveLength(1);
    await expectRejection(t.receive(queue, { limit: 1 }), 'tooManyInFlight');
    t.advance(43_200);
    expect(await t.receive(queue)).toHaveLength(limits.receiveMessagesMax);
  });
});
