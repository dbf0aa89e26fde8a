/**
 * The OpenAPI documents, written from the operations: 3.1 for people and modern generators, 3.0 for those that are not
 * there yet. One list of operations, two targets.
 *
 * @fastify/swagger gathers the routes; what each operation says is written here, since SDK generators need more care
 * than a plain translation of schemas gives: named components only, no bounds that nobody meant, no
 * `additionalProperties: false` (a new member of an answer must not break released clients).
 */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { FaultCode } from '../domain/errors.ts';
import type { AnswerDoc, Content, HeaderDoc, JsonSchema, Operation, OperationDoc } from './operation.ts';
import type { ParameterTable } from './parameters.ts';

type Json = { [member: string]: unknown };
export type OpenApiVersion = '3.1.0' | '3.0.3';

/** What the edge knows of its own errors. */
export type ProblemDocs = {
  readonly schema: z.ZodType;
  readonly mediaType: string;
  readonly statusOf: (code: FaultCode) => number;
  readonly titleOf: (code: FaultCode) => string;
  readonly wireCode: (code: FaultCode) => string;
};

export type ApiInfo = {
  readonly version: string;
  readonly description: string;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly pathParameters: Readonly<Record<string, { description: string; schema: JsonSchema; example: string }>>;
  readonly problems: ProblemDocs;
};

export type ApiDocuments = { readonly openapi31: () => Json; readonly openapi30: () => Json };

/** Begins to gather the operations of the instance; call it before they are registered. */
export async function documentApi(app: FastifyInstance, info: ApiInfo): Promise<ApiDocuments> {
  await app.register(swagger, swaggerOptions(info, '3.1.0', 'openapi31'));
  await app.register(swagger, swaggerOptions(info, '3.0.3', 'openapi30'));
  const written = app as unknown as Record<'openapi31' | 'openapi30', () => Json>;
  return { openapi31: () => written.openapi31(), openapi30: () => written.openapi30() };
}

type Transform = (ask: { route: { config?: { operation?: Operation } }; url: string }) => { schema: Json; url: string };

function swaggerOptions(info: ApiInfo, version: OpenApiVersion, decorator: string): object {
  let gathered: Operation[] = [];
  const transform: Transform = ({ route, url }) => {
    const operation = route.config?.operation;
    if (operation === undefined) return { schema: { hide: true }, url };
    gathered.push(operation);
    return { schema: { operationId: operation.operationId }, url };
  };
  const transformObject = () => {
    const operations = gathered;
    gathered = [];
    return writeDocument(operations, info, version);
  };
  return { decorator, openapi: { openapi: version, info: { title: '', version: '' } }, transform, transformObject };
}

function writeDocument(operations: readonly Operation[], info: ApiInfo, version: OpenApiVersion): Json {
  const is30 = version === '3.0.3';
  const schemas = namedSchemas(is30);
  const paths: Record<string, Json> = {};
  for (const operation of [...operations].sort(byPlace(info))) {
    const path = operation.url.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: operationObject(operation, info) };
  }
  const document: Json = {
    openapi: version,
    info: infoObject(info, is30),
    servers: [{ url: '/' }],
    // None of them is needed on an open server.
    security: [{ bearer: [] }, { basic: [] }, {}],
    tags: info.tags,
    paths,
    components: { responses: sharedResponses(info), schemas, securitySchemes },
  };
  polish(document, is30);
  return document;
}

const methodOrder: readonly string[] = ['GET', 'PUT', 'POST', 'PATCH', 'DELETE'];

/** By tag, then path, then method: an order that does not change when a route is registered elsewhere. */
function byPlace({ tags }: ApiInfo): (a: Operation, b: Operation) => number {
  const tagOf = ({ doc }: Operation) => tags.findIndex(({ name }) => name === doc.tag);
  const byUrl = (a: Operation, b: Operation) => Number(a.url > b.url) - Number(a.url < b.url);
  const byMethod = (a: Operation, b: Operation) => methodOrder.indexOf(a.method) - methodOrder.indexOf(b.method);
  return (a, b) => tagOf(a) - tagOf(b) || byUrl(a, b) || byMethod(a, b);
}

