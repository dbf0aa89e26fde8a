/** Signatures in headers and URLs, signed by signers that are not ours. */
import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Signer } from '../../src/broker/key-book.ts';
import { defaultAccount, everything, openPrincipal } from '../../src/domain/principal.ts';
import { failedLogins } from '../../src/http/failed-logins.ts';
import {
  canonicalRequest,
  scopeText,
  signableHeaders,
  signatureOf,
  signingKey,
  stringToSign,
} from '../../src/sqs/canonical-request.ts';
import { SqsError } from '../../src/sqs/errors.ts';
import { type Authenticate, createAuthenticate, type SignedRequest } from '../../src/sqs/signature.ts';
import { manualClock, manualStart } from '../support/clock.ts';
import { oneByteChanged, randomPlain } from '../support/random-requests.ts';
import { type Plain, presignSmithy, type SignOptions, signAws4, signSmithy } from '../support/signing.ts';

const keyId = 'SLUICETESTKEY2345672';
const secret = 'slk_a-secret-that-only-tests-have-0123456789';
const options: SignOptions = { keyId, secret, at: manualStart };

const plain: Plain = {
  method: 'POST',
  path: '/',
  headers: {
    host: 'localhost:8080',
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  },
  body: '{"QueueUrl":"http://localhost:8080/000000000000/orders","MessageBody":"hello"}',
};

type Setup = { readonly secrets?: readonly string[]; readonly regions?: readonly string[]; readonly isOpen?: boolean };

function setUp({ secrets = [secret], regions, isOpen = false }: Setup = {}) {
  const clock = manualClock();
  const signer: Signer = {
    principal: { account: defaultAccount, id: keyId, scopes: everything },
    secrets: secrets.map((text) => ({ id: text, open: () => text })),
  };
  const authenticate = createAuthenticate({
    keys: { signer: (id) => (id === keyId ? signer : undefined), isKnown: (id) => id === keyId },
    gate: { isOpen: () => isOpen, anyone: openPrincipal(defaultAccount), failed: failedLogins(clock) },
    clock,
    regions,
  });
  return { authenticate, clock };
}

/** What becomes of a request: the id of who signed it, or the shape and sentence of the refusal. */
async function fate(authenticate: Authenticate, request: SignedRequest): Promise<readonly [string, string]> {
  try {
    return ['accepted', authenticate(request).id ?? 'anyone'];
  } catch (error) {
    if (error instanceof SqsError) return [error.shape, error.message];
    throw error;
  }
}
const shapeOf = async (request: SignedRequest, { authenticate } = setUp()) => (await fate(authenticate, request))[0];

const headerAt = (request: SignedRequest, name: string): number =>
  request.rawHeaders.findIndex((header, i) => i % 2 === 0 && header.toLowerCase() === name);
function withHeader(request: SignedRequest, name: string, change: (value: string) => string): SignedRequest {
  const at = headerAt(request, name);
  const value = change(at === -1 ? '' : (request.rawHeaders[at + 1] ?? ''));
  const rest = at === -1 ? request.rawHeaders : request.rawHeaders.toSpliced(at, 2);
  return { ...request, rawHeaders: [...rest, name, value] };
}
const withoutHeader = (request: SignedRequest, name: string): SignedRequest => ({
  ...request,
  rawHeaders: request.rawHeaders.toSpliced(headerAt(request, name), 2),
});
const withAuthorization = (request: SignedRequest, change: (value: string) => string) =>
  withHeader(request, 'authorization', change);
const unsigned = (request: SignedRequest, name: string) =>
  withAuthorization(request, (value) =>
    value
      .replace(new RegExp(`(SignedHeaders=[^,]*?);?${name}(?=[;,])`), '$1')
      .replace('SignedHeaders=;', 'SignedHeaders='),
  );

const sha256 = (text: string): string => hash('sha256', text, 'hex');

const mismatch = 'InvalidSignatureException';
const incomplete = 'IncompleteSignatureException';

