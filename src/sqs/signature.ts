/**
 * Who signed a request: verification of Signature Version 4, in headers and in presigned URLs.
 *
 *     parse strictly ─▶ time window ─▶ who (or nobody) ─▶ hash of the received bytes ─▶ canonical request ─▶ compare
 *
 * The header x-amz-content-sha256 is only ever compared with our own hash, so a body that was changed on the way fails
 * whatever its header says. A key that nobody has is verified with a secret that nobody has, and takes as long.
 * Verifying costs 11 µs of processor time for a body of 512 bytes and seven headers when the signing key is at hand, 36 µs
 * when it must be made (Node 24 on a busy machine of two cores; `npm run test:deep` measures it).
 *
 * What the signature does not cover, by AWS's own rules: the order of query parameters of one name, which is why a name
 * that is given twice is refused; and `x-amz-user-agent`, which the PHP SDK sends and does not sign.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Signer, SigningSecret } from '../broker/key-book.ts';
import type { Keys } from '../broker/keys.ts';
import type { Clock } from '../clock.ts';
import { type Instant, instant, toRfc3339 } from '../domain/instant.ts';
import type { Principal } from '../domain/principal.ts';
import type { Gate } from '../http/authentication.ts';
import {
  algorithm,
  type CredentialScope,
  canonicalRequest,
  decodeBytes,
  type QueryPart,
  queryParts,
  type SignableHeaders,
  type SigningKey,
  signableHeaders,
  signatureOf,
  signingKey,
  stringToSign,
  terminator,
} from './canonical-request.ts';
import { SqsError } from './errors.ts';

/** A request as it was received. */
export type SignedRequest = {
  readonly method: string;
  /** Path and query as they stood in the request line. */
  readonly rawUrl: string;
  /** Names and values in turns, as they came. */
  readonly rawHeaders: readonly string[];
  readonly rawBody: Uint8Array;
  /** The address of the socket; what proxies say is not asked. */
  readonly peerAddress: string;
};

export type SignatureDeps = {
  readonly keys: Pick<Keys, 'signer' | 'isKnown'>;
  readonly gate: Pick<Gate, 'isOpen' | 'anyone' | 'failed'>;
  readonly clock: Pick<Clock, 'now'>;
  /** Regions that are taken; absent: any, since clients sign with whatever they are set to. */
  readonly regions?: readonly string[] | undefined;
};

/** Who asks. On an open server anybody, with whatever signature. @throws SqsError, credentialsThrottled */
export type Authenticate = (request: SignedRequest) => Principal;

const service = 'sqs';
/** How far the clock of a client may be off. */
export const skewMsMax = 15 * 60_000;
/** Seconds for which a URL can be presigned. */
const expiresSecondsMax = 604_800;
/** Signing keys at hand: one per key, day and region. */
const signingKeysKeptMax = 1_000;
const signedHeadersMax = 100;

export function createAuthenticate({ keys, gate, clock, regions }: SignatureDeps): Authenticate {
  const keyOf = signingKeys();

  return (request) => {
    if (gate.isOpen()) return gate.anyone;
    const now = clock.now();
    const claim = claimOf(request);
    requireScope(claim, regions);
    requireTime(claim, now);
    if (claim.hasToken) throw unknownKey();
    const signer = keys.signer(claim.keyId);
    const counted = keys.isKnown(claim.keyId) ? claim.keyId : '';
    gate.failed.requireCalm(request.peerAddress, counted);
    if (isSignedBy(signer, claim, request)) return signer.principal;
    gate.failed.count(request.peerAddress, counted);
    throw signer === undefined ? unknownKey() : mismatch();
  };

  function isSignedBy(signer: Signer | undefined, claim: Claim, request: SignedRequest): signer is Signer {
    const payloadHash = hash('sha256', request.rawBody, 'hex');
    const toldHash = claim.headers.get('x-amz-content-sha256');
    const canonical = canonicalRequest({ ...claim, method: request.method, payloadHash });
    const isWhole = (toldHash === undefined || toldHash === payloadHash) && coversEnough(claim);
    const text = stringToSign(claim.time, claim.scope, canonical ?? '');
    let isRight = false;
    for (const secret of provenFirst(signer?.secrets ?? [nobodysSecret], claim.proven)) {
      const proven = claim.proven?.secretId === secret.id ? claim.proven.key : undefined;
      const key = proven ?? keyOf.find(secret, claim.scope);
      if (!isSame(signatureOf(key, text), claim.signature)) continue;
      isRight = true;
      if (proven !== undefined) break;
      keyOf.keep(secret, claim.scope, key);
      const isSomebodys = signer !== undefined && claim.signatoryText !== '';
      if (isSomebodys) signatories.set(claim.signatoryText, signatoryOf(claim, secret, key));
    }
    return isRight && isWhole && canonical !== undefined && signer !== undefined;
  }
}

