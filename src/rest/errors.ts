/**
 * What is told of a fault: one table with a row per code, which does not compile while one is missing.
 *
 * The detail says which value is wrong and what would be right. The hint is the next thing to do: a command that can be
 * pasted into a shell as it is, with what it does after ` # `, or a sentence where no command helps. Nothing of a
 * client's gets into a command unless it is harmless there.
 */
import type { DeadLetterProblem, FaultCode, FaultFacts } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { arrivalLimits } from '../http/arrivals.ts';

/** What hints are made of besides the facts. */
export type Asked = {
  /** The server as the client calls it, such as `http://localhost:8080`. */
  readonly origin: string;
  /** The queue that the URL names, else an example. */
  readonly queue: string;
  /** The pattern of the route; empty where none matched. */
  readonly route: string;
};

export type FaultRow<F> = {
  readonly status: number;
  readonly title: string;
  readonly detail: (facts: F) => string;
  readonly hint: (facts: F, asked: Asked) => string;
};

export const retryWithKey = 'Ask again: with the same deduplication id or Idempotency-Key nothing is done twice.';
const isBatch = ({ route }: Asked): boolean => route.endsWith('/batch');
const urlOf = ({ origin }: Asked, queue: string): string => `${origin}/v1/queues/${queue}`;
const create = (asked: Asked, queue: string): string => `curl -X PUT ${urlOf(asked, queue)} # creates it`;
/** JSON as an argument in bash: as it is, and also when it is copied out of a problem whose quotes are escaped. */
const quotedJson = (value: object): string => `$'${JSON.stringify(value)}'`;
const change = (asked: Asked, queue: string, settings: object): string =>
  `curl -X PATCH --json ${quotedJson(settings)} ${urlOf(asked, queue)}`;

