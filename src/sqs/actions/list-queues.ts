import { z } from 'zod';
import { defineAction } from '../action.ts';
import { pageAsk, pageMembers, pageResult } from '../paging.ts';
import { list, struct, text } from '../shape.ts';

export const listQueues = defineAction({
  name: 'ListQueues',
  input: z.object({ QueueNamePrefix: text, ...pageMembers }),
  output: struct({ QueueUrls: list('QueueUrl', 'text'), NextToken: 'text' }),
  isForQueuePath: false,
  async run({ QueueNamePrefix: prefix = '', ...page }, context) {
    const names = await context.broker.queues.names(context.principal, { prefix, ...pageAsk(page) });
    return pageResult('QueueUrls', names, page, context);
  },
});
