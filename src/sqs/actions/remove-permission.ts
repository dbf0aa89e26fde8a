import { z } from 'zod';
import { defineAction, nothing } from '../action.ts';
import { requireSaneLabel, withoutPermission } from '../permission.ts';
import { queueNameOf } from '../queue-url.ts';
import { requiredText, text } from '../shape.ts';

export const removePermission = defineAction({
  name: 'RemovePermission',
  input: z.object({ QueueUrl: text, Label: requiredText }),
  output: 'nothing',
  async run({ QueueUrl, Label: label }, context) {
    requireSaneLabel(label);
    await context.broker.queues.revise(context.principal, queueNameOf(QueueUrl, context), ({ settings }) => ({
      policy: withoutPermission(settings.policy, label),
    }));
    return nothing;
  },
});