export const restFaults: { readonly [C in FaultCode]: FaultRow<FaultFacts[C]> } = {
  invalidArgument: {
    status: 400,
    title: 'Invalid argument',
    detail: ({ name, problem }) => `${name}: ${problem}.`,
    hint: ({ name }, asked) =>
      argumentHints.get(name)?.(asked) ?? `Correct ${name}; ${asked.origin}/docs describes it.`,
  },
  malformedBody: {
    status: 400,
    title: 'Malformed body',
    detail: ({ problem }) => problem,
    hint: () => 'Send valid JSON or text in UTF-8; with curl, --data-binary @file sends a file as it is.',
  },
  unsupportedMediaType: {
    status: 415,
    title: 'Unsupported media type',
    detail: ({ contentType, accepted, encoding }) =>
      encoding === undefined
        ? `${contentType === '' ? 'A body without a content type' : JSON.stringify(contentType)} is not read here; send ${accepted}.`
        : `The body is encoded as ${JSON.stringify(encoding)}, and bodies are not decoded here.`,
    hint: ({ encoding }, asked) => {
      if (encoding !== undefined) return 'Send the body as it is, without the header Content-Encoding.';
      const lines = isBatch(asked) ? "; -H 'content-type: application/x-ndjson' announces lines of it" : '';
      return `With curl, --json announces JSON${lines}.`;
    },
  },
  bodyTooLarge: {
    status: 413,
    title: 'Body too large',
    detail: ({ bytesMax, entriesMax }) =>
      entriesMax === undefined
        ? `The body is larger than the ${bytesMax} bytes that are read here.`
        : `The request holds more than the ${entriesMax} messages that are stored all at once.`,
    hint: (_facts, asked) =>
      isBatch(asked)
        ? 'Send it in several requests, or as lines of JSON, which may be as many as there are.'
        : 'Store what is large elsewhere, and send where it is.',
  },
  routeNotFound: {
    status: 404,
    title: 'Not found',
    detail: ({ path }) => `There is nothing at ${path}.`,
    hint: (_facts, { origin }) => `curl ${origin}/ # shows what there is; ${origin}/docs documents it`,
  },
  methodNotAllowed: {
    status: 405,
    title: 'Method not allowed',
    detail: ({ method, path, allowed }) => `${method} is not possible at ${path}, other than ${allowed}.`,
    hint: ({ path, allowed }, { origin }) => `curl -X ${gentlest(allowed)} ${shellWord(origin + path)}`,
  },
  requestTimeout: {
    status: 408,
    title: 'Request timeout',
    detail: () => 'The body did not arrive in time.',
    hint: () =>
      `Send the whole body within ${arrivalLimits.wholeBodySecondsMax} seconds; lines of JSON may take longer, as long as they move.`,
  },
  expectationFailed: {
    status: 417,
    title: 'Expectation failed',
    detail: ({ expectation }) => `Expect: ${quoted(expectation)} is nothing that this server can promise.`,
    hint: () => 'Leave the header Expect out, or send Expect: 100-continue to be asked for the body.',
  },
  forbiddenHost: {
    status: 403,
    title: 'Forbidden host',
    detail: ({ host }) =>
      `This server is open to programs on its own machine only, and ${JSON.stringify(host.slice(0, 128))} is not a name for it.`,
    hint: () => 'Ask for localhost or 127.0.0.1, or name the host in SLUICE_ALLOWED_HOSTS.',
  },

  credentialsMissing: {
    status: 401,
    title: 'Credentials missing',
    detail: () => 'This server answers to access keys only, and the request has none.',
    hint: (_facts, { origin }) =>
      `curl -u $KEY_ID:$KEY_SECRET ${origin}/ # or the header Authorization: Bearer, with id and secret joined by a dot`,
  },
  credentialsInvalid: {
    status: 401,
    title: 'Credentials invalid',
    detail: () => 'The credentials are not those of an access key in force.',
    hint: () => 'Correct id and secret; who may manage keys sees whether the key is still in force.',
  },
  credentialsThrottled: {
    status: 429,
    title: 'Too many failed attempts',
    detail: () => 'Too many requests from this address had wrong credentials.',
    hint: ({ seconds }) => `Correct them, and ask again in ${seconds} seconds.`,
  },
  accessDenied: {
    status: 403,
    title: 'Access denied',
    detail: ({ action, queue }) =>
      `No scope of the access key allows ${action}${queue === undefined ? '' : ` on ${quoted(queue)}`}.`,
    hint: ({ action, queue }) =>
      `Who may manage keys can add the scope ${JSON.stringify({ actions: [action], queues: [queue ?? '*'] })}.`,
  },
  keyNotFound: {
    status: 404,
    title: 'Key not found',
    detail: ({ key }) => `There is no access key ${quoted(key)}.`,
    hint: (_facts, { origin }) => `curl ${origin}/v1/keys # lists them`,
  },
  keyExists: {
    status: 409,
    title: 'Key exists',
    detail: ({ key }) => `There is an access key ${quoted(key)} already.`,
    hint: () => 'Ask again: each new key gets another id.',
  },
  keyDeclared: {
    status: 409,
    title: 'Key declared in the settings file',
    detail: ({ key }) => `The access key ${quoted(key)} is declared in the settings file of the server.`,
    hint: () => 'Change it there, and start the server again.',
  },
  keyNeeded: {
    status: 409,
    title: 'Key needed',
    detail: ({ problem }) => `${problem}.`,
    hint: () => 'A key with the scope {"actions":["*"],"queues":["*"]} may do everything.',
  },
  tooManyKeys: {
    status: 409,
    title: 'Too many keys',
    detail: ({ countMax }) => `There are ${countMax} access keys already, which is the most there can be.`,
    hint: (_facts, { origin }) => `curl ${origin}/v1/keys # lists them; delete those that are no longer needed`,
  },

  queueNotFound: {
    status: 404,
    title: 'Queue not found',
    detail: ({ queue }) => `There is no queue ${quoted(queue)}.`,
    hint: ({ queue, similar }, asked) =>
      similar === undefined ? create(asked, queue) : `curl ${urlOf(asked, similar)} # did you mean this one?`,
  },
  queueExists: {
    status: 409,
    title: 'Queue exists',
    detail: ({ queue, differing }) => `The queue ${quoted(queue)} exists with other values of ${differing.join(', ')}.`,
    hint: ({ queue }, asked) => `curl ${urlOf(asked, queue)} # shows it; PATCH changes it`,
  },
  queueDeletedRecently: {
    status: 409,
    title: 'Queue deleted recently',
    detail: ({ queue, seconds }) => `The queue ${quoted(queue)} was deleted less than ${seconds} seconds ago.`,
    hint: ({ seconds }) => `Ask again in ${seconds} seconds, or take another name.`,
  },
  purgeInProgress: {
    status: 409,
    title: 'Purged recently',
    detail: ({ queue, seconds }) => `The queue ${quoted(queue)} was purged less than ${seconds} seconds ago.`,
    hint: ({ seconds }) => `Ask again in ${seconds} seconds.`,
  },
  queueChanged: {
    status: 412,
    title: 'Queue changed',
    detail: ({ queue, version }) => `The queue ${quoted(queue)} was changed since: its ETag is now "${version}".`,
    hint: ({ queue }, asked) => `curl -i ${urlOf(asked, queue)} # shows it with its ETag; repeat the change with that`,
  },
  queueFull: {
    status: 429,
    title: 'Queue full',
    detail: ({ queue, limit, value }) => `The queue ${quoted(queue)} would pass its ${limit} of ${value}.`,
    hint: ({ queue, limit, value }, asked) =>
      `${change(asked, queue, { [limit]: Math.min(2 * value, Number.MAX_SAFE_INTEGER) })} # raises it; or receive and delete messages`,
  },
  tooManyQueues: {
    status: 409,
    title: 'Too many queues',
    detail: ({ countMax }) => `There are ${countMax} queues already, which is the most there can be.`,
    hint: (_facts, { origin }) => `curl ${origin}/v1/queues # lists them; delete those that are no longer needed`,
  },
  settingNotForKind: {
    status: 400,
    title: 'Setting of another queue type',
    detail: ({ setting, kind }) => `${setting}: a ${kind} queue has no such thing.`,
    hint: ({ kind }) => (kind === 'standard' ? 'A queue whose name ends in .fifo is a FIFO queue.' : 'Leave it out.'),
  },
  settingInvalid: {
    status: 400,
    title: 'Invalid setting',
    detail: ({ setting, problem }) => `${setting}: ${problem}.`,
    hint: () => 'Change it, or the setting that it must go with.',
  },
  deadLetterQueueInvalid: {
    status: 400,
    title: 'Invalid dead-letter queue',
    detail: ({ queue, problem }) => `deadLetter.queue: ${quoted(queue)} cannot be the dead-letter queue: ${problem}.`,
    hint: ({ queue, reason }, asked) => deadLetterHints[reason](queue, asked),
  },
  deadLetterQueueMissing: {
    status: 409,
    title: 'No dead-letter queue',
    detail: ({ queue, configured }) =>
      configured === undefined
        ? `The queue ${quoted(queue)} has no dead-letter queue to move the message to.`
        : `The dead-letter queue ${quoted(configured)} of the queue ${quoted(queue)} does not exist any more.`,
    hint: ({ queue, configured }, asked) =>
      configured === undefined
        ? `curl -X PUT ${urlOf(asked, deadLetterName(queue))} && ${change(asked, queue, { deadLetter: { queue: deadLetterName(queue), maxReceiveCount: 5 } })} # gives it one`
        : create(asked, configured),
  },

  emptyBody: {
    status: 400,
    title: 'Empty body',
    detail: () => 'A message needs a body of at least one byte.',
    hint: (_facts, asked) =>
      isBatch(asked)
        ? `curl --json ${quotedJson({ messages: [{ body: 'hello' }] })} ${urlOf(asked, asked.queue)}/messages/batch # sends one`
        : `curl -d 'hello' ${urlOf(asked, asked.queue)}/messages # sends one`,
  },
  messageTooLarge: {
    status: 413,
    title: 'Message too large',
    detail: ({ bytes, bytesMax }) =>
      `The body and the attributes are ${bytes} bytes together; the queue takes messages of at most ${bytesMax} bytes.`,
    hint: ({ bytes, bytesMax }, asked) =>
      bytesMax < bytes && bytes <= limits.messageBytesMax
        ? `${change(asked, asked.queue, { maxMessageBytes: limits.messageBytesMax })} # takes larger ones`
        : 'Store what is large elsewhere, and send where it is.',
  },
  messageNotFound: {
    status: 404,
    title: 'Message not found',
    detail: ({ messageId, queue }) => `There is no message ${quoted(messageId)} in the queue ${quoted(queue)}.`,
    hint: ({ queue }, asked) => `curl ${urlOf(asked, queue)}/messages # shows what is there`,
  },
  delayTooLong: {
    status: 400,
    title: 'Delay too long',
    detail: ({ delaySeconds, delaySecondsMax }) =>
      `delay: ${delaySeconds} seconds are more than the ${delaySecondsMax} for which the queue keeps a message.`,
    hint: ({ delaySeconds }, asked) =>
      `${change(asked, asked.queue, { retentionSeconds: delaySeconds })} # keeps messages as long`,
  },
  delayNotAllowed: {
    status: 400,
    title: 'No delay on FIFO queues',
    detail: () => 'delay: a message of a FIFO queue has no delay of its own, since it would overtake or block others.',
    hint: () => 'Set delaySeconds of the queue, which is the delay of all its messages.',
  },
  groupRequired: {
    status: 400,
    title: 'Message group required',
    detail: ({ queue }) => `group: ${quoted(queue)} is a FIFO queue, whose messages need a message group.`,
    hint: ({ queue }, asked) =>
      isBatch(asked)
        ? 'Give each message a groupId, or all of them the one of ?group=.'
        : `curl -d 'hello' '${urlOf(asked, queue)}/messages?group=42&dedup=a1' # sends one`,
  },
  deduplicationIdRequired: {
    status: 400,
    title: 'Deduplication id required',
    detail: ({ queue }) => `dedup: ${quoted(queue)} needs a deduplication id with each message.`,
    hint: ({ queue }, asked) =>
      `${change(asked, queue, { contentBasedDeduplication: true })} # makes them of the bodies`,
  },
  deduplicationIdNotAllowed: {
    status: 400,
    title: 'No deduplication id on standard queues',
    detail: ({ queue }) => `dedup: ${quoted(queue)} is a standard queue, which has no deduplication ids.`,
    hint: () => 'Send the header Idempotency-Key instead, or use a FIFO queue.',
  },
  batchAborted: {
    status: 409,
    title: 'Batch aborted',
    detail: () => 'The batch is all or nothing, and another of its entries was refused.',
    hint: () => 'Correct the entries that have another problem, and send all of them again.',
  },
  idempotencyKeyReused: {
    status: 422,
    title: 'Idempotency key reused',
    detail: () => 'The Idempotency-Key was used with another request within the last 24 hours.',
    hint: () => 'Use a new key for each new request, and the same key only to repeat one.',
  },
  attemptIdReused: {
    status: 409,
    title: 'Attempt id reused',
    detail: () => 'attempt: the messages of this attempt have changed since, so it cannot be repeated.',
    hint: () => 'Receive with a new attempt id.',
  },
  tooManyInFlight: {
    status: 429,
    title: 'Too many messages in flight',
    detail: ({ queue, countMax }) =>
      `${countMax} messages of the queue ${quoted(queue)} are held, the most there can be.`,
    hint: () => 'Delete messages that are done.',
  },
  tooManyWaiters: {
    status: 429,
    title: 'Too many long polls',
    detail: ({ countMax }) => `${countMax} receives are waiting already, the most there can be.`,
    hint: () => 'Receive without waiting, or with fewer connections.',
  },

  receiptInvalid: {
    status: 400,
    title: 'Invalid receipt handle',
    detail: () => 'The receipt handle was not made by this server.',
    hint: () => 'Use the receiptHandle of a receive as it came.',
  },
  receiptForeign: {
    status: 400,
    title: "Another queue's receipt handle",
    detail: ({ queue }) => `The receipt handle is not one of the queue ${quoted(queue)}.`,
    hint: () => 'Use it at the queue that it was received from.',
  },
  receiptExpired: {
    status: 410,
    title: 'Receipt expired',
    detail: () => 'The message is no longer held by this receipt: its visibility timeout has passed, or it is gone.',
    hint: () => 'Receive it again; a longer visibility timeout, or PATCH of the receipt in time, prevents this.',
  },
  visibilityTooLong: {
    status: 400,
    title: 'Visibility timeout too long',
    detail: ({ secondsMax, secondsLeft }) =>
      `visibilityTimeoutSeconds: a message may be held for ${secondsMax} seconds from its receive; ${secondsLeft} are left.`,
    hint: ({ secondsLeft }) => `Ask for ${secondsLeft} seconds at most, or release the message and receive it again.`,
  },

  redriveSourceUnknown: {
    status: 409,
    title: 'Source unknown',
    detail: ({ queue, messageId }) =>
      `The message ${quoted(messageId)} in ${quoted(queue)} was not dead-lettered, or its source is gone: nobody knows where it came from.`,
    hint: () => 'Add ?to= and the name of the queue that it is to go to.',
  },
  redriveRunning: {
    status: 409,
    title: 'Redrive running',
    detail: ({ queue, task }) => `The task ${quoted(task)} moves the messages of ${quoted(queue)} already.`,
    hint: ({ task }, { origin }) => `curl ${origin}/v1/tasks/${task} # shows it; DELETE cancels it`,
  },
  redriveInvalid: {
    status: 400,
    title: 'Invalid redrive',
    detail: ({ problem }) => `redrive: ${problem}.`,
    hint: () => 'Add ?to= and the name of another queue of the same type, or leave it out.',
  },
  taskNotFound: {
    status: 404,
    title: 'Task not found',
    detail: ({ task }) => `There is no task ${quoted(task)}.`,
    hint: (_facts, { origin }) => `curl ${origin}/v1/tasks # lists them`,
  },
  taskNotActive: {
    status: 409,
    title: 'Task not active',
    detail: ({ task, status }) => `The task ${quoted(task)} is ${status}.`,
    hint: ({ task }, { origin }) => `curl ${origin}/v1/tasks/${task} # shows it`,
  },

  overloaded: {
    status: 503,
    title: 'Overloaded',
    detail: () => 'The server has more in hand than it may hold at once; nothing of this request was done.',
    hint: () => 'Ask again in a second; if it goes on, send less at once.',
  },
  storageFull: {
    status: 507,
    title: 'Storage full',
    detail: () => 'The disk is full: nothing is taken until there is room; receive and delete go on.',
    hint: () => 'Free space in the data directory, or delete messages.',
  },
  storageFailed: {
    status: 500,
    title: 'Storage failed',
    detail: () => 'The disk reported an error: whether the request took effect is unknown.',
    hint: () => retryWithKey,
  },
  shuttingDown: {
    status: 503,
    title: 'Shutting down',
    detail: () => 'The server is stopping; nothing of this request was done.',
    hint: () => 'Ask again in a second: another server, or this one when it is back.',
  },
};

