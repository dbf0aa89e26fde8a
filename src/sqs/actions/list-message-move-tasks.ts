import { z } from 'zod';
import { limits } from '../../domain/limits.ts';
import { defineAction } from '../action.ts';
import { invalidParameter } from '../errors.ts';
import { orNotThere, queueOfMember, taskEntry } from '../move-task.ts';
import { list, requiredText, struct, whole } from '../shape.ts';

const entry = struct({
  TaskHandle: 'text',
  Status: 'text',
  SourceArn: 'text',
  DestinationArn: 'text',
  MaxNumberOfMessagesPerSecond: 'text',
  ApproximateNumberOfMessagesMoved: 'text',
  ApproximateNumberOfMessagesToMove: 'text',
  FailureReason: 'text',
  StartedTimestamp: 'text',
});

export const listMessageMoveTasks = defineAction({
  name: 'ListMessageMoveTasks',
  input: z.object({ SourceArn: requiredText, MaxResults: whole }),
  output: struct({ Results: list('ListMessageMoveTasksResultEntry', entry) }),
  async run({ SourceArn, MaxResults = 1 }, context) {
    if (MaxResults < 1 || MaxResults > limits.sqsTasksListedMax) {
      throw invalidParameter(
        `Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and ${limits.sqsTasksListedMax}.`,
      );
    }
    const source = queueOfMember(SourceArn, 'SourceArn', context);
    const { broker, principal } = context;
    const page = await orNotThere('SourceArn', broker.redrive.ofSource(principal, source, { limit: MaxResults }));
    return { Results: page.items.length === 0 ? undefined : page.items.map((task) => taskEntry(task, context)) };
  },
});
