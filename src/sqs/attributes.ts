/**
 * Queue attributes as AWS names them: one table with a row per attribute, walked for reading and for setting. Each row
 * that can be set says which setting it is and how its text becomes a value; everything is text on the wire.
 */
import type { QueueWithStats } from '../broker/queues.ts';
import { limits } from '../domain/limits.ts';
import {
  hasSetting,
  type QueueKind,
  type QueueName,
  type QueueSettings,
  type QueueSettingsPatch,
  queueSettings,
  type SettingName,
} from '../domain/queue-attributes.ts';
import type { ActionContext } from './action.ts';
import { invalidValue, SqsError } from './errors.ts';
import { asQueueName, parseArn, queueArn, queueOfArn } from './queue-url.ts';

type Context = Pick<ActionContext, 'region' | 'principal'>;

type AttributeRow = {
  /** The value as text; undefined: the queue has none. */
  readonly read: (queue: QueueWithStats, context: Context) => string | undefined;
  /** Absent: read-only. */
  readonly write?: {
    readonly setting: SettingName;
    /** @throws SqsError */
    readonly parse: (text: string, context: Context) => unknown;
  };
};

export const unknownAttribute = (name: string): SqsError =>
  new SqsError('InvalidAttributeName', `Unknown Attribute ${name}.`);

export const invalidAttribute = (name: string, reason?: string): SqsError =>
  new SqsError(
    'InvalidAttributeValue',
    `Invalid value for the parameter ${name}.${reason === undefined ? '' : ` Reason: ${reason}`}`,
  );

const digits = /^\d{1,10}$/;

/** A whole number that the setting's schema takes, up to a bound of SQS's own. */
function numberRow(name: string, setting: SettingName, max = Number.MAX_SAFE_INTEGER): AttributeRow {
  return {
    read: ({ queue }) => String(queue.settings[setting]),
    write: {
      setting,
      parse(text) {
        const value = digits.test(text) ? Number(text) : Number.NaN;
        if (!queueSettings[setting].schema.safeParse(value).success || value > max) throw invalidAttribute(name);
        return value;
      },
    },
  };
}

const booleans: Readonly<Record<string, boolean>> = { true: true, false: false };

function parseBoolean(name: string, text: string): boolean {
  const value = Object.hasOwn(booleans, text.toLowerCase()) ? booleans[text.toLowerCase()] : undefined;
  if (value === undefined) throw invalidAttribute(name);
  return value;
}

const booleanRow = (name: string, setting: SettingName): AttributeRow => ({
  read: ({ queue }) => (hasSetting(queue.kind, setting) ? String(queue.settings[setting]) : undefined),
  write: { setting, parse: (text) => parseBoolean(name, text) },
});

const choiceRow = (name: string, setting: SettingName): AttributeRow => ({
  read: ({ queue }) => (hasSetting(queue.kind, setting) ? String(queue.settings[setting]) : undefined),
  write: {
    setting,
    parse(text) {
      if (!queueSettings[setting].schema.safeParse(text).success) throw invalidAttribute(name);
      return text;
    },
  },
});

const seconds = (at: number): string => String(Math.floor(at / 1_000));
const readOnly = (read: AttributeRow['read']): AttributeRow => ({ read });

