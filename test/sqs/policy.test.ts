/** Queue policies. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultAccount, everything, openPrincipal, type Principal, type Scope } from '../../src/domain/principal.ts';
import { createAuthorizeSqs, type SqsActionName, sqsAccess } from '../../src/sqs/access.ts';
import { sqsActions } from '../../src/sqs/actions.ts';
import { SqsError } from '../../src/sqs/errors.ts';
import { evaluatePolicy, type Policy, type PolicyAsk, parsePolicy } from '../../src/sqs/policy.ts';
import { matchesWildcard } from '../../src/sqs/wildcard.ts';
import { manualClock, manualStart } from '../support/clock.ts';

const arn = `arn:aws:sqs:eu-west-1:${defaultAccount}:orders`;
const worker: Principal = { account: defaultAccount, id: 'SLUICEWORKERKEY23456', scopes: [] };
const root = `arn:aws:iam::${defaultAccount}:root`;

const statement = (more: object = {}) => ({
  Effect: 'Allow',
  Principal: { AWS: root },
  Action: 'sqs:SendMessage',
  Resource: arn,
  ...more,
});
const document = (statements: unknown = [statement()], more: object = {}) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements, ...more });

function policyOf(...statements: readonly object[]): Policy {
  const policy = parsePolicy(document(statements.map(statement)));
  if (typeof policy === 'string') throw new Error(policy);
  return policy;
}
const evaluate = (policy: Policy, ask: Partial<PolicyAsk> = {}) =>
  evaluatePolicy(policy, {
    principal: worker,
    action: 'sendmessage',
    queue: { account: defaultAccount, name: 'orders' },
    peerAddress: '10.0.0.7',
    now: manualStart,
    ...ask,
  });

/** What compares times, with the present one. */
const atTheInstant = (key: string, kind: 'Date' | 'Numeric', now: string | number) =>
  [
    [`${kind}LessThan`, key, now, false],
    [`${kind}LessThanEquals`, key, now, true],
    [`${kind}GreaterThan`, key, now, false],
    [`${kind}GreaterThanEquals`, key, now, true],
  ] as const;

