/** Batches of deletes and of changes of visibility: entries that are wrong by themselves are not asked of the broker. */
import type { SettlementAsk } from '../broker/messages.ts';
import type { FaultData } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import type { Settled } from '../storage/port.ts';
import type { ActionContext } from './action.ts';
import { afterQueue, batchOutcome, entryOutcome, requireDistinct, requireEntries, tryEntry } from './batch.ts';
import { SqsError } from './errors.ts';

type Entry = {
  readonly Id?: string | undefined;
  readonly ReceiptHandle?: string | undefined;
  readonly VisibilityTimeout?: number | undefined;
};

/**
 * @param entryName how an entry is called in Query
 * @param askOf what an entry asks for; throws SqsError for one that asks nothing sensible
 */
export async function settleBatch(
  name: QueueName,
  given: readonly Entry[],
  entryName: string,
  askOf: (entry: Entry, index: number) => SettlementAsk,
  context: ActionContext,
): Promise<object> {
  const entries = await afterQueue(name, context, () => {
    const found = requireEntries(given, entryName);
    requireDistinct(found);
    return found;
  });
  const asks = entries.map((entry, i) => tryEntry(() => askOf(entry, i)));
  const good = asks.filter((ask): ask is SettlementAsk => !(ask instanceof SqsError));
  const settled = await context.broker.messages.settle(context.principal, name, good, { isLenient: true });
  let next = 0;
  return batchOutcome(
    entries.map((entry, i) => {
      const ask = asks[i];
      const outcome: Settled | FaultData | SqsError | undefined = ask instanceof SqsError ? ask : settled[next++];
      if (outcome === undefined) throw new Error('The broker answered fewer outcomes than it was asked for.');
      return entryOutcome(entry.Id, outcome, entry, () => ({ Id: entry.Id }));
    }),
  );
}