/** One row per attribute. */
export const queueAttributes: Readonly<Record<string, AttributeRow>> = {
  ApproximateNumberOfMessages: readOnly(({ stats }) => String(stats.availableCount)),
  ApproximateNumberOfMessagesDelayed: readOnly(({ stats }) => String(stats.delayedCount)),
  ApproximateNumberOfMessagesNotVisible: readOnly(({ stats }) => String(stats.inFlightCount)),
  CreatedTimestamp: readOnly(({ queue }) => seconds(queue.createdAt)),
  LastModifiedTimestamp: readOnly(({ queue }) => seconds(queue.modifiedAt)),
  QueueArn: readOnly(({ queue }, context) => queueArn(context, queue.name)),
  FifoQueue: readOnly(({ queue }) => (queue.kind === 'fifo' ? 'true' : undefined)),
  DelaySeconds: numberRow('DelaySeconds', 'delaySeconds', limits.sqsDelaySecondsMax),
  MaximumMessageSize: numberRow('MaximumMessageSize', 'maxMessageBytes'),
  MessageRetentionPeriod: numberRow('MessageRetentionPeriod', 'retentionSeconds'),
  ReceiveMessageWaitTimeSeconds: numberRow('ReceiveMessageWaitTimeSeconds', 'waitSeconds'),
  VisibilityTimeout: numberRow('VisibilityTimeout', 'visibilityTimeoutSeconds'),
  Policy: {
    read: ({ queue }) => queue.settings.policy ?? undefined,
    write: { setting: 'policy', parse: parsePolicy },
  },
  RedrivePolicy: {
    read: ({ queue: { settings } }, context) =>
      settings.deadLetter === null
        ? undefined
        : JSON.stringify({
            deadLetterTargetArn: queueArn(context, settings.deadLetter.queue),
            maxReceiveCount: settings.deadLetter.maxReceiveCount,
          }),
    write: { setting: 'deadLetter', parse: parseRedrivePolicy },
  },
  RedriveAllowPolicy: {
    read: ({ queue: { settings } }, context) =>
      settings.redriveAllow === null
        ? undefined
        : JSON.stringify({
            redrivePermission: settings.redriveAllow.permission,
            sourceQueueArns: settings.redriveAllow.queues?.map((name) => queueArn(context, name)),
          }),
    write: { setting: 'redriveAllow', parse: parseRedriveAllowPolicy },
  },
  KmsMasterKeyId: {
    read: ({ queue }) => queue.settings.kmsMasterKeyId ?? undefined,
    write: { setting: 'kmsMasterKeyId', parse: (text) => (text === '' ? null : text) },
  },
  KmsDataKeyReusePeriodSeconds: {
    ...numberRow('KmsDataKeyReusePeriodSeconds', 'kmsDataKeyReusePeriodSeconds'),
    read: ({ queue: { settings } }) =>
      settings.kmsMasterKeyId === null ? undefined : String(settings.kmsDataKeyReusePeriodSeconds),
  },
  SqsManagedSseEnabled: booleanRow('SqsManagedSseEnabled', 'sqsManagedSse'),
  ContentBasedDeduplication: booleanRow('ContentBasedDeduplication', 'contentBasedDeduplication'),
  DeduplicationScope: choiceRow('DeduplicationScope', 'deduplicationScope'),
  FifoThroughputLimit: choiceRow('FifoThroughputLimit', 'fifoThroughputLimit'),
};

const rowOf = (name: string): AttributeRow | undefined =>
  Object.hasOwn(queueAttributes, name) ? queueAttributes[name] : undefined;

