/**
 * Queue URLs and ARNs. On the way out they follow the Host header of the request, so that they can be reached from
 * where the client is; on the way in, scheme, host and port are ignored.
 */
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
import { type QueueName, queueNamePattern } from '../domain/queue-attributes.ts';
import type { ActionContext } from './action.ts';
import { missing } from './errors.ts';

const saneHost = /^[\w.:[\]-]{1,255}$/;
const accountPattern = /^\d{12}$/;

/** What queue URLs in answers to this request begin with. */
export function originOf({ headers: { host } }: FastifyRequest, publicUrl: string | undefined): string {
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '');
  return host !== undefined && saneHost.test(host) ? `http://${host}` : 'http://localhost';
}

export const queueUrl = ({ origin, principal }: Pick<ActionContext, 'origin' | 'principal'>, name: string): string =>
  `${origin()}/${principal.account}/${name}`;

/** The name, branded, when it is one of a queue. */
export const asQueueName = (name: string): QueueName | undefined =>
  queueNamePattern.test(name) ? (name as QueueName) : undefined;

const addressStart = /^[a-z][a-z0-9+.-]*:\/\/[^/]*/i;

/**
 * The queue that a URL names; a name alone is one, too. The account is the caller's: of another one nobody sees queues.
 * @throws queueNotFound, and in Query the error of a missing parameter
 */
export function queueNameOf(url: string | undefined, { principal, isQuery }: ActionContext): QueueName {
  if (url === undefined || url === '') {
    if (isQuery) throw missing('QueueUrl');
    throw Fault.of('queueNotFound', { queue: '' });
  }
  const { name, owner, last } = addressOf(url);
  const isForeign = owner !== undefined && owner !== principal.account;
  if (name === undefined || isForeign) throw Fault.of('queueNotFound', { queue: last.slice(0, 128) });
  return name;
}

type Address = { readonly name: QueueName | undefined; readonly owner: string | undefined; readonly last: string };

/** Clients say the same URLs again and again, and each is read twice: by whoever admits a request and by whoever does it. */
const addresses = new LRUCache<string, Address>({ max: 1_000 });
const addressCharsMax = 256;

function addressOf(url: string): Address {
  const known = addresses.get(url);
  if (known !== undefined) return known;
  const address = readAddress(url);
  if (url.length <= addressCharsMax) addresses.set(url, address);
  return address;
}

function readAddress(url: string): Address {
  const parts = url
    .replace(addressStart, '')
    .split('/', 16)
    .filter((part) => part !== '');
  const last = parts.at(-1) ?? '';
  const owner = parts.at(-2);
  const isAccount = owner !== undefined && accountPattern.test(owner);
  return { name: asQueueName(last), owner: isAccount ? owner : undefined, last };
}

export const queueArn = ({ region, principal }: Pick<ActionContext, 'region' | 'principal'>, name: string): string =>
  `arn:aws:sqs:${region}:${principal.account}:${name}`;

export type Arn = { readonly service: string; readonly account: string; readonly resource: string };

const arnPattern = /^arn:(?:aws|aws-cn|aws-us-gov):([a-z0-9-]+):([a-z0-9-]*):(\d*):(.+)$/;

/** The parts of an ARN. The region is not compared: one server is one region, whatever clients call it. */
export function parseArn(arn: string): Arn | undefined {
  const match = arnPattern.exec(arn);
  if (match === null) return undefined;
  return { service: match[1] ?? '', account: match[3] ?? '', resource: match[4] ?? '' };
}

/** The queue of the caller that an ARN names, or undefined. */
export function queueOfArn(arn: string, { principal }: { readonly principal: Principal }): QueueName | undefined {
  const parsed = parseArn(arn);
  if (parsed?.service !== 'sqs' || parsed.account !== principal.account) return undefined;
  return asQueueName(parsed.resource);
}
