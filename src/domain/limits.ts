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
  /** Entries of one JSON or atomic batch through REST; a thousand messages of 1 KiB are about one commit's worth of bytes. */
  batchEntriesMax: 1_000,
  /** Bytes of one JSON batch request: a thousand small messages or a few of full size (base64 costs a third). */
  batchBytesMax: 16 * 1_048_576,
  /** One NDJSON line: a message of full size, base64-encoded, with its attributes. */
  batchLineBytesMax: 2 * 1_048_576,
  /** NDJSON lines stored per transaction while a stream is read; bounds memory and the time others wait. */
  batchSliceEntriesMax: 250,
  batchSliceBytesMax: 2 * 1_048_576,
  /** SQS facade: bytes of a request. A legal message grows sixfold when every character is written as \uXXXX. */
  sqsBodyBytesMax: 10 * 1_048_576,
  /** SQS: entries of a batch, messages of a receive. */
  sqsBatchEntriesMax: 10,
  sqsReceiveMessagesMax: 10,
  /** SQS: bytes of all entries of a batch together. */
  sqsBatchBytesMax: 1_048_576,
  /** SQS: names and values of one Query request; ten entries with ten attributes each are 330. */
  formParametersMax: 4_096,
  /** Largest N of `Entry.N.Id`: nothing legal comes near. */
  formIndexMax: 1_000,
  /** Bytes of a request body that describes something (a queue, a task, a list of receipts). */
  documentBytesMax: 1_048_576,
  /** Bodies of requests under way, in memory all together: beyond it requests are refused with 503 before they are read.
   *  Large ones stop short of it, so that small ones find room beside them. */
  bodiesHeldBytesMax: 64 * 1_048_576,
  largeBodiesHeldBytesMax: 48 * 1_048_576,
  smallBodyBytesMax: 65_536,
  /** Answers that clients have not read yet, in memory all together: beyond it receives, looks and long lists are refused
   *  with 503, and what was received for them goes back. Large ones stop short of it, as bodies do. */
  answersHeldBytesMax: 64 * 1_048_576,
  largeAnswersHeldBytesMax: 48 * 1_048_576,
  /** Shorter answers without messages are not counted: each connection has one at most, and the system takes as much. */
  answerUncountedBytesMax: 16_384,
  /** Settings of queues kept at hand: about 4,000 queues without policies. */
  settingsKeptBytesMax: 4 * 1_048_576,
  jsonDepthMax: 32,
  jsonKeysPerObjectMax: 256,
  /** Messages of one receive through REST (SQS: 10). */
  receiveMessagesMax: 100,
  /** Message bytes (bodies and attributes) of one receive or one page of a peek: as many as fit, always at least one. */
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
  /** SQS: between two purges of a queue, and between its deletion and a new one of the name. */
  purgeIntervalSeconds: 60,
  recreateSeconds: 60,
  /** SQS: access policies. */
  policyBytesMax: 8_192,
  policyStatementsMax: 20,
  permissionActionsMax: 7,
  permissionLabelCharsMax: 80,
  kmsReuseSecondsMin: 60,
  kmsReuseSecondsMax: 86_400,
  /** Fair queues: a group is noisy with more than this share of the messages in flight, and at least so many of them. */
  noisySharePercent: 10,
  noisyInFlightMin: 30,
  /** Fair queues: groups that one receive may ask for messages while others are noisy; the next receive goes on. */
  quietGroupsExaminedMax: 64,
  /** Fair queues: queues whose shares are kept in mind. */
  sharesKeptMax: 1_000,
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
  /** Access keys: all of them are kept in memory. */
  keysPerAccountMax: 1_000,
  keyNameCharsMax: 80,
  scopesPerKeyMax: 20,
  queuePatternsPerScopeMax: 50,
  /** Failed attempts of one address to log in, and the time in which they are counted. */
  failedLoginsMax: 20,
  failedLoginWindowSeconds: 60,
  /** Addresses whose failed attempts are kept in mind. */
  failedLoginAddressesMax: 10_000,
  /** How long the old secret of a rotated key may stay good. */
  keyOverlapSecondsMax: 2_592_000,
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
  sqsRedriveRatePerSecondMax: 500,
  sqsTasksListedMax: 10,
  redriveRowsPerSliceMax: 100,
  redriveRowsExaminedPerSliceMax: 1_000,
  redriveHoursMax: 36,
  /** Bytes that one slice may move: those of attributes are written anew. */
  redriveBytesPerSliceMax: 4 * 1_048_576,
  /** While all that is left is hidden, a task looks again at least so often: it may have been released or deleted. */
  redriveLookMsMax: 10_000,
  /** A walk that looked at many messages is followed by so long a pause per message: a twentieth of the writer. */
  redrivePauseMsPerRow: 0.1,
  redriveSamplesMax: 5,
  /** Messages that a dry run asks where they came from; of those beyond it takes for granted that they can go home. */
  redrivePlanRowsMax: 100_000,
  /** Finished tasks that stay listed per account. */
  tasksKeptMax: 1_000,
  /** How often it is said that messages of a queue have no dead-letter queue to go to, and of how many queues that is
   *  kept in mind. */
  deadLetterWarningSeconds: 3_600,
  deadLetterWarningsKept: 1_000,
  /** Long polls open at once; one costs about 2 KiB. */
  waitersPerQueueMax: 10_000,
  waitersMax: 20_000,
  /** The writer's queue: beyond it requests are refused with 503 before anything is accepted. */
  writerPendingRequestsMax: 10_000,
  writerPendingBytesMax: 64 * 1_048_576,
  /** A writer that has been silent for so long, with work waiting, ends the process; how often it is looked at. */
  writerSilentSecondsMax: 30,
  writerLookedAtSeconds: 1,
  /** One commit: enough to share an fsync among many, short enough that nobody waits long behind it. */
  commitRequestsMax: 512,
  commitBytesMax: 4 * 1_048_576,
  /** Message bytes after which a commit gives out no more: further receives wait for a later one, for the same reason. */
  commitGivenBytesMax: 4 * 1_048_576,
} as const;
