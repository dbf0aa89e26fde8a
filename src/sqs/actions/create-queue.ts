import { z } from 'zod';
import { Fault } from '../../domain/errors.ts';
import { limits } from '../../domain/limits.ts';
import { initialSettings, type QueueKind, type QueueName, Tags } from '../../domain/queue-attributes.ts';
import { type ActionContext, defineAction } from '../action.ts';
import { attributeOfSetting, requireFittingScope, settingsOf, unknownAttribute } from '../attributes.ts';
import { asSqsError, invalidParameter, queueExistsText, SqsError } from '../errors.ts';
import { asQueueName, queueUrl } from '../queue-url.ts';
import { struct, text, textMap } from '../shape.ts';

type Attributes = Readonly<Record<string, string>>;

export const createQueue = defineAction({
  name: 'CreateQueue',
  input: z.object({
    QueueName: text,
    Attributes: textMap(['Attribute', 'Attributes'], 'Name'),
    tags: textMap(['Tag', 'Tags'], 'Key'),
  }),
  output: struct({ QueueUrl: 'text' }),
  isForQueuePath: false,
  async run({ QueueName, Attributes: attributes = {}, tags }, context) {
    const kind = kindOf(attributes);
    const name = nameOf(QueueName, kind);
    const settings = settingsOf(attributes, kind, context);
    requireFittingScope(settings, initialSettings);
    await create(name, kind, attributes, { ...settings, ...tagsOf(tags) }, context);
    return { QueueUrl: queueUrl(context, name) };
  },
});

/** A queue is FIFO when it is said to be, never by its name alone. */
function kindOf({ FifoQueue }: Attributes): QueueKind {
  if (FifoQueue === undefined) return 'standard';
  if (FifoQueue.toLowerCase() === 'true') return 'fifo';
  throw unknownAttribute('FifoQueue');
}

function nameOf(text: string | undefined, kind: QueueKind): QueueName {
  if (text === undefined || text === '') {
    throw invalidParameter('Value for parameter QueueName is invalid. Reason: Must specify a queue name.');
  }
  const name = asQueueName(text);
  if (name !== undefined && name.endsWith('.fifo') === (kind === 'fifo')) return name;
  throw invalidParameter(
    kind === 'fifo'
      ? 'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length'
      : 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length',
  );
}

function tagsOf(tags: Attributes | undefined): { readonly tags?: Attributes } {
  if (tags === undefined) return {};
  requireSaneTags(tags, '');
  return { tags };
}

/** @throws SqsError */
export function requireSaneTags(tags: Attributes, queue: string): void {
  if (Object.keys(tags).length > limits.tagsPerQueueMax) {
    throw invalidParameter(`Too many tags added for queue ${queue}.`);
  }
  const parsed = Tags.safeParse(tags);
  if (parsed.success) return;
  throw invalidParameter(
    'Tag keys must be between 1 and 128 characters in length, values at most 256; both may hold letters, digits, blanks and _ . : / = + - @, and keys must not begin with "aws:".',
  );
}

/** Tags play no part in whether a queue is the same. */
async function create(
  name: QueueName,
  kind: QueueKind,
  attributes: Attributes,
  settings: ReturnType<typeof settingsOf>,
  { broker, principal, recreateSeconds }: ActionContext,
): Promise<void> {
  try {
    const rules = { isLenient: true, quietSeconds: recreateSeconds };
    await broker.queues.put(principal, name, { kind, settings, ...rules });
  } catch (error) {
    if (!(error instanceof Fault) || error.data.fault !== 'queueExists') throw asSqsError(error, attributes);
    const differing = error.data.facts.differing.filter((setting) => setting !== 'tags');
    if (differing.length > 0) {
      throw new SqsError('QueueNameExists', queueExistsText(attributeOfSetting(attributes, differing)));
    }
  }
}
