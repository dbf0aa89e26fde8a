/**
 * What clients saw, and what it must not contain. The server is not asked: an operation is what its client knows of it,
 * acknowledged, refused, or unknown.
 */

/** One thing that a client saw, in the order in which it saw it. */
export type Seen =
  | { readonly what: 'sent'; readonly body: string; readonly messageId: string }
  | { readonly what: 'maybeSent'; readonly body: string }
  | { readonly what: 'delivered'; readonly body: string; readonly messageId: string; readonly askedAt: number }
  | { readonly what: 'deleted'; readonly messageId: string; readonly answeredAt: number }
  | { readonly what: 'maybeDeleted'; readonly messageId: string };

/** @returns a sentence per broken promise, for a history that ends with everything drained */
export function brokenPromises(history: readonly Seen[]): readonly string[] {
  return [...lost(history), ...fromNowhere(history), ...twice(history), ...resurrected(history)];
}

const of = <W extends Seen['what']>(history: readonly Seen[], what: W) =>
  history.filter((seen): seen is Extract<Seen, { what: W }> => seen.what === what);

/** With everything drained, a message has gone by a delete that its client knows of, and by nothing else. */
function lost(history: readonly Seen[]): readonly string[] {
  const delivered = new Set(of(history, 'delivered').map(({ messageId }) => messageId));
  const deleted = new Set(
    [...of(history, 'deleted'), ...of(history, 'maybeDeleted')].map(({ messageId }) => messageId),
  );
  return of(history, 'sent').flatMap(({ body, messageId }) => {
    if (!delivered.has(messageId)) return [`${body} was acknowledged and never delivered`];
    return deleted.has(messageId) ? [] : [`${body} was delivered, not deleted, and is gone`];
  });
}

function fromNowhere(history: readonly Seen[]): readonly string[] {
  const known = new Set([...of(history, 'sent'), ...of(history, 'maybeSent')].map(({ body }) => body));
  return of(history, 'delivered')
    .filter(({ body }) => !known.has(body))
    .map(({ body }) => `${body} was delivered and never sent`);
}

/** One send is one message: however often it is delivered, it has one id. */
function twice(history: readonly Seen[]): readonly string[] {
  const ids = new Map<string, Set<string>>();
  for (const { body, messageId } of [...of(history, 'sent'), ...of(history, 'delivered')]) {
    ids.set(body, (ids.get(body) ?? new Set()).add(messageId));
  }
  return [...ids].filter(([, set]) => set.size > 1).map(([body, set]) => `${body} is ${set.size} messages`);
}

/** Deliveries beyond the first of their message: after a timeout, an unknown receive, or a way through a dead-letter queue. */
export function redeliveryCount(history: readonly Seen[]): number {
  const delivered = of(history, 'delivered').map(({ messageId }) => messageId);
  return delivered.length - new Set(delivered).size;
}

function resurrected(history: readonly Seen[]): readonly string[] {
  const deletedAt = new Map(of(history, 'deleted').map(({ messageId, answeredAt }) => [messageId, answeredAt]));
  return of(history, 'delivered')
    .filter(({ messageId, askedAt }) => askedAt > (deletedAt.get(messageId) ?? Number.POSITIVE_INFINITY))
    .map(({ body }) => `${body} was delivered after its delete was acknowledged`);
}

/**
 * In a message group, first deliveries come in the order of the sends.
 * @param groupOf the group of a body
 * @param numberOf the place of a body among its group's sends
 */
export function outOfOrder(
  history: readonly Seen[],
  groupOf: (body: string) => string,
  numberOf: (body: string) => number,
): readonly string[] {
  const latest = new Map<string, number>();
  const known = new Set<string>();
  return of(history, 'delivered').flatMap(({ body }) => {
    if (known.has(body)) return [];
    known.add(body);
    const before = latest.get(groupOf(body)) ?? -1;
    latest.set(groupOf(body), Math.max(before, numberOf(body)));
    return numberOf(body) < before ? [`${body} was first delivered after number ${before} of its group`] : [];
  });
}
