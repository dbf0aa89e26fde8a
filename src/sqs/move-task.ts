/** Move tasks on the wire: a redrive by its task handle, its queues by their ARNs. */
import { Fault } from '../domain/errors.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import type { RedriveTask } from '../domain/redrive.ts';
import type { ActionContext } from './action.ts';
import { parseObject } from './attributes.ts';
import { errorOfFault, invalidParameter, SqsError, sqsShapes } from './errors.ts';
import { asQueueName, parseArn, queueArn } from './queue-url.ts';

export type ArnMember = 'SourceArn' | 'DestinationArn';

/** The caller's queue that the ARN names; whether it exists is another question. @throws SqsError */
export function queueOfMember(arn: string, member: ArnMember, { principal }: ActionContext): QueueName {
  const parsed = parseArn(arn);
  if (parsed === undefined) {
    throw invalidParameter(
      `You must use this format to specify the ${member}: arn:<partition>:<service>:<region>:<account-id>:<resource-id>`,
    );
  }
  const name = asQueueName(parsed.resource);
  if (name === undefined || parsed.service !== 'sqs' || parsed.account !== principal.account) throw notThere(member);
  return name;
}

const notThere = (member: ArnMember): SqsError =>
  new SqsError(
    'ResourceNotFoundException',
    `The resource that you specified for the ${member} parameter doesn't exist.`,
  );

/** A missing queue is a missing resource here. */
export async function orNotThere<T>(member: ArnMember, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Fault && error.data.fault === 'queueNotFound') throw notThere(member);
    throw error;
  }
}

export const taskHandle = ({ taskId, source }: RedriveTask, context: ActionContext): string =>
  Buffer.from(JSON.stringify({ taskId, sourceArn: queueArn(context, source) })).toString('base64');

/** What a task handle says, or undefined. */
export function openTaskHandle(handle: string): { readonly taskId: string; readonly sourceArn: string } | undefined {
  const { taskId, sourceArn } = parseObject(Buffer.from(handle, 'base64').toString('utf8')) ?? {};
  return typeof taskId === 'string' && typeof sourceArn === 'string' ? { taskId, sourceArn } : undefined;
}

const statusNames = {
  running: 'RUNNING',
  completed: 'COMPLETED',
  cancelled: 'CANCELLED',
  failed: 'FAILED',
} as const satisfies Record<RedriveTask['status'], string>;

/** Why it failed: the code of the error, or the sentence where the sentence is a word. */
function failureReason({ failure }: RedriveTask): string | undefined {
  if (failure === null) return undefined;
  if (failure.fault === 'redriveSourceUnknown') return 'CouldNotDetermineMessageSource';
  return sqsShapes[errorOfFault(failure).shape].code;
}

/** A task in a list. Its handle is told only as long as it can be cancelled. */
export const taskEntry = (task: RedriveTask, context: ActionContext) => ({
  TaskHandle: task.status === 'running' ? taskHandle(task, context) : undefined,
  Status: statusNames[task.status],
  SourceArn: queueArn(context, task.source),
  DestinationArn: task.destination === null ? undefined : queueArn(context, task.destination),
  MaxNumberOfMessagesPerSecond: task.ratePerSecond ?? undefined,
  ApproximateNumberOfMessagesMoved: task.movedCount,
  ApproximateNumberOfMessagesToMove: task.toMoveCount,
  FailureReason: failureReason(task),
  StartedTimestamp: task.startedAt,
});
