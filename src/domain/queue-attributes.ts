/**
 * The settings of a queue: one table with a row per setting, walked by whoever reads, checks, stores, compares or
 * documents them.
 *
 * A row gives the schema (type, bounds), the initial value and the kinds of queue that have the setting.
 */
import { z } from 'zod';
import { type FaultData, fault } from './errors.ts';
import { limits } from './limits.ts';

export const QueueKind = z.enum(['standard', 'fifo']).meta({ id: 'QueueType' });
export type QueueKind = z.infer<typeof QueueKind>;

/** 1–80 of letters, digits, `_` and `-`; a FIFO queue's name ends in `.fifo`, which counts. */
export const queueNamePattern = /^(?:[\w-]{1,80}|[\w-]{1,75}\.fifo)$/;
export const QueueName = z
  .string()
  .regex(queueNamePattern, 'must be 1 to 80 letters, digits, "_" or "-"; the name of a FIFO queue ends in ".fifo"')
  .brand<'QueueName'>();
export type QueueName = z.infer<typeof QueueName>;

const RedrivePermission = z.enum(['allowAll', 'denyAll', 'byQueue']).meta({ id: 'RedrivePermission' });

const seconds = (min: number, max: number) => z.int().min(min).max(max);

export const DeadLetterPolicy = z
  .strictObject({
    queue: QueueName.describe('The dead-letter queue: it must exist and be of the same type.'),
    maxReceiveCount: z
      .int()
      .min(1)
      .max(limits.maxReceiveCountMax)
      .describe('How often a message may be received; the receive after that moves it to the dead-letter queue.'),
  })
  .meta({ id: 'DeadLetterPolicy' });
export type DeadLetterPolicy = z.infer<typeof DeadLetterPolicy>;

export const RedriveAllowPolicy = z
  .strictObject({
    permission: RedrivePermission.describe('Which queues may name this one as their dead-letter queue.'),
    queues: z
      .array(QueueName)
      .min(1)
      .max(limits.redriveAllowQueuesMax)
      .optional()
      .describe('The queues that may, with `byQueue`.'),
  })
  .refine((policy) => (policy.permission === 'byQueue') === (policy.queues !== undefined), {
    error: '`queues` goes with `byQueue`, and only with it',
  })
  .meta({ id: 'RedriveAllowPolicy' });
export type RedriveAllowPolicy = z.infer<typeof RedriveAllowPolicy>;

const tagCharacters = /^[\p{L}\p{N}\s_.:/=+\-@]*$/u;
export const Tags = z
  .record(
    z
      .string()
      .min(1)
      .max(limits.tagKeyCharsMax)
      .regex(tagCharacters, 'may hold letters, digits, blanks and _ . : / = + - @')
      .refine((key) => !key.toLowerCase().startsWith('aws:'), 'must not begin with "aws:"'),
    z
      .string()
      .max(limits.tagValueCharsMax)
      .regex(tagCharacters, 'may hold letters, digits, blanks and _ . : / = + - @'),
  )
  .refine((tags) => Object.keys(tags).length <= limits.tagsPerQueueMax, {
    error: `at most ${limits.tagsPerQueueMax} tags`,
  })
  .meta({ id: 'Tags' });
export type Tags = z.infer<typeof Tags>;

type SettingRule = {
  readonly schema: z.ZodType;
  readonly initial: unknown;
  readonly kinds: readonly QueueKind[];
  /** Kept for SQS clients, without effect of its own: no part of our own API and of definitions. */
  readonly isForSqsOnly?: boolean;
  /** What two values are compared by, where that is not the value itself. */
  readonly meaning?: (value: unknown) => unknown;
};

const both = ['standard', 'fifo'] as const;
const fifoOnly = ['fifo'] as const;

