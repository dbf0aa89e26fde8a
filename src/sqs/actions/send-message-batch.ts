import { z } from 'zod';
import { fault } from '../../domain/errors.ts';
import { limits } from '../../domain/limits.ts';
import { messageBytes } from '../../domain/message.ts';
import { kindOfName } from '../../domain/queue.ts';
import type { QueueName } from '../../domain/queue-attributes.ts';
import type { Sent } from '../../storage/port.ts';
import { type ActionContext, defineAction } from '../action.ts';
import {
  afterQueue,
  batchOutcome,
  entryMembers,
  entryOutcome,
  requireDistinct,
  requireEntries,
  tryEntry,
} from '../batch.ts';
import { messageMembers, type Prepared, prepare, requireSaneOptions, type SentMessage } from '../draft.ts';
import { errorOfFault, invalidParameter, SqsError } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { batchResult, entryList, text } from '../shape.ts';
import { sendResult, sentMembers } from './send-message.ts';

const entryName = 'SendMessageBatchRequestEntry';

export const sendMessageBatch = defineAction({
  name: 'SendMessageBatch',
  input: z.object({ QueueUrl: text, Entries: entryList(entryName, { ...entryMembers, ...messageMembers }) }),
  output: batchResult('SendMessageBatchResultEntry', { Id: 'text', ...sendResult }),
  async run({ QueueUrl, Entries = [] }, context) {
    const { broker, principal } = context;
    const name = queueNameOf(QueueUrl, context);
    const entries = await afterQueue(name, context, () => readEntries(name, Entries, context));
    const good = entries.flatMap(({ prepared }) => (prepared instanceof SqsError ? [] : [prepared.draft]));
    const sent = await broker.messages.send(principal, name, good);
    let next = 0;
    return batchOutcome(
      entries.map(({ entry, prepared }) => {
        const { Id } = entry;
        if (prepared instanceof SqsError) return entryOutcome(Id, prepared, entry, () => ({}));
        const outcome = sent[next++];
        if (outcome === undefined) throw new Error('The broker answered fewer outcomes than it was asked for.');
        return entryOutcome(Id, outcome, entry, (stored: Sent) => ({ Id, ...sentMembers(prepared, stored) }));
      }),
    );
  },
});

type Entry = SentMessage & { readonly Id?: string | undefined };
type ReadEntry = { readonly entry: SentMessage & { readonly Id: string }; readonly prepared: Prepared | SqsError };

async function readEntries(
  name: QueueName,
  given: readonly Entry[],
  context: ActionContext,
): Promise<readonly ReadEntry[]> {
  const entries = requireEntries(given, entryName);
  requireShort(entries);
  requireDistinct(entries);
  if (kindOfName(name) === 'fifo') await requireFifoMembers(name, entries, context);
  return entries.map((entry, i) => ({ entry, prepared: tryEntry(() => prepareEntry(entry, i, context)) }));
}

function prepareEntry(entry: SentMessage, index: number, { traceHeader }: ActionContext): Prepared {
  requireSaneOptions(entry);
  return prepare(entry, traceHeader, `${entryName}.${index + 1}.MessageBody`);
}

/** All entries together are bounded, whatever the queue's own limit is. */
function requireShort(entries: readonly SentMessage[]): void {
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  if (bytes <= limits.sqsBatchBytesMax) return;
  throw new SqsError(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than ${limits.sqsBatchBytesMax} bytes. You have sent ${bytes} bytes.`,
  );
}

function entryBytes({ MessageBody = '', MessageAttributes = {} }: SentMessage): number {
  const attributes = Object.entries(MessageAttributes).map(
    ([name, { DataType: type = '', StringValue, BinaryValue }]) =>
      [name, { type, value: StringValue ?? BinaryValue ?? '' }] as const,
  );
  return messageBytes({ body: Buffer.from(MessageBody), attributes: new Map(attributes) });
}

/** On a FIFO queue an entry without its group or its deduplication id fails all of them. */
async function requireFifoMembers(
  name: QueueName,
  entries: readonly SentMessage[],
  { broker, principal }: ActionContext,
): Promise<void> {
  if (entries.some(({ MessageGroupId }) => MessageGroupId === undefined || MessageGroupId === '')) {
    throw invalidParameter('The request must contain the parameter MessageGroupId.');
  }
  if (entries.every(({ MessageDeduplicationId }) => MessageDeduplicationId !== undefined)) return;
  const settings = await broker.queues.settingsOf(principal, name);
  if (!settings.contentBasedDeduplication) throw errorOfFault(fault('deduplicationIdRequired', { queue: name }));
}
