import { z } from 'zod';
import { defineAction, nothing } from '../action.ts';
import { missing } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { text, textMap } from '../shape.ts';
import { requireSaneTags } from './create-queue.ts';

export const tagQueue = defineAction({
  name: 'TagQueue',
  input: z.object({ QueueUrl: text, Tags: textMap(['Tag', 'Tags'], 'Key') }),
  output: 'nothing',
  async run({ QueueUrl, Tags: added = {} }, context) {
    if (Object.keys(added).length === 0) throw missing('Tags');
    const name = queueNameOf(QueueUrl, context);
    await context.broker.queues.revise(context.principal, name, ({ settings }) => {
      const tags = { ...settings.tags, ...added };
      requireSaneTags(tags, name);
      return { tags };
    });
    return nothing;
  },
});