/** One row per setting. `null` is "none" where the schema is nullable. */
export const queueSettings = {
  visibilityTimeoutSeconds: {
    schema: seconds(0, limits.visibilityTimeoutSecondsMax).describe(
      'How long a received message stays hidden from others, 0 to 43,200 seconds.',
    ),
    initial: 30,
    kinds: both,
  },
  delaySeconds: {
    schema: seconds(0, limits.delaySecondsMax).describe(
      'How long a sent message waits before it can be received; at most the retention.',
    ),
    initial: 0,
    kinds: both,
  },
  retentionSeconds: {
    schema: seconds(limits.retentionSecondsMin, limits.retentionSecondsMax).describe(
      'How long a message is kept, from its send on: 60 seconds to 14 days.',
    ),
    initial: limits.retentionSecondsDefault,
    kinds: both,
  },
  maxMessageBytes: {
    schema: z
      .int()
      .min(limits.messageBytesMin)
      .max(limits.messageBytesMax)
      .describe('The largest message: bytes of the body plus names, types and values of its attributes.'),
    initial: limits.messageBytesMax,
    kinds: both,
  },
  waitSeconds: {
    schema: seconds(0, limits.waitSecondsMax).describe(
      'How long a receive without `wait` waits for a message, 0 to 20 seconds.',
    ),
    initial: 0,
    kinds: both,
  },
  deadLetter: {
    schema: DeadLetterPolicy.nullable().describe('Where messages go that are received too often; null: nowhere.'),
    initial: null,
    kinds: both,
  },
  redriveAllow: {
    schema: RedriveAllowPolicy.nullable().describe(
      'Which queues may use this one as their dead-letter queue; null: all.',
    ),
    initial: null,
    kinds: both,
  },
  contentBasedDeduplication: {
    schema: z.boolean().describe('FIFO: a message without a deduplication id gets the SHA-256 of its body as one.'),
    initial: false,
    kinds: fifoOnly,
  },
  deduplicationScope: {
    schema: z
      .enum(['queue', 'messageGroup'])
      .describe(
        'FIFO: whether a deduplication id counts in the whole queue or in its message group; fixed at creation.',
      ),
    initial: 'queue',
    kinds: fifoOnly,
  },
  fifoThroughputLimit: {
    schema: z
      .enum(['perQueue', 'perMessageGroupId'])
      .describe('FIFO: kept for SQS clients; `perMessageGroupId` needs the deduplication scope `messageGroup`.'),
    initial: 'perQueue',
    kinds: fifoOnly,
  },
  retryDelaySeconds: {
    schema: z
      .array(seconds(0, limits.retentionSecondsMax))
      .max(limits.retryDelaysMax)
      .describe(
        'Back-off: what a message waits after its first, second, … receive that did not end in a delete, on top of the visibility timeout; the last value repeats.',
      ),
    initial: [],
    kinds: both,
  },
  maxMessages: {
    schema: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .nullable()
      .describe('A send that would pass this number of messages is refused with 429; null: no limit.'),
    initial: null,
    kinds: both,
  },
  maxBytes: {
    schema: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .nullable()
      .describe('A send that would pass this sum of message bytes is refused with 429; null: no limit.'),
    initial: null,
    kinds: both,
  },
  tags: { schema: Tags.describe('Labels of your own, at most 50.'), initial: {}, kinds: both },
  policy: {
    schema: z.string().max(limits.policyBytesMax).nullable().describe('The access policy, JSON as it was given.'),
    initial: null,
    kinds: both,
    isForSqsOnly: true,
    meaning: (value: unknown): unknown => (typeof value === 'string' ? JSON.parse(value) : value),
  },
  kmsMasterKeyId: {
    schema: z.string().nullable().describe('The KMS key that was named; nothing is encrypted with it.'),
    initial: null,
    kinds: both,
    isForSqsOnly: true,
  },
  kmsDataKeyReusePeriodSeconds: {
    schema: seconds(limits.kmsReuseSecondsMin, limits.kmsReuseSecondsMax).describe('Kept beside the KMS key.'),
    initial: 300,
    kinds: both,
    isForSqsOnly: true,
  },
  sqsManagedSse: {
    schema: z.boolean().describe('Whether a client thinks that SQS encrypts.'),
    initial: true,
    kinds: both,
    isForSqsOnly: true,
  },
} as const satisfies Record<string, SettingRule>;

