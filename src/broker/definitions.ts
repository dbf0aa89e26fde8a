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

/** Creates what is missing and updates what differs. @throws StartupError that names the queue and what is wrong */
export async function applyDefinitions(
  queues: Pick<Queues, 'put' | 'update'>,
  principal: Principal,
  definitions: readonly QueueDefinition[],
  log: Logger,
): Promise<void> {
  for (const definition of inOrder(definitions)) {
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

async function apply(
  queues: Pick<Queues, 'put' | 'update'>,
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
