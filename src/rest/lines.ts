/**
 * Lines of an upload as they come: split, bounded, and watched.
 *
 * Memory holds the line that is being read; the next bytes are asked for when somebody wants the next line. An upload
 * that stops, or whose answer nobody reads, is given up.
 */
import type { Readable } from 'node:stream';
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import { secondsAfter } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';

export const tooLong = Symbol('a line longer than the limit');
export type Line = {
  /** Where it stands in the upload, blank ones counted: from 1. */
  readonly number: number;
  readonly text: Buffer | typeof tooLong;
};

export type UploadWatch = {
  /** Bytes have come, or have gone. */
  readonly moved: (bytes: number) => void;
  /** From now on somebody waits for bytes to move, and is told when they do not; undefined: nobody waits. */
  readonly waiting: (stalled: (() => void) | undefined) => void;
  readonly end: () => void;
};

/** An upload that moves less than this in that time, while it is waited for, has stopped. */
const progress = { seconds: 30, bytesMin: 1_024 } as const;

/** Watches that an upload moves. */
export function watchUpload(clock: Clock): UploadWatch {
  let movedBytes = 0;
  let stalled: (() => void) | undefined;

  const look = () => {
    // While nobody waits for bytes it is we who are slow.
    if (movedBytes < progress.bytesMin) stalled?.();
    movedBytes = 0;
    cancel = arm();
  };
  const arm = () => clock.at(secondsAfter(clock.now(), progress.seconds), look);
  let cancel = arm();

  return {
    moved: (bytes) => {
      movedBytes += bytes;
    },
    waiting: (told) => {
      stalled = told;
    },
    end: () => cancel(),
  };
}

/**
 * Lines without their ends; of one that is too long only that it is. Blank ones are left out.
 * @param hold told how many bytes are kept here, before they are; may throw
 * @throws requestTimeout when the upload stops
 */
export async function* splitLines(
  body: Readable,
  watch: UploadWatch,
  hold: (bytes: number) => void,
): AsyncGenerator<Line> {
  let rest: Buffer[] = [];
  let restBytes = 0;
  let isSkipping = false;
  let number = 0;

  const take = (last: Buffer): Line => {
    const text = isSkipping || restBytes + last.byteLength > limits.batchLineBytesMax ? tooLong : joined(rest, last);
    rest = [];
    restBytes = 0;
    isSkipping = false;
    number += 1;
    return { number, text };
  };

  for await (const chunk of chunksOf(body, watch)) {
    hold(restBytes + chunk.byteLength);
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      const line = take(chunk.subarray(from, end));
      if (!isBlank(line)) yield line;
      from = end + 1;
    }
    if (isSkipping || from === chunk.byteLength) continue;
    rest.push(chunk.subarray(from));
    restBytes += chunk.byteLength - from;
    if (rest.length === piecesMax) rest = [Buffer.concat(rest)];
    if (restBytes > limits.batchLineBytesMax) {
      isSkipping = true;
      rest = [];
      restBytes = 0;
    }
  }
  const line = take(Buffer.alloc(0));
  if (!isBlank(line)) yield line;
}

/** A line that comes byte by byte is not kept byte by byte, which would take a hundred times the memory. */
const piecesMax = 1_000;

/** A copy: a view would keep the whole chunk in memory for one small line of it. */
const joined = (parts: readonly Buffer[], last: Buffer): Buffer =>
  parts.length === 0 ? Buffer.from(last) : Buffer.concat([...parts, last]);

const isBlank = ({ text }: Line): boolean =>
  text !== tooLong && text.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);

/** The chunks of the body, without destroying the connection when reading stops early. */
async function* chunksOf(body: Readable, watch: UploadWatch): AsyncGenerator<Buffer> {
  const chunks: AsyncIterator<Buffer> = body.iterator({ destroyOnReturn: false });
  while (true) {
    const next = await orStalled(chunks.next(), watch);
    if (next.done === true) return;
    watch.moved(next.value.byteLength);
    yield next.value;
  }
}

/** The promise, or requestTimeout when the upload stops before it resolves. */
const orStalled = <T>(promise: Promise<T>, watch: UploadWatch): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    watch.waiting(() => reject(Fault.of('requestTimeout', {})));
    promise.then(resolve, reject);
  }).finally(() => watch.waiting(undefined));
