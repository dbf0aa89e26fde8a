/**
 * Before an action runs: whether who asks may do it to the queue that the request names, and whether a policy that it
 * sets is one that is understood here.
 *
 * The queue is looked up only where keys are in force, for its policy; one that does not exist has none, so that the
 * answer is the same.
 */
import type { FastifyRequest } from 'fastify';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../clock.ts';
import { Fault } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
import type { QueueName } from '../domain/queue-attributes.ts';
import { createAuthorizeSqs, type GuardedQueue, type SqsActionName, sqsAccess } from './access.ts';
import type { ActionContext } from './action.ts';
import { invalidAttribute } from './attributes.ts';
import { openTaskHandle } from './move-task.ts';
import { parsePolicy } from './policy.ts';
import { asQueueName, queueNameOf, queueOfArn } from './queue-url.ts';
import { inputOf, readCall, saysNothing } from './request.ts';

export type GuardDeps = { readonly broker: Broker; readonly clock: Clock; readonly region: string };

/** Nothing to wait for when what must be known is at hand. @throws SqsError and the faults of the request itself */
export type Guard = (request: FastifyRequest, rawBody: Buffer, principal: Principal) => Promise<void> | undefined;

export function createGuard({ broker, clock, region }: GuardDeps): Guard {
  const authorize = createAuthorizeSqs({ clock, region });

  return (request, rawBody, principal) => {
    // What asks for no action does nothing; the developer endpoint asks the broker to peek, which asks for itself.
    if (saysNothing(request, rawBody)) return undefined;
    const call = readCall(request, rawBody);
    const input = inputOf(call);
    // On an open server policies are kept as they come and asked by nobody, as emulators do.
    if (principal.id === undefined) return undefined;
    requireSanePolicy(input);
    const name = queueOf(input, { principal, isQuery: call.protocol === 'query' });
    const action = actionNamed(call.action.name);
    const { ip } = request;
    if (name === undefined) {
      authorize(principal, action, undefined, ip);
      return undefined;
    }
    const known = broker.queues.knownSettings(principal, name);
    if (known === undefined)
      return findGuarded(principal, name).then((queue) => authorize(principal, action, queue, ip));
    authorize(principal, action, { account: principal.account, name, policy: known.policy }, ip);
    return undefined;
  };

  async function findGuarded(principal: Principal, name: QueueName): Promise<GuardedQueue> {
    const { account } = principal;
    try {
      const { policy } = await broker.queues.settingsOf(principal, name);
      return { account, name, policy };
    } catch (error) {
      if (error instanceof Fault && error.data.fault === 'queueNotFound') return { account, name, policy: null };
      throw error;
    }
  }
}

/** Every action has its row: a test compares the two tables. */
function actionNamed(name: string): SqsActionName {
  if (Object.hasOwn(sqsAccess, name)) return name as SqsActionName;
  throw new Error(`Nobody knows who may do ${name}.`);
}

const textOf = (input: object, member: string): string | undefined => {
  const value: unknown = Reflect.get(input, member);
  return typeof value === 'string' ? value : undefined;
};

type Named = Pick<ActionContext, 'principal' | 'isQuery'>;
/** The function that actions use, so that no other queue is asked for than the one they act on; it reads these alone. */
const nameOfUrl = queueNameOf as (url: string | undefined, context: Named) => QueueName;

/** The queue that the input names by URL, name, ARN or task handle; undefined where it names none, or what cannot be one. */
function queueOf(input: object, context: Named): QueueName | undefined {
  if ('QueueUrl' in input) return nameOfUrl(textOf(input, 'QueueUrl'), context);
  const name = textOf(input, 'QueueName');
  if (name !== undefined) return asQueueName(name);
  const handle = textOf(input, 'TaskHandle');
  const arn = handle === undefined ? textOf(input, 'SourceArn') : openTaskHandle(handle)?.sourceArn;
  return arn === undefined ? undefined : queueOfArn(arn, context);
}

/** @throws SqsError InvalidAttributeValue with the first thing that is not understood */
function requireSanePolicy(input: object): void {
  const attributes: unknown = Reflect.get(input, 'Attributes');
  if (typeof attributes !== 'object' || attributes === null) return;
  const text = textOf(attributes, 'Policy');
  if (text === undefined || text === '') return;
  const policy = parsePolicy(text);
  if (typeof policy === 'string') throw invalidAttribute('Policy', `${policy}.`);
}
