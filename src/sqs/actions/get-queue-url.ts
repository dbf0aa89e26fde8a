import { z } from 'zod';
import { Fault } from '../../domain/errors.ts';
import { defineAction } from '../action.ts';
import { invalidParameter } from '../errors.ts';
import { asQueueName, queueUrl } from '../queue-url.ts';
import { struct, text } from '../shape.ts';

export const getQueueUrl = defineAction({
  name: 'GetQueueUrl',
  input: z.object({ QueueName: text, QueueOwnerAWSAccountId: text }),
  output: struct({ QueueUrl: 'text' }),
  async run({ QueueName = '', QueueOwnerAWSAccountId: owner }, context) {
    if (QueueName === '') {
      throw invalidParameter('Value for parameter QueueName is invalid. Reason: Must specify a queue name.');
    }
    const name = asQueueName(QueueName);
    const isForeign = owner !== undefined && owner !== '' && owner !== context.principal.account;
    if (name === undefined || isForeign) throw Fault.of('queueNotFound', { queue: QueueName.slice(0, 128) });
    await context.broker.queues.find(context.principal, name);
    return { QueueUrl: queueUrl(context, name) };
  },
});
