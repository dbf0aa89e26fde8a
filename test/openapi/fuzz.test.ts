/**
 * Requests made from the document, good and damaged: no answer is a failure of the server, every answer is documented
 * (the harness looks), a request that the document allows in all its parts is not refused as malformed, and whatever was
 * done, the data is sound afterwards.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Answer, type Api, openApi } from '../support/api.ts';

type Schema = {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly additionalProperties?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
};
type Parameter = {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly schema: Schema;
  readonly example: unknown;
};
type Operation = {
  readonly operationId: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Readonly<Record<string, { readonly schema: Schema; readonly example?: unknown }>>;
  };
};
type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

const queues = ['orders', 'orders-dlq', 'orders.fifo'];
const requestsPerRun = 1_200;

/** Values that a schema allows. */
function valid(schema: Schema, { components: { schemas } }: OpenApi, depth = 0): fc.Arbitrary<unknown> {
  const of = (inner: Schema) => valid(inner, { paths: {}, components: { schemas } }, depth + 1);
  if (schema.$ref !== undefined) return of(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {});
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(of));
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type: string) => of({ ...schema, type })));
  switch (schema.type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer': {
      const min = schema.minimum ?? 0;
      const max = schema.maximum ?? 1_000;
      return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max));
    }
    case 'array':
      return fc.array(of(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 5, 5),
      });
    case 'object':
      return objects(schema, of);
    case 'string':
      return strings(schema);
    default:
      return fc.jsonValue({ maxDepth: 3 });
  }
}

function objects(
  { properties = {}, required = [], additionalProperties }: Schema,
  of: (schema: Schema) => fc.Arbitrary<unknown>,
) {
  if (additionalProperties !== undefined)
    return fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), of(additionalProperties), { maxKeys: 3 });
  const members = Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, of(schema)]));
  return fc.record(members, { requiredKeys: [...required] });
}

function strings({ pattern, format, minLength = 0, maxLength = 20 }: Schema): fc.Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  if (pattern !== undefined)
    return pattern.includes('.fifo') ? fc.constantFrom(...queues) : fc.stringMatching(new RegExp(pattern));
  return fc.string({ minLength, maxLength: Math.min(maxLength, 40) });
}

/** Mostly the example: not all that is asked of a parameter can be said in its schema. */
const parameterValue = (good: fc.Arbitrary<unknown>, example: unknown) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(example) }, { weight: 1, arbitrary: good });

/** Often the example, since settings that are each valid may not go together. */
const bodyValue = (good: fc.Arbitrary<unknown>, example: unknown) =>
  example === undefined ? good : fc.oneof(fc.constant(example), good);

/** Values that nobody should send. */
const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom<unknown>(
    '',
    '\u0000',
    '\r\nx: y',
    '../..',
    "';drop table messages",
    '__proto__',
    -1,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    1.5,
    '1e3',
    '%',
    '𐀀',
    'a'.repeat(5_000),
  ),
);
const orJunk = (arbitrary: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary }, { weight: 1, arbitrary: junk });

type Request = {
  readonly operationId: string;
  readonly method: string;
  readonly path: string;
  readonly query: readonly (readonly [string, unknown])[];
  readonly headers: readonly (readonly [string, unknown])[];
  readonly contentType: string | undefined;
  readonly body: unknown;
};

/** Requests of every operation; `value` turns good values into what is sent. */
function requests(
  document: OpenApi,
  value: (good: fc.Arbitrary<unknown>) => fc.Arbitrary<unknown>,
): fc.Arbitrary<Request> {
  const all = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => requestsOf(document, path, method, operation, value)),
  );
  return fc.oneof(...all);
}

