import { z } from 'zod';
import { defineAction, nothing } from '../action.ts';
import { queueNameOf } from '../queue-url.ts';
import { text } from '../shape.ts';

export const deleteQueue = defineAction({
  name: 'DeleteQueue',
  input: z.object({ QueueUrl: text }),
  output: 'nothing',
  async run({ QueueUrl }, context) {
    await context.broker.queues.delete(context.principal, queueNameOf(QueueUrl, context));
    return nothing;
  },
});
