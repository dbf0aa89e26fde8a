/**
 * Conditions of policies: a small table of operators and one of keys. What is in neither is refused when the policy is
 * set, since a condition that is silently ignored is a hole.
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import { BlockList, isIP } from 'node:net';
import type { Instant } from '../domain/instant.ts';
import type { Principal } from '../domain/principal.ts';
import { matchesWildcard } from './wildcard.ts';

/** What is known of a request. */
export type PolicyContext = {
  readonly principal: Principal;
  /** The address of the socket: what proxies say is not asked. */
  readonly peerAddress: string;
  readonly now: Instant;
};

type Kind = 'text' | 'address' | 'truth' | 'time';
type KeyRow = { readonly kind: Kind; readonly read: (context: PolicyContext) => string | undefined };

export const principalArn = ({ account, id = 'anonymous' }: Principal): string => `arn:aws:iam::${account}:user/${id}`;

/** Condition keys in lower case; their names have no case. Those of other services' calls are never there. */
const keys = {
  'aws:sourceip': { kind: 'address', read: ({ peerAddress }) => peerAddress },
  // This server speaks plain HTTP: whether a proxy in front of it does TLS is not its to say.
  'aws:securetransport': { kind: 'truth', read: () => 'false' },
  'aws:currenttime': { kind: 'time', read: ({ now }) => String(now) },
  'aws:epochtime': { kind: 'time', read: ({ now }) => String(now) },
  'aws:principalarn': { kind: 'text', read: ({ principal }) => principalArn(principal) },
  'aws:principalaccount': { kind: 'text', read: ({ principal }) => principal.account },
  'aws:sourcearn': { kind: 'text', read: () => undefined },
  'aws:sourceaccount': { kind: 'text', read: () => undefined },
} as const satisfies Record<string, KeyRow>;

type OperatorRow = {
  readonly kind: Kind;
  /** True for "none of the values", which also holds where the key is not there. */
  readonly isNegated: boolean;
  /** Whether the value can be one of this operator's. */
  readonly isValue: (value: string) => boolean;
  readonly test: (actual: string, value: string) => boolean;
};

const text = (test: OperatorRow['test'], isNegated = false): OperatorRow => ({
  kind: 'text',
  isNegated,
  isValue: () => true,
  test,
});
const address = (isNegated: boolean): OperatorRow => ({
  kind: 'address',
  isNegated,
  isValue: (value) => networkOf(value) !== undefined,
  test: (actual, value) => isWithin(actual, value),
});
const time = (test: (actual: number, value: number) => boolean): OperatorRow => ({
  kind: 'time',
  isNegated: false,
  isValue: (value) => !Number.isNaN(instantOf(value)),
  test: (actual, value) => test(Number(actual), instantOf(value)),
});

const isEqual = (actual: string, value: string): boolean => actual === value;
const isLike = (actual: string, value: string): boolean => matchesWildcard(value, actual);
const isEqualInAnyCase = (actual: string, value: string): boolean => actual.toLowerCase() === value.toLowerCase();

const operators = {
  StringEquals: text(isEqual),
  StringNotEquals: text(isEqual, true),
  StringEqualsIgnoreCase: text(isEqualInAnyCase),
  StringNotEqualsIgnoreCase: text(isEqualInAnyCase, true),
  StringLike: text(isLike),
  StringNotLike: text(isLike, true),
  ArnEquals: text(isLike),
  ArnNotEquals: text(isLike, true),
  ArnLike: text(isLike),
  ArnNotLike: text(isLike, true),
  IpAddress: address(false),
  NotIpAddress: address(true),
  Bool: {
    kind: 'truth',
    isNegated: false,
    isValue: (value) => /^(?:true|false)$/i.test(value),
    test: isEqualInAnyCase,
  },
  DateLessThan: time((actual, value) => actual < value),
  DateLessThanEquals: time((actual, value) => actual <= value),
  DateGreaterThan: time((actual, value) => actual > value),
  DateGreaterThanEquals: time((actual, value) => actual >= value),
  NumericLessThan: time((actual, value) => actual < value),
  NumericLessThanEquals: time((actual, value) => actual <= value),
  NumericGreaterThan: time((actual, value) => actual > value),
  NumericGreaterThanEquals: time((actual, value) => actual >= value),
} as const satisfies Record<string, OperatorRow>;

export type Condition = {
  readonly operator: keyof typeof operators;
  readonly key: keyof typeof keys;
  /** One of them is enough; none may be for operators that are negated. */
  readonly values: readonly string[];
};

const has = <T extends object>(table: T, name: PropertyKey): name is keyof T => Object.hasOwn(table, name);

/** The condition, or what is wrong with it. */
export function conditionOf(operator: string, key: string, values: readonly string[]): Condition | string {
  if (!has(operators, operator))
    return `the operator ${operator} is not known; there are ${Object.keys(operators).join(', ')}`;
  const name = key.toLowerCase();
  if (!has(keys, name)) return `the condition key ${key} is not known; there are ${Object.keys(keys).join(', ')}`;
  const row: OperatorRow = operators[operator];
  if (row.kind !== keys[name].kind) return `${operator} does not go with ${key}`;
  const wrong = values.find((value) => !row.isValue(value));
  return wrong === undefined ? { operator, key: name, values } : `${JSON.stringify(wrong)} is no value for ${operator}`;
}

export function holds({ operator, key, values }: Condition, context: PolicyContext): boolean {
  const row: OperatorRow = operators[operator];
  const actual = keys[key].read(context);
  if (actual === undefined) return row.isNegated;
  return values.some((value) => row.test(actual, value)) !== row.isNegated;
}

/** RFC 3339, or seconds since 1970, as milliseconds. */
function instantOf(value: string): number {
  if (/^\d{1,12}$/.test(value)) return Number(value) * 1000;
  return /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
}

type Network = { readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' };

/** An address, or one with the length of its prefix. */
function networkOf(value: string): Network | undefined {
  const [start = '', length, ...more] = value.split('/');
  const version = isIP(start);
  const bits = version === 4 ? 32 : 128;
  if (version === 0 || more.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return undefined;
  const prefix = length === undefined ? bits : Number(length);
  return prefix > bits ? undefined : { address: start, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

function isWithin(actual: string, value: string): boolean {
  const network = networkOf(value);
  // Sockets that take both families tell IPv4 addresses in this form.
  const plain = actual.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '');
  const version = isIP(plain);
  if (network === undefined || version === 0) return false;
  const list = new BlockList();
  list.addSubnet(network.address, network.prefix, network.family);
  return list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
}