const securitySchemes: Json = {
  bearer: { type: 'http', scheme: 'bearer', description: 'Id and secret of an access key, joined by a dot.' },
  basic: { type: 'http', scheme: 'basic', description: 'The id of an access key as user, its secret as password.' },
};

/** What can go wrong before an operation begins, unless it is open to everybody. */
const accessFaults: readonly FaultCode[] = ['credentialsMissing', 'credentialsInvalid', 'accessDenied'];

const infoObject = ({ version, description }: ApiInfo, is30: boolean): Json => ({
  title: 'Sluice',
  description,
  version,
  contact: { name: 'Sluice' },
  license: is30
    ? { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' }
    : { name: 'Apache 2.0', identifier: 'Apache-2.0' },
});

function operationObject({ operationId, url, action, doc }: Operation, info: ApiInfo): Json {
  const isPublic = action === 'public';
  const faults = isPublic ? doc.faults : [...new Set([...accessFaults, ...doc.faults])];
  return {
    operationId,
    tags: [doc.tag],
    summary: doc.summary,
    description: doc.description,
    ...(isPublic ? { security: [] } : {}),
    parameters: [
      ...pathParameters(url, info),
      ...queryParameters(doc.query ?? {}),
      ...Object.entries(doc.headers ?? {}).map(([name, header]) => ({ name, in: 'header', ...headerObject(header) })),
    ],
    ...(doc.request === undefined
      ? {}
      : {
          requestBody: {
            ...(doc.request.description === undefined ? {} : { description: doc.request.description }),
            required: doc.request.isRequired,
            content: contentObject(doc.request.content),
          },
        }),
    responses: {
      ...Object.fromEntries(Object.entries(doc.answers).map(([status, answer]) => [status, answerObject(answer)])),
      ...problemAnswers(faults, doc.answers, info.problems),
      '4XX': { $ref: '#/components/responses/Refused' },
      '5XX': { $ref: '#/components/responses/Failed' },
    },
  };
}

const pathParameters = (url: string, info: ApiInfo): Json[] =>
  [...url.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    ...info.pathParameters[name],
  }));

const queryParameters = (table: ParameterTable): Json[] =>
  Object.entries(table).map(([name, { description, schema, example }]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema,
    example,
  }));

const headerObject = ({ description, schema, example, isRequired = false }: HeaderDoc): Json => ({
  description,
  required: isRequired,
  schema,
  ...(example === undefined ? {} : { example: schema.type === 'integer' ? Number(example) : example }),
});

const answerObject = ({ description, headers, content, links }: AnswerDoc): Json => ({
  description,
  ...(headers === undefined
    ? {}
    : { headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, headerObject(header)])) }),
  ...(content === undefined ? {} : { content: contentObject(content) }),
  ...(links === undefined ? {} : { links }),
});

const contentObject = (content: Content): Json =>
  Object.fromEntries(
    Object.entries(content).map(([mediaType, { schema, ...examples }]) => [
      mediaType,
      { schema: schema instanceof z.ZodType ? reference(schema) : schema, ...examples },
    ]),
  );

const componentPath = '#/components/schemas/';

/** @throws Error for a schema without a name: generators would invent one */
function reference(schema: z.ZodType): Json {
  const id = z.globalRegistry.get(schema)?.id;
  if (id === undefined) throw new Error('A schema of an operation has no name.');
  return { $ref: componentPath + id };
}

/** The problems of an operation by status, and what every operation shares. */
function problemAnswers(faults: readonly FaultCode[], answers: OperationDoc['answers'], problems: ProblemDocs): Json {
  const byStatus = new Map<number, FaultCode[]>();
  for (const code of faults) {
    const status = problems.statusOf(code);
    if (status in answers) continue;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `\`${problems.wireCode(code)}\`: ${problems.titleOf(code)}.`).join(' '),
        ...(status === 429 || status >= 500 ? { headers: { 'Retry-After': retryAfter } } : {}),
        content: problemContent(problems),
      },
    ]),
  );
}

const retryAfter: Json = {
  description: 'Seconds after which to ask again.',
  schema: { type: 'integer', format: 'int32', minimum: 0 },
  example: 1,
};

const problemContent = ({ schema, mediaType }: ProblemDocs): Json => ({ [mediaType]: { schema: reference(schema) } });

