/** Signs requests as clients do, with two signers that are not ours; and who verifies them as a server with one key does. */
import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import aws4 from 'aws4';
import type { Signer } from '../../src/broker/key-book.ts';
import type { Instant } from '../../src/domain/instant.ts';
import { defaultAccount, everything, openPrincipal } from '../../src/domain/principal.ts';
import { type Authenticate, createAuthenticate, type SignedRequest } from '../../src/sqs/signature.ts';

/** A request before it is signed; the query as it goes over the wire. */
export type Plain = {
  readonly method: string;
  readonly path: string;
  readonly query?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
};

export type Credentials = { readonly keyId: string; readonly secret: string };
export type SignOptions = Credentials & { readonly at: number; readonly region?: string; readonly service?: string };

/** The checksums that the signer asks for, from Node. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }
  update(data: Uint8Array): void {
    this.#hash.update(data);
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    throw new Error('The signer never asks for this.');
  }
}

function bytesOf(secret: string | ArrayBuffer | ArrayBufferView): Uint8Array {
  if (typeof secret === 'string') return Buffer.from(secret);
  return ArrayBuffer.isView(secret)
    ? new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength)
    : new Uint8Array(secret);
}

const signerOf = ({ keyId, secret, region = 'eu-west-1', service = 'sqs' }: SignOptions) =>
  new SignatureV4({
    service,
    region,
    credentials: { accessKeyId: keyId, secretAccessKey: secret },
    sha256: Sha256,
    applyChecksum: false,
  });

/** As the SDKs for JavaScript sign. */
export async function signSmithy(plain: Plain, options: SignOptions): Promise<SignedRequest> {
  const signed = await signerOf(options).sign(smithyRequest(plain), { signingDate: new Date(options.at) });
  return received(plain, signed.headers, plain.query ?? '');
}

/** As the SDKs for JavaScript presign. */
export async function presignSmithy(
  plain: Plain,
  options: SignOptions & { readonly expiresIn?: number },
): Promise<SignedRequest> {
  const signed = await signerOf(options).presign(smithyRequest(plain), {
    signingDate: new Date(options.at),
    expiresIn: options.expiresIn ?? 3_600,
  });
  return received(plain, signed.headers, wireQuery(signed.query ?? {}));
}

/** As programs with the package aws4 sign. */
export function signAws4(plain: Plain, options: SignOptions): SignedRequest {
  const { keyId, secret, at, region = 'eu-west-1', service = 'sqs' } = options;
  const query = plain.query ?? '';
  const request = {
    method: plain.method,
    path: plain.path + (query === '' ? '' : `?${query}`),
    service,
    region,
    headers: { ...plain.headers, 'X-Amz-Date': basicTime(at) },
    ...(plain.body === undefined ? {} : { body: plain.body }),
  };
  const signed = aws4.sign(request, { accessKeyId: keyId, secretAccessKey: secret });
  const headers = Object.fromEntries(
    Object.entries(signed.headers ?? {}).map(([name, value]) => [name, String(value)]),
  );
  return received(plain, headers, query);
}

export const basicTime = (at: number): string => new Date(at).toISOString().replace(/\.\d{3}|[-:]/g, '');

const smithyRequest = ({ method, path, query = '', headers, body }: Plain) => ({
  method,
  protocol: 'http:',
  hostname: (headers.host ?? '').replace(/:\d+$/, ''),
  path,
  query: parsedQuery(query),
  headers: { ...headers },
  body,
});

function parsedQuery(query: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {};
  for (const [name, value] of query === '' ? [] : query.split('&').map((part) => part.split('=', 2))) {
    const key = decodeURIComponent(name ?? '');
    const text = decodeURIComponent(value ?? '');
    const before = values[key];
    values[key] = before === undefined ? text : [...(Array.isArray(before) ? before : [before]), text];
  }
  return values;
}

const wireQuery = (query: Readonly<Record<string, string | string[] | null>>): string =>
  Object.entries(query)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value ?? '']).map((one) => [name, one] as const))
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');

/** As it arrives: header values as bytes. */
const received = (plain: Plain, headers: Readonly<Record<string, string>>, query: string): SignedRequest => ({
  method: plain.method,
  rawUrl: plain.path + (query === '' ? '' : `?${query}`),
  rawHeaders: Object.entries(headers).flatMap(([name, value]) => [name, Buffer.from(value, 'utf8').toString('latin1')]),
  rawBody: Buffer.from(plain.body ?? ''),
  peerAddress: '127.0.0.1',
});

/** A server where one key is in force, that stands still at one instant and refuses nobody for having failed often. */
export function verifierOf({ keyId, secret, at }: Credentials & { readonly at: Instant }): Authenticate {
  const signer: Signer = {
    principal: { account: defaultAccount, id: keyId, scopes: everything },
    secrets: [{ id: 'one', open: () => secret }],
  };
  return createAuthenticate({
    keys: { signer: (id) => (id === keyId ? signer : undefined), isKnown: (id) => id === keyId },
    gate: {
      isOpen: () => false,
      anyone: openPrincipal(defaultAccount),
      failed: { requireCalm: () => undefined, count: () => undefined },
    },
    clock: { now: () => at },
  });
}
