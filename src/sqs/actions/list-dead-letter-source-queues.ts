import { z } from 'zod';
import { defineAction } from '../action.ts';
import { pageAsk, pageMembers, pageResult } from '../paging.ts';
import { queueNameOf } from '../queue-url.ts';
import { list, struct, text } from '../shape.ts';

/** The member of its result begins in lower case, unlike all others. */
export const listDeadLetterSourceQueues = defineAction({
  name: 'ListDeadLetterSourceQueues',
  input: z.object({ QueueUrl: text, ...pageMembers }),
  output: struct({ queueUrls: list('QueueUrl', 'text'), NextToken: 'text' }),
  async run({ QueueUrl, ...page }, context) {
    const ask = pageAsk(page);
    const name = queueNameOf(QueueUrl, context);
    const names = await context.broker.queues.deadLetterSources(context.principal, name, ask);
    return pageResult('queueUrls', names, page, context);
  },
});