describe('a signature in headers', () => {
  it('is accepted from both signers, with the principal of its key', async () => {
    const { authenticate } = setUp();
    expect(await fate(authenticate, await signSmithy(plain, options))).toEqual(['accepted', keyId]);
    expect(await fate(authenticate, signAws4(plain, options))).toEqual(['accepted', keyId]);
  });

  it('is accepted for any region unless regions are set', async () => {
    const request = await signSmithy(plain, { ...options, region: 'mars-north-7' });
    expect(await shapeOf(request)).toBe('accepted');
    expect(await shapeOf(request, setUp({ regions: ['eu-west-1'] }))).toBe(mismatch);
  });

  it('is accepted with either secret while a key is rotated', async () => {
    const setup = setUp({ secrets: ['a-new-secret-of-the-key-0', secret] });
    expect(await shapeOf(await signSmithy(plain, options), setup)).toBe('accepted');
    const withNew = await signSmithy(plain, { ...options, secret: 'a-new-secret-of-the-key-0' });
    expect(await shapeOf(withNew, setup)).toBe('accepted');
  });

  it('is not asked for on an open server', async () => {
    const { authenticate } = setUp({ isOpen: true });
    expect(await fate(authenticate, await signSmithy(plain, { ...options, secret: 'test' }))).toEqual([
      'accepted',
      'anyone',
    ]);
  });

  it.each([
    ['of HTTP', 'Thu, 01 Jan 2026 00:00:00 GMT'],
    ['of ISO 8601', '20260101T000000Z'],
  ])('is accepted with a Date in the form %s instead of X-Amz-Date', async (_form, date) => {
    const scope = { day: '20260101', region: 'eu-west-1', service: 'sqs' };
    const names = ['date', 'host'];
    const rawHeaders = ['Host', 'localhost:8080', 'Date', date];
    const canonical = canonicalRequest({
      method: 'POST',
      path: '/',
      query: [],
      headers: signableHeaders(rawHeaders),
      signedHeaders: names,
      payloadHash: sha256(''),
    });
    const signature = signatureOf(signingKey(secret, scope), stringToSign('20260101T000000Z', scope, canonical ?? ''));
    const authorization = `AWS4-HMAC-SHA256 Credential=${keyId}/${scopeText(scope)}, SignedHeaders=date;host, Signature=${signature}`;
    const request = { method: 'POST', rawUrl: '/', rawBody: Buffer.alloc(0), peerAddress: '127.0.0.1' };
    expect(await shapeOf({ ...request, rawHeaders: [...rawHeaders, 'Authorization', authorization] })).toBe('accepted');
  });

  it('is missed: AccessDenied with the endpoint', async () => {
    const { authenticate } = setUp();
    const bare = withoutHeader(await signSmithy(plain, options), 'authorization');
    expect(await fate(authenticate, bare)).toEqual([
      'AccessDeniedException',
      'Access to the resource http://localhost:8080/ is denied.',
    ]);
  });

  it('stands once', async () => {
    const request = await signSmithy(plain, options);
    const twice = { ...request, rawHeaders: [...request.rawHeaders, 'Authorization', 'AWS4-HMAC-SHA256 x'] };
    expect(await shapeOf(twice)).toBe(incomplete);
  });

  it('fails when any bit of the body is changed', async () => {
    const request = await signSmithy(plain, options);
    const { authenticate } = setUp();
    for (let at = 0; at < request.rawBody.length * 8; at += 1) {
      const rawBody = Buffer.from(request.rawBody);
      rawBody[at >> 3] = (rawBody[at >> 3] ?? 0) ^ (1 << (at & 7));
      // From one address after the other: too many wrong ones from one would be refused unseen.
      const [shape] = await fate(authenticate, { ...request, rawBody, peerAddress: `10.0.${at >> 8}.${at & 255}` });
      expect(shape).toBe(mismatch);
    }
  });

  it.each([
    ['16: the hash of another body', (old: string) => old.replace(/./g, '0')],
    ['17: UNSIGNED-PAYLOAD', () => 'UNSIGNED-PAYLOAD'],
    ['18: STREAMING-AWS4-HMAC-SHA256-PAYLOAD', () => 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
    ['19: nothing', () => ''],
  ])('case %s in x-amz-content-sha256 is refused although it is signed', async (_name, change) => {
    const told = { ...plain, headers: { ...plain.headers, 'x-amz-content-sha256': change('a'.repeat(64)) } };
    expect(await shapeOf(await signSmithy(told, options))).toBe(mismatch);
  });

  it('fails when the body is changed and x-amz-content-sha256 is still that of the old one', async () => {
    const { createHash } = await import('node:crypto');
    const sha = createHash('sha256')
      .update(plain.body ?? '')
      .digest('hex');
    const request = await signSmithy({ ...plain, headers: { ...plain.headers, 'x-amz-content-sha256': sha } }, options);
    expect(await shapeOf(request)).toBe('accepted');
    expect(await shapeOf({ ...request, rawBody: Buffer.from('{"QueueUrl":"other"}') })).toBe(mismatch);
  });

  it.each([
    ['20', 'host'],
    ['21', 'x-amz-date'],
    ['22', 'x-amz-target'],
  ])('case %s: must cover %s', async (_number, name) => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(unsigned(request, name))).toBe(mismatch);
  });

  it('must cover x-amz-target also when the signature is right without it', async () => {
    const { 'x-amz-target': _left, ...headers } = plain.headers;
    const without = await signSmithy({ ...plain, headers }, options);
    expect(await shapeOf(without)).toBe('accepted');
    expect(await shapeOf(withHeader(without, 'x-amz-target', () => 'AmazonSQS.PurgeQueue'))).toBe(mismatch);
  });

  it('must cover every x-amz- header that is there, but for the user agent that the PHP SDK adds', async () => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(withHeader(request, 'x-amz-sneaky', () => '1'))).toBe(mismatch);
    expect(await shapeOf(withHeader(request, 'x-amz-user-agent', () => 'aws-sdk-php/3'))).toBe('accepted');
  });

  it('fails when a signed header comes twice with other values', async () => {
    const request = await signSmithy(plain, options);
    const twice = { ...request, rawHeaders: [...request.rawHeaders, 'X-Amz-Target', 'AmazonSQS.PurgeQueue'] };
    expect(await shapeOf(twice)).toBe(mismatch);
  });

  it.each([
    ['not in order', (names: string) => names.split(';').reverse().join(';')],
    ['in upper case', (names: string) => names.toUpperCase()],
    ['twice', (names: string) => names.replace('host', 'host;host')],
    ['empty', () => ''],
  ])('names of signed headers that are %s are malformed', async (_how, change) => {
    const request = await signSmithy(plain, options);
    const changed = withAuthorization(request, (value) =>
      value.replace(/SignedHeaders=([^,]*)/, (_all, names: string) => `SignedHeaders=${change(names)}`),
    );
    expect(await shapeOf(changed)).toBe(incomplete);
  });

  it('holds for 15 minutes to either side, and says by how much it is off', async () => {
    const minute = 60_000;
    const { authenticate } = setUp();
    const at = async (ms: number) => fate(authenticate, await signSmithy(plain, { ...options, at: manualStart + ms }));
    expect((await at(-15 * minute))[0]).toBe('accepted');
    expect((await at(15 * minute))[0]).toBe('accepted');
    expect(await at(-15 * minute - 1000)).toEqual([
      mismatch,
      'Signature expired: 20251231T234459Z is now earlier than 20251231T234500Z (20260101T000000Z - 15 min.)',
    ]);
    expect(await at(15 * minute + 1000)).toEqual([
      mismatch,
      'Signature not yet current: 20260101T001501Z is still later than 20260101T001500Z (20260101T000000Z + 15 min.)',
    ]);
  });

  const credential = (change: (text: string) => string) => async () =>
    withAuthorization(await signSmithy(plain, options), (value) =>
      value.replace(/Credential=([^,]*)/, (_all, text: string) => `Credential=${change(text)}`),
    );

  it('fails when the day of its scope is not that of its date', async () => {
    const { authenticate } = setUp();
    const request = await credential((text) => text.replace('20260101', '20260102'))();
    const [shape, message] = await fate(authenticate, request);
    expect(shape).toBe(mismatch);
    expect(message).toContain("'20260102' != '20260101'");
  });

  it('fails when its scope is another service, or a region that is not taken', async () => {
    const { authenticate } = setUp();
    expect(await fate(authenticate, await signSmithy(plain, { ...options, service: 's3' }))).toEqual([
      mismatch,
      "Credential should be scoped to correct service: 'sqs'.",
    ]);
    expect(await shapeOf(await signSmithy(plain, options), setUp({ regions: ['us-east-1'] }))).toBe(mismatch);
  });

  it.each([
    ['another ending', (text: string) => text.replace('aws4_request', 'aws5_request')],
    ['no ending', (text: string) => text.replace('/aws4_request', '')],
    ['more parts', (text: string) => `${text}/more`],
    ['no region', (text: string) => text.replace('eu-west-1', '')],
    ['no key', (text: string) => text.replace(keyId, '')],
    ['a day that is none', (text: string) => text.replace('20260101', '2026-1-1')],
  ])('a credential with %s is malformed', async (_what, change) => {
    expect(await shapeOf(await credential(change)())).toBe(incomplete);
  });

  it.each([
    ['in upper case', (hex: string) => hex.toUpperCase().replace(/^[0-9]*$/, 'A')],
    ['63 characters long', (hex: string) => hex.slice(1)],
    ['65 characters long', (hex: string) => `${hex}0`],
    ['not hexadecimal', (hex: string) => `g${hex.slice(1)}`],
    ['letters of more bytes', (hex: string) => `é${hex.slice(1)}`],
    ['of another request', (hex: string) => hex.replace(/./g, 'a')],
  ])('one that is %s is refused', async (_how, change) => {
    const request = await signSmithy(plain, options);
    const changed = withAuthorization(request, (value) =>
      value.replace(/Signature=(.*)$/, (_all, hex: string) => `Signature=${change(hex)}`),
    );
    expect(await shapeOf(changed)).toBe(mismatch);
  });

  it('of a key that nobody has is refused in the words of AWS', async () => {
    const { authenticate } = setUp();
    const request = await signSmithy(plain, { ...options, keyId: 'SLUICENOBODYSKEY7777' });
    expect(await fate(authenticate, request)).toEqual([
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    ]);
  });

  it('with the secret for keys that nobody has is refused too', async () => {
    const nobody = await signSmithy(plain, {
      ...options,
      keyId: 'SLUICENOBODYSKEY7777',
      secret: 'nobody has this secret',
    });
    expect(await shapeOf(nobody)).toBe('UnrecognizedClientException');
  });

  it('is malformed beside one in the query', async () => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf({ ...request, rawUrl: '/?X-Amz-Algorithm=AWS4-HMAC-SHA256' })).toBe(incomplete);
  });

  it('fails with an X-Amz-Signature that was added to the query', async () => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf({ ...request, rawUrl: `/?X-Amz-Signature=${'0'.repeat(64)}` })).toBe(mismatch);
  });

  it.each(['/a%2Fb', '/a//b', '/./a', '/%61', '/000000000000/orders', '/a/../b/'])(
    'verifies the path %s as it was sent',
    async (path) => {
      const { authenticate } = setUp();
      const request = await signSmithy({ ...plain, path }, options);
      expect((await fate(authenticate, request))[0]).toBe('accepted');
    },
  );
  it.each([
    ['/a%2Fb', '/a/b'],
    ['/%61', '/a'],
    ['/a', '/%61'],
  ])('fails when the path %s was made %s on the way', async (path, other) => {
    const request = await signSmithy({ ...plain, path }, options);
    expect(await shapeOf({ ...request, rawUrl: other })).toBe(mismatch);
  });

  it('fails when a blank became a plus, and when parameters of one name come at all', async () => {
    const blank = await signSmithy({ ...plain, query: 'a=1%202' }, options);
    expect(await shapeOf(blank)).toBe('accepted');
    expect(await shapeOf({ ...blank, rawUrl: '/?a=1+2' })).toBe(mismatch);
    const twice = await signSmithy({ ...plain, query: 'a=1&a=2' }, options);
    expect(await shapeOf(twice)).toBe(mismatch);
    expect(await shapeOf({ ...twice, rawUrl: '/?a=2&a=1' })).toBe(mismatch);
  });

  it('with a session token is refused, since none is given out', async () => {
    const token = { ...plain, headers: { ...plain.headers, 'x-amz-security-token': 'FQoGZXIvYXdzE' } };
    expect(await shapeOf(await signSmithy(token, options))).toBe('UnrecognizedClientException');
  });

  it.each([
    ['38', 'AWS4-ECDSA-P256-SHA256'],
    ['39', 'AWS4-HMAC-SHA1'],
    ['39', 'none'],
    ['39', ''],
    ['39', 'Bearer'],
  ])('case %s: under the algorithm "%s" is malformed', async (_number, name) => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(withAuthorization(request, (value) => value.replace('AWS4-HMAC-SHA256', name)))).toBe(
      incomplete,
    );
  });

  it.each([
    ['Credential', /Credential=[^,]*, /],
    ['SignedHeaders', /SignedHeaders=[^,]*, /],
    ['Signature', /, Signature=.*/],
  ])('is malformed without %s', async (_name, part) => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(withAuthorization(request, (value) => value.replace(part, '')))).toBe(incomplete);
  });

  it.each([undefined, 'yesterday', '20260131', '20261332T000000Z'])('is malformed with the date %s', async (date) => {
    const request = await signSmithy(plain, options);
    const bare = withoutHeader(request, 'x-amz-date');
    expect(await shapeOf(date === undefined ? bare : withHeader(bare, 'x-amz-date', () => date))).toBe(incomplete);
  });

  it('may stand without blanks after its commas', async () => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(withAuthorization(request, (value) => value.replaceAll(', ', ',')))).toBe('accepted');
  });

  it('is accepted again within its window: what a replay does is up to deduplication', async () => {
    const { authenticate, clock } = setUp();
    const request = await signSmithy(plain, options);
    expect((await fate(authenticate, request))[0]).toBe('accepted');
    await clock.advance({ seconds: 60 });
    expect((await fate(authenticate, request))[0]).toBe('accepted');
    await clock.advance({ seconds: 15 * 60 });
    expect((await fate(authenticate, request))[0]).toBe(mismatch);
  });

  it('covers a port in the host', async () => {
    const request = await signSmithy(plain, options);
    expect(await shapeOf(withHeader(request, 'host', () => 'localhost'))).toBe(mismatch);
  });

  it('is refused before it is looked at when too many from its address were wrong', async () => {
    const { authenticate, clock } = setUp();
    const wrong = await signSmithy(plain, { ...options, keyId: 'SLUICENOBODYSKEY7777' });
    for (let i = 0; i < 20; i += 1) expect((await fate(authenticate, wrong))[0]).toBe('UnrecognizedClientException');
    expect(() => authenticate(wrong)).toThrow(
      expect.objectContaining({ data: expect.objectContaining({ fault: 'credentialsThrottled' }) }),
    );
    expect((await fate(authenticate, { ...wrong, peerAddress: '10.0.0.2' }))[0]).toBe('UnrecognizedClientException');
    // A neighbour with a right key goes on.
    expect((await fate(authenticate, await signSmithy(plain, options)))[0]).toBe('accepted');
    await clock.advance({ seconds: 60 });
    expect((await fate(authenticate, wrong))[0]).toBe('UnrecognizedClientException');
  });
});

