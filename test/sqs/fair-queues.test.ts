/** Fair queues: a noisy group of a standard queue does not starve the others, and nobody waits while there is work. */
import { expect, it } from 'vitest';
import { on, openSqs, overBoth, type Sqs, sendEntries } from '../support/sqs.ts';

async function flood(t: Sqs, QueueUrl: string, group: string | undefined, count: number): Promise<void> {
  for (let i = 0; i < count; i += 10) {
    const list = Array.from({ length: Math.min(10, count - i) }, (_, n) => ({
      Id: `${n}`,
      MessageBody: `${group ?? 'none'}`,
      ...(group === undefined ? {} : { MessageGroupId: group }),
    }));
    await t.ok('SendMessageBatch', on(QueueUrl, sendEntries(list)));
  }
}

async function take(t: Sqs, QueueUrl: string, calls: number): Promise<readonly string[]> {
  const bodies: string[] = [];
  for (let i = 0; i < calls; i += 1) bodies.push(...(await t.bodies(QueueUrl, { MaxNumberOfMessages: 10 })));
  return bodies;
}

overBoth('a noisy group', (protocol) => {
  it('lets the messages of quiet ones go first, groups or none', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await flood(t, QueueUrl, 'noisy', 200);
    await flood(t, QueueUrl, 'quiet', 3);
    await flood(t, QueueUrl, 'calm', 2);
    await flood(t, QueueUrl, undefined, 1);
    const before = await take(t, QueueUrl, 3);
    expect(new Set(before)).toEqual(new Set(['noisy']));
    const next = await take(t, QueueUrl, 1);
    expect(next.toSorted()).toEqual([
      'calm',
      'calm',
      'noisy',
      'noisy',
      'noisy',
      'noisy',
      'none',
      'quiet',
      'quiet',
      'quiet',
    ]);
  });

  it('goes on when there is nobody else', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await flood(t, QueueUrl, 'noisy', 60);
    expect(await take(t, QueueUrl, 7)).toHaveLength(60);
  });

  it('is one no more when what it held is done', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q', { VisibilityTimeout: '30' });
    await flood(t, QueueUrl, 'noisy', 60);
    await take(t, QueueUrl, 4);
    await t.clock.advance({ seconds: 31 });
    await flood(t, QueueUrl, 'quiet', 10);
    const bodies = await take(t, QueueUrl, 1);
    expect(bodies).toEqual(Array(10).fill('noisy'));
  });

  it('of several is served after those that hold less', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await flood(t, QueueUrl, 'loud', 100);
    await flood(t, QueueUrl, 'louder', 100);
    const bodies = await take(t, QueueUrl, 14);
    expect(bodies.slice(0, 60)).toEqual([...Array(30).fill('loud'), ...Array(30).fill('louder')]);
    expect(bodies.filter((body) => body === 'loud')).toHaveLength(70);
  });

  it('does not hold up others however many groups there are', async () => {
    const t = await openSqs(protocol);
    const QueueUrl = await t.queue('q');
    await flood(t, QueueUrl, 'noisy', 100);
    for (let i = 0; i < 150; i += 1) await flood(t, QueueUrl, `tenant${i}`, 1);
    await take(t, QueueUrl, 3);
    const bodies = await take(t, QueueUrl, 15);
    expect(bodies).toHaveLength(150);
    expect(bodies.filter((body) => body === 'noisy')).toEqual([]);
    expect(await take(t, QueueUrl, 8)).toEqual(Array(70).fill('noisy'));
  });
});
