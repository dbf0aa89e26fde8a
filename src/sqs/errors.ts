/**
 * Errors as SQS answers them: the table of its shapes, and the table from each fault of the catalogue to a shape and a
 * sentence, which does not compile while a row is missing.
 *
 * A shape has two names: the one in `__type` of JSON, and the older code in Query answers and in `x-amzn-query-error`.
 * Which codes carry the prefix `AWS.SimpleQueueService.` follows no rule; only the table knows. Sentences are those of
 * AWS, since clients and their tests compare them.
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
 */
import { Fault, type FaultCode, type FaultData, type FaultFacts } from '../domain/errors.ts';

type ShapeRow = { readonly namespace: string; readonly code: string; readonly status: number };

const sqs = (code: string, status = 400): ShapeRow => ({ namespace: 'com.amazonaws.sqs', code, status });
const generic = (code: string, status = 400): ShapeRow => ({ namespace: 'com.amazon.coral.service', code, status });
const prefixed = (code: string, status = 400): ShapeRow => sqs(`AWS.SimpleQueueService.${code}`, status);

/** One row per shape that this server answers with. */
export const sqsShapes = {
  QueueDoesNotExist: prefixed('NonExistentQueue'),
  QueueNameExists: sqs('QueueAlreadyExists'),
  QueueDeletedRecently: prefixed('QueueDeletedRecently'),
  InvalidAttributeName: sqs('InvalidAttributeName'),
  InvalidAttributeValue: sqs('InvalidAttributeValue'),
  InvalidMessageContents: sqs('InvalidMessageContents'),
  ReceiptHandleIsInvalid: sqs('ReceiptHandleIsInvalid', 404),
  PurgeQueueInProgress: prefixed('PurgeQueueInProgress', 403),
  OverLimit: sqs('OverLimit', 403),
  EmptyBatchRequest: prefixed('EmptyBatchRequest'),
  TooManyEntriesInBatchRequest: prefixed('TooManyEntriesInBatchRequest'),
  InvalidBatchEntryId: prefixed('InvalidBatchEntryId'),
  BatchEntryIdsNotDistinct: prefixed('BatchEntryIdsNotDistinct'),
  BatchRequestTooLong: prefixed('BatchRequestTooLong'),
  UnsupportedOperation: prefixed('UnsupportedOperation'),
  ResourceNotFoundException: sqs('ResourceNotFoundException', 404),
  InvalidAddress: sqs('InvalidAddress', 404),
  RequestThrottled: sqs('RequestThrottled', 403),
  InvalidParameterValueException: generic('InvalidParameterValue'),
  MissingRequiredParameterException: generic('MissingParameter'),
  UnknownOperationException: generic('InvalidAction'),
  SerializationException: generic('MalformedInput'),
  AccessDeniedException: generic('AccessDenied', 403),
  UnrecognizedClientException: generic('InvalidClientTokenId', 403),
  InvalidSignatureException: generic('SignatureDoesNotMatch', 403),
  IncompleteSignatureException: generic('IncompleteSignature', 400),
  RequestTimeoutException: generic('RequestTimeout', 408),
  InternalFailure: generic('InternalFailure', 500),
  ServiceUnavailable: generic('ServiceUnavailable', 503),
} as const satisfies Record<string, ShapeRow>;

export type SqsShape = keyof typeof sqsShapes;

/** An error in SQS's own terms: what the protocol forbids before any operation of ours is asked. */
export class SqsError extends Error {
  override readonly name = 'SqsError';
  readonly shape: SqsShape;
  /** What it says in terms of SQS; absent: what only that protocol knows. */
  readonly fault: FaultCode | undefined;

  constructor(shape: SqsShape, message: string, fault?: FaultCode) {
    super(message);
    this.shape = shape;
    this.fault = fault;
  }
}

export const missing = (member: string): SqsError =>
  new SqsError('MissingRequiredParameterException', `The request must contain the parameter ${member}.`);

