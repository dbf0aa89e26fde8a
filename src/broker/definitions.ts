/**
 * Queues that the operator declared: brought into being before the server listens, dead-letter queues before the
 * queues that point to them. A queue that exists keeps its messages and is brought to the settings that are named.
 */
import type { Logger } from 'pino';
import type { QueueDefinition } from '../config.ts';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
import { StartupError } from '../storage/startup-error.ts';
import type { Queues } from './queues.ts';

type SomeQueues = Pick<Queues, 'put' | 'update' | 'find'>;

/** Creates what is missing and updates what differs. @throws StartupError that names the queue and what is wrong */
export async function applyDefinitions(
  queues: SomeQueues,
  principal: Principal,
  definitions: readonly QueueDefinition[],
  log: Logger,
): Promise<void> {
  const ordered = inOrder(definitions);
  await requireDeadLetterQueues(queues, principal, ordered);
  for (const definition of ordered) {
    try {
      await apply(queues, principal, definition, log);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw new StartupError(`The definition of queue ${definition.name} cannot be applied: ${wordsOf(error)}.`, {
        cause: error,
      });
    }
  }
}

/** Before anything is created: what is wrong in the file leaves no half of it behind. @throws StartupError */
async function requireDeadLetterQueues(
  queues: SomeQueues,
  principal: Principal,
  definitions: readonly QueueDefinition[],
): Promise<void> {
  const defined = new Set<string>(definitions.map(({ name }) => name));
  for (const { name, settings } of definitions) {
    const target = settings.deadLetter?.queue;
    if (target === undefined || defined.has(target)) continue;
    try {
      await queues.find(principal, target);
    } catch (cause) {
      if (!(cause instanceof Fault) || cause.data.fault !== 'queueNotFound') throw cause;
      throw new StartupError(
        `The definition of queue ${name} names the dead-letter queue ${target}, which is neither there nor defined; add it to definitions.queues.`,
        { cause },
      );
    }
  }
}

async function apply(
  queues: SomeQueues,
  principal: Principal,
  { name, kind, settings }: QueueDefinition,
  log: Logger,
): Promise<void> {
  try {
    const { isNew } = await queues.put(principal, name, { kind, settings });
    if (isNew) log.info({ queue: name }, 'defined queue created');
  } catch (error) {
    if (!(error instanceof Fault) || error.data.fault !== 'queueExists') throw error;
    await queues.update(principal, name, { settings });
    log.info({ queue: name, settings: error.data.facts.differing }, 'queue brought to its defined settings');
  }
}

/** Dead-letter queues first. @throws StartupError when queues point to each other in a circle */
export function inOrder(definitions: readonly QueueDefinition[]): readonly QueueDefinition[] {
  const byName = new Map<string, QueueDefinition>(definitions.map((definition) => [definition.name, definition]));
  const ordered = new Set<QueueDefinition>();
  for (const definition of definitions) {
    const chain = new Set<QueueDefinition>();
    let next: QueueDefinition | undefined = definition;
    while (next !== undefined && !ordered.has(next)) {
      if (chain.has(next)) throw new StartupError(`${circle(chain)}: dead-letter queues go round in a circle.`);
      chain.add(next);
      next = byName.get(next.settings.deadLetter?.queue ?? '');
    }
    for (const link of [...chain].reverse()) ordered.add(link);
  }
  return [...ordered];
}

const circle = (chain: ReadonlySet<QueueDefinition>): string =>
  `The definitions of ${[...chain].map(({ name }) => name).join(', ')} cannot be applied`;

/** The fault as words, without an edge's wire form: its code and its facts. */
const wordsOf = ({ data: { fault, facts } }: Fault): string =>
  `${fault} (${Object.entries(facts)
    .map(([fact, value]) => `${fact}: ${value}`)
    .join('; ')})`;
