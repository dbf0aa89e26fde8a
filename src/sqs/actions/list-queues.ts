import { z } from 'zod';
import { defineAction } from '../action.ts';
import { pageAsk, pageMembers, pageResult } from '../paging.ts';
import { list as listOf, struct, text } from '../shape.ts';

export const listQueues = defineAction({
  name: 'ListQueues',
  input: z.object({ QueueNamePrefix: text, ...pageMembers }),
  output: struct({ QueueUrls: listOf('QueueUrl', 'text'), NextToken: 'text' }),
  isForQueuePath: false,
  async run({ QueueNamePrefix: prefix = '', ...page }, context) {
    const list = `queues ${prefix}`;
    const names = await context.broker.queues.names(context.principal, { prefix, ...pageAsk(page, list) });
    return pageResult('QueueUrls', names, page, list, context);
  },
});
