import { z } from 'zod';
import { defineAction } from '../action.ts';
import { queueNameOf } from '../queue-url.ts';
import { map, struct, text } from '../shape.ts';

export const listQueueTags = defineAction({
  name: 'ListQueueTags',
  input: z.object({ QueueUrl: text }),
  output: struct({ Tags: map('Tag', 'Key', 'text') }),
  async run({ QueueUrl }, context) {
    const { settings } = await context.broker.queues.find(context.principal, queueNameOf(QueueUrl, context));
    return { Tags: Object.keys(settings.tags).length === 0 ? undefined : settings.tags };
  },
});
