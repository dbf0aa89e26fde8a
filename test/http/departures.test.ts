/** Room for answers, to the byte. */
import { EventEmitter } from 'node:events';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';
import { describe, expect, it } from 'vitest';
import { limits } from '../../src/domain/limits.ts';
import { trackDepartures } from '../../src/http/departures.ts';

const { answersHeldBytesMax, largeAnswersHeldBytesMax, smallBodyBytesMax } = limits;

function tracked(shareCount?: number): FastifyInstance['departures'] {
  const app = fastify();
  trackDepartures(app, shareCount);
  return app.departures;
}

/** An answer, as far as its room goes. */
const answer = (): FastifyReply =>
  ({ raw: Object.assign(new EventEmitter(), { destroyed: false }), heldBytes: 0 }) as unknown as FastifyReply;

describe('room for answers', () => {
  it('is left by large ones for small ones, which have all of it', () => {
    const { hold, heldBytes, freeBytes } = tracked();
    expect(hold(answer(), largeAnswersHeldBytesMax - smallBodyBytesMax)).toBeUndefined();
    expect(freeBytes()).toBe(smallBodyBytesMax);
    expect(hold(answer(), smallBodyBytesMax + 1)).toMatchObject({ data: { fault: 'overloaded' } });
    while (heldBytes() < answersHeldBytesMax) expect(hold(answer(), smallBodyBytesMax)).toBeUndefined();
    expect(hold(answer(), 1)).toMatchObject({ data: { fault: 'overloaded' } });
    expect([heldBytes(), freeBytes()]).toEqual([answersHeldBytesMax, 0]);
  });

  it('is given back in part also while there is none', () => {
    const { hold, heldBytes } = tracked();
    const large = answer();
    hold(large, largeAnswersHeldBytesMax);
    while (heldBytes() < answersHeldBytesMax) hold(answer(), smallBodyBytesMax);
    expect(hold(large, largeAnswersHeldBytesMax - 1)).toBeUndefined();
    expect(heldBytes()).toBe(answersHeldBytesMax - 1);
  });

  it('is full when a small one may find none', () => {
    const { hold, isFull } = tracked();
    const last = answer();
    for (let n = 1; n < answersHeldBytesMax / smallBodyBytesMax; n += 1) hold(answer(), smallBodyBytesMax);
    expect(isFull()).toBe(false);
    hold(last, 1);
    expect(isFull()).toBe(true);
  });

  it('is shared among threads, except that what is alone in one has all of it', () => {
    const { hold, freeBytes } = tracked(4);
    const first = answer();
    expect(freeBytes()).toBe(largeAnswersHeldBytesMax);
    expect(hold(first, largeAnswersHeldBytesMax + 1)).toMatchObject({ data: { fault: 'overloaded' } });
    expect(hold(first, largeAnswersHeldBytesMax)).toBeUndefined();
    expect(freeBytes()).toBe(0);
    expect(hold(answer(), 1)).toMatchObject({ data: { fault: 'overloaded' } });
    expect(hold(first, largeAnswersHeldBytesMax / 4 - smallBodyBytesMax - 1)).toBeUndefined();
    expect(freeBytes()).toBe(smallBodyBytesMax + 1);
    expect(hold(answer(), smallBodyBytesMax + 2)).toMatchObject({ data: { fault: 'overloaded' } });
    expect(hold(answer(), smallBodyBytesMax + 1)).toBeUndefined();
  });

  it('is given back once, when the answer is out, and not taken by one that nobody is there to read', () => {
    const { hold, heldBytes } = tracked();
    const [first, second] = [answer(), answer()];
    for (const bytes of [9, 0, 5]) hold(first, bytes);
    hold(second, 7);
    expect(heldBytes()).toBe(12);
    first.raw.emit('close');
    expect(heldBytes()).toBe(7);
    const gone = answer();
    Object.assign(gone.raw, { destroyed: true });
    expect(hold(gone, 2 * answersHeldBytesMax)).toBeUndefined();
    expect(heldBytes()).toBe(7);
  });
});
