/** Signing keys that are kept: those of right signatures alone, since anybody can send wrong ones. */
import { describe, expect, it } from 'vitest';
import type { SigningSecret } from '../../src/broker/key-book.ts';
import { defaultAccount, everything, openPrincipal } from '../../src/domain/principal.ts';
import { type Authenticate, createAuthenticate } from '../../src/sqs/signature.ts';
import { manualStart as at } from '../support/clock.ts';
import { type Plain, signAws4 } from '../support/signing.ts';

const keyId = 'SLUICETESTKEY2345672';
const secret = 'slk_a-secret-that-only-tests-have-0123456789';
const plain: Plain = { method: 'POST', path: '/', headers: { host: 'localhost:8080' }, body: '{}' };

/** Ids of secrets are never used again. */
let secretCount = 0;

function authenticateBy(secrets: () => readonly SigningSecret[]): Authenticate {
  const principal = { account: defaultAccount, id: keyId, scopes: everything };
  return createAuthenticate({
    keys: { signer: () => ({ principal, secrets: secrets() }), isKnown: () => true },
    gate: {
      isOpen: () => false,
      anyone: openPrincipal(defaultAccount),
      failed: { requireCalm: () => undefined, count: () => undefined },
    },
    clock: { now: () => at },
  });
}

/** A key whose secret tells how often it is opened, which is what making a signing key takes. */
function setUp() {
  secretCount += 1;
  const id = `secret ${secretCount}`;
  let openedCount = 0;
  const open = () => {
    openedCount += 1;
    return secret;
  };
  const authenticate = authenticateBy(() => [{ id, open }]);
  const signed = signAws4(plain, { keyId, secret: `${secret}x`, at });
  return {
    /** @param header signed beside the others; another one is another signatory with the same signing key */
    right(region: string, header = 'x-client'): void {
      const headers = { ...plain.headers, [header]: 'x' };
      authenticate(signAws4({ ...plain, headers }, { keyId, secret, at, region }));
    },
    wrong(region: string): void {
      const rawHeaders = signed.rawHeaders.map((text) => text.replace('/eu-west-1/', `/${region}/`));
      expect(() => authenticate({ ...signed, rawHeaders })).toThrow('signature');
    },
    openedCount: () => openedCount,
  };
}

it('is made once for all right signatures of a region', () => {
  const { right, openedCount } = setUp();
  for (const region of ['eu-west-1', 'eu-west-1', 'us-east-1', 'eu-west-1', 'us-east-1']) right(region);
  right('us-east-1', 'x-other-client');
  expect(openedCount()).toBe(2);
});

it('is kept for no wrong signature', () => {
  const { wrong, right, openedCount } = setUp();
  for (const region of ['eu-west-1', 'eu-west-1']) wrong(region);
  right('eu-west-1');
  expect(openedCount()).toBe(3);
});

it('is not pushed out by wrong signatures of however many regions', () => {
  const { wrong, right, openedCount } = setUp();
  right('eu-west-1');
  // More than are kept.
  for (let n = 0; n < 1_100; n += 1) wrong(`region-${n}`);
  const before = openedCount();
  right('eu-west-1', 'x-other-client');
  expect(openedCount()).toBe(before);
});

describe('while two secrets of a key are in force', () => {
  /** Two secrets of a key, the newer first, and how often each was opened. */
  function twoSecrets() {
    secretCount += 1;
    const opened = { newer: 0, older: 0 };
    const secretNamed = (name: keyof typeof opened): SigningSecret => ({
      id: `${name} ${secretCount}`,
      open() {
        opened[name] += 1;
        return `${secret}-${name}`;
      },
    });
    let secrets = [secretNamed('newer'), secretNamed('older')];
    const authenticate = authenticateBy(() => secrets);
    return {
      send: (name: keyof typeof opened) => authenticate(signAws4(plain, { keyId, secret: `${secret}-${name}`, at })),
      endOlder() {
        secrets = secrets.slice(0, 1);
      },
      opened,
    };
  }

  it('is made once of the older, and of the newer not again for each of its signatures', () => {
    const { send, opened } = twoSecrets();
    for (let n = 0; n < 5; n += 1) send('older');
    expect(opened).toEqual({ newer: 1, older: 1 });
  });

  it('is good for either in turns, and for the older until that ends', () => {
    const { send, endOlder } = twoSecrets();
    for (const name of ['older', 'newer', 'older', 'newer', 'older'] as const) send(name);
    endOlder();
    expect(() => send('older')).toThrow('signature');
    expect(send('newer').id).toBe(keyId);
  });
});
