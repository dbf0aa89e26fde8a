import { z } from 'zod';
import { defineAction } from '../action.ts';
import { invalidParameter } from '../errors.ts';
import { openTaskHandle, orNotThere, queueOfMember } from '../move-task.ts';
import { requiredText, struct } from '../shape.ts';

export const cancelMessageMoveTask = defineAction({
  name: 'CancelMessageMoveTask',
  input: z.object({ TaskHandle: requiredText }),
  output: struct({ ApproximateNumberOfMessagesMoved: 'text' }),
  async run({ TaskHandle }, context) {
    const { broker, principal } = context;
    const task = openTaskHandle(TaskHandle);
    if (task === undefined) throw invalidParameter('Value for parameter TaskHandle is invalid.');
    const { taskId, sourceArn } = task;
    const source = queueOfMember(sourceArn, 'SourceArn', context);
    await orNotThere('SourceArn', broker.queues.find(principal, source));
    const { movedCount } = await broker.redrive.cancel(principal, taskId);
    return { ApproximateNumberOfMessagesMoved: movedCount };
  },
});