/** A secret for keys that nobody has; no signature of it is ever accepted. */
const nobodysSecret: SigningSecret = { id: '', open: () => 'nobody has this secret' };

/**
 * Signing keys by secret, day and region. Kept only when a signature was right: else anybody could fill the cache with
 * regions of their own making. The last one of nobody is kept too, so that an unknown key is refused as fast as a known.
 */
function signingKeys() {
  const kept = new LRUCache<string, SigningKey>({ max: signingKeysKeptMax });
  let nobodys: { readonly name: string; readonly key: SigningKey } | undefined;
  const nameOf = ({ id }: SigningSecret, { day, region }: CredentialScope) => `${id}/${day}/${region}`;
  return {
    find(secret: SigningSecret, scope: CredentialScope): SigningKey {
      const name = nameOf(secret, scope);
      const known = secret === nobodysSecret && nobodys?.name === name ? nobodys.key : kept.get(name);
      if (known !== undefined) return known;
      const key = signingKey(secret.open(), scope);
      if (secret === nobodysSecret) nobodys = { name, key };
      return key;
    },
    keep(secret: SigningSecret, scope: CredentialScope, key: SigningKey): void {
      if (secret !== nobodysSecret) kept.set(nameOf(secret, scope), key);
    },
  };
}

const signatureChars = 64;
const expectedBytes = Buffer.alloc(signatureChars);
const givenBytes = Buffer.alloc(signatureChars);

/** Constant in time for signatures of the right length; any other is refused before. */
function isSame(expected: string, given: string): boolean {
  if (given.length !== signatureChars) return false;
  expectedBytes.write(expected, 'latin1');
  givenBytes.write(given, 'latin1');
  return timingSafeEqual(expectedBytes, givenBytes);
}

/** What a request says of its signature. */
type Claim = {
  readonly keyId: string;
  readonly scope: CredentialScope;
  /** As it stands in the string to sign: `yyyymmddThhmmssZ`. */
  readonly time: string;
  readonly at: Instant;
  /** Presigned: how long it is good for. */
  readonly expiresSeconds: number | undefined;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** What the header says before the signature; empty where that is not usual enough to be kept. */
  readonly signatoryText: string;
  /** With what the signatory's last right signature was made. */
  readonly proven: Proof | undefined;
  readonly hasToken: boolean;
  readonly path: string;
  /** What is signed of the query. */
  readonly query: readonly QueryPart[];
  readonly headers: SignableHeaders;
};

const incomplete = (message: string): SqsError => new SqsError('IncompleteSignatureException', message);
const unknownKey = (): SqsError =>
  new SqsError('UnrecognizedClientException', 'The security token included in the request is invalid.');
const refused = (message: string): SqsError => new SqsError('InvalidSignatureException', message);
const mismatch = (): SqsError =>
  refused(
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  );

function claimOf({ rawUrl, rawHeaders }: SignedRequest): Claim {
  if (!rawUrl.startsWith('/')) throw incomplete('The request line must hold a path.');
  const mark = rawUrl.indexOf('?');
  const path = mark === -1 ? rawUrl : rawUrl.slice(0, mark);
  const parts = mark === -1 ? [] : queryParts(rawUrl.slice(mark + 1));
  const headers = signableHeaders(rawHeaders);
  const parameters = uniqueParameters(parts);
  const authorization = headers.get('authorization') ?? '';
  const isPresigned = parameters.has('X-Amz-Algorithm');

  if (authorization === '') {
    if (!isPresigned) throw denied(headers, path);
    const query = parts.filter(({ name }) => decodeBytes(name) !== 'X-Amz-Signature');
    return { ...presignedClaim(parameters), path, query, headers };
  }
  if (isPresigned) throw incomplete('The request is signed in its headers and in its query.');
  const isAnyRepeated = rawHeaders.length > headers.size * 2;
  if (isAnyRepeated && countOf(rawHeaders, 'authorization') > 1)
    throw incomplete('The header Authorization is given more than once.');
  return headerClaim(authorization, { path, query: parts, headers });
}

type Addressed = Pick<Claim, 'path' | 'query' | 'headers'>;

/** @see contract: the text seen for refusals, with the endpoint that was asked */
const denied = (headers: SignableHeaders, path: string): SqsError =>
  new SqsError('AccessDeniedException', `Access to the resource http://${headers.get('host') ?? ''}${path} is denied.`);

const countOf = (rawHeaders: readonly string[], wanted: string): number =>
  rawHeaders.reduce((count, name, i) => (i % 2 === 0 && name.toLowerCase() === wanted ? count + 1 : count), 0);

