/** The arithmetic of Signature Version 4, against AWS's worked example and the cases of its public test suite. */
import { createHmac, hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  canonicalPath,
  canonicalQuery,
  canonicalRequest,
  queryParts,
  signableHeaders,
  signatureOf,
  signingKey,
  stringToSign,
} from '../../src/sqs/canonical-request.ts';

const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const time = '20150830T123600Z';

type Vector = {
  readonly host?: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly headers?: readonly string[];
  readonly signed?: string;
  readonly body?: string;
  readonly service?: string;
};

function signed({
  method = 'GET',
  path = '/',
  query = '',
  host = 'example.amazonaws.com',
  headers = [],
  signed: names,
  body = '',
  service = 'service',
}: Vector) {
  const scope = { day: '20150830', region: 'us-east-1', service };
  const canonical = canonicalRequest({
    method,
    path,
    query: queryParts(query),
    headers: signableHeaders(['Host', host, ...headers, 'X-Amz-Date', time]),
    signedHeaders: (names ?? 'host;x-amz-date').split(';'),
    payloadHash: hash('sha256', body, 'hex'),
  });
  const text = stringToSign(time, scope, canonical ?? '');
  return { canonical, signature: signatureOf(signingKey(secret, scope), text) };
}

describe('Signature Version 4', () => {
  it('signs the worked example of the documentation', () => {
    const { canonical, signature } = signed({
      host: 'iam.amazonaws.com',
      query: 'Action=ListUsers&Version=2010-05-08',
      service: 'iam',
      headers: ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8'],
      signed: 'content-type;host;x-amz-date',
    });
    expect(hash('sha256', canonical ?? '', 'hex')).toBe(
      'f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59',
    );
    // The documentation's signing key, by which the pads must have been made.
    const key = Buffer.from('c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9', 'hex');
    const { inner } = signingKey(secret, { day: '20150830', region: 'us-east-1', service: 'iam' });
    expect(inner.subarray(0, 32)).toEqual(key.map((byte) => byte ^ 0x36));
    expect(signature).toBe('5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7');
  });

  // Names and signatures are those of the suite.
  const vectors: readonly (readonly [name: string, request: Vector, signature: string])[] = [
    ['get-vanilla', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    [
      'get-vanilla-query-order-key-case',
      { query: 'Param2=value2&Param1=value1' },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'get-unreserved',
      { path: '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' },
      '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
    ],
    [
      'get-utf8',
      { path: Buffer.from('/ሴ').toString('latin1') },
      '8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85',
    ],
    [
      'get-header-value-trim',
      {
        headers: ['My-Header1', ' value1', 'My-Header2', ' "a   b   c"'],
        signed: 'host;my-header1;my-header2;x-amz-date',
      },
      'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
    ],
    [
      'get-header-key-duplicate',
      {
        headers: ['My-Header1', 'value2', 'My-Header1', 'value2', 'My-Header1', 'value1'],
        signed: 'host;my-header1;x-amz-date',
      },
      'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea',
    ],
    ['post-vanilla', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'post-x-www-form-urlencoded',
      {
        method: 'POST',
        headers: ['Content-Type', 'application/x-www-form-urlencoded'],
        signed: 'content-type;host;x-amz-date',
        body: 'Param1=value1',
      },
      'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    ],
    ['get-relative', { path: '/example/..' }, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['get-slash', { path: '//' }, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['get-slash-dot-slash', { path: '/./' }, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
  ];
  it.each(vectors)('signs %s as the public suite does', (_name, request, signature) => {
    expect(signed(request).signature).toBe(signature);
  });

  it.each([
    ['', '/'],
    ['/', '/'],
    ['//', '/'],
    ['/./', '/'],
    ['/a/../b', '/b'],
    ['/../../a', '/a'],
    ['/a//b/', '/a/b/'],
    ['/a%2Fb', '/a%252Fb'],
    ['/%61', '/%2561'],
    ['/a b', '/a%20b'],
  ])('makes of the path %s %s', (path, canonical) => {
    expect(canonicalPath(path)).toBe(canonical);
  });

  it.each([
    ['', ''],
    ['b=2&a=1', 'a=1&b=2'],
    ['a-=1&a=2', 'a=2&a-=1'],
    ['a=2&a=1', 'a=1&a=2'],
    ['a', 'a='],
    ['a=+', 'a=%2B'],
    ['a=%20', 'a=%20'],
    ['a=%7e%2f', 'a=~%2F'],
    ['a=%zz', 'a=%25zz'],
    ['a=b=c', 'a=b%3Dc'],
  ])('makes of the query %s %s', (query, canonical) => {
    expect(canonicalQuery(queryParts(query))).toBe(canonical);
  });

  it('takes secrets of any length', () => {
    for (const length of [1, 59, 60, 61, 64, 128]) {
      const long = 'x'.repeat(length);
      const scope = { day: '20150830', region: 'us-east-1', service: 'sqs' };
      const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
      const key = ['20150830', 'us-east-1', 'sqs', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${long}`);
      expect(signatureOf(signingKey(long, scope), 'text')).toBe(hmac(key, 'text').toString('hex'));
    }
  });

  it('keeps the bytes of letters whose last byte is a blank elsewhere', () => {
    const value = Buffer.from('voilà').toString('latin1');
    expect(signableHeaders(['X', ` ${value} `]).get('x')).toBe(value);
  });
});
