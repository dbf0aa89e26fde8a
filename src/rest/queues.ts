/** Queues: list, create, look, change, delete, and what describes them. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { QueueWithStats } from '../broker/queues.ts';
import { type Instant, toRfc3339 } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { type GroupView, kindOfName, type QueueStats } from '../domain/queue.ts';
import {
  hasSetting,
  initialSettings,
  namedSettings,
  type OwnSettingName,
  ownSettingNames,
  QueueKind,
  type QueueName,
  type QueueSettingsPatch,
  queueSettings,
} from '../domain/queue-attributes.ts';
import { readDocument, requireNoBody } from '../http/bodies.ts';
import { sealCursor } from '../http/cursor.ts';
import type { HeaderDoc, Operation } from '../http/operation.ts';
import { invalid, paging, readQuery, text } from '../http/parameters.ts';
import type { Page } from '../storage/port.ts';
import type { RestDeps } from './deps.ts';
import { InstantText, MessageStateName } from './message-json.ts';
import { nextCursor } from './messages.ts';
import { queueOf } from './parameters.ts';

const settingExamples: { readonly [S in OwnSettingName]: unknown } = {
  visibilityTimeoutSeconds: 30,
  delaySeconds: 0,
  retentionSeconds: limits.retentionSecondsDefault,
  maxMessageBytes: limits.messageBytesMax,
  waitSeconds: 20,
  deadLetter: { queue: 'orders-dlq', maxReceiveCount: 5 },
  redriveAllow: { permission: 'byQueue', queues: ['orders'] },
  contentBasedDeduplication: true,
  deduplicationScope: 'messageGroup',
  fifoThroughputLimit: 'perMessageGroupId',
  retryDelaySeconds: [1, 10, 60],
  maxMessages: 100_000,
  maxBytes: 1_073_741_824,
  tags: { team: 'billing' },
};

const rows = ownSettingNames.map((name) => [name, queueSettings[name]] as const);

/** An optional member per setting, made from the table of settings. */
function settingMembers(schemaOf: (schema: z.ZodType, name: OwnSettingName) => z.ZodType): Record<string, z.ZodType> {
  return Object.fromEntries(
    rows.map(([name, { schema }]) => {
      const member = schemaOf(schema, name);
      return [name, member.meta({ ...z.globalRegistry.get(schema), examples: [settingExamples[name]] }).optional()];
    }),
  );
}

const isNone = (schema: z.ZodType): boolean => schema instanceof z.ZodNullable;
const orNone = (schema: z.ZodType): z.ZodType =>
  schema instanceof z.ZodNullable ? (schema.unwrap() as z.ZodType) : schema;

const queueType = QueueKind.describe('`fifo` for names that end in `.fifo`, else `standard`.');

export const CreateQueue = z.strictObject({ type: queueType.optional(), ...settingMembers((schema) => schema) }).meta({
  id: 'CreateQueueRequest',
  description: 'Settings of the queue; those left out have their initial values, null is none.',
});

export const UpdateQueue = z
  .strictObject({
    type: queueType.optional(),
    ...settingMembers((schema) => (isNone(schema) ? schema : schema.nullable())),
  })
  .meta({
    id: 'UpdateQueueRequest',
    description: 'Settings to change, as a merge patch: null resets one to its initial value, what is left out stays.',
  });

const count = (description: string) =>
  z
    .int()
    .min(0)
    .describe(description)
    .meta({ examples: [3] });
const countMembers = {
  available: count('Messages that can be received; on a FIFO queue also those behind another of their group.'),
  inFlight: count('Messages that somebody holds.'),
  delayed: count('Messages that wait for their time.'),
  bytes: count('Bytes of all messages.'),
  oldestAgeSeconds: z
    .int()
    .min(0)
    .optional()
    .describe('How long the oldest message has been kept; absent in an empty queue.')
    .meta({ examples: [17] }),
};
export const QueueCounts = z.object(countMembers).meta({ id: 'QueueCounts', description: 'What is in the queue now.' });

export const QueueView = z
  .object({
    name: z
      .string()
      .describe('Unique among the queues.')
      .meta({ examples: ['orders'] }),
    type: QueueKind,
    ...settingMembers(orNone),
    counts: QueueCounts,
    createdAt: InstantText.describe('When it was created.'),
    modifiedAt: InstantText.describe('When its settings were last changed.'),
    version: z
      .int()
      .min(1)
      .describe('Rises with every change: the ETag.')
      .meta({ examples: [1] }),
  })
  .meta({ id: 'Queue', description: 'A queue: its settings (absent: none) and what is in it.' });

export const QueueList = z
  .object({ items: z.array(QueueView).describe('By name.'), nextCursor })
  .meta({ id: 'QueueList', description: 'A page of queues.' });

