import { z } from 'zod';
import { defineAction } from '../action.ts';
import { orNotThere, parseTaskHandle, queueOfMember } from '../move-task.ts';
import { requiredText, struct } from '../shape.ts';

export const cancelMessageMoveTask = defineAction({
  name: 'CancelMessageMoveTask',
  input: z.object({ TaskHandle: requiredText }),
  output: struct({ ApproximateNumberOfMessagesMoved: 'text' }),
  async run({ TaskHandle }, context) {
    const { broker, principal } = context;
    const { taskId, sourceArn } = parseTaskHandle(TaskHandle);
    const source = queueOfMember(sourceArn, 'SourceArn', context);
    await orNotThere('SourceArn', broker.queues.find(principal, source));
    const { movedCount } = await broker.redrive.cancel(principal, taskId);
    return { ApproximateNumberOfMessagesMoved: movedCount };
  },
});