describe('a policy', () => {
  it('denies what one statement allows and another denies, in either order', () => {
    const [allow, deny] = [{}, { Effect: 'Deny', Action: 'sqs:*' }];
    expect(evaluate(policyOf(allow))).toBe('allow');
    expect(evaluate(policyOf(allow, deny))).toBe('deny');
    expect(evaluate(policyOf(deny, allow))).toBe('deny');
  });

  it('says nothing where no statement fits', () => {
    expect(evaluate(policyOf({}), { action: 'receivemessage' })).toBe('nothing');
    expect(evaluate(policyOf({ Principal: { AWS: '111111111111' } }))).toBe('nothing');
    expect(evaluate(policyOf({ Principal: { Service: 'sns.amazonaws.com' } }))).toBe('nothing');
  });

  it.each([
    [root, 'allow'],
    [defaultAccount, 'allow'],
    [`arn:aws:iam::${defaultAccount}:user/SLUICEWORKERKEY23456`, 'allow'],
    [`arn:aws:iam::${defaultAccount}:user/SLUICEOTHERKEY234567`, 'nothing'],
    ['arn:aws:iam::111111111111:root', 'nothing'],
  ])('names by the principal %s: %s', (AWS, said) => {
    expect(evaluate(policyOf({ Principal: { AWS } }))).toBe(said);
    expect(evaluate(policyOf({ Principal: { AWS: ['222222222222', AWS] } }))).toBe(said);
  });

  it('allows everybody without a condition only where queues may be public', () => {
    for (const Principal of ['*', { AWS: '*' }]) {
      expect(parsePolicy(document([statement({ Principal })]))).toBe(
        'Statement[0]: it allows everybody without a condition, which is not allowed here',
      );
      expect(parsePolicy(document([statement({ Principal })]), { allowsPublic: true })).toBeTypeOf('object');
      expect(parsePolicy(document([statement({ Principal, Effect: 'Deny' })]))).toBeTypeOf('object');
      const Condition = { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } };
      expect(parsePolicy(document([statement({ Principal, Condition })]))).toBeTypeOf('object');
    }
  });

  it.each([
    ['NotPrincipal', document([{ ...statement(), Principal: undefined, NotPrincipal: { AWS: root } }])],
    ['NotAction', document([statement({ NotAction: 'sqs:PurgeQueue' })])],
    ['NotResource', document([statement({ NotResource: arn })])],
    ['an unknown operator', document([statement({ Condition: { StringMatches: { 'aws:PrincipalArn': 'x' } } })])],
    ['an operator of Object', document([statement({ Condition: { constructor: { 'aws:PrincipalArn': 'x' } } })])],
    ['ForAnyValue', document([statement({ Condition: { 'ForAnyValue:StringEquals': { 'aws:PrincipalArn': 'x' } } })])],
    ['IfExists', document([statement({ Condition: { StringEqualsIfExists: { 'aws:PrincipalArn': 'x' } } })])],
    ['an unknown key', document([statement({ Condition: { StringEquals: { 'aws:PrincipalOrgID': 'o-1' } } })])],
    [
      'an operator of another kind',
      document([statement({ Condition: { StringEquals: { 'aws:SourceIp': '10.0.0.1' } } })]),
    ],
    [
      'a value that is no address',
      document([statement({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.300' } } })]),
    ],
    ['a prefix that is none', document([statement({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } } })])],
    ['a value that is no truth', document([statement({ Condition: { Bool: { 'aws:SecureTransport': 'yes' } } })])],
    ['a value that is no time', document([statement({ Condition: { DateLessThan: { 'aws:CurrentTime': 'soon' } } })])],
    ['no Version', JSON.stringify({ Statement: [statement()] })],
    ['another Version', document([statement()], { Version: '2020-01-01' })],
    ['a Statement that is no list', document(statement())],
    ['no Statement', document([])],
    ['21 KB', document([statement({ Sid: 'x'.repeat(21_000) })])],
    [
      '21 statements',
      document(Array(21).fill({ Effect: 'Allow', Principal: { AWS: root }, Action: '*', Resource: '*' })),
    ],
    ['1,000 statements', document(Array(1_000).fill({}))],
    ['more members', document([statement()], { More: 1 })],
    ['more members of a statement', document([statement({ More: 1 })])],
    ['another effect', document([statement({ Effect: 'allow' })])],
    ['no principal', document([{ ...statement(), Principal: undefined }])],
    ['a role', document([statement({ Principal: { AWS: `arn:aws:iam::${defaultAccount}:role/x` } })])],
    ['a pattern of principals', document([statement({ Principal: { AWS: 'arn:aws:iam::*:root' } })])],
    ['two kinds of principal', document([statement({ Principal: { AWS: root, Service: 'x' } })])],
    ['an action of another service', document([statement({ Action: 's3:GetObject' })])],
    ['an action that there is not', document([statement({ Action: 'sqs:SendMesage' })])],
    ['an action of a batch', document([statement({ Action: 'sqs:SendMessageBatch' })])],
    ['a resource of another service', document([statement({ Resource: 'arn:aws:sns:eu-west-1:000000000000:t' })])],
    ['a resource that is no ARN', document([statement({ Resource: 'orders' })])],
    ['a member twice', '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}'],
    ['a poisoned prototype', '{"__proto__":{"Version":"2012-10-17"},"Statement":[]}'],
    ['no JSON', '{'],
    ['nothing', ''],
    ['a list', '[]'],
  ])('is refused when it is set: %s', (_what, text) => {
    expect(parsePolicy(text)).toBeTypeOf('string');
  });

  it('is accepted as AddPermission writes it', () => {
    const text = JSON.stringify({
      Version: '2008-10-17',
      Id: `${arn}/SQSDefaultPolicy`,
      Statement: [
        {
          Sid: 'label',
          Effect: 'Allow',
          Principal: { AWS: ['arn:aws:iam::111111111111:root', root] },
          Action: ['SQS:ReceiveMessage', 'SQS:*'],
          Resource: arn,
        },
      ],
    });
    expect(parsePolicy(text)).toBeTypeOf('object');
  });

  it('does not speak of other queues than those of its resources', () => {
    expect(evaluate(policyOf({ Resource: `${arn}-other` }))).toBe('nothing');
    expect(evaluate(policyOf({ Resource: 'arn:aws:sqs:eu-west-1:111111111111:orders' }))).toBe('nothing');
    expect(evaluate(policyOf({ Resource: 'arn:aws:sqs:us-east-1:*:ord*' }))).toBe('allow');
    expect(evaluate(policyOf({ Resource: '*' }))).toBe('allow');
  });

  it.each([
    ['SQS:sendmessage', 'allow'],
    ['sqs:Send*', 'allow'],
    ['sqs:*', 'allow'],
    ['*', 'allow'],
    ['sqs:?endMessage', 'allow'],
    ['sqs:*Message', 'allow'],
    ['sqs:Receive*', 'nothing'],
    ['sqs:*s', 'nothing'],
  ])('knows the action SendMessage as %s: %s', (Action, said) => {
    expect(evaluate(policyOf({ Action }))).toBe(said);
  });

  const conditions: readonly (readonly [operator: string, key: string, value: unknown, holds: boolean])[] = [
    ['IpAddress', 'aws:SourceIp', '10.0.0.0/8', true],
    ['IpAddress', 'aws:SourceIp', '10.0.0.7', true],
    ['IpAddress', 'aws:SourceIp', ['192.168.0.0/16', '10.0.0.4/30'], true],
    ['IpAddress', 'AWS:SOURCEIP', '10.0.0.8/29', false],
    ['IpAddress', 'aws:SourceIp', 'fd00::/8', false],
    ['NotIpAddress', 'aws:SourceIp', '10.0.0.0/8', false],
    ['NotIpAddress', 'aws:SourceIp', '11.0.0.0/8', true],
    ['Bool', 'aws:SecureTransport', 'false', true],
    ['Bool', 'aws:SecureTransport', true, false],
    ['StringEquals', 'aws:PrincipalAccount', defaultAccount, true],
    ['StringEquals', 'aws:PrincipalAccount', ['1', '2'], false],
    ['StringNotEquals', 'aws:PrincipalAccount', defaultAccount, false],
    ['StringLike', 'aws:PrincipalArn', '*:user/SLUICEWORKER*', true],
    ['StringNotLike', 'aws:PrincipalArn', '*:user/SLUICEWORKER*', false],
    ['StringEqualsIgnoreCase', 'aws:PrincipalArn', `ARN:aws:iam::${defaultAccount}:user/sluiceworkerkey23456`, true],
    ['ArnLike', 'aws:SourceArn', 'arn:aws:sns:*:*:*', false],
    ['ArnNotLike', 'aws:SourceArn', 'arn:aws:sns:*:*:*', true],
    ['DateLessThan', 'aws:CurrentTime', '2026-01-01T00:00:01Z', true],
    ['DateLessThan', 'aws:CurrentTime', '2026-01-01T00:00:00Z', false],
    ['DateGreaterThanEquals', 'aws:CurrentTime', '2026-01-01T01:00:00+01:00', true],
    ...atTheInstant('aws:CurrentTime', 'Date', new Date(manualStart).toISOString()),
    ...atTheInstant('aws:EpochTime', 'Numeric', manualStart / 1000),
    ['NumericLessThan', 'aws:EpochTime', manualStart / 1000 + 1, true],
    ['NumericGreaterThan', 'aws:EpochTime', manualStart / 1000 - 1, true],
  ];
  it.each(conditions)('holds by %s of %s and %j: %s', (operator, key, value, holds) => {
    expect(evaluate(policyOf({ Condition: { [operator]: { [key]: value } } }))).toBe(holds ? 'allow' : 'nothing');
  });

  it('holds when all of its conditions do', () => {
    const address = { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } };
    const both = (account: string) =>
      policyOf({ Condition: { ...address, StringEquals: { 'aws:PrincipalAccount': account } } });
    expect(evaluate(both(defaultAccount))).toBe('allow');
    expect(evaluate(both('1'))).toBe('nothing');
  });

  it('knows IPv4 addresses as sockets of both families tell them', () => {
    const policy = policyOf({ Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } } });
    expect(evaluate(policy, { peerAddress: '::ffff:10.0.0.7' })).toBe('allow');
    expect(evaluate(policy, { peerAddress: 'not an address' })).toBe('nothing');
  });

  it('never takes a request for one over TLS', () => {
    const policy = policyOf({}, { Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': false } } });
    expect(evaluate(policy)).toBe('deny');
  });
});