function requestsOf(
  document: OpenApi,
  path: string,
  method: string,
  { operationId, parameters, requestBody }: Operation,
  value: (good: fc.Arbitrary<unknown>) => fc.Arbitrary<unknown>,
): fc.Arbitrary<Request> {
  const those = (place: Parameter['in']) => parameters.filter((parameter) => parameter.in === place);
  const named = (place: Parameter['in']) =>
    fc.record(
      Object.fromEntries(
        those(place).map(({ name, schema, example }) => [
          name,
          value(parameterValue(valid(schema, document), example)),
        ]),
      ),
      {
        requiredKeys: [],
      },
    );
  const inPath = fc.record(
    Object.fromEntries(
      those('path').map(({ name, schema }) => [
        name,
        value(name === 'queue' ? fc.constantFrom(...queues) : valid(schema, document)),
      ]),
    ),
  );
  const contents = Object.entries(requestBody?.content ?? {});
  const body = fc.oneof(
    ...(requestBody?.required === true
      ? []
      : [fc.constant<readonly [string | undefined, unknown]>([undefined, undefined])]),
    ...contents.map(([type, { schema, example }]) =>
      fc.tuple(fc.constant<string | undefined>(type), value(bodyValue(valid(schema, document), example))),
    ),
  );
  return fc
    .tuple(inPath, named('query'), named('header'), body)
    .map(([places, query, headers, [contentType, content]]) => ({
      operationId,
      method: method.toUpperCase(),
      path: path.replace(/\{(\w+)\}/g, (_all, name: string) => encoded((places as Record<string, unknown>)[name])),
      query: Object.entries(query),
      headers: Object.entries(headers),
      contentType,
      body: content,
    }));
}

const encoded = (value: unknown): string =>
  encodeURIComponent(String(typeof value === 'object' ? JSON.stringify(value) : value).toWellFormed());

/** What a client library lets through in a header. */
const headerSafe = (value: unknown): string => String(value).replace(/[^\t\x20-\x7e\x80-\xff]/g, '?');

async function ask(api: Api, { method, path, query, headers, contentType, body }: Request): Promise<Answer> {
  const search = query.map(([name, value]) => `${encodeURIComponent(name)}=${encoded(value)}`).join('&');
  const text =
    contentType === undefined
      ? undefined
      : contentType.endsWith('json') || typeof body !== 'string'
        ? JSON.stringify(body)
        : body;
  const answer = api.call(method as 'GET', search === '' ? path : `${path}?${search}`, {
    headers: {
      ...Object.fromEntries(headers.map(([name, value]) => [name, headerSafe(value)])),
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
    },
    ...(text === undefined ? {} : { body: text.toWellFormed() }),
  });
  // Long polls end.
  await api.clock.advance({ seconds: 21 });
  return answer;
}

async function withQueues(): Promise<Api> {
  const api = await openApi();
  await createQueues(api);
  return api;
}

async function createQueues(api: Api): Promise<void> {
  await api.queue('orders-dlq');
  await api.queue('orders', { deadLetter: { queue: 'orders-dlq', maxReceiveCount: 2 }, waitSeconds: 1 });
  await api.queue('orders.fifo', { contentBasedDeduplication: true });
}

const documentOf = (api: Api): OpenApi => api.server.documents.openapi31() as unknown as OpenApi;

describe('requests made from the document', () => {
  it('never make the server fail, however damaged', { timeout: 120_000 }, async () => {
    const api = await withQueues();
    await fc.assert(
      fc.asyncProperty(requests(documentOf(api), orJunk), async (request) => {
        const answer = await ask(api, request);
        expect(answer.status, `${JSON.stringify(request)}\n${answer.text}`).toBeLessThan(500);
      }),
      { numRuns: requestsPerRun },
    );
    expect(api.log.lines.filter(({ level }) => level >= 50)).toEqual([]);
  });

  it('are understood when nothing is damaged', { timeout: 120_000 }, async () => {
    const succeeded = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          requests(documentOf(await withQueues()), (good) => good),
          { minLength: 30, maxLength: 30 },
        ),
        async (all) => {
          const api = await withQueues();
          for (const request of all) {
            const answer = await ask(api, request);
            if (answer.status < 300) succeeded.add(request.operationId);
            const what = `${JSON.stringify(request)}\n${answer.text}`;
            expect(answer.status, what).toBeLessThan(500);
            expect(['route_not_found', 'method_not_allowed', 'unsupported_media_type'], what).not.toContain(
              answer.json.code,
            );
          }
        },
      ),
      { numRuns: requestsPerRun / 30 },
    );
    // Otherwise nothing was tried.
    expect(succeeded.size).toBeGreaterThan(15);
  });
});