export const StatsView = z
  .object({
    ...countMembers,
    sent: count('Messages ever sent to it.'),
    received: count('Receives, each message counted each time.'),
    deleted: count('Messages deleted by their receivers.'),
    redelivered: count('Receives of messages that had been received before.'),
    deadLettered: count('Messages moved to the dead-letter queue.'),
    expired: count('Messages whose retention ended.'),
    purged: count('Messages removed by a purge.'),
    redriven: count('Messages that a redrive took out.'),
    quarantined: count('Messages found damaged: set aside, never delivered.'),
  })
  .meta({ id: 'QueueStats', description: 'Numbers of a queue; totals count since it was created.' });

export const PurgeResult = z
  .object({ purgedCount: count('Messages that were removed.') })
  .meta({ id: 'PurgeResult', description: 'What a purge removed.' });

export const GroupItem = z
  .object({
    groupId: z
      .string()
      .describe('The message group.')
      .meta({ examples: ['customer-7'] }),
    messageCount: count('Messages of the group.'),
    headMessageId: z
      .string()
      .describe('The first message: all others of the group wait behind it.')
      .meta({ examples: ['0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d'] }),
    headState: MessageStateName,
    availableAt: InstantText.describe('From when on the first message can be received.'),
  })
  .meta({ id: 'MessageGroup', description: 'A message group of a FIFO queue.' });
export const GroupList = z
  .object({ items: z.array(GroupItem).describe('By group id.'), nextCursor })
  .meta({ id: 'MessageGroupList', description: 'A page of message groups.' });

export const SourceList = z
  .object({
    items: z
      .array(z.string())
      .describe('Names of queues, in order.')
      .meta({ examples: [['orders', 'payments']] }),
    nextCursor,
  })
  .meta({ id: 'DeadLetterSourceList', description: 'A page of names of queues.' });

function countsOf(stats: QueueStats, now: Instant) {
  return {
    available: stats.availableCount,
    inFlight: stats.inFlightCount,
    delayed: stats.delayedCount,
    bytes: stats.bytes,
    ...(stats.oldestSentAt === null
      ? {}
      : { oldestAgeSeconds: Math.max(0, Math.floor((now - stats.oldestSentAt) / 1000)) }),
  };
}

function viewOf({ queue, stats }: QueueWithStats, now: Instant) {
  const settings = ownSettingNames.filter((name) => hasSetting(queue.kind, name) && queue.settings[name] !== null);
  return {
    name: queue.name,
    type: queue.kind,
    ...Object.fromEntries(settings.map((name) => [name, queue.settings[name]])),
    counts: countsOf(stats, now),
    createdAt: toRfc3339(queue.createdAt),
    modifiedAt: toRfc3339(queue.modifiedAt),
    version: queue.version,
  };
}

function statsOf(stats: QueueStats, now: Instant) {
  return {
    ...countsOf(stats, now),
    sent: stats.sentTotal,
    received: stats.receivedTotal,
    deleted: stats.deletedTotal,
    redelivered: stats.redeliveredTotal,
    deadLettered: stats.deadLetteredTotal,
    expired: stats.expiredTotal,
    purged: stats.purgedTotal,
    redriven: stats.redrivenTotal,
    quarantined: stats.quarantinedTotal,
  };
}

/** A page of the broker's as a page of the wire. */
export const pageOf = <T, V>({ items, nextCursor: next }: Page<T>, view: (item: T) => V) => ({
  items: items.map(view),
  ...(next === null ? {} : { nextCursor: sealCursor(next) }),
});

const pageAsk = ({ limit, cursor }: { readonly limit?: number; readonly cursor?: string }) => ({
  limit: limit ?? limits.pageItemsDefault,
  cursor,
});

const etagOf = ({ queue }: QueueWithStats): string => `"${queue.version}"`;

/** @throws invalidArgument when a document names another type than the name of the queue says */
function requireSameType(name: QueueName, type: QueueKind | undefined): void {
  const kind = kindOfName(name);
  if (type === undefined || type === kind) return;
  throw invalid(
    'type',
    `${JSON.stringify(name)} is the name of a ${kind} queue; names of FIFO queues end in .fifo, others do not`,
  );
}

type QueueDocument = { readonly type?: QueueKind | undefined } & Record<string, unknown>;

function readSettings(request: FastifyRequest, schema: z.ZodType, types?: readonly string[]): QueueSettingsPatch {
  const { type, ...settings } = readDocument(request, schema, types) as QueueDocument;
  requireSameType(queueOf(request), type);
  // The members of the document are those of the table of settings: its schema is made from it.
  return settings as QueueSettingsPatch;
}

