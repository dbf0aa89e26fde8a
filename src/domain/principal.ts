/**
 * Who asks, and what they may do: the account whose queues a request sees, and scopes, each some actions on some queues.
 *
 * What no scope allows is denied. One function answers for every edge.
 */
import { z } from 'zod';
import { type Action, grantable, isOnServer } from './action.ts';
import { Fault } from './errors.ts';
import { limits } from './limits.ts';

/** A queue's name, or the beginning of names and a `*`; `*` alone is every queue and the account itself. */
export const queuePatternPattern = /^(?:\*|[\w-]{1,80}\*?|[\w-]{1,75}\.fifo)$/;
export const QueuePattern = z
  .string()
  .regex(queuePatternPattern, 'must be the name of a queue, the beginning of names and "*", or "*"')
  .describe('The name of a queue, the beginning of names and `*`, or `*`.')
  .meta({ examples: ['orders-*'] });

export const Scope = z
  .strictObject({
    actions: z
      .array(z.enum(['*', ...grantable]))
      .min(1)
      .max(grantable.length + 1)
      .describe('What may be done; `*` is everything.')
      .meta({ examples: [['send', 'receive', 'settle']] }),
    queues: z
      .array(QueuePattern)
      .min(1)
      .max(limits.queuePatternsPerScopeMax)
      .describe('On which queues. What is not done on a queue (metrics, keys) needs `*`.')
      .meta({ examples: [['orders', 'orders-*']] }),
  })
  .superRefine(({ actions, queues }, context) => {
    const lost = actions.find((action) => action !== '*' && isOnServer(action));
    if (lost === undefined || queues.includes('*')) return;
    const message = `must hold "*", or the scope must leave out ${lost}, which is not done on queues`;
    context.addIssue({ code: 'custom', path: ['queues'], message });
  })
  .meta({ id: 'Scope', description: 'Actions that may be done on queues.' });
export type Scope = z.infer<typeof Scope>;

export type Principal = {
  readonly account: string;
  /** The id of the access key, which also marks the messages it sends. Absent: nobody in particular (an open server). */
  readonly id?: string | undefined;
  readonly scopes: readonly Scope[];
};

/** The sender of messages on an open server; in the form in which AWS writes the ids of users. */
export const anonymousId = 'AIDASLUICEOPENACCESS2';

/** The account of a server that is not told another one, as local SQS emulators have it. */
export const defaultAccount = '000000000000';

export const everything: readonly Scope[] = [{ actions: ['*'], queues: ['*'] }];

/** Everybody, on a server without keys; also the server itself. */
export const openPrincipal = (account: string): Principal => ({ account, scopes: everything });

/** Whether the pattern names the queue. Linear: a `*` stands at the end only. */
export function patternCovers(pattern: string, queue: string): boolean {
  return pattern.endsWith('*') ? queue.startsWith(pattern.slice(0, -1)) : pattern === queue;
}

/**
 * Whether a scope allows the action on the queue. Without a queue: an action on the server needs the pattern `*`; one on
 * queues is allowed when it is so on any, and the operation asks again for each queue it comes upon.
 * `look` is allowed on every queue that any scope names.
 */
export function may({ scopes }: Pick<Principal, 'scopes'>, action: Action, queue?: string): boolean {
  if (action === 'public') return true;
  const onServer = isOnServer(action);
  return scopes.some(
    (scope) =>
      (action === 'look' || includesAction(scope.actions, action)) &&
      scope.queues.some((pattern) =>
        onServer ? pattern === '*' : queue === undefined || patternCovers(pattern, queue),
      ),
  );
}

/** The same, thrown. Says the same whether the queue exists or not. @throws accessDenied */
export function authorize(principal: Pick<Principal, 'scopes'>, action: Action, queue?: string): void {
  if (may(principal, action, queue)) return;
  throw Fault.of('accessDenied', { action, ...(queue === undefined ? {} : { queue }) });
}

/** Whether everything that the scopes allow is allowed to the giver: nobody gives what they do not have. */
export const mayGive = (giver: Pick<Principal, 'scopes'>, scopes: readonly Scope[]): boolean =>
  scopes.every(({ actions, queues }) =>
    grantable
      .filter((action) => includesAction(actions, action))
      .every((action) => queues.every((pattern) => mayOnAll(giver, action, pattern))),
  );

/** Whether the action is allowed on every queue that the pattern names. */
const mayOnAll = ({ scopes }: Pick<Principal, 'scopes'>, action: Action, pattern: string): boolean =>
  scopes.some(
    (scope) => includesAction(scope.actions, action) && scope.queues.some((own) => patternCovers(own, pattern)),
  );

const includesAction = (given: Scope['actions'], action: Action): boolean =>
  given.some((one) => one === '*' || one === action);

/** The parts of the names in which the action is allowed, in order and without overlap: `*` stands for a beginning. */
export function patternsFor({ scopes }: Pick<Principal, 'scopes'>, action: Action): readonly string[] {
  const all = scopes
    .filter((scope) => action === 'look' || includesAction(scope.actions, action))
    .flatMap(({ queues }) => queues);
  const isCovered = (pattern: string) =>
    all.some((other) => other !== pattern && other.endsWith('*') && pattern.startsWith(other.slice(0, -1)));
  const startOf = (pattern: string) => pattern.replace(/\*$/, '');
  return [...new Set(all)].filter((pattern) => !isCovered(pattern)).sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
}
