/**
 * Every cap of the product in one place: what it bounds, and why it has this value.
 *
 * Values marked SQS are those of Amazon's service, so that a client that works there works here.
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-quotas.html
 */
export const limits = {
  /** SQS: bytes of a body plus the names, types and values of its attributes. */
  messageBytesMax: 1_048_576,
  messageBytesMin: 1_024,
  /** SQS. */
  attributesPerMessageMax: 10,
  attributeNameCharsMax: 256,
  attributeTypeCharsMax: 256,
  /** Entries of one batch through REST; a thousand messages of 1 KiB are about one commit's worth of bytes. */
  batchEntriesMax: 1_000,
  /** Bytes of one JSON batch request: a thousand small messages or a few of full size (base64 costs a third). */
  batchBytesMax: 16 * 1_048_576,
  /** One NDJSON line: a message of full size, base64-encoded, with its attributes. */
  batchLineBytesMax: 2 * 1_048_576,
  /** NDJSON lines stored per transaction while a stream is read; bounds memory and the time others wait. */
  batchSliceEntriesMax: 250,
  batchSliceBytesMax: 2 * 1_048_576,
  /** Bytes of a request body that describes something (a queue, a task, a list of receipts). */
  documentBytesMax: 1_048_576,
  jsonDepthMax: 32,
  jsonKeysPerObjectMax: 256,
  /** Messages of one receive through REST (SQS: 10). */
  receiveMessagesMax: 100,
  /** Bytes of bodies in one receive: as many messages as fit, and always at least one. */
  receiveBytesMax: 8 * 1_048_576,
  /** SQS. */
  waitSecondsMax: 20,
  visibilityTimeoutSecondsMax: 43_200,
  retentionSecondsMin: 60,
  retentionSecondsMax: 1_209_600,
  retentionSecondsDefault: 345_600,
  /** SQS allows 900; through REST a delay may be as long as the longest retention. */
  delaySecondsMax: 1_209_600,
  sqsDelaySecondsMax: 900,
  /** SQS. */
  maxReceiveCountMax: 1_000,
  redriveAllowQueuesMax: 10,
  tagsPerQueueMax: 50,
  tagKeyCharsMax: 128,
  tagValueCharsMax: 256,
  queueNameCharsMax: 80,
  groupIdCharsMax: 128,
  deduplicationIdCharsMax: 128,
  attemptIdCharsMax: 128,
  deduplicationSeconds: 300,
  attemptSeconds: 300,
  /** SQS: messages in flight per queue. */
  inFlightPerQueueMax: 120_000,
  idempotencyKeyCharsMax: 255,
  idempotencySeconds: 86_400,
  retryDelaysMax: 32,
  /** The sentence kept with a failed message. */
  reasonCharsMax: 1_024,
  contentTypeCharsMax: 256,
  queuesPerAccountMax: 100_000,
  /** Page sizes of lists. */
  pageItemsMax: 1_000,
  pageItemsDefault: 100,
  peekMessagesDefault: 10,
  peekMessagesMax: 100,
  /** Rows that one receive may look at before it answers; expired and dead-lettered ones count. */
  receiveRowsExaminedMax: 1_000,
  /** Rows one slice of upkeep may touch: a few milliseconds of the writer. */
  upkeepRowsPerSliceMax: 500,
  /** How long upkeep sleeps at most, so that a lost wake-up heals by itself. */
  upkeepSleepMsMax: 60_000,
  redriveRatePerSecondMax: 10_000,
  redriveRowsPerSliceMax: 100,
  redriveRowsExaminedPerSliceMax: 1_000,
  redriveHoursMax: 36,
  redriveSamplesMax: 5,
  /** Finished tasks that stay listed per account. */
  tasksKeptMax: 1_000,
  /** Long polls open at once; one costs about 2 KiB. */
  waitersPerQueueMax: 10_000,
  waitersMax: 20_000,
  /** The writer's queue: beyond it requests are refused with 503 before anything is accepted. */
  writerPendingRequestsMax: 10_000,
  writerPendingBytesMax: 64 * 1_048_576,
  /** One commit: enough to share an fsync among many, short enough that nobody waits long behind it. */
  commitRequestsMax: 512,
  commitBytesMax: 4 * 1_048_576,
} as const;
