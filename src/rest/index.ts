/** The REST API: all operations, in the scopes that read their bodies, and what the OpenAPI document says of it. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { documentBytesMax, takeBytes, takeLines } from '../http/bodies.ts';
import { endLines } from '../http/line-end.ts';
import type { ApiDocuments, ApiInfo } from '../http/openapi.ts';
import type { BodyForm, Operation } from '../http/operation.ts';
import { batchOperations } from './batch.ts';
import { homeOperations } from './cheat-sheet.ts';
import type { RestDeps } from './deps.ts';
import { restFaults, statusOfFault, wireCode } from './errors.ts';
import { keyOperations } from './keys.ts';
import { messageOperations } from './messages.ts';
import { Problem, problemType } from './problems.ts';
import { queueOperations } from './queues.ts';
import { receiptOperations } from './receipts.ts';
import { receiveOperations } from './receive.ts';
import { redriveOperations } from './redrive.ts';
import { messageBodyBytesMax, sendOperations } from './send.ts';
import { systemOperations } from './system.ts';

/** In the order of the document. */
const restOperations = (deps: RestDeps, documents: ApiDocuments): readonly Operation[] => [
  ...queueOperations(deps),
  ...sendOperations(deps),
  ...batchOperations(deps),
  ...receiveOperations(deps),
  ...messageOperations(deps),
  ...receiptOperations(deps),
  ...redriveOperations(deps),
  ...keyOperations(deps),
  ...homeOperations(deps),
  ...systemOperations(deps, documents),
];

const bodyLimits: Readonly<Record<BodyForm, number>> = {
  none: documentBytesMax,
  document: documentBytesMax,
  message: messageBodyBytesMax,
  batch: limits.batchBytesMax,
};

/** Mounts the API: each operation in the scope that reads bodies its way. */
export function mountRest(app: FastifyInstance, deps: RestDeps, documents: ApiDocuments): void {
  const operations = restOperations(deps, documents);
  for (const form of Object.keys(bodyLimits) as BodyForm[]) {
    app.register(async (scope) => {
      takeBytes(scope, deps.arrivals, bodyLimits[form]);
      endLines(scope);
      if (form === 'batch') takeLines(scope);
      for (const operation of operations) if (operation.body === form) mount(scope, operation, operations);
    });
  }
}

function mount(scope: FastifyInstance, operation: Operation, operations: readonly Operation[]): void {
  const { method, hasHead = false, url, action, handle } = operation;
  const names = namesBeside(operation, operations);
  const handler: Operation['handle'] =
    names === undefined
      ? handle
      : (request, reply) => {
          requireOther(names, request);
          return handle(request, reply);
        };
  scope.route({ method: hasHead ? [method, 'HEAD'] : method, url, config: { action, operation }, handler });
}

type NamesBeside = { readonly parameter: string; readonly methods: ReadonlyMap<string, string> };

/**
 * The names that stand where the last part of the path of an operation is a parameter, each with the methods that it
 * has: `receive` beside `:messageId`. The router takes them for values of the parameter under any other method.
 */
function namesBeside({ url }: Operation, operations: readonly Operation[]): NamesBeside | undefined {
  const [, parent = '', parameter = ''] = /^(.*\/):(\w+)$/.exec(url) ?? [];
  if (parameter === '') return undefined;
  const methods = new Map<string, string>();
  for (const other of operations) {
    const name = other.url.startsWith(parent) ? other.url.slice(parent.length) : '';
    if (!/^[\w-]+$/.test(name)) continue;
    const before = methods.get(name);
    methods.set(name, before === undefined ? other.method : `${before}, ${other.method}`);
  }
  return methods.size === 0 ? undefined : { parameter, methods };
}

/** @throws methodNotAllowed when the request means one of the names */
function requireOther(names: NamesBeside, { method, params, url }: FastifyRequest): void {
  const allowed = names.methods.get((params as Record<string, string>)[names.parameter] ?? '');
  if (allowed !== undefined) throw Fault.of('methodNotAllowed', { method, path: url.split('?', 1)[0] ?? '', allowed });
}

/** Without `format: uuid`: answers hold ids as text, and a typed client must be able to pass on what it was told. */
const idSchema = { type: 'string', pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' } as const;

export const restInfo = (version: string): ApiInfo => ({
  version,
  description:
    'Sluice is a message queue over HTTP: durable queues, long polling, FIFO with message groups, dead-letter queues, ' +
    'redrive. Acknowledged means on disk.\n\n' +
    'Instants are RFC 3339 in UTC; durations are whole seconds, and in query strings may be written `30s`, `5m`, `2h`. ' +
    'Errors are problem documents with a stable `code`; a 4xx had no effect, a 5xx is unknown and safe to repeat with a key. ' +
    'New members and new values of enumerations may come.',
  tags: [
    { name: 'Queues', description: 'Create, configure and watch queues.' },
    { name: 'Messages', description: 'Send, receive and look at messages.' },
    { name: 'Receipts', description: 'Settle messages that were received.' },
    { name: 'Redrive', description: 'Move dead-lettered messages back.' },
    { name: 'Keys', description: 'Who may do what.' },
    { name: 'System', description: 'The server itself.' },
  ],
  pathParameters: {
    queue: {
      description: 'The name of the queue: 1 to 80 letters, digits, `_` or `-`; that of a FIFO queue ends in `.fifo`.',
      schema: { type: 'string', pattern: '^([A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\\.fifo)$' },
      example: 'orders',
    },
    receiptHandle: {
      description: 'The receipt handle of the receive.',
      schema: { type: 'string', pattern: '^[A-Za-z0-9_-]+$' },
      example: 'AQAAAAAHAAAAAAAqAAAAAQAAAADx3k2m8v0Yc5Jw1b9RkQzT',
    },
    messageId: {
      description: 'The id of the message.',
      schema: idSchema,
      example: '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    },
    task: {
      description: 'The id of the task.',
      schema: idSchema,
      example: '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    },
    key: {
      description: 'The id of the key.',
      schema: { type: 'string', pattern: '^\\w{16,128}$' },
      example: 'SLUICEX3MPLK7Q2WV5AB',
    },
  },
  problems: {
    schema: Problem,
    mediaType: problemType,
    statusOf: statusOfFault,
    titleOf: (code) => restFaults[code].title,
    wireCode,
  },
});
