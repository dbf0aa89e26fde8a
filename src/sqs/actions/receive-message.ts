import { z } from 'zod';
import type { ReceiveOptions } from '../../broker/messages.ts';
import { Fault } from '../../domain/errors.ts';
import { limits } from '../../domain/limits.ts';
import { kindOfName } from '../../domain/queue.ts';
import type { QueueName } from '../../domain/queue-attributes.ts';
import { clientGone } from '../../http/client-gone.ts';
import { roomFor } from '../../http/departures.ts';
import { type ActionContext, defineAction } from '../action.ts';
import { requireId } from '../draft.ts';
import { asSqsError, invalidValue } from '../errors.ts';
import { attributeFilter, messageShape, systemAttributesAsked, writeMessage } from '../message.ts';
import { queueNameOf } from '../queue-url.ts';
import { list, struct, text, textList, whole } from '../shape.ts';

export const receiveMessage = defineAction({
  name: 'ReceiveMessage',
  input: z.object({
    QueueUrl: text,
    AttributeNames: textList('AttributeName', 'AttributeNames'),
    MessageSystemAttributeNames: textList('MessageSystemAttributeName', 'MessageSystemAttributeNames'),
    MessageAttributeNames: textList('MessageAttributeName', 'MessageAttributeNames'),
    MaxNumberOfMessages: whole,
    VisibilityTimeout: whole,
    WaitTimeSeconds: whole,
    ReceiveRequestAttemptId: text,
  }),
  output: struct({ Messages: list('Message', messageShape) }),
  async run(input, context) {
    const { MaxNumberOfMessages: max = 1, WaitTimeSeconds: waitSeconds, VisibilityTimeout } = input;
    requireBetween(
      'MaxNumberOfMessages',
      max,
      [1, limits.sqsReceiveMessagesMax],
      'Must be between 1 and 10, if provided.',
    );
    requireBetween('WaitTimeSeconds', waitSeconds, [0, limits.waitSecondsMax], 'Must be >= 0 and <= 20, if provided.');
    requireBetween(
      'VisibilityTimeout',
      VisibilityTimeout,
      [0, limits.visibilityTimeoutSecondsMax],
      'Must be >= 0 and <= 43200, if provided.',
    );
    requireId('ReceiveRequestAttemptId', input.ReceiveRequestAttemptId);
    const name = queueNameOf(input.QueueUrl, context);
    const messages = await receive(name, context, {
      max,
      waitSeconds,
      visibilitySeconds: VisibilityTimeout,
      attemptId: input.ReceiveRequestAttemptId,
      signal: clientGone(context.reply),
      room: roomFor(context.reply),
    });
    if (messages.length === 0) return {};
    const system = systemAttributesAsked(input);
    const filter = attributeFilter(input.MessageAttributeNames ?? []);
    return {
      Messages: messages.map((message) => writeMessage(message, message.receiptHandle, system, filter, context)),
    };
  },
});

function requireBetween(member: string, value: number | undefined, [min, max]: [number, number], reason: string): void {
  if (value !== undefined && (value < min || value > max)) throw invalidValue(value, member, reason);
}

/** With too many messages in flight, a short poll of a standard queue says so; all others find nothing. */
async function receive(name: QueueName, { broker, principal }: ActionContext, options: ReceiveOptions) {
  try {
    return await broker.messages.receive(principal, name, options);
  } catch (error) {
    const isFull = error instanceof Fault && error.data.fault === 'tooManyInFlight';
    if (!isFull) throw asSqsError(error, { ReceiveRequestAttemptId: options.attemptId });
    if (kindOfName(name) === 'fifo') return [];
    const waitSeconds = options.waitSeconds ?? (await broker.queues.settingsOf(principal, name)).waitSeconds;
    if (waitSeconds > 0) return [];
    throw error;
  }
}
