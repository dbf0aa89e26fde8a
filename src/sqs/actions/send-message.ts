import { z } from 'zod';
import { isFault, orThrow } from '../../domain/errors.ts';
import { sequenceText } from '../../domain/fifo.ts';
import { optionsFor } from '../../domain/message.ts';
import type { QueueName } from '../../domain/queue-attributes.ts';
import type { Sent } from '../../storage/port.ts';
import { type ActionContext, defineAction } from '../action.ts';
import { messageMembers, type Prepared, prepare, requireSaneOptions, type SentMessage } from '../draft.ts';
import { asSqsError, errorOfFault, missing } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { struct, text } from '../shape.ts';

export const sendResult = {
  MD5OfMessageBody: 'text',
  MD5OfMessageAttributes: 'text',
  MD5OfMessageSystemAttributes: 'text',
  MessageId: 'text',
  SequenceNumber: 'text',
} as const;

/** What is said of a message that was stored. */
export const sentMembers = (prepared: Prepared, { messageId, sequence }: Sent) => ({
  MD5OfMessageBody: prepared.MD5OfMessageBody,
  MD5OfMessageAttributes: prepared.MD5OfMessageAttributes,
  MD5OfMessageSystemAttributes: prepared.MD5OfMessageSystemAttributes,
  MessageId: messageId,
  SequenceNumber: sequence === null ? undefined : sequenceText(sequence),
});

export const sendMessage = defineAction({
  name: 'SendMessage',
  input: z.object({ QueueUrl: text, ...messageMembers }),
  output: struct(sendResult),
  async run(input, context) {
    const { broker, principal, traceHeader } = context;
    const name = queueNameOf(input.QueueUrl, context);
    if (input.MessageBody === undefined || input.MessageBody === '') throw missing('MessageBody');
    requireSaneOptions(input);
    let prepared: Prepared;
    try {
      prepared = prepare(input, traceHeader);
    } catch (error) {
      await requireTakes(name, input, context);
      throw error;
    }
    try {
      const [outcome] = await broker.messages.send(principal, name, [prepared.draft]);
      if (outcome === undefined) throw new Error('The broker answered no outcome.');
      return sentMembers(prepared, orThrow<Sent>(outcome));
    } catch (error) {
      throw asSqsError(error, input);
    }
  },
});

/** That the queue does not exist, or takes no such options, is said before what is wrong with the content. */
async function requireTakes(
  name: QueueName,
  message: SentMessage,
  { broker, principal }: ActionContext,
): Promise<void> {
  const queue = await broker.queues.find(principal, name);
  const { DelaySeconds: delaySeconds, MessageGroupId: groupId, MessageDeduplicationId: deduplicationId } = message;
  const options = optionsFor(queue, { body: noBody, delaySeconds, groupId, deduplicationId });
  if (isFault(options)) throw errorOfFault(options, message);
}

const noBody = Buffer.alloc(0);
