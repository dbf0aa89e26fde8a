/**
 * The catalogue of what can go wrong in a queue service's own terms, and the one error class that carries it.
 *
 * A code says what happened, its facts say with which values. How that looks on a wire (status, sentence, hint) is
 * each edge's own table, which does not compile while a code is missing. Anything thrown that is not a Fault is a bug.
 */

/** Code → the facts that come with it. Facts never hold bodies, receipt handles or keys. */
export type FaultFacts = {
  // The request itself
  invalidArgument: { readonly name: string; readonly problem: string };
  malformedBody: { readonly problem: string };
  unsupportedMediaType: { readonly contentType: string; readonly accepted: string; readonly encoding?: string };
  /** `entriesMax`: there are more entries than that. */
  bodyTooLarge: { readonly bytesMax: number; readonly entriesMax?: number };
  routeNotFound: { readonly method: string; readonly path: string };
  methodNotAllowed: { readonly method: string; readonly path: string; readonly allowed: string };
  requestTimeout: Record<never, never>;
  expectationFailed: { readonly expectation: string };
  forbiddenHost: { readonly host: string };
  // Access
  credentialsMissing: Record<never, never>;
  credentialsInvalid: Record<never, never>;
  /** Too many failed attempts from one address. */
  credentialsThrottled: { readonly seconds: number };
  accessDenied: { readonly action: string; readonly queue?: string };
  keyNotFound: { readonly key: string };
  keyExists: { readonly key: string };
  keyDeclared: { readonly key: string };
  keyNeeded: { readonly problem: string };
  tooManyKeys: { readonly countMax: number };
  // Queues
  queueNotFound: { readonly queue: string; readonly similar?: string };
  queueExists: { readonly queue: string; readonly differing: readonly string[] };
  queueDeletedRecently: { readonly queue: string; readonly seconds: number };
  purgeInProgress: { readonly queue: string; readonly seconds: number };
  queueChanged: { readonly queue: string; readonly version: number };
  queueFull: { readonly queue: string; readonly limit: 'maxMessages' | 'maxBytes'; readonly value: number };
  tooManyQueues: { readonly countMax: number };
  settingNotForKind: { readonly setting: string; readonly kind: string };
  settingInvalid: { readonly setting: string; readonly problem: string };
  deadLetterQueueInvalid: { readonly queue: string; readonly problem: string; readonly reason: DeadLetterProblem };
  /** `configured`: the one that the queue names, when it is gone. */
  deadLetterQueueMissing: { readonly queue: string; readonly configured?: string | undefined };
  // Messages
  emptyBody: Record<never, never>;
  messageTooLarge: { readonly bytes: number; readonly bytesMax: number };
  messageNotFound: { readonly messageId: string; readonly queue: string };
  delayTooLong: { readonly delaySeconds: number; readonly delaySecondsMax: number };
  delayNotAllowed: Record<never, never>;
  groupRequired: { readonly queue: string };
  deduplicationIdRequired: { readonly queue: string };
  deduplicationIdNotAllowed: { readonly queue: string };
  batchAborted: Record<never, never>;
  idempotencyKeyReused: Record<never, never>;
  attemptIdReused: Record<never, never>;
  tooManyInFlight: { readonly queue: string; readonly countMax: number };
  tooManyWaiters: { readonly countMax: number };
  // Receipts
  receiptInvalid: Record<never, never>;
  receiptForeign: { readonly queue: string };
  receiptExpired: Record<never, never>;
  /** `secondsLeft`: of the most that a message may be held from its receive. */
  visibilityTooLong: { readonly secondsMax: number; readonly secondsLeft: number };
  // Redrive
  redriveSourceUnknown: { readonly queue: string; readonly messageId: string };
  redriveRunning: { readonly queue: string; readonly task: string };
  redriveInvalid: { readonly problem: string };
  taskNotFound: { readonly task: string };
  taskNotActive: { readonly task: string; readonly status: string };
  // The machine
  overloaded: Record<never, never>;
  storageFull: Record<never, never>;
  storageFailed: Record<never, never>;
  shuttingDown: Record<never, never>;
};

/** Why a queue cannot be the dead-letter queue of another. */
export type DeadLetterProblem = 'missing' | 'otherKind' | 'forbidden' | 'circle';

export type FaultCode = keyof FaultFacts;

/** A fault as plain data: what crosses threads, and what a batch returns for an entry that failed. */
export type FaultData = {
  readonly [C in FaultCode]: { readonly fault: C; readonly facts: FaultFacts[C] };
}[FaultCode];

/** Builds fault data; the facts must be those of the code. */
export function fault<C extends FaultCode>(code: C, facts: FaultFacts[C]): Extract<FaultData, { fault: C }> {
  return { fault: code, facts } as Extract<FaultData, { fault: C }>;
}

/** Tells a failed entry of a batch from a good one. */
export function isFault<T extends object>(outcome: T | FaultData): outcome is FaultData {
  return 'fault' in outcome;
}

/** A fault as an error: for what the caller cannot go on from. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly data: FaultData;

  constructor(data: FaultData, options?: ErrorOptions) {
    super(data.fault, options);
    this.data = data;
  }

  static of<C extends FaultCode>(code: C, facts: FaultFacts[C], options?: ErrorOptions): Fault {
    return new Fault(fault(code, facts), options);
  }
}

/** The outcome itself, or its fault thrown: the single form of a batch of one. @throws Fault */
export function orThrow<T extends object>(outcome: T | FaultData): T {
  if (isFault(outcome)) throw new Fault(outcome);
  return outcome;
}

/** Marks a branch that the types say cannot be reached. */
export function assertNever(value: never): never {
  throw new Error(`Unexpected value ${JSON.stringify(value)}.`);
}
