/** What the three batch actions share: the rules that fail a whole request, and results entry by entry. */
import { type FaultData, isFault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import type { ActionContext } from './action.ts';
import { type Asked, errorOfFault, type FailedEntry, failedEntry, SqsError } from './errors.ts';
import { text } from './shape.ts';

/** The members of every entry. */
export const entryMembers = { Id: text };
type Entry = { readonly Id?: string | undefined };

const idPattern = /^[\w-]{1,80}$/;

/** @param name how an entry is called in Query, such as `SendMessageBatchRequestEntry` @throws SqsError */
export function requireEntries<E extends Entry>(entries: readonly E[], name: string): readonly (E & { Id: string })[] {
  if (entries.length === 0) {
    throw new SqsError('EmptyBatchRequest', `There should be at least one ${name} in the request.`);
  }
  if (entries.length > limits.sqsBatchEntriesMax) {
    throw new SqsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${limits.sqsBatchEntriesMax}. You have sent ${entries.length}.`,
    );
  }
  return entries.map((entry) => {
    if (entry.Id !== undefined && idPattern.test(entry.Id)) return { ...entry, Id: entry.Id };
    throw new SqsError(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
    );
  });
}

/** @throws SqsError naming the first id that is there for the second time */
export function requireDistinct(entries: readonly { readonly Id: string }[]): void {
  const seen = new Set<string>();
  for (const { Id } of entries) {
    if (seen.has(Id)) throw new SqsError('BatchEntryIdsNotDistinct', `Id ${Id} repeated.`);
    seen.add(Id);
  }
}

/** The check's value; that the queue does not exist is said before what is wrong with the entries. */
export async function afterQueue<T>(
  name: QueueName,
  { broker, principal }: ActionContext,
  check: () => T | Promise<T>,
): Promise<T> {
  try {
    return await check();
  } catch (error) {
    await broker.queues.find(principal, name);
    throw error;
  }
}

/** The value, or the error that belongs to this entry alone. */
export function tryEntry<T>(make: () => T): T | SqsError {
  try {
    return make();
  } catch (error) {
    if (error instanceof SqsError) return error;
    throw error;
  }
}

/** Both lists in the order of the request; an empty one is left out. */
export function batchOutcome(outcomes: readonly (object | FailedEntry)[]) {
  const good = outcomes.filter((one) => !isFailedEntry(one));
  const bad = outcomes.filter(isFailedEntry);
  return {
    Successful: good.length === 0 ? undefined : good,
    Failed: bad.length === 0 ? undefined : bad,
  };
}

const isFailedEntry = (one: object): one is FailedEntry => 'SenderFault' in one;

/** What became of an entry. */
export function entryOutcome<T extends object, R extends object>(
  id: string,
  outcome: T | FaultData | SqsError,
  asked: Asked,
  success: (value: T) => R,
): R | FailedEntry {
  if (outcome instanceof SqsError) return failedEntry(id, outcome);
  if (isFault(outcome)) return failedEntry(id, errorOfFault(outcome, { ...asked, isEntry: true }));
  return success(outcome);
}
