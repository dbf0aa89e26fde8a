/**
 * What can be done, in the terms in which access is given: one row per action. Routes and operations declare theirs;
 * scopes of access keys name them.
 */

type ActionRow = {
  /** What it is done to: a queue, or the server as a whole. */
  readonly on: 'queue' | 'server';
  /** What it lets one do, for people who write scopes. */
  readonly about: string;
};

export const actions = {
  createQueue: { on: 'queue', about: 'create a queue, or confirm its settings' },
  readQueue: { on: 'queue', about: 'see its settings, counts and message groups, and see it in lists' },
  updateQueue: { on: 'queue', about: 'change its settings' },
  setPolicy: { on: 'queue', about: 'say by a policy of SQS who else may use it' },
  deleteQueue: { on: 'queue', about: 'delete it with its messages' },
  purge: { on: 'queue', about: 'remove all messages' },
  send: { on: 'queue', about: 'send; needed too on a dead-letter queue and on the target of a redrive' },
  receive: { on: 'queue', about: 'receive; needed too to give the queue a dead-letter queue' },
  settle: { on: 'queue', about: 'delete, extend, release, dead-letter what was received' },
  peek: { on: 'queue', about: 'see messages without receiving them' },
  removeMessage: { on: 'queue', about: 'remove a message that somebody else may hold' },
  redrive: { on: 'queue', about: 'move its messages back to where they came from' },
  readTask: { on: 'queue', about: 'watch the tasks that move its messages' },
  cancelTask: { on: 'queue', about: 'cancel the tasks that move its messages' },
  readMetrics: { on: 'server', about: 'read the metrics' },
  manageKeys: { on: 'server', about: 'make, see, change and delete access keys, with scopes within one\u2019s own' },
} as const satisfies Record<string, ActionRow>;

export type GrantableAction = keyof typeof actions;
export const grantable = Object.keys(actions) as [GrantableAction, ...GrantableAction[]];

/**
 * `public`: needs no key. `look`: needs any key; what is shown is only what its scopes name. `signed`: the route checks
 * a signature over the body, so it authenticates and authorises by itself once the body is there.
 */
export type Action = GrantableAction | 'public' | 'look' | 'signed';

/** Done to the server as a whole: no pattern but `*` allows it. */
export const isOnServer = (action: Action): boolean =>
  Object.hasOwn(actions, action) && actions[action as GrantableAction].on === 'server';
