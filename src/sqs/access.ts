/**
 * Whether a principal may do an action of SQS: the scopes of its key, and the policy of the queue.
 *
 * An explicit Deny of the policy wins; else a scope or an Allow of the policy is enough. On an open server (nobody in
 * particular asks) policies are kept and not asked. A key that may do everything can always look at a queue, change its
 * policy and delete it, as the root user of an account can: a Deny must not lock out its own author.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.ts';
import type { Action } from '../domain/action.ts';
import { everything, may, mayGive, type Principal } from '../domain/principal.ts';
import { SqsError } from './errors.ts';
import { evaluatePolicy, isPublic, type Policy, parsePolicy } from './policy.ts';
import { principalArn } from './policy-conditions.ts';

type AccessRow = {
  /** What it is in the terms of scopes. */
  readonly does: Action;
  /** The name under which policies know it. */
  readonly as: string;
};
const as = (does: Action, name: string): AccessRow => ({ does, as: name.toLowerCase() });

/** Action of SQS → what it needs. Batches need what the single form needs. */
export const sqsAccess = {
  AddPermission: as('setPolicy', 'AddPermission'),
  CancelMessageMoveTask: as('cancelTask', 'CancelMessageMoveTask'),
  ChangeMessageVisibility: as('settle', 'ChangeMessageVisibility'),
  ChangeMessageVisibilityBatch: as('settle', 'ChangeMessageVisibility'),
  CreateQueue: as('createQueue', 'CreateQueue'),
  DeleteMessage: as('settle', 'DeleteMessage'),
  DeleteMessageBatch: as('settle', 'DeleteMessage'),
  DeleteQueue: as('deleteQueue', 'DeleteQueue'),
  GetQueueAttributes: as('readQueue', 'GetQueueAttributes'),
  // Clients that only send or receive ask for the URL first.
  GetQueueUrl: as('look', 'GetQueueUrl'),
  ListDeadLetterSourceQueues: as('readQueue', 'ListDeadLetterSourceQueues'),
  ListMessageMoveTasks: as('readTask', 'ListMessageMoveTasks'),
  ListQueueTags: as('readQueue', 'ListQueueTags'),
  ListQueues: as('look', 'ListQueues'),
  PurgeQueue: as('purge', 'PurgeQueue'),
  ReceiveMessage: as('receive', 'ReceiveMessage'),
  RemovePermission: as('setPolicy', 'RemovePermission'),
  SendMessage: as('send', 'SendMessage'),
  SendMessageBatch: as('send', 'SendMessage'),
  SetQueueAttributes: as('updateQueue', 'SetQueueAttributes'),
  StartMessageMoveTask: as('redrive', 'StartMessageMoveTask'),
  TagQueue: as('updateQueue', 'TagQueue'),
  UntagQueue: as('updateQueue', 'UntagQueue'),
} as const satisfies Record<string, AccessRow>;

export type SqsActionName = keyof typeof sqsAccess;

/** A queue as far as access goes; its policy is null also when there is no such queue. */
export type GuardedQueue = { readonly account: string; readonly name: string; readonly policy: string | null };

/**
 * @param queue absent where an action names none: the broker then asks for each queue that it comes upon
 * @throws SqsError AccessDeniedException, the same whether the queue exists or not
 */
export type AuthorizeSqs = (
  principal: Principal,
  action: SqsActionName,
  queue: GuardedQueue | undefined,
  peerAddress: string,
) => void;

/** What the root user of an account may always do. */
const rootActions: readonly SqsActionName[] = [
  'GetQueueUrl',
  'GetQueueAttributes',
  'SetQueueAttributes',
  'RemovePermission',
  'DeleteQueue',
];

const policiesKeptMax = 1_000;

export function createAuthorizeSqs({ clock, region }: { clock: Pick<Clock, 'now'>; region: string }): AuthorizeSqs {
  const parsed = new LRUCache<string, { readonly policy: Policy | undefined }>({ max: policiesKeptMax });
  const read = (text: string): Policy | undefined => {
    const known = parsed.get(text);
    if (known !== undefined) return known.policy;
    // One that was set while the server was open was not checked: what lets everybody in counts for nothing.
    const policy = parsePolicy(text, { allowsPublic: true });
    const entry = {
      policy:
        typeof policy === 'string'
          ? undefined
          : { statements: policy.statements.filter((statement) => !isPublic(statement)) },
    };
    parsed.set(text, entry);
    return entry.policy;
  };

  return (principal, action, queue, peerAddress) => {
    if (principal.id === undefined) return;
    const { does, as: name } = sqsAccess[action];
    if (queue === undefined) {
      if (may(principal, does)) return;
      throw denied(principal, name, '*', noIdentityPolicy(name));
    }
    const isOwn = queue.account === principal.account;
    const byScope = isOwn && may(principal, does, queue.name);
    if (isOwn && rootActions.includes(action) && mayGive(principal, everything)) return;
    const said = queue.policy === null ? 'nothing' : saidBy(read(queue.policy), principal, name, queue, peerAddress);
    if (said !== 'deny' && said !== 'unreadable' && (byScope || (said === 'allow' && isOwn))) return;
    const arn = `arn:aws:sqs:${region}:${queue.account}:${queue.name}`;
    throw denied(principal, name, arn, whyOf(said, name));
  };

  /** A policy that cannot be read denies everything. */
  function saidBy(
    policy: Policy | undefined,
    principal: Principal,
    action: string,
    queue: GuardedQueue,
    peerAddress: string,
  ) {
    if (policy === undefined) return 'unreadable';
    return evaluatePolicy(policy, { principal, action, queue, peerAddress, now: clock.now() });
  }
}

const whyOf = (said: string, action: string): string => {
  if (said === 'deny') return 'with an explicit deny in a resource-based policy';
  return said === 'unreadable' ? 'because the policy of the queue is not understood here' : noIdentityPolicy(action);
};

const noIdentityPolicy = (action: string): string => `because no identity-based policy allows the sqs:${action} action`;

const denied = (principal: Principal, action: string, resource: string, why: string): SqsError =>
  new SqsError(
    'AccessDeniedException',
    `User: ${principalArn(principal)} is not authorized to perform: sqs:${action} on resource: ${resource} ${why}`,
  );
