/** Fair queues: a group is noisy with what it holds now, by whatever way it came to hold less. */
import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/domain/limits.ts';
import type { ReceivedMessage } from '../../../src/domain/message.ts';
import { memoryEngine } from '../../support/sqlite.ts';
import { bodiesOf, dlqOf, type Trial, trialsOf } from '../../support/storage.ts';

const q = 'q';
const visibilitySeconds = 600;

const ofGroup = (groupId: string, count: number) => Array.from({ length: count }, () => ({ body: groupId, groupId }));

describe('a group of a standard queue', () => {
  const trial = trialsOf(memoryEngine);

  /** A group with twice as many messages as make it noisy, of which it holds half. */
  async function withNoisy(): Promise<{ t: Trial; held: readonly ReceivedMessage[] }> {
    const t = await trial();
    await t.putPair(q, 5);
    await t.send(q, ...ofGroup('noisy', 2 * limits.noisyInFlightMin));
    return { t, held: await t.receive(q, { limit: limits.noisyInFlightMin, visibilitySeconds }) };
  }

  /** Whose message is the next, when the noisy group's have waited longer. */
  async function firstOf(t: Trial): Promise<string | undefined> {
    t.advance(1);
    await t.send(q, ...ofGroup('quiet', 1));
    return bodiesOf(await t.receive(q, { limit: 1 }))[0];
  }

  it('that holds much lets others go first', async () => {
    const { t } = await withNoisy();
    expect(await firstOf(t)).toBe('quiet');
  });

  const waysOut: Readonly<Record<string, (t: Trial, held: ReceivedMessage) => Promise<unknown>>> = {
    deleted: (t, held) => t.delete(q, held),
    released: (t, held) => t.release(q, held),
    'let go of': (t, held) => t.extend(q, held, 0),
    'dead-lettered': (t, held) => t.deadLetter(q, held, 'no use'),
    'given back': (t, held) => t.unreceive(q, [held]),
    'removed by an operator': (t, held) =>
      t.storage.removeMessage({ queue: t.ref(q), messageId: held.messageId, now: t.now }),
  };
  it.each(Object.entries(waysOut))('is noisy no more when one of as few as make it so is %s', async (_way, leave) => {
    const { t, held } = await withNoisy();
    const [first] = held;
    if (first !== undefined) await leave(t, first);
    expect(await firstOf(t)).toBe('noisy');
  });

  it('stays noisy as long as it holds on', async () => {
    const { t, held } = await withNoisy();
    for (const message of held) await t.extend(q, message, 2 * visibilitySeconds);
    t.advance(visibilitySeconds + 1);
    expect(await firstOf(t)).toBe('quiet');
    t.advance(visibilitySeconds);
    expect(await firstOf(t)).toBe('noisy');
  });

  it('is noisy with more than a tenth of what is in flight, not with a tenth', async () => {
    const others = 9 * limits.noisyInFlightMin;
    for (const [count, first] of [
      [others, 'noisy'],
      [others - 1, 'quiet'],
    ] as const) {
      const { t } = await withNoisy();
      await t.send(q, ...Array.from({ length: count }, () => 'none'));
      for (let left = count; left > 0; left -= 90) await t.receive(q, { limit: Math.min(left, 90), visibilitySeconds });
      expect(await firstOf(t), `${count} others`).toBe(first);
    }
  });

  it('leaves nothing behind when it goes to the dead-letter queue', async () => {
    const { t, held } = await withNoisy();
    for (const message of held) await t.deadLetter(q, message);
    expect(await t.counts(dlqOf(q))).toEqual([limits.noisyInFlightMin, 0, 0]);
    expect(await firstOf(t)).toBe('noisy');
  });
});