/** Values by name, decoded. The order of two of one name is not signed. @throws SqsError for a repeated name */
function uniqueParameters(parts: readonly QueryPart[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const part of parts) {
    const name = decodeBytes(part.name);
    if (values.has(name)) throw mismatch();
    values.set(name, decodeBytes(part.value));
  }
  return values;
}

/** What the header Authorization says before the signature. */
type Signatory = Pick<Claim, 'keyId' | 'scope' | 'signedHeaders'>;
/** While two secrets are in force, the one that the last right signature was made with saves a look at the other. */
function provenFirst(secrets: readonly SigningSecret[], proven: Proof | undefined): readonly SigningSecret[] {
  if (proven === undefined || secrets[0]?.id === proven.secretId) return secrets;
  const isProven = ({ id }: SigningSecret) => id === proven.secretId;
  return [...secrets.filter(isProven), ...secrets.filter((secret) => !isProven(secret))];
}

/** A secret, and the signing key that was derived from it for the signatory's scope. */
type Proof = { readonly secretId: string; readonly key: SigningKey };
type KnownSignatory = Signatory & { readonly proven: Proof };
const signatoryOf = (claim: Claim, secret: SigningSecret, key: SigningKey): KnownSignatory => {
  const { keyId, scope, signedHeaders } = claim;
  return { keyId, scope, signedHeaders, proven: { secretId: secret.id, key } };
};

/**
 * Signatories by the text that names them, without the signature: a client's is the same all day, and reading it anew
 * and looking for its signing key took a fourth of the time of verifying. Like signing keys they are kept only when a
 * signature was right.
 */
const signatories = new LRUCache<string, KnownSignatory>({ max: signingKeysKeptMax });
/** Longer than any SDK's. */
const signatoryCharsMax = 512;
const signatureField = /^Signature=[0-9a-f]{64}$/;
const signatureFieldChars = 'Signature='.length + signatureChars;

function headerClaim(authorization: string, { path, query, headers }: Addressed): Claim {
  const isUsual =
    authorization.length < signatoryCharsMax && signatureField.test(authorization.slice(-signatureFieldChars));
  const signatoryText = isUsual ? authorization.slice(0, -signatureChars) : '';
  const known = isUsual ? signatories.get(signatoryText) : undefined;
  const { keyId, scope, signedHeaders, signature, proven } =
    known === undefined
      ? readAuthorization(authorization)
      : { ...known, signature: authorization.slice(-signatureChars) };
  const { time, at } = timeOf(headers.get('x-amz-date') ?? headers.get('date'));
  return {
    keyId,
    scope,
    signedHeaders,
    signature,
    signatoryText,
    proven,
    time,
    at,
    expiresSeconds: undefined,
    hasToken: headers.has('x-amz-security-token'),
    path,
    query,
    headers,
  };
}

function readAuthorization(authorization: string): Signatory & Pick<Claim, 'signature' | 'proven'> {
  const blank = authorization.indexOf(' ');
  if (authorization.slice(0, blank) !== algorithm) {
    throw incomplete(`The header Authorization must begin with ${algorithm}.`);
  }
  const fields = new Map<string, string>();
  for (const part of authorization.slice(blank + 1).split(',')) {
    const field = part.trim();
    const equals = field.indexOf('=');
    const name = headerFields.find((known) => known === field.slice(0, Math.max(equals, 0)));
    if (name === undefined || fields.has(name)) {
      throw incomplete(`The header Authorization must hold ${headerFields.join(', ')}, each once.`);
    }
    fields.set(name, field.slice(equals + 1));
  }
  const get = (name: (typeof headerFields)[number]): string => {
    const value = fields.get(name);
    if (value === undefined || value === '') throw incomplete(`Authorization header requires '${name}' parameter.`);
    return value;
  };
  return {
    ...credentialOf(get('Credential')),
    signedHeaders: headerNames(get('SignedHeaders')),
    signature: get('Signature'),
    proven: undefined,
  };
}

const headerFields = ['Credential', 'SignedHeaders', 'Signature'] as const;

function presignedClaim(parameters: ReadonlyMap<string, string>): Omit<Claim, keyof Addressed> {
  const get = (name: string): string => {
    const value = parameters.get(name);
    if (value === undefined || value === '') throw incomplete(`The query must hold ${name}.`);
    return value;
  };
  if (get('X-Amz-Algorithm') !== algorithm) throw incomplete(`X-Amz-Algorithm must be ${algorithm}.`);
  const expires = get('X-Amz-Expires');
  const expiresSeconds = /^\d{1,6}$/.test(expires) ? Number(expires) : 0;
  if (expiresSeconds < 1 || expiresSeconds > expiresSecondsMax) {
    throw incomplete(`X-Amz-Expires must be a number of seconds from 1 to ${expiresSecondsMax}.`);
  }
  return {
    ...credentialOf(get('X-Amz-Credential')),
    ...timeOf(get('X-Amz-Date')),
    expiresSeconds,
    signedHeaders: headerNames(get('X-Amz-SignedHeaders')),
    signature: get('X-Amz-Signature'),
    signatoryText: '',
    proven: undefined,
    hasToken: parameters.has('X-Amz-Security-Token'),
  };
}

