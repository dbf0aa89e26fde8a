/** What operators and tools ask of the server itself. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { ApiDocuments } from '../http/openapi.ts';
import type { JsonSchema, Operation } from '../http/operation.ts';
import { readQuery } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import { jsonType } from './send.ts';

export const Liveness = z
  .object({
    status: z
      .enum(['ok'])
      .describe('The process answers.')
      .meta({ examples: ['ok'] }),
  })
  .meta({ id: 'Liveness', description: 'The process answers.' });

export const ReadinessView = z
  .object({
    ready: z
      .boolean()
      .describe('Whether requests should be sent here.')
      .meta({ examples: [true] }),
    reasons: z
      .array(z.string())
      .describe('Why not; empty when ready.')
      .meta({ examples: [['the server is stopping']] }),
  })
  .meta({ id: 'Readiness', description: 'Whether requests should be sent here.' });

export const Version = z
  .object({
    name: z
      .string()
      .describe('The name of the service.')
      .meta({ examples: ['sluice'] }),
    version: z
      .string()
      .describe('Its version.')
      .meta({ examples: ['0.1.0'] }),
  })
  .meta({ id: 'Version', description: 'Which program answers.' });

const documentSchema: JsonSchema = { type: 'object', description: 'An OpenAPI document.' };

/** A document is written when it is first asked for, and kept as text. */
function document(write: () => string, contentType: string) {
  let text: string | undefined;
  return (request: FastifyRequest, reply: FastifyReply): string => {
    readQuery({}, request.query);
    text ??= write();
    reply.header('content-type', contentType);
    return text;
  };
}

type System = Pick<Operation, 'url' | 'operationId' | 'action' | 'handle' | 'hasHead'> & {
  readonly summary: string;
  readonly description: string;
  readonly answers: Operation['doc']['answers'];
};

/** They are all alike: GET, no body, no parameters. */
const asOperation = ({
  url,
  operationId,
  action,
  handle,
  hasHead = false,
  summary,
  description,
  answers,
}: System): Operation => ({
  method: 'GET',
  hasHead,
  url,
  operationId,
  action,
  body: 'none',
  doc: { tag: 'System', summary, description, answers, faults: [] },
  handle,
});

/** For what watches the process. */
const healthRows = ({ isReady }: RestDeps): readonly System[] => [
  {
    url: '/livez',
    operationId: 'getLiveness',
    action: 'public',
    summary: 'Is it alive',
    hasHead: true,
    description: 'Answers as long as the process can, to HEAD as well. When it does not, restart it.',
    answers: { 200: { description: 'It is.', content: { 'application/json': { schema: Liveness } } } },
    handle: () => ({ status: 'ok' }),
  },
  {
    url: '/readyz',
    operationId: 'getReadiness',
    action: 'public',
    summary: 'Is it ready',
    hasHead: true,
    description:
      'Whether requests should be sent here: the storage can be written, and the server is not stopping. HEAD tells ' +
      'the same by its status.',
    answers: {
      200: { description: 'It is.', content: { 'application/json': { schema: ReadinessView } } },
      503: { description: 'Not now.', content: { 'application/json': { schema: ReadinessView } } },
    },
    handle(_request, reply) {
      const { ready, reasons } = isReady();
      if (!ready) reply.code(503);
      return { ready, reasons };
    },
  },
];

const aboutRows = ({ metrics, version }: RestDeps): readonly System[] => [
  {
    url: '/version',
    operationId: 'getVersion',
    action: 'look',
    summary: 'Version',
    description: 'Which program answers.',
    answers: { 200: { description: 'The version.', content: { 'application/json': { schema: Version } } } },
    handle: () => ({ name: 'sluice', version }),
  },
  {
    url: '/metrics',
    operationId: 'getMetrics',
    action: 'readMetrics',
    summary: 'Metrics',
    description: 'In the text format of Prometheus.',
    answers: { 200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' } } } } },
    async handle(_request, reply) {
      reply.header('content-type', metrics?.contentType ?? 'text/plain; charset=utf-8');
      return (await metrics?.render()) ?? '';
    },
  },
];

const documentRows = (documents: ApiDocuments): readonly System[] => [
  {
    url: '/openapi.json',
    operationId: 'getOpenApi',
    action: 'look',
    summary: 'This document',
    description: 'The OpenAPI 3.1 document of this server.',
    answers: { 200: { description: 'OpenAPI 3.1.', content: { 'application/json': { schema: documentSchema } } } },
    handle: document(() => JSON.stringify(documents.openapi31()), jsonType),
  },
  {
    url: '/openapi-3.0.json',
    operationId: 'getOpenApi30',
    action: 'look',
    summary: 'This document as OpenAPI 3.0',
    description: 'For generators that do not read 3.1 yet.',
    answers: { 200: { description: 'OpenAPI 3.0.', content: { 'application/json': { schema: documentSchema } } } },
    handle: document(() => JSON.stringify(documents.openapi30()), jsonType),
  },
  {
    url: '/openapi.yaml',
    operationId: 'getOpenApiYaml',
    action: 'look',
    summary: 'This document as YAML',
    description: 'The OpenAPI 3.1 document of this server.',
    answers: {
      200: { description: 'OpenAPI 3.1.', content: { 'application/yaml': { schema: { type: 'string' } } } },
    },
    handle: document(
      () => stringify(documents.openapi31(), { aliasDuplicateObjects: false }),
      'application/yaml; charset=utf-8',
    ),
  },
];

export const systemOperations = (deps: RestDeps, documents: ApiDocuments): readonly Operation[] =>
  [...healthRows(deps), ...aboutRows(deps), ...documentRows(documents)].map(asOperation);
