import { z } from 'zod';
import { settleOne } from '../../broker/messages.ts';
import { defineAction, nothing } from '../action.ts';
import { asSqsError } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { requiredText, text } from '../shape.ts';

export const deleteMessage = defineAction({
  name: 'DeleteMessage',
  input: z.object({ QueueUrl: text, ReceiptHandle: requiredText }),
  output: 'nothing',
  async run({ QueueUrl, ReceiptHandle: receiptHandle }, context) {
    const { broker, principal } = context;
    const name = queueNameOf(QueueUrl, context);
    try {
      await settleOne(
        broker.messages.settle(principal, name, [{ does: 'delete', receiptHandle }], { isLenient: true }),
      );
    } catch (error) {
      throw asSqsError(error, { ReceiptHandle: receiptHandle });
    }
    return nothing;
  },
});
