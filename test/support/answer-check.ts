/** Compares an answer with what the OpenAPI document promises: status, headers, content type, and every member. */
import { Readable } from 'node:stream';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiDocuments } from '../../src/http/openapi.ts';
import type { Operation } from '../../src/http/operation.ts';

type Json = { [member: string]: unknown };
type Response = {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, { readonly schema: { readonly $ref?: string; readonly type?: string } }>>;
};
type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { responses: Readonly<Record<string, Response>> }>>>>;
  readonly components: { readonly responses: Readonly<Record<string, Response>>; readonly schemas: Json };
};

const documentName = 'https://sluice.test/openapi';

type Known = { readonly openapi: OpenApi; readonly validate: (schema: object) => ValidateFunction };
/** All servers of a run have the same document: it is read once. */
let known: Known | undefined;

/** A check that gives sentences about what is not as documented. */
export function answerCheck(documents: () => ApiDocuments) {
  return (request: FastifyRequest, reply: FastifyReply, payload: unknown): readonly string[] => {
    const { operation } = request.routeOptions.config;
    known ??= prepare(documents().openapi31());
    const { openapi, validate } = known;
    const where = `${request.method} ${request.routeOptions.url ?? '(none)'} → ${reply.statusCode}`;
    const response =
      operation === undefined ? openapi.components.responses.Refused : responseOf(openapi, operation, reply.statusCode);
    // Routes of other packages are not documented; refusals of unknown ones are problems like all others.
    if (operation === undefined && (reply.statusCode < 400 || request.routeOptions.url !== undefined)) return [];
    if (response === undefined) return [`${where} is not documented.`];
    return [...headerProblems(response, reply), ...bodyProblems(response, reply, payload, validate)].map(
      (problem) => `${where}: ${problem}`,
    );
  };
}

function responseOf(openapi: OpenApi, { url, method }: Operation, status: number): Response | undefined {
  const responses = openapi.paths[url.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]?.responses ?? {};
  const response = responses[status] ?? responses[`${Math.floor(status / 100)}XX`];
  const shared = response?.$ref?.split('/').at(-1);
  return shared === undefined ? response : openapi.components.responses[shared];
}

function headerProblems({ headers = {} }: Response, reply: FastifyReply): readonly string[] {
  return Object.entries(headers).flatMap(([name, { required }]) =>
    required === true && !reply.hasHeader(name) ? [`the header ${name} is missing.`] : [],
  );
}

function bodyProblems(
  { content }: Response,
  reply: FastifyReply,
  payload: unknown,
  validate: (schema: object) => ValidateFunction,
): readonly string[] {
  // What is written while it is read is compared by the tests of it.
  if (payload instanceof Readable) return [];
  const bytes = payload === undefined || payload === null ? '' : String(payload);
  if (content === undefined) return bytes === '' ? [] : ['a body is not documented.'];
  const contentType = String(reply.getHeader('content-type')).split(';', 1)[0] ?? '';
  const documented = content[contentType] ?? content['*/*'];
  if (documented === undefined) return [`the content type ${contentType} is not documented.`];
  if (!contentType.endsWith('json') || documented.schema.$ref === undefined) return [];
  const check = validate(documented.schema);
  const value: unknown = JSON.parse(bytes);
  if (check(value)) return hintless(value);
  return (check.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

/** Problems without a hint, also those of entries that stand in members of their own. */
function hintless(value: unknown): readonly string[] {
  if (value === null || typeof value !== 'object') return [];
  const node = value as Json;
  const isProblem = typeof node.type === 'string' && node.type.startsWith('urn:sluice:problem:');
  const own = isProblem && (typeof node.hint !== 'string' || node.hint === '') ? [`${node.type} has no hint.`] : [];
  return [...own, ...Object.values(node).flatMap(hintless)];
}

/** Members that are not documented are refused here, although the document lets them be added one day. */
function prepare(document: Json): Known {
  const openapi = structuredClone(document) as unknown as OpenApi;
  for (const [name, schema] of Object.entries(openapi.components.schemas)) if (name !== 'Problem') close(schema);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addFormat('int32', true);
  ajv.addFormat('int64', true);
  ajv.addSchema({ $id: documentName, ...openapi });
  const compiled = new Map<string, ValidateFunction>();
  const validate = (schema: object): ValidateFunction => {
    const text = JSON.stringify(schema).replaceAll('"#/', `"${documentName}#/`);
    const found = compiled.get(text) ?? ajv.compile(JSON.parse(text) as object);
    compiled.set(text, found);
    return found;
  };
  return { openapi, validate };
}

function close(schema: unknown): void {
  if (schema === null || typeof schema !== 'object') return;
  const node = schema as Json;
  if (node.type === 'object' && node.properties !== undefined) node.additionalProperties ??= false;
  for (const value of Object.values(node)) close(value);
}