export type SettingName = keyof typeof queueSettings;
export const settingNames = Object.keys(queueSettings) as readonly SettingName[];

type SqsOnly = {
  [S in SettingName]: (typeof queueSettings)[S] extends { isForSqsOnly: true } ? S : never;
}[SettingName];
/** The settings of our own API and of definitions. */
export type OwnSettingName = Exclude<SettingName, SqsOnly>;
export const ownSettingNames = settingNames.filter(
  (name): name is OwnSettingName => !('isForSqsOnly' in queueSettings[name]),
);

/** All settings of a queue, each with a value; those of FIFO queues keep their initial values on standard ones. */
export type QueueSettings = { readonly [S in SettingName]: z.infer<(typeof queueSettings)[S]['schema']> };
/** Some settings: those that a request names. */
export type QueueSettingsPatch = { readonly [S in SettingName]?: QueueSettings[S] | undefined };

export const initialSettings = Object.fromEntries(
  settingNames.map((name) => [name, queueSettings[name].initial]),
) as unknown as QueueSettings;

/** Whether queues of this kind have the setting. */
export const hasSetting = (kind: QueueKind, name: SettingName): boolean =>
  (queueSettings[name].kinds as readonly QueueKind[]).includes(kind);

/** The settings that a request names, in the order of the table. */
export const namedSettings = (patch: QueueSettingsPatch): readonly SettingName[] =>
  settingNames.filter((name) => patch[name] !== undefined);

/** The named settings whose values differ; policies and tags are compared as values. */
export function differingSettings(present: QueueSettings, asked: QueueSettingsPatch): readonly SettingName[] {
  return namedSettings(asked).filter((name) => {
    const rule: SettingRule = queueSettings[name];
    const meaning = rule.meaning ?? ((value: unknown) => value);
    return canonical(meaning(present[name])) !== canonical(meaning(asked[name]));
  });
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

/**
 * The settings after a change, or why they cannot be: settings of the other kind, and the rules between settings.
 * Rules that look at other queues (a dead-letter queue exists, is of the same type, allows it) are the engine's.
 * @param options lenient: the delay may be longer than the retention; sends are refused as long as it is
 */
export function mergeSettings(
  kind: QueueKind,
  present: QueueSettings,
  patch: QueueSettingsPatch,
  { isLenient = false }: { readonly isLenient?: boolean | undefined } = {},
): QueueSettings | FaultData {
  const foreign = namedSettings(patch).find((name) => !hasSetting(kind, name));
  if (foreign !== undefined) return fault('settingNotForKind', { setting: foreign, kind });
  const merged = { ...present, ...definedOnly(patch) } as QueueSettings;
  const saysHowLong = patch.delaySeconds !== undefined || patch.retentionSeconds !== undefined;
  if (saysHowLong && !isLenient && merged.delaySeconds > merged.retentionSeconds) {
    return fault('settingInvalid', {
      setting: 'delaySeconds',
      problem: `${merged.delaySeconds} is longer than the retention of ${merged.retentionSeconds} seconds`,
    });
  }
  if (merged.fifoThroughputLimit === 'perMessageGroupId' && merged.deduplicationScope !== 'messageGroup') {
    return fault('settingInvalid', {
      setting: 'fifoThroughputLimit',
      problem: '"perMessageGroupId" needs the deduplicationScope "messageGroup"',
    });
  }
  return merged;
}

const definedOnly = (patch: QueueSettingsPatch): QueueSettingsPatch =>
  Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) as QueueSettingsPatch;