const quoted = (name: string): string => JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);

/** The next thing to do about an argument, where that is more than to correct it. */
const argumentHints: ReadonlyMap<string, (asked: Asked) => string> = new Map<string, (asked: Asked) => string>([
  ['queue', ({ origin }) => `curl ${origin}/v1/queues # lists the queues`],
  ['to', ({ origin }) => `curl ${origin}/v1/queues # lists the queues`],
  ['messageId', (asked) => `curl ${urlOf(asked, asked.queue)}/messages # shows messages with their ids`],
  ['task', ({ origin }) => `curl ${origin}/v1/tasks # lists the tasks`],
  ['attempt', () => 'Leave it out: a message of a standard queue that nobody deletes comes again by itself.'],
  ['key', ({ origin }) => `curl ${origin}/v1/keys # lists the keys`],
]);

const deadLetterHints: { readonly [P in DeadLetterProblem]: (queue: string, asked: Asked) => string } = {
  missing: (queue, asked) => create(asked, queue),
  otherKind: () => 'Name a queue of the same type: the names of FIFO queues end in .fifo, others do not.',
  forbidden: (queue, asked) =>
    `${change(asked, queue, { redriveAllow: { permission: 'allowAll' } })} # lets every queue name it`,
  circle: () => 'Name a queue that has no dead-letter queue of its own.',
};

/** The usual name of a queue's dead-letter queue. */
function deadLetterName(queue: string): string {
  const ending = queue.endsWith('.fifo') ? '-dlq.fifo' : '-dlq';
  return queue.replace(/\.fifo$/, '').slice(0, limits.queueNameCharsMax - ending.length) + ending;
}

/** The method that does least, of those that are possible. */
const gentlest = (allowed: string): string =>
  ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].find((method) => allowed.split(', ').includes(method)) ?? allowed;

/** Text as one word of a shell. */
const shellWord = (text: string): string => (/^[\w.:/%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The code on the wire. */
export const wireCode = (code: string): string => code.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const statusOfFault = (code: FaultCode): number => restFaults[code].status;