export const invalidParameter = (message: string): SqsError => new SqsError('InvalidParameterValueException', message);

/** `Value {value} for parameter {member} is invalid. Reason: {reason}` */
export const invalidValue = (value: string | number, member: string, reason: string): SqsError =>
  invalidParameter(valueText(value, member, reason));

const valueText = (value: string | number | undefined, member: string, reason: string): string =>
  `Value ${value ?? ''} for parameter ${member} is invalid. Reason: ${reason}`;

/** What was asked, as far as sentences repeat it. Facts of faults never hold receipt handles. */
export type Asked = {
  readonly ReceiptHandle?: string | undefined;
  readonly VisibilityTimeout?: number | undefined;
  readonly DelaySeconds?: number | undefined;
  readonly MessageGroupId?: string | undefined;
  readonly MessageDeduplicationId?: string | undefined;
  readonly ReceiveRequestAttemptId?: string | undefined;
  readonly RedrivePolicy?: string | undefined;
  /** An entry of a batch, whose sentences differ. */
  readonly isEntry?: boolean;
};

type FaultRow<F> = { readonly shape: SqsShape; readonly text: (facts: F, asked: Asked) => string };

const wrongType = 'The request include parameter that is not valid for this queue type.';

/** Why a dead-letter queue is refused. The second dot of `otherKind` is AWS's. */
const deadLetterReasons = {
  missing: 'Dead letter target does not exist.',
  otherKind: 'Dead-letter queue must be same type of queue as the source..',
  forbidden: 'Queue does not have permission to use the dead-letter target as its dead-letter queue.',
  circle: 'Dead-letter queues lead back to the source.',
} as const satisfies Record<FaultFacts['deadLetterQueueInvalid']['reason'], string>;

const denied = 'Access to the resource is denied.';
const keysElsewhere = 'Access keys are not managed through SQS.';
const busy = 'The service is busy; try again.';

