import { z } from 'zod';
import { limits } from '../../domain/limits.ts';
import { authorize } from '../../domain/principal.ts';
import { kindOfName } from '../../domain/queue.ts';
import type { QueueName } from '../../domain/queue-attributes.ts';
import { type ActionContext, defineAction } from '../action.ts';
import { invalidParameter } from '../errors.ts';
import { orNotThere, queueOfMember, taskHandle } from '../move-task.ts';
import { requiredText, struct, text, whole } from '../shape.ts';

export const startMessageMoveTask = defineAction({
  name: 'StartMessageMoveTask',
  input: z.object({ SourceArn: requiredText, DestinationArn: text, MaxNumberOfMessagesPerSecond: whole }),
  output: struct({ TaskHandle: 'text' }),
  async run({ SourceArn, DestinationArn, MaxNumberOfMessagesPerSecond: rate }, context) {
    const { broker, principal } = context;
    if (rate !== undefined && (rate < 1 || rate > limits.sqsRedriveRatePerSecondMax)) {
      throw invalidParameter(
        `Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and ${limits.sqsRedriveRatePerSecondMax}.`,
      );
    }
    const source = queueOfMember(SourceArn, 'SourceArn', context);
    await requireDeadLetterQueue(source, context);
    const destination =
      DestinationArn === undefined || DestinationArn === ''
        ? null
        : await destinationOf(source, queueOfMember(DestinationArn, 'DestinationArn', context), context);
    const task = await broker.redrive.start(principal, source, {
      destination,
      ratePerSecond: rate ?? null,
      limit: null,
      renewsMessages: true,
      requiresOrigins: true,
    });
    return { TaskHandle: taskHandle(task, context) };
  },
});

async function requireDeadLetterQueue(source: QueueName, { broker, principal }: ActionContext): Promise<void> {
  if (await orNotThere('SourceArn', broker.queues.isDeadLetterQueue(principal, source))) return;
  throw invalidParameter('Source queue must be configured as a Dead Letter Queue.');
}

async function destinationOf(
  source: QueueName,
  destination: QueueName,
  { broker, principal }: ActionContext,
): Promise<QueueName> {
  if (destination === source) {
    throw invalidParameter('Source queue arn and destination queue arn cannot be the same.');
  }
  // Asked before whether it exists, which is nobody's to know who may not send there.
  authorize(principal, 'send', destination);
  await orNotThere('DestinationArn', broker.queues.find(principal, destination));
  if (kindOfName(source) === kindOfName(destination)) return destination;
  throw invalidParameter('The source queue and destination queue must be of the same queue type.');
}