const sharedResponses = ({ problems }: ApiInfo): Json => ({
  Refused: { description: 'Refused: it had no effect and never will.', content: problemContent(problems) },
  Failed: {
    description:
      'Failed: whether it took effect is unknown, unless the problem says otherwise. Safe to repeat with a key.',
    headers: { 'Retry-After': retryAfter },
    content: problemContent(problems),
  },
});

/** Every schema that has a name, as JSON Schema. */
function namedSchemas(is30: boolean): Json {
  const { schemas } = z.toJSONSchema(z.globalRegistry, {
    target: is30 ? 'openapi-3.0' : 'draft-2020-12',
    io: 'input',
    unrepresentable: 'any',
    uri: (id) => componentPath + id,
  });
  return Object.fromEntries(
    Object.entries(schemas)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, { $id: _id, $schema: _schema, id: _name, ...schema }]) => [id, schema]),
  );
}

/** Formats that say all; zod's patterns beside them are long and differ between validators. */
const standardFormats: readonly unknown[] = ['date-time', 'uri', 'uuid', 'email', 'byte', 'date'];

function polish(document: Json, is30: boolean): void {
  walk(document, (node) => {
    polishNumber(node);
    // A pattern with classes of Unicode means something else to validators without that flag.
    if (standardFormats.includes(node.format) || String(node.pattern).includes('\\p{')) delete node.pattern;
    if (node.additionalProperties === false) delete node.additionalProperties;
    delete node.propertyNames;
    delete node.id;
    if (is30) polish30(node);
    else foldNull(node);
  });
  dropUnused(document);
}

function polishNumber(node: Json): void {
  if (node.type !== 'integer') return;
  if (node.minimum === -Number.MAX_SAFE_INTEGER) delete node.minimum;
  if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
  const max = typeof node.maximum === 'number' ? node.maximum : Number.POSITIVE_INFINITY;
  node.format ??= max <= 0x7fffffff ? 'int32' : 'int64';
}

/** 3.0: one example, and `nullable` has a type beside it. */
function polish30(node: Json): void {
  if (Array.isArray(node.examples)) {
    node.example = node.examples[0];
    delete node.examples;
  }
  if (node.nullable === true && node.type === undefined) node.type = 'object';
  if (node.nullable === true) listNull(node);
  // A reference alone needs no wrapping.
  if (Array.isArray(node.allOf) && node.allOf.length === 1 && Object.keys(node).length === 1) {
    Object.assign(node, node.allOf[0]);
    delete node.allOf;
  }
}

/** 3.1: `anyOf [T, null]` makes generators write wrapper classes; a type of two names does not. */
function foldNull(node: Json): void {
  if (!Array.isArray(node.anyOf) || node.anyOf.length !== 2) return;
  const [some, none] = node.anyOf as [Json, Json];
  if (none.type !== 'null' || typeof some.type !== 'string') return;
  delete node.anyOf;
  Object.assign(node, { ...some, ...node, type: [some.type, 'null'] });
  listNull(node);
}

/** A list of values is all of them: null, too, where it is allowed. */
function listNull(node: Json): void {
  if (Array.isArray(node.enum) && !node.enum.includes(null)) node.enum = [...node.enum, null];
}

/** Calls back for every object within; examples are data and are left alone. */
function walk(node: unknown, visit: (node: Json) => void, isNames = false): void {
  if (Array.isArray(node)) {
    for (const item of node) walk(item, visit);
    return;
  }
  if (node === null || typeof node !== 'object') return;
  if (!isNames) visit(node as Json);
  for (const [member, value] of Object.entries(node)) {
    if (!isNames && (member === 'example' || member === 'examples')) continue;
    walk(value, visit, !isNames && namesMembers.includes(member));
  }
}
/** Members whose own members are names that somebody chose. */
const namesMembers: readonly string[] = ['properties', 'schemas', 'responses', 'headers', 'paths', 'content', 'links'];

/** Takes out components that nothing refers to, until none is left. */
function dropUnused(document: Json): void {
  const { schemas } = document.components as { schemas: Json };
  while (true) {
    const used = new Set<unknown>();
    walk(document, (node) => used.add(node.$ref));
    const unused = Object.keys(schemas).filter((id) => !used.has(componentPath + id));
    if (unused.length === 0) return;
    for (const id of unused) delete schemas[id];
  }
}