async function createQueue({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  const name = queueOf(request);
  readQuery({}, request.query);
  const settings = readSettings(request, CreateQueue);
  const found = await broker.queues.put(request.principal, name, { kind: kindOfName(name), settings });
  if (found.isNew) reply.code(201).header('location', `/v1/queues/${name}`);
  reply.header('etag', etagOf(found));
  return viewOf(found, clock.now());
}

async function getQueue({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  readQuery({}, request.query);
  const found = await broker.queues.get(request.principal, queueOf(request));
  reply.header('etag', etagOf(found));
  return viewOf(found, clock.now());
}

const mergePatchTypes = ['application/merge-patch+json', 'application/json'];

async function updateQueue({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  readQuery({}, request.query);
  const patch = readSettings(request, UpdateQueue, mergePatchTypes);
  const settings = Object.fromEntries(
    namedSettings(patch).map((name) => [name, patch[name] === null ? initialSettings[name] : patch[name]]),
  ) as QueueSettingsPatch;
  const ifVersion = versionAsked(request);
  const changed = await broker.queues.update(request.principal, queueOf(request), { settings, ifVersion });
  reply.header('etag', etagOf(changed));
  return viewOf(changed, clock.now());
}

const etagPattern = /^(?:"(\d{1,15})"|\*)$/;

/** The version that `If-Match` asks for. @throws invalidArgument */
function versionAsked({ headers }: FastifyRequest): number | undefined {
  const asked = headers['if-match'];
  if (asked === undefined || asked === '*') return undefined;
  const version = etagPattern.exec(asked)?.[1];
  if (version === undefined) throw invalid('If-Match', 'must be an ETag as the queue has it, such as "3", or *');
  return Number(version);
}

async function deleteQueue({ broker }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  readQuery({}, request.query);
  await broker.queues.delete(request.principal, queueOf(request));
  return reply.code(204).send();
}

const prefix = text(
  z.string().max(limits.queueNameCharsMax),
  { maxLength: limits.queueNameCharsMax },
  'Only queues whose name begins with this.',
  'orders',
);
const listQuery = { prefix, ...paging };

async function listQueues({ broker, clock }: RestDeps, request: FastifyRequest) {
  const query = readQuery(listQuery, request.query);
  const page = await broker.queues.list(request.principal, { prefix: query.prefix ?? '', ...pageAsk(query) });
  const now = clock.now();
  return pageOf(page, (queue) => viewOf(queue, now));
}

async function getStats({ broker, clock }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  const { stats } = await broker.queues.get(request.principal, queueOf(request));
  return statsOf(stats, clock.now());
}

async function purgeQueue({ broker }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  requireNoBody(request);
  return broker.queues.purge(request.principal, queueOf(request));
}

const groupView = ({ availableAt, ...group }: GroupView) => ({
  ...group,
  availableAt: toRfc3339(availableAt),
});

async function listGroups({ broker }: RestDeps, request: FastifyRequest) {
  const page = await broker.queues.groups(
    request.principal,
    queueOf(request),
    pageAsk(readQuery(paging, request.query)),
  );
  return pageOf(page, groupView);
}

async function listSources({ broker }: RestDeps, request: FastifyRequest) {
  const ask = pageAsk(readQuery(paging, request.query));
  return pageOf(await broker.queues.deadLetterSources(request.principal, queueOf(request), ask), (name) => name);
}

const etag: HeaderDoc = {
  description: 'The version of the settings, for If-Match.',
  schema: { type: 'string' },
  example: '"1"',
  isRequired: true,
};
const queueContent = { 'application/json': { schema: QueueView } };
const createExample = { visibilityTimeoutSeconds: 60, deadLetter: { queue: 'orders-dlq', maxReceiveCount: 5 } };
const settingFaults = ['settingNotForKind', 'settingInvalid', 'deadLetterQueueInvalid'] as const;
const documentFaults = ['malformedBody', 'unsupportedMediaType', 'bodyTooLarge'] as const;

export const queueOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'GET',
    url: '/v1/queues',
    operationId: 'listQueues',
    action: 'look',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'List queues',
      description: 'Queues by name, with their settings and counts.',
      query: listQuery,
      answers: { 200: { description: 'A page of queues.', content: { 'application/json': { schema: QueueList } } } },
      faults: [],
    },
    handle: (request) => listQueues(deps, request),
  },
  {
    method: 'PUT',
    url: '/v1/queues/:queue',
    operationId: 'createQueue',
    action: 'createQueue',
    body: 'document',
    doc: {
      tag: 'Queues',
      summary: 'Create a queue, or confirm it',
      description:
        'Creates the queue, or confirms that it has the settings named. A name that ends in `.fifo` is that of a FIFO queue. ' +
        'Safe to repeat.\n\n`curl -X PUT localhost:8080/v1/queues/orders`',
      request: {
        isRequired: false,
        description: 'Settings; none are needed.',
        content: { 'application/json': { schema: CreateQueue, example: createExample } },
      },
      answers: {
        200: { description: 'It exists with these settings.', headers: { ETag: etag }, content: queueContent },
        201: {
          description: 'It was created.',
          headers: {
            ETag: etag,
            Location: {
              description: 'Where the queue is.',
              schema: { type: 'string', format: 'uri-reference' },
              example: '/v1/queues/orders',
              isRequired: true,
            },
          },
          content: queueContent,
          links: {
            sendMessage: {
              operationId: 'sendMessage',
              parameters: { queue: '$response.body#/name' },
              description: 'Send a message to it.',
            },
            receiveMessages: {
              operationId: 'receiveMessages',
              parameters: { queue: '$response.body#/name' },
              description: 'Receive from it.',
            },
          },
        },
      },
      faults: ['queueExists', 'tooManyQueues', ...settingFaults, ...documentFaults],
    },
    handle: (request, reply) => createQueue(deps, request, reply),
  },
  {
    method: 'GET',
    url: '/v1/queues/:queue',
    operationId: 'getQueue',
    action: 'readQueue',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Look at a queue',
      description: 'Its settings and counts.',
      answers: { 200: { description: 'The queue.', headers: { ETag: etag }, content: queueContent } },
      faults: ['queueNotFound'],
    },
    handle: (request, reply) => getQueue(deps, request, reply),
  },
  {
    method: 'PATCH',
    url: '/v1/queues/:queue',
    operationId: 'updateQueue',
    action: 'updateQueue',
    body: 'document',
    doc: {
      tag: 'Queues',
      summary: 'Change settings of a queue',
      description:
        'A merge patch: null resets a setting to its initial value. With `If-Match` the change is made only if nobody ' +
        'else made one since.',
      headers: {
        'If-Match': {
          description: 'The ETag that the queue must have, or `*`.',
          schema: { type: 'string', pattern: etagPattern.source },
          example: '"1"',
        },
      },
      request: {
        isRequired: true,
        content: {
          'application/json': { schema: UpdateQueue, example: { visibilityTimeoutSeconds: 120, maxMessages: null } },
          'application/merge-patch+json': { schema: UpdateQueue, example: { visibilityTimeoutSeconds: 120 } },
        },
      },
      answers: { 200: { description: 'The queue as it is now.', headers: { ETag: etag }, content: queueContent } },
      faults: ['queueNotFound', 'queueChanged', ...settingFaults, ...documentFaults],
    },
    handle: (request, reply) => updateQueue(deps, request, reply),
  },
  {
    method: 'DELETE',
    url: '/v1/queues/:queue',
    operationId: 'deleteQueue',
    action: 'deleteQueue',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Delete a queue',
      description:
        'The queue and all its messages. Queues whose dead-letter queue it was keep its name: until a queue of that name ' +
        'is there again, their messages are handed out past `maxReceiveCount`, and the log says so.',
      answers: { 204: { description: 'It is gone.' } },
      faults: ['queueNotFound'],
    },
    handle: (request, reply) => deleteQueue(deps, request, reply),
  },
  {
    method: 'GET',
    url: '/v1/queues/:queue/stats',
    operationId: 'getQueueStats',
    action: 'readQueue',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Numbers of a queue',
      description: 'What is in it now, and totals since it was created: flat numbers for monitoring.',
      answers: { 200: { description: 'The numbers.', content: { 'application/json': { schema: StatsView } } } },
      faults: ['queueNotFound'],
    },
    handle: (request) => getStats(deps, request),
  },
  {
    method: 'POST',
    url: '/v1/queues/:queue/purge',
    operationId: 'purgeQueue',
    action: 'purge',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Remove all messages',
      description: 'All messages that were sent before, held ones too. Safe to repeat.',
      answers: { 200: { description: 'They are gone.', content: { 'application/json': { schema: PurgeResult } } } },
      faults: ['queueNotFound'],
    },
    handle: (request) => purgeQueue(deps, request),
  },
  {
    method: 'GET',
    url: '/v1/queues/:queue/groups',
    operationId: 'listGroups',
    action: 'readQueue',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Message groups of a FIFO queue',
      description: 'Each group with its backlog and the message that all others of it wait for.',
      query: paging,
      answers: { 200: { description: 'A page of groups.', content: { 'application/json': { schema: GroupList } } } },
      faults: ['queueNotFound', 'settingNotForKind'],
    },
    handle: (request) => listGroups(deps, request),
  },
  {
    method: 'GET',
    url: '/v1/queues/:queue/dead-letter-sources',
    operationId: 'listDeadLetterSources',
    action: 'readQueue',
    body: 'none',
    doc: {
      tag: 'Queues',
      summary: 'Queues that dead-letter to this one',
      description: 'Names of the queues whose dead-letter queue this is.',
      query: paging,
      answers: { 200: { description: 'A page of names.', content: { 'application/json': { schema: SourceList } } } },
      faults: ['queueNotFound'],
    },
    handle: (request) => listSources(deps, request),
  },
];
