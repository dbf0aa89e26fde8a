import { z } from 'zod';
import { limits } from '../../domain/limits.ts';
import { defineAction, nothing } from '../action.ts';
import { queueNameOf } from '../queue-url.ts';
import { text } from '../shape.ts';

export const purgeQueue = defineAction({
  name: 'PurgeQueue',
  input: z.object({ QueueUrl: text }),
  output: 'nothing',
  async run({ QueueUrl }, context) {
    const { broker, principal } = context;
    await broker.queues.purge(principal, queueNameOf(QueueUrl, context), {
      intervalSeconds: limits.purgeIntervalSeconds,
    });
    return nothing;
  },
});
