/**
 * Lists of queues that show only what the principal's scopes name.
 *
 * Not a filter over all queues: a key for ten queues among a hundred thousand walks along the parts of the names that its
 * patterns name, each as a list of the storage's own.
 */
import type { Action } from '../domain/action.ts';
import { Fault } from '../domain/errors.ts';
import { type Principal, patternsFor } from '../domain/principal.ts';
import type { Queue } from '../domain/queue.ts';
import { QueueName } from '../domain/queue-attributes.ts';
import type { Page, PageAsk, Storage } from '../storage/port.ts';

type Ask = { readonly prefix: string } & PageAsk;
/** Where a walk stands: in which pattern's part, and where in there. */
type Place = { readonly pattern: string; readonly cursor: string | undefined };

/** @throws invalidArgument for a cursor of somebody with other scopes */
export async function visibleQueues(
  storage: Pick<Storage, 'listQueues' | 'findQueue'>,
  principal: Principal,
  action: Action,
  { prefix, cursor, limit }: Ask,
): Promise<Page<Queue>> {
  const patterns = patternsFor(principal, action);
  if (patterns[0] === '*') return storage.listQueues({ account: principal.account, prefix, cursor, limit });

  const items: Queue[] = [];
  let place = cursor === undefined ? undefined : placeOf(cursor, patterns);
  for (const pattern of place === undefined ? patterns : patterns.slice(patterns.indexOf(place.pattern))) {
    if (items.length >= limit) return { items, nextCursor: cursorOf({ pattern, cursor: undefined }) };
    const page = await partOf(storage, principal.account, pattern, {
      prefix,
      cursor: place?.cursor,
      limit: limit - items.length,
    });
    place = undefined;
    items.push(...page.items);
    if (page.nextCursor !== null) return { items, nextCursor: cursorOf({ pattern, cursor: page.nextCursor }) };
  }
  return { items, nextCursor: null };
}

const nothing = { items: [], nextCursor: null };

/** The queues that both the pattern and the prefix name. */
async function partOf(
  storage: Pick<Storage, 'listQueues' | 'findQueue'>,
  account: string,
  pattern: string,
  { prefix, ...ask }: Ask,
): Promise<Page<Queue>> {
  if (!pattern.endsWith('*')) {
    const name = QueueName.safeParse(pattern);
    if (!name.success || !pattern.startsWith(prefix)) return nothing;
    const queue = await storage.findQueue({ account, name: name.data });
    return queue === null ? nothing : { items: [queue], nextCursor: null };
  }
  const start = pattern.slice(0, -1);
  const longer = start.length > prefix.length ? start : prefix;
  if (!longer.startsWith(prefix) || !longer.startsWith(start)) return nothing;
  return storage.listQueues({ account, prefix: longer, ...ask });
}

const cursorOf = ({ pattern, cursor }: Place): string =>
  Buffer.from(cursor === undefined ? pattern : `${pattern} ${cursor}`).toString('base64url');

function placeOf(text: string, patterns: readonly string[]): Place {
  const [pattern = '', cursor] = Buffer.from(text, 'base64url').toString().split(' ', 2);
  if (patterns.includes(pattern)) return { pattern, cursor };
  throw Fault.of('invalidArgument', { name: 'cursor', problem: 'must be the nextCursor of the page before' });
}
