import { z } from 'zod';
import { limits } from '../../domain/limits.ts';
import { defineAction } from '../action.ts';
import { entryMembers } from '../batch.ts';
import { invalidValue, missing } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { settleBatch } from '../settle.ts';
import { batchResult, entryList, text, whole } from '../shape.ts';

const entryName = 'ChangeMessageVisibilityBatchRequestEntry';

export const changeMessageVisibilityBatch = defineAction({
  name: 'ChangeMessageVisibilityBatch',
  input: z.object({
    QueueUrl: text,
    Entries: entryList(entryName, { ...entryMembers, ReceiptHandle: text, VisibilityTimeout: whole }),
  }),
  output: batchResult('ChangeMessageVisibilityBatchResultEntry', { Id: 'text' }),
  async run({ QueueUrl, Entries = [] }, context) {
    return settleBatch(
      queueNameOf(QueueUrl, context),
      Entries,
      entryName,
      ({ ReceiptHandle: receiptHandle = '', VisibilityTimeout: visibilitySeconds }, i) => {
        if (receiptHandle === '') throw missing(`${entryName}.${i + 1}.ReceiptHandle`);
        if (visibilitySeconds === undefined) throw missing(`${entryName}.${i + 1}.VisibilityTimeout`);
        if (visibilitySeconds < 0 || visibilitySeconds > limits.visibilityTimeoutSecondsMax) {
          throw invalidValue(
            visibilitySeconds,
            'VisibilityTimeout',
            `VisibilityTimeout must be an integer between 0 and ${limits.visibilityTimeoutSecondsMax}.`,
          );
        }
        return { does: 'extend', receiptHandle, visibilitySeconds };
      },
      context,
    );
  },
});
