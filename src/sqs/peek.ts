/**
 * `/_aws/sqs/messages`: the messages of a queue without receiving them, as LocalStack's developer endpoint gives them,
 * for tests that were written against it. In XML, or in JSON when `Accept` says so.
 * @see https://docs.localstack.cloud/aws/services/sqs/
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { limits } from '../domain/limits.ts';
import { bytesOfAll, type Message, messageBytes, messageState } from '../domain/message.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { bytesOf } from '../http/bodies.ts';
import { readWithinRoom } from '../http/departures.ts';
import { prefersJson } from '../http/media-type.ts';
import { sendText } from '../http/text.ts';
import type { ActionContext } from './action.ts';
import { attributeFilter, messageShape, systemAttributesAsked, writeMessage } from './message.ts';
import { formText, readForm, writeXml, xmlType } from './query.ts';
import { queueNameOf } from './queue-url.ts';
import { list, struct } from './shape.ts';

const output = struct({ Messages: list('Message', messageShape) });
/** Stands where a receipt handle would: nothing was received. */
const noReceipt = 'SQS/BACKDOOR/ACCESS';

export async function peekMessages(
  request: FastifyRequest,
  reply: FastifyReply,
  context: ActionContext,
  requestId: string,
): Promise<FastifyReply> {
  const parameters = new Map<string, string>();
  readForm(request.url.split('?', 2)[1] ?? '', parameters);
  readForm(formText(bytesOf(request)), parameters);
  const { queue } = request.params as { readonly queue?: string };
  const name = queueNameOf(parameters.get('QueueUrl') ?? queue, context);
  const shown = new Set<string>([
    'available',
    ...(parameters.get('ShowInvisible') === 'true' ? ['inFlight'] : []),
    ...(parameters.get('ShowDelayed') === 'true' ? ['delayed'] : []),
  ]);
  const system = systemAttributesAsked({ AttributeNames: ['All'] });
  const filter = attributeFilter(['All']);
  const found = await readWithinRoom(reply, (bytesMax) => all(name, context, shown, bytesMax), bytesOfAll);
  const messages = found.map((message) => writeMessage(message, noReceipt, system, filter, context));
  reply.header('x-amzn-requestid', requestId);
  if (prefersJson(request.headers.accept)) {
    return sendText(reply, 'application/json', writeJsonForm(messages, requestId));
  }
  return sendText(reply, xmlType, writeXml('ReceiveMessage', { Messages: messages }, output, requestId));
}

/** So many messages are shown at most: there are no pages. */
const shownMax = limits.pageItemsMax;

async function all(
  name: QueueName,
  { broker, principal, clock }: ActionContext,
  shown: ReadonlySet<string>,
  bytesMax: number,
): Promise<readonly Message[]> {
  const found: Message[] = [];
  let bytes = 0;
  let cursor: string | undefined;
  do {
    const ask = { state: 'all' as const, limit: limits.peekMessagesMax, cursor };
    const page = await broker.messages.peek(principal, name, ask);
    const now = clock.now();
    for (const message of page.items) {
      if (!shown.has(messageState(message, now))) continue;
      bytes += messageBytes(message);
      if (found.length === shownMax || (found.length > 0 && bytes > bytesMax)) return found;
      found.push(message);
    }
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

type Named = Readonly<Record<string, unknown>>;

const asList = (members: unknown): readonly object[] | undefined =>
  members === undefined ? undefined : Object.entries(members as Named).map(([Name, Value]) => ({ Name, Value }));

/** The members of the XML under the same names, lists and maps as lists. */
function writeJsonForm(messages: readonly object[], RequestId: string): string {
  const Message = messages.map((message) => {
    const { Attributes, MessageAttributes, ...rest } = message as Named;
    return { ...rest, Attribute: asList(Attributes), MessageAttribute: asList(MessageAttributes) };
  });
  return JSON.stringify({
    ReceiveMessageResponse: { ReceiveMessageResult: { Message }, ResponseMetadata: { RequestId } },
  });
}