export const sqsFaults: { readonly [C in FaultCode]: FaultRow<FaultFacts[C]> } = {
  invalidArgument: {
    shape: 'InvalidParameterValueException',
    text: ({ name, problem }) => `Value for parameter ${name} is invalid. Reason: ${problem}.`,
  },
  malformedBody: { shape: 'SerializationException', text: ({ problem }) => problem },
  unsupportedMediaType: {
    shape: 'SerializationException',
    text: ({ accepted }) => `The request body cannot be read; send ${accepted}.`,
  },
  bodyTooLarge: {
    shape: 'InvalidParameterValueException',
    text: ({ bytesMax }) => `One or more parameters are invalid. Reason: A request is at most ${bytesMax} bytes long.`,
  },
  routeNotFound: { shape: 'InvalidAddress', text: ({ path }) => addressText(path) },
  methodNotAllowed: { shape: 'InvalidAddress', text: ({ path }) => addressText(path) },
  requestTimeout: { shape: 'RequestTimeoutException', text: () => 'The request did not arrive in time.' },
  expectationFailed: {
    shape: 'InvalidParameterValueException',
    text: ({ expectation }) => `Value ${expectation} for header Expect is invalid. Reason: must be 100-continue.`,
  },
  forbiddenHost: {
    shape: 'AccessDeniedException',
    text: () =>
      'This server is open to programs on its own machine only; name it localhost or 127.0.0.1, or name the host in SLUICE_ALLOWED_HOSTS.',
  },

  credentialsMissing: { shape: 'AccessDeniedException', text: () => denied },
  credentialsInvalid: {
    shape: 'UnrecognizedClientException',
    text: () => 'The security token included in the request is invalid.',
  },
  credentialsThrottled: {
    shape: 'RequestThrottled',
    text: ({ seconds }) => `Too many failed attempts; try again in ${seconds} seconds.`,
  },
  accessDenied: { shape: 'AccessDeniedException', text: () => denied },
  keyNotFound: { shape: 'InvalidParameterValueException', text: () => keysElsewhere },
  keyExists: { shape: 'InvalidParameterValueException', text: () => keysElsewhere },
  keyDeclared: { shape: 'InvalidParameterValueException', text: () => keysElsewhere },
  keyNeeded: { shape: 'InvalidParameterValueException', text: () => keysElsewhere },
  tooManyKeys: { shape: 'InvalidParameterValueException', text: () => keysElsewhere },

  queueNotFound: { shape: 'QueueDoesNotExist', text: () => 'The specified queue does not exist.' },
  queueExists: { shape: 'QueueNameExists', text: ({ differing }) => queueExistsText(differing[0] ?? '') },
  queueDeletedRecently: {
    shape: 'QueueDeletedRecently',
    text: ({ seconds }) =>
      `You must wait ${seconds} seconds after deleting a queue before you can create another with the same name.`,
  },
  purgeInProgress: {
    shape: 'PurgeQueueInProgress',
    text: ({ queue, seconds }) => `Only one PurgeQueue operation on ${queue} is allowed every ${seconds} seconds.`,
  },
  queueChanged: {
    shape: 'RequestThrottled',
    text: () => 'The queue is changed by others at the same time; try again.',
  },
  queueFull: {
    shape: 'RequestThrottled',
    text: ({ limit, value }) => `The queue would pass its ${limit} of ${value}; try again later.`,
  },
  tooManyQueues: { shape: 'OverLimit', text: ({ countMax }) => `There are ${countMax} queues, the most there can be.` },
  settingNotForKind: { shape: 'InvalidAttributeName', text: ({ setting }) => `Unknown Attribute ${setting}.` },
  settingInvalid: {
    shape: 'InvalidAttributeValue',
    text: ({ setting, problem }) => `Invalid value for the parameter ${setting}. Reason: ${problem}.`,
  },
  deadLetterQueueInvalid: {
    shape: 'InvalidParameterValueException',
    text: ({ reason }, asked) => valueText(asked.RedrivePolicy, 'RedrivePolicy', deadLetterReasons[reason]),
  },
  deadLetterQueueMissing: {
    shape: 'InvalidParameterValueException',
    text: ({ queue }) => `The queue ${queue} has no dead-letter queue.`,
  },

  emptyBody: {
    shape: 'MissingRequiredParameterException',
    text: () => 'The request must contain the parameter MessageBody.',
  },
  messageTooLarge: {
    shape: 'InvalidParameterValueException',
    text: ({ bytesMax }, { isEntry }) =>
      `One or more parameters ${isEntry === true ? 'cannot be validated' : 'are invalid'}. Reason: Message must be shorter than ${bytesMax} bytes.`,
  },
  messageNotFound: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { ReceiptHandle }) =>
      valueText(
        ReceiptHandle,
        'ReceiptHandle',
        'Message does not exist or is not available for visibility timeout change.',
      ),
  },
  delayTooLong: {
    shape: 'InvalidParameterValueException',
    text: ({ delaySeconds, delaySecondsMax }) =>
      valueText(delaySeconds, 'DelaySeconds', `DelaySeconds must be >= 0 and <= ${delaySecondsMax}.`),
  },
  delayNotAllowed: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { DelaySeconds }) => valueText(DelaySeconds, 'DelaySeconds', wrongType),
  },
  groupRequired: {
    shape: 'MissingRequiredParameterException',
    text: () => 'The request must contain the parameter MessageGroupId.',
  },
  deduplicationIdRequired: {
    shape: 'InvalidParameterValueException',
    text: () =>
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  },
  deduplicationIdNotAllowed: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { MessageDeduplicationId }) =>
      valueText(MessageDeduplicationId, 'MessageDeduplicationId', wrongType),
  },
  batchAborted: { shape: 'InvalidParameterValueException', text: () => 'Another entry of the batch was refused.' },
  idempotencyKeyReused: {
    shape: 'InvalidParameterValueException',
    text: () => 'The idempotency key was used with another request.',
  },
  attemptIdReused: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { ReceiveRequestAttemptId }) =>
      valueText(
        ReceiveRequestAttemptId,
        'ReceiveRequestAttemptId',
        'The receiveRequestAttemptId is not valid anymore since the receive call is not retryable.',
      ),
  },
  tooManyInFlight: {
    shape: 'OverLimit',
    text: ({ countMax }) => `Too many messages are in flight: at most ${countMax} may be.`,
  },
  tooManyWaiters: { shape: 'RequestThrottled', text: () => 'Too many receives are waiting; try again later.' },

  receiptInvalid: {
    shape: 'ReceiptHandleIsInvalid',
    text: (_facts, { ReceiptHandle = '' }) =>
      `The input receipt handle "${ReceiptHandle}" is not a valid receipt handle.`,
  },
  receiptForeign: {
    shape: 'ReceiptHandleIsInvalid',
    text: (_facts, { ReceiptHandle = '' }) => `The receipt handle "${ReceiptHandle}" is not valid for this queue.`,
  },
  receiptExpired: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { ReceiptHandle }) => valueText(ReceiptHandle, 'ReceiptHandle', 'The receipt handle has expired.'),
  },
  visibilityTooLong: {
    shape: 'InvalidParameterValueException',
    text: (_facts, { VisibilityTimeout }) =>
      valueText(
        VisibilityTimeout,
        'VisibilityTimeout',
        'Total VisibilityTimeout for the message is beyond the limit [43200 seconds]',
      ),
  },

  redriveSourceUnknown: { shape: 'InvalidParameterValueException', text: () => 'CouldNotDetermineMessageSource' },
  redriveRunning: {
    shape: 'InvalidParameterValueException',
    text: () =>
      'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
  },
  redriveInvalid: { shape: 'InvalidParameterValueException', text: ({ problem }) => `${problem}.` },
  taskNotFound: { shape: 'ResourceNotFoundException', text: () => 'Task does not exist.' },
  taskNotActive: { shape: 'ResourceNotFoundException', text: () => 'Only active tasks can be cancelled.' },

  overloaded: { shape: 'ServiceUnavailable', text: () => busy },
  storageFull: { shape: 'ServiceUnavailable', text: () => 'The disk is full; receive and delete go on.' },
  storageFailed: { shape: 'InternalFailure', text: () => 'Whether the request took effect is unknown.' },
  shuttingDown: { shape: 'ServiceUnavailable', text: () => 'The server is stopping; try again.' },
};

export const addressText = (path: string): string =>
  `The address ${path.replace(/^\//, '')} is not valid for this endpoint.`;

export const queueExistsText = (attribute: string): string =>
  `A queue already exists with the same name and a different value for attribute ${attribute}`;

const rowOf = <C extends FaultCode>(code: C): FaultRow<FaultFacts[C]> => sqsFaults[code];

/** The error that a fault is to an SQS client. */
export function errorOfFault(data: FaultData, asked: Asked = {}): SqsError {
  const row = rowOf(data.fault) as FaultRow<unknown>;
  return new SqsError(row.shape, row.text(data.facts, asked), data.fault);
}

/** What was thrown, as an SQS error when it is one of ours; anything else is given back as it is. */
export function asSqsError(error: unknown, asked: Asked): unknown {
  return error instanceof Fault ? errorOfFault(error.data, asked) : error;
}

/** The entry of `Failed` that an error of one entry of a batch becomes. */
export const failedEntry = (id: string, { shape, message }: SqsError) => ({
  Id: id,
  SenderFault: sqsShapes[shape].status < 500,
  Code: sqsShapes[shape].code,
  Message: message,
});
export type FailedEntry = ReturnType<typeof failedEntry>;