describe('a presigned URL', () => {
  const url: Plain = {
    method: 'GET',
    path: '/000000000000/orders',
    query: 'Action=ReceiveMessage&Version=2012-11-05',
    headers: { host: 'localhost:8080' },
  };

  it('is accepted until it expires', async () => {
    const { authenticate, clock } = setUp();
    const request = await presignSmithy(url, { ...options, expiresIn: 60 });
    expect(await fate(authenticate, request)).toEqual(['accepted', keyId]);
    await clock.advance({ seconds: 60 });
    expect((await fate(authenticate, request))[0]).toBe('accepted');
    await clock.advance({ seconds: 1 });
    expect(await fate(authenticate, request)).toEqual([
      mismatch,
      'Signature expired: 20260101T000100Z is now earlier than 20260101T000101Z',
    ]);
  });

  it('may be good for longer than the window of headers', async () => {
    const { authenticate, clock } = setUp();
    const request = await presignSmithy(url, { ...options, expiresIn: 604_800 });
    await clock.advance({ seconds: 604_000 });
    expect((await fate(authenticate, request))[0]).toBe('accepted');
  });

  it.each(['0', '-1', '604801', '1e3', '', ' 1'])('is malformed when it expires in "%s" seconds', async (text) => {
    const request = await presignSmithy(url, options);
    const rawUrl = request.rawUrl.replace(/X-Amz-Expires=\d+/, `X-Amz-Expires=${encodeURIComponent(text)}`);
    expect(await shapeOf({ ...request, rawUrl })).toBe(incomplete);
  });

  it('is malformed when it does not say when it expires', async () => {
    const request = await presignSmithy(url, options);
    expect(await shapeOf({ ...request, rawUrl: request.rawUrl.replace(/&?X-Amz-Expires=\d+/, '') })).toBe(incomplete);
  });

  it('fails when a parameter is added, changed or given again', async () => {
    const { rawUrl, ...request } = await presignSmithy(url, options);
    expect(await shapeOf({ ...request, rawUrl: `${rawUrl}&WaitTimeSeconds=20` })).toBe(mismatch);
    expect(await shapeOf({ ...request, rawUrl: rawUrl.replace('ReceiveMessage', 'PurgeQueue') })).toBe(mismatch);
    expect(await shapeOf({ ...request, rawUrl: `${rawUrl}&Action=PurgeQueue` })).toBe(mismatch);
    expect(await shapeOf({ ...request, rawUrl: rawUrl.replace('orders', 'other') })).toBe(mismatch);
  });

  it('fails with another method, a body, or an x-amz- header that is not signed', async () => {
    const request = await presignSmithy(url, options);
    expect(await shapeOf({ ...request, method: 'POST' })).toBe(mismatch);
    expect(await shapeOf({ ...request, rawBody: Buffer.from('Action=PurgeQueue') })).toBe(mismatch);
    expect(await shapeOf(withHeader(request, 'x-amz-target', () => 'AmazonSQS.PurgeQueue'))).toBe(mismatch);
  });

  it('is malformed under another algorithm', async () => {
    const request = await presignSmithy(url, options);
    expect(await shapeOf({ ...request, rawUrl: request.rawUrl.replace('AWS4-HMAC-SHA256', 'none') })).toBe(incomplete);
  });
});

describe('random requests', () => {
  it('verify, whichever signer signed them, and fail with one byte changed', async () => {
    await fc.assert(
      fc.asyncProperty(randomPlain, fc.nat(), async (request, seed) => {
        const { authenticate } = setUp();
        for (const signed of [await signSmithy(request, options), signAws4(request, options)]) {
          expect((await fate(authenticate, signed))[0]).toBe('accepted');
          for (let i = 0; i < 5; i += 1) {
            expect((await fate(authenticate, oneByteChanged(signed, seed + i * 7919)))[0]).not.toBe('accepted');
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
