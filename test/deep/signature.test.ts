/**
 * Signatures at scale: random requests by two signers that are not ours verify, ten times as many of them with one byte
 * changed fail. And what verifying costs, and whether it tells known keys from unknown ones.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instant } from '../../src/domain/instant.ts';
import type { SignedRequest } from '../../src/sqs/signature.ts';
import { oneByteChanged, randomPlain } from '../support/random-requests.ts';
import { type Plain, type SignOptions, signAws4, signSmithy, verifierOf } from '../support/signing.ts';
import { sizeOf } from '../support/sizes.ts';

const requestCount = sizeOf('signatures');
const changesPerRequest = 10;

const keyId = 'SLUICETESTKEY2345672';
const secret = 'slk_a-secret-that-only-tests-have-0123456789';
const at = instant(Date.UTC(2026, 0, 1));
const options: SignOptions = { keyId, secret, at };

const authenticate = verifierOf({ keyId, secret, at });
function isAccepted(request: SignedRequest): boolean {
  try {
    authenticate(request);
    return true;
  } catch {
    return false;
  }
}

const plain: Plain = {
  method: 'POST',
  path: '/',
  headers: {
    host: 'localhost:8080',
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
    'amz-sdk-invocation-id': '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    'amz-sdk-request': 'attempt=1; max=3',
  },
  body: JSON.stringify({ QueueUrl: 'http://localhost:8080/000000000000/orders', MessageBody: 'x'.repeat(430) }),
};

describe('signatures', () => {
  it(`of ${requestCount} random requests verify, and fail with any one byte changed`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    console.log(`seed ${seed}`);
    const wrong: string[] = [];
    let changedCount = 0;
    for (const [i, request] of fc.sample(randomPlain, { numRuns: requestCount, seed }).entries()) {
      const signed = i % 2 === 0 ? await signSmithy(request, options) : signAws4(request, options);
      if (!isAccepted(signed)) wrong.push(`refused: ${JSON.stringify(request)}`);
      for (let change = 0; change < changesPerRequest; change += 1) {
        const changed = oneByteChanged(signed, seed + i * 104_729 + change * 7_919);
        changedCount += 1;
        if (isAccepted(changed)) wrong.push(`accepted: ${JSON.stringify([signed.rawUrl, changed])}`);
      }
    }
    expect(wrong.slice(0, 3)).toEqual([]);
    expect(changedCount).toBe(requestCount * changesPerRequest);
  });

  it('are verified in a few microseconds', async () => {
    const known = await signSmithy(plain, options);
    const elsewhere = await Promise.all(
      Array.from({ length: 2_000 }, (_, i) => signSmithy(plain, { ...options, region: `region-${i}` })),
    );
    const perRequest = (requests: (i: number) => SignedRequest, count: number) => {
      // Of this process alone: others may be busy.
      const started = process.cpuUsage();
      for (let i = 0; i < count; i += 1) isAccepted(requests(i));
      const { user, system } = process.cpuUsage(started);
      return (user + system) / count;
    };
    perRequest(() => known, 20_000);
    const atHand = perRequest(() => known, 50_000);
    // More regions than are kept: each signing key is made anew.
    const anew = perRequest((i) => elsewhere[i % elsewhere.length] ?? known, 20_000);
    console.log(`${atHand.toFixed(1)} µs with the signing key at hand, ${anew.toFixed(1)} µs without`);
    expect(atHand).toBeLessThan(100);
  });

  it('of unknown keys take as long as wrong ones of known keys', async () => {
    const wrong = await signSmithy(plain, { ...options, secret: 'another secret' });
    const unknown = await signSmithy(plain, { ...options, keyId: 'SLUICENOBODYSKEY7777' });
    isAccepted(await signSmithy(plain, options));
    const times = { wrong: [] as number[], unknown: [] as number[] };
    for (let i = 0; i < 12_000; i += 1) {
      for (const [name, request] of [
        ['wrong', wrong],
        ['unknown', unknown],
      ] as const) {
        const started = performance.now();
        isAccepted(request);
        if (i >= 2_000) times[name].push(performance.now() - started);
      }
    }
    const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
    const [first, second] = [median(times.wrong), median(times.unknown)];
    console.log(`median ${(first * 1000).toFixed(2)} µs wrong secret, ${(second * 1000).toFixed(2)} µs unknown key`);
    expect(Math.abs(first - second) / first).toBeLessThan(0.2);
  });
});