/** The attributes asked for, `All` being all; those that the queue does not have are absent. @throws SqsError */
export function readAttributes(
  queue: QueueWithStats,
  names: readonly string[],
  context: Context,
): Readonly<Record<string, string>> {
  for (const name of names) if (name !== 'All' && rowOf(name) === undefined) throw unknownAttribute(name);
  const asked = names.includes('All') ? Object.keys(queueAttributes) : names;
  const found: Record<string, string> = {};
  for (const name of asked) {
    const value = rowOf(name)?.read(queue, context);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

type Attributes = Readonly<Record<string, string>>;

/**
 * The settings that attributes stand for. `FifoQueue` is the caller's.
 * @param kind of the queue that is made or changed
 * @throws SqsError for the first attribute that cannot be
 */
export function settingsOf(attributes: Attributes, kind: QueueKind, context: Context): QueueSettingsPatch {
  const patch: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(attributes)) {
    if (name === 'FifoQueue') continue;
    const write = rowOf(name)?.write;
    if (write === undefined) throw unknownAttribute(name);
    if (!hasSetting(kind, write.setting)) throw foreignAttribute(name);
    patch[write.setting] = write.parse(text, context);
  }
  return withEncryption(patch as QueueSettingsPatch);
}

/** Two attributes of FIFO queues have a sentence of their own. */
const onlyForFifo: readonly string[] = ['DeduplicationScope', 'FifoThroughputLimit'];
const foreignAttribute = (name: string): SqsError =>
  onlyForFifo.includes(name)
    ? new SqsError('InvalidAttributeName', `You can specify the ${name} only when FifoQueue is set to true.`)
    : unknownAttribute(name);

/** One kind of encryption at a time: naming a key of KMS ends the other kind, and the other way round. */
function withEncryption(patch: QueueSettingsPatch): QueueSettingsPatch {
  const hasKey = typeof patch.kmsMasterKeyId === 'string';
  if (hasKey && patch.sqsManagedSse === true) {
    throw new SqsError(
      'InvalidAttributeName',
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    );
  }
  if (hasKey) return { ...patch, sqsManagedSse: false };
  return patch.sqsManagedSse === true ? { ...patch, kmsMasterKeyId: null } : patch;
}

/** @throws SqsError when the limit of a FIFO queue does not fit its scope */
export function requireFittingScope(patch: QueueSettingsPatch, present: QueueSettings): void {
  const limit = patch.fifoThroughputLimit ?? present.fifoThroughputLimit;
  const scope = patch.deduplicationScope ?? present.deduplicationScope;
  if (limit !== 'perMessageGroupId' || scope === 'messageGroup') return;
  throw new SqsError(
    'InvalidAttributeValue',
    'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup',
  );
}

/** The first of the given attributes whose setting is among those; settings that a rule added count as none. */
export function attributeOfSetting(attributes: Attributes, settings: readonly string[]): string {
  const found = Object.keys(attributes).find((name) => settings.includes(rowOf(name)?.write?.setting ?? ''));
  const all = Object.entries(queueAttributes);
  return found ?? all.find(([, { write }]) => write?.setting === settings[0])?.[0] ?? '';
}

type Json = Readonly<Record<string, unknown>>;

/** The JSON object that a text holds, or undefined. */
export function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

function parsePolicy(text: string): string | null {
  if (text === '') return null;
  if (Buffer.byteLength(text) > limits.policyBytesMax || parseObject(text) === undefined) {
    throw invalidAttribute('Policy');
  }
  return text;
}

const redriveMembers: readonly string[] = ['maxReceiveCount', 'deadLetterTargetArn'];

function parseRedrivePolicy(text: string, context: Context): QueueSettings['deadLetter'] {
  if (text === '') return null;
  const policy = parseObject(text);
  if (policy === undefined) throw invalidAttribute('RedrivePolicy', 'Redrive policy is not a valid JSON map.');
  const refuse = (reason: string) => invalidValue(text, 'RedrivePolicy', reason);
  for (const member of redriveMembers) {
    if (policy[member] === undefined) {
      throw refuse(`Redrive policy does not contain mandatory attribute: ${member}.`);
    }
  }
  if (Object.keys(policy).some((member) => !redriveMembers.includes(member))) {
    throw refuse('Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].');
  }
  const { maxReceiveCount: count, deadLetterTargetArn: arn } = policy;
  const maxReceiveCount = typeof count === 'number' || digits.test(String(count)) ? Number(count) : Number.NaN;
  if (!Number.isInteger(maxReceiveCount) || maxReceiveCount < 1 || maxReceiveCount > limits.maxReceiveCountMax) {
    throw refuse(
      `Invalid value for maxReceiveCount: ${String(count)}, valid values are from 1 to 1000 both inclusive.`,
    );
  }
  return { queue: deadLetterTarget(String(arn), context, refuse), maxReceiveCount };
}

function deadLetterTarget(arn: string, context: Context, refuse: (reason: string) => SqsError): QueueName {
  const parsed = parseArn(arn);
  if (parsed === undefined) throw refuse('Dead-letter target ARN should be fully qualified ARN.');
  if (parsed.service !== 'sqs') throw refuse('Only SQS queues are valid resources for deadLetterTargetArn.');
  if (parsed.account !== context.principal.account) {
    throw refuse('Dead-letter target owner should be same as the source.');
  }
  const name = asQueueName(parsed.resource);
  if (name === undefined) throw refuse('Dead letter target does not exist.');
  return name;
}

const allowMembers: readonly string[] = ['redrivePermission', 'sourceQueueArns'];
const permissions = ['allowAll', 'denyAll', 'byQueue'] as const;

function parseRedriveAllowPolicy(text: string, context: Context): QueueSettings['redriveAllow'] {
  if (text === '') return null;
  const policy = parseObject(text);
  if (policy === undefined) {
    throw invalidAttribute('RedriveAllowPolicy', 'Redrive allow policy is not a valid JSON map.');
  }
  const refuse = (reason: string) => invalidValue(text, 'RedriveAllowPolicy', reason);
  const permission = permissions.find((one) => one === policy.redrivePermission);
  if (permission === undefined || Object.keys(policy).some((member) => !allowMembers.includes(member))) {
    throw refuse('redrivePermission must be one of allowAll, denyAll and byQueue.');
  }
  const arns = policy.sourceQueueArns;
  if (permission !== 'byQueue') {
    if (arns === undefined) return { permission };
    throw refuse('To specify one or more source queue ARNs, you must set redrivePermission to byQueue.');
  }
  if (!Array.isArray(arns) || arns.length === 0) {
    throw refuse(
      "Amazon SQS can't create the redrive allow policy. When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.",
    );
  }
  if (arns.length > limits.redriveAllowQueuesMax) {
    throw refuse(`The maximum number of source queue ARNs you can specify is ${limits.redriveAllowQueuesMax}.`);
  }
  const queues = arns.map((arn: unknown) => {
    const name = queueOfArn(String(arn), context);
    if (name === undefined) throw refuse('sourceQueueArns must be ARNs of queues of this account.');
    return name;
  });
  return { permission, queues };
}
