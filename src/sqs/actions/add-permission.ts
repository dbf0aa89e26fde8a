import { z } from 'zod';
import { defineAction, nothing } from '../action.ts';
import { requireSanePermission, withPermission } from '../permission.ts';
import { queueNameOf } from '../queue-url.ts';
import { requiredText, text, textList } from '../shape.ts';

export const addPermission = defineAction({
  name: 'AddPermission',
  input: z.object({
    QueueUrl: text,
    Label: requiredText,
    AWSAccountIds: textList('AWSAccountId', 'AWSAccountIds'),
    Actions: textList('ActionName', 'Actions'),
  }),
  output: 'nothing',
  async run({ QueueUrl, Label: label, AWSAccountIds: accounts = [], Actions: actions = [] }, context) {
    const permission = { label, accounts, actions };
    requireSanePermission(permission);
    const name = queueNameOf(QueueUrl, context);
    await context.broker.queues.revise(context.principal, name, ({ settings }) => ({
      policy: withPermission(settings.policy, permission, name, context),
    }));
    return nothing;
  },
});
