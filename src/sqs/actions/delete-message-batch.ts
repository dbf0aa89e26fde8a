import { z } from 'zod';
import { defineAction } from '../action.ts';
import { entryMembers } from '../batch.ts';
import { missing } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { settleBatch } from '../settle.ts';
import { batchResult, entryList, text } from '../shape.ts';

const entryName = 'DeleteMessageBatchRequestEntry';

export const deleteMessageBatch = defineAction({
  name: 'DeleteMessageBatch',
  input: z.object({ QueueUrl: text, Entries: entryList(entryName, { ...entryMembers, ReceiptHandle: text }) }),
  output: batchResult('DeleteMessageBatchResultEntry', { Id: 'text' }),
  async run({ QueueUrl, Entries = [] }, context) {
    return settleBatch(
      queueNameOf(QueueUrl, context),
      Entries,
      entryName,
      ({ ReceiptHandle: receiptHandle = '' }, i) => {
        if (receiptHandle === '') throw missing(`${entryName}.${i + 1}.ReceiptHandle`);
        return { does: 'delete', receiptHandle };
      },
      context,
    );
  },
});
