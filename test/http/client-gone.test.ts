/** Whether anybody is there to read the answer. */
import { EventEmitter } from 'node:events';
import type { FastifyReply } from 'fastify';
import { expect, it } from 'vitest';
import { clientGone } from '../../src/http/client-gone.ts';

type Raw = { destroyed: boolean; writableFinished: boolean; socket: { destroyed: boolean } };

function reply(raw: Partial<Raw> = {}): FastifyReply {
  const present = { destroyed: false, writableFinished: false, socket: { destroyed: false }, ...raw };
  return { raw: Object.assign(new EventEmitter(), present) } as unknown as FastifyReply;
}

it.each([
  ['the answer', { destroyed: true }],
  ['the connection', { socket: { destroyed: true } }],
])('a client is gone from the beginning when %s is closed already', (_what, raw) => {
  expect(clientGone(reply(raw)).aborted).toBe(true);
});

it('a client is gone when the connection ends before the answer is out, not after it', () => {
  for (const writableFinished of [false, true]) {
    const answer = reply({ writableFinished });
    const signal = clientGone(answer);
    expect(signal.aborted).toBe(false);
    answer.raw.emit('close');
    expect(signal.aborted).toBe(!writableFinished);
  }
});
