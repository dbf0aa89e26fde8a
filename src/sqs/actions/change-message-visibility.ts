import { z } from 'zod';
import { settleOne } from '../../broker/messages.ts';
import { limits } from '../../domain/limits.ts';
import { defineAction, nothing } from '../action.ts';
import { asSqsError, invalidValue } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { requiredText, requiredWhole, text } from '../shape.ts';

export const changeMessageVisibility = defineAction({
  name: 'ChangeMessageVisibility',
  input: z.object({ QueueUrl: text, ReceiptHandle: requiredText, VisibilityTimeout: requiredWhole }),
  output: 'nothing',
  async run({ QueueUrl, ReceiptHandle: receiptHandle, VisibilityTimeout }, context) {
    if (VisibilityTimeout < 0 || VisibilityTimeout > limits.visibilityTimeoutSecondsMax) {
      throw invalidValue(
        VisibilityTimeout,
        'VisibilityTimeout',
        `Must be between 0 and ${limits.visibilityTimeoutSecondsMax}.`,
      );
    }
    const { broker, principal } = context;
    const name = queueNameOf(QueueUrl, context);
    const ask = { does: 'extend', receiptHandle, visibilitySeconds: VisibilityTimeout } as const;
    try {
      await settleOne(broker.messages.settle(principal, name, [ask], { isLenient: true }));
    } catch (error) {
      throw asSqsError(error, { ReceiptHandle: receiptHandle, VisibilityTimeout });
    }
    return nothing;
  },
});
