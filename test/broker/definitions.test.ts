import { describe, expect, it } from 'vitest';
import { applyDefinitions, inOrder } from '../../src/broker/definitions.ts';
import type { Queues } from '../../src/broker/queues.ts';
import type { QueueDefinition } from '../../src/config.ts';
import { Fault } from '../../src/domain/errors.ts';
import { defaultAccount, openPrincipal } from '../../src/domain/principal.ts';
import { kindOfName } from '../../src/domain/queue.ts';
import { QueueName, type QueueSettingsPatch } from '../../src/domain/queue-attributes.ts';
import { recordingLog } from '../support/log.ts';

const principal = openPrincipal(defaultAccount);

function definition(name: string, settings: QueueSettingsPatch = {}): QueueDefinition {
  return { name: QueueName.parse(name), kind: kindOfName(name), settings };
}
const withDeadLetter = (name: string, queue: string) =>
  definition(name, { deadLetter: { queue: QueueName.parse(queue), maxReceiveCount: 3 } });
const namesOf = (definitions: readonly QueueDefinition[]) => definitions.map(({ name }) => name as string);

/** Queues that answer every put with the given fault and remember updates. */
function refusingQueues(fault: Fault) {
  const updated: string[] = [];
  const queues: Pick<Queues, 'put' | 'update' | 'find'> = {
    find: (_principal, queue) => Promise.reject(Fault.of('queueNotFound', { queue })),
    put: () => Promise.reject(fault),
    update(_principal, name) {
      updated.push(name);
      return Promise.reject(Fault.of('settingInvalid', { setting: 'delaySeconds', problem: 'is too long' }));
    },
  };
  return { queues, updated };
}

describe('definitions', () => {
  it('are applied dead-letter queues first, else in their own order', () => {
    const definitions = [withDeadLetter('a', 'b'), withDeadLetter('b', 'c'), definition('z'), definition('c')];
    expect(namesOf(inOrder(definitions))).toEqual(['c', 'b', 'a', 'z']);
  });

  it('may name a dead-letter queue that is not among them', () => {
    expect(namesOf(inOrder([withDeadLetter('a', 'elsewhere')]))).toEqual(['a']);
  });

  it('are refused when dead-letter queues go round in a circle', () => {
    expect(() => inOrder([withDeadLetter('a', 'b'), withDeadLetter('b', 'a')])).toThrow(
      'The definitions of a, b cannot be applied: dead-letter queues go round in a circle.',
    );
  });

  it('stop the start with the queue and the reason when they cannot be applied', async () => {
    const { queues } = refusingQueues(
      Fault.of('deadLetterQueueInvalid', { queue: 'x', problem: 'does not exist', reason: 'missing' }),
    );
    await expect(applyDefinitions(queues, principal, [definition('a')], recordingLog())).rejects.toThrow(
      'The definition of queue a cannot be applied: deadLetterQueueInvalid (queue: x; problem: does not exist; reason: missing).',
    );
  });

  it('that name a dead-letter queue which is neither there nor defined stop the start before anything is created', async () => {
    const { queues } = refusingQueues(Fault.of('queueFull', { queue: 'b', limit: 'maxMessages', value: 1 }));
    const definitions = [definition('b'), withDeadLetter('a', 'nowhere')];
    await expect(applyDefinitions(queues, principal, definitions, recordingLog())).rejects.toThrow(
      'The definition of queue a names the dead-letter queue nowhere, which is neither there nor defined; add it to definitions.queues.',
    );
  });

  it('bring a queue that exists to the settings they name', async () => {
    const { queues, updated } = refusingQueues(Fault.of('queueExists', { queue: 'a', differing: ['delaySeconds'] }));
    await expect(applyDefinitions(queues, principal, [definition('a')], recordingLog())).rejects.toThrow(
      'settingInvalid',
    );
    expect(updated).toEqual(['a']);
  });
});
