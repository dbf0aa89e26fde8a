import { z } from 'zod';
import { defineAction } from '../action.ts';
import { pageAsk, pageMembers, pageResult } from '../paging.ts';
import { queueNameOf } from '../queue-url.ts';
import { list as listOf, struct, text } from '../shape.ts';

/** The member of its result begins in lower case, unlike all others. */
export const listDeadLetterSourceQueues = defineAction({
  name: 'ListDeadLetterSourceQueues',
  input: z.object({ QueueUrl: text, ...pageMembers }),
  output: struct({ queueUrls: listOf('QueueUrl', 'text'), NextToken: 'text' }),
  async run({ QueueUrl, ...page }, context) {
    const name = queueNameOf(QueueUrl, context);
    const list = `sources ${name}`;
    const ask = pageAsk(page, list);
    const names = await context.broker.queues.deadLetterSources(context.principal, name, ask);
    return pageResult('queueUrls', names, page, list, context);
  },
});