function credentialOf(text: string): { keyId: string; scope: CredentialScope } {
  const [keyId = '', day = '', region = '', name = '', end, ...more] = text.split('/', 7);
  const isWhole = /^[\w-]{1,128}$/.test(keyId) && /^\d{8}$/.test(day) && region !== '' && more.length === 0;
  if (!isWhole || end !== terminator) {
    throw incomplete(`Credential must have the form <key id>/<yyyymmdd>/<region>/${service}/${terminator}.`);
  }
  return { keyId, scope: { day, region, service: name } };
}

/** Names in lower case and in order, each once. */
function headerNames(text: string): readonly string[] {
  const names = text.split(';', signedHeadersMax + 1);
  const isInOrder = names.every(
    (name, i) => /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) && (i === 0 || (names[i - 1] ?? '') < name),
  );
  if (isInOrder && names.length <= signedHeadersMax) return names;
  throw incomplete('SignedHeaders must be names of headers in lower case, in order and each once.');
}

const timePattern = /^\d{8}T\d{6}Z$/;
/** As Date.parse takes it; with a pattern that replaces, this alone took a fiftieth of a signed send. */
const extended = (basic: string): string =>
  `${basic.slice(0, 4)}-${basic.slice(4, 6)}-${basic.slice(6, 11)}:${basic.slice(11, 13)}:${basic.slice(13)}`;

type SignedAt = Pick<Claim, 'time' | 'at'>;
/** The last that was read: requests of the same second tell the same. */
let lastTime: { readonly text: string; readonly signedAt: SignedAt } | undefined;

/** @param text X-Amz-Date, or Date in one of the forms of HTTP */
function timeOf(text: string | undefined): SignedAt {
  if (lastTime !== undefined && lastTime.text === text) return lastTime.signedAt;
  const signedAt = readTime(text);
  if (text !== undefined) lastTime = { text, signedAt };
  return signedAt;
}

function readTime(text: string | undefined): SignedAt {
  if (text === undefined)
    throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  const isBasic = timePattern.test(text);
  const at = Date.parse(isBasic ? extended(text) : text);
  if (Number.isNaN(at)) {
    throw incomplete("The date must be in ISO-8601 'basic format', such as 20260131T120000Z.");
  }
  return { time: isBasic ? text : basicTime(instant(at)), at: instant(at) };
}

/** `yyyymmddThhmmssZ` */
const basicTime = (at: Instant): string =>
  toRfc3339(at)
    .replace(/\.\d{3}/, '')
    .replace(/[-:]/g, '');

function requireScope({ scope, time }: Claim, regions: readonly string[] | undefined): void {
  if (scope.service !== service) throw refused(`Credential should be scoped to correct service: '${service}'.`);
  if (regions !== undefined && !regions.includes(scope.region)) {
    throw refused('Credential should be scoped to a valid region.');
  }
  const day = time.slice(0, 8);
  if (scope.day === day) return;
  throw refused(
    `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: ${quoted(scope.day)} != ${quoted(day)}, from ${quoted(time)}.`,
  );
}

const quoted = (text: string): string => `'${text}'`;

function requireTime({ at, time, expiresSeconds }: Claim, now: Instant): void {
  const present = () => basicTime(now);
  const latest = instant(now + skewMsMax);
  if (at > latest) {
    const bound = `${basicTime(latest)} (${present()} + 15 min.)`;
    throw refused(`Signature not yet current: ${time} is still later than ${bound}`);
  }
  if (expiresSeconds !== undefined) {
    const end = instant(at + expiresSeconds * 1000);
    if (now > end) throw refused(`Signature expired: ${basicTime(end)} is now earlier than ${present()}`);
    return;
  }
  const earliest = instant(now - skewMsMax);
  if (at >= earliest) return;
  throw refused(`Signature expired: ${time} is now earlier than ${basicTime(earliest)} (${present()} - 15 min.)`);
}

/** The PHP SDK sends it and leaves it unsigned; nobody reads it here. */
const neverSigned = 'x-amz-user-agent';

/** Whether the signature covers the host and everything that says what to do. */
function coversEnough({ headers, signedHeaders }: Claim): boolean {
  if (!signedHeaders.includes('host')) return false;
  for (const name of headers.keys()) {
    if (name.startsWith('x-amz-') && name !== neverSigned && !signedHeaders.includes(name)) return false;
  }
  return true;
}
