import { z } from 'zod';
import type { Queue } from '../../domain/queue.ts';
import { defineAction, nothing } from '../action.ts';
import { invalidAttribute, requireFittingScope, settingsOf, unknownAttribute } from '../attributes.ts';
import { asSqsError, missing } from '../errors.ts';
import { queueNameOf } from '../queue-url.ts';
import { text, textMap } from '../shape.ts';

export const setQueueAttributes = defineAction({
  name: 'SetQueueAttributes',
  input: z.object({ QueueUrl: text, Attributes: textMap(['Attribute', 'Attributes'], 'Name') }),
  output: 'nothing',
  async run({ QueueUrl, Attributes: attributes }, context) {
    if (attributes === undefined) throw missing('Attributes');
    const { broker, principal } = context;
    const name = queueNameOf(QueueUrl, context);
    const change = (queue: Queue) => {
      requireSameKind(attributes.FifoQueue, queue);
      const settings = settingsOf(attributes, queue.kind, context);
      requireFittingScope(settings, queue.settings);
      return settings;
    };
    try {
      await broker.queues.revise(principal, name, change, { isLenient: true });
    } catch (error) {
      throw asSqsError(error, attributes);
    }
    return nothing;
  },
});

/** The type of a queue never changes; on a FIFO queue it may be said again. */
function requireSameKind(text: string | undefined, { kind }: Queue): void {
  if (text === undefined) return;
  if (kind === 'standard') throw unknownAttribute('FifoQueue');
  if (text.toLowerCase() !== 'true') throw invalidAttribute('FifoQueue', 'Modifying queue type is not supported.');
}