describe('a pattern', () => {
  /** The same by a regular expression, for short ones. */
  const slowly = (pattern: string, text: string) =>
    new RegExp(
      `^${pattern
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '[^]*')
        .replace(/\?/g, '[^]')}$`,
    ).test(text);
  const short = (letters: string) => fc.string({ unit: fc.constantFrom(...letters), maxLength: 8 });

  it('names what a regular expression would', () => {
    fc.assert(
      fc.property(short('ab*?.'), short('ab.'), (pattern, text) => {
        expect(matchesWildcard(pattern, text)).toBe(slowly(pattern, text));
      }),
      { numRuns: 5_000 },
    );
  });

  it('is compared in a time that grows with its length alone', () => {
    // A matcher that tries again for each star would not come back from this.
    expect(matchesWildcard(`${'a*'.repeat(5_000)}b`, 'a'.repeat(50_000))).toBe(false);
    expect(matchesWildcard(`${'*a'.repeat(5_000)}*b`, 'a'.repeat(50_000))).toBe(false);
    expect(matchesWildcard(`${'a*'.repeat(5_000)}b`, `${'a'.repeat(50_000)}b`)).toBe(true);
  });
});

describe('access to a queue', () => {
  const authorize = createAuthorizeSqs({ clock: manualClock(), region: 'eu-west-1' });
  const allows = (
    scopes: readonly Scope[],
    action: SqsActionName,
    policy: string | null = null,
    account = defaultAccount,
  ) => {
    try {
      authorize({ ...worker, scopes }, action, { account, name: 'orders', policy }, '10.0.0.7');
      return true;
    } catch (error) {
      if (error instanceof SqsError && error.shape === 'AccessDeniedException') return false;
      throw error;
    }
  };
  const send: readonly Scope[] = [{ actions: ['send'], queues: ['orders'] }];
  const allow = document([statement({ Action: 'sqs:ReceiveMessage' })]);
  const deny = document([statement({ Effect: 'Deny', Principal: '*', Action: 'sqs:*' })]);

  it('is known for every action', () => {
    expect(Object.keys(sqsAccess).sort()).toEqual(sqsActions.map(({ name }) => name).sort());
  });

  it('comes by a scope or by the policy', () => {
    expect(allows(send, 'SendMessage')).toBe(true);
    expect(allows(send, 'SendMessageBatch')).toBe(true);
    expect(allows(send, 'ReceiveMessage')).toBe(false);
    expect(allows(send, 'ReceiveMessage', allow)).toBe(true);
    expect(allows([], 'ReceiveMessage', allow)).toBe(true);
    expect(allows([], 'SendMessage', allow)).toBe(false);
  });

  it('is refused by an explicit deny, whatever the scopes', () => {
    expect(allows(send, 'SendMessage', deny)).toBe(false);
    expect(allows(everything, 'SendMessage', deny)).toBe(false);
    expect(allows(everything, 'PurgeQueue', deny)).toBe(false);
  });

  it('leaves a key that may do everything a way to change the policy', () => {
    expect(allows(everything, 'SetQueueAttributes', deny)).toBe(true);
    expect(allows(everything, 'RemovePermission', deny)).toBe(true);
    expect(allows([{ actions: ['*'], queues: ['orders'] }], 'SetQueueAttributes', deny)).toBe(false);
  });

  it('is refused by a policy that cannot be read', () => {
    expect(allows(send, 'SendMessage', '{')).toBe(false);
  });

  it('is not given to other accounts', () => {
    expect(allows(everything, 'SendMessage', null, '111111111111')).toBe(false);
    expect(allows(everything, 'ReceiveMessage', allow, '111111111111')).toBe(false);
  });

  it('lets who only sends ask for the address', () => {
    expect(allows(send, 'GetQueueUrl')).toBe(true);
    expect(allows(send, 'GetQueueAttributes')).toBe(false);
    expect(allows([], 'GetQueueUrl')).toBe(false);
  });

  it('is refused in the words of AWS, with the name of the single form', () => {
    const queue = { account: defaultAccount, name: 'orders', policy: null };
    expect(() => authorize(worker, 'SendMessageBatch', queue, '10.0.0.7')).toThrow(
      `User: arn:aws:iam::000000000000:user/SLUICEWORKERKEY23456 is not authorized to perform: sqs:sendmessage on resource: ${arn} because no identity-based policy allows the sqs:sendmessage action`,
    );
  });

  it('is asked for no queue where an action names none', () => {
    expect(() => authorize({ ...worker, scopes: send }, 'ListQueues', undefined, '')).not.toThrow();
    expect(() => authorize(worker, 'ListQueues', undefined, '')).toThrow('sqs:listqueues on resource: *');
    expect(() => authorize({ ...worker, scopes: send }, 'CancelMessageMoveTask', undefined, '')).toThrow(
      'sqs:cancelmessagemovetask',
    );
  });

  it('is not asked for on an open server', () => {
    const queue = { account: defaultAccount, name: 'orders', policy: deny };
    expect(() => authorize(openPrincipal(defaultAccount), 'SendMessage', queue, '')).not.toThrow();
  });
});
