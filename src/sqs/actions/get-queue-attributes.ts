import { z } from 'zod';
import { defineAction } from '../action.ts';
import { readAttributes } from '../attributes.ts';
import { queueNameOf } from '../queue-url.ts';
import { map, struct, text, textList } from '../shape.ts';

export const getQueueAttributes = defineAction({
  name: 'GetQueueAttributes',
  input: z.object({ QueueUrl: text, AttributeNames: textList('AttributeName', 'AttributeNames') }),
  output: struct({ Attributes: map('Attribute', 'Name', 'text') }),
  async run({ QueueUrl, AttributeNames: names = [] }, context) {
    const queue = await context.broker.queues.get(context.principal, queueNameOf(QueueUrl, context));
    const attributes = readAttributes(queue, names, context);
    return { Attributes: Object.keys(attributes).length === 0 ? undefined : attributes };
  },
});
