import { z } from 'zod';
import { limits } from '../../domain/limits.ts';
import { defineAction, nothing } from '../action.ts';
import { invalidParameter } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { text, textList } from '../shape.ts';

export const untagQueue = defineAction({
  name: 'UntagQueue',
  input: z.object({ QueueUrl: text, TagKeys: textList('TagKey', 'TagKeys') }),
  output: 'nothing',
  async run({ QueueUrl, TagKeys: keys = [] }, context) {
    if (keys.length === 0 || keys.some((key) => key === '' || key.length > limits.tagKeyCharsMax)) {
      throw invalidParameter('Tag keys must be between 1 and 128 characters in length.');
    }
    await context.broker.queues.revise(context.principal, queueNameOf(QueueUrl, context), ({ settings }) => ({
      tags: Object.fromEntries(Object.entries(settings.tags).filter(([key]) => !keys.includes(key))),
    }));
    return nothing;
  },
});
