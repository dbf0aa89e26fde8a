/** The OpenAPI documents: current, clean, and with examples that are true. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, it } from 'vitest';
import { writeDocuments } from '../../openapi/documents.ts';

type Schema = { readonly [keyword: string]: unknown };
type Parameter = { readonly name: string; readonly in: string; readonly schema: Schema; readonly example?: unknown };
type Media = { readonly schema: Schema; readonly example?: unknown };
type Response = { readonly $ref?: string; readonly content?: Readonly<Record<string, Media>> };
type Operation = {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Response>>;
};
type OpenApi = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
};

const folder = new URL('../../openapi/', import.meta.url);
const pathOf = (name: string): string => fileURLToPath(new URL(name, folder));
const committed = (name: string): string => readFileSync(pathOf(name), 'utf8');
const { version } = JSON.parse(readFileSync(new URL('../package.json', folder), 'utf8')) as { version: string };
const names = ['openapi.json', 'openapi-3.0.json'] as const;
const document = JSON.parse(committed('openapi.json')) as OpenApi;
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })),
);

describe('the committed documents', () => {
  it('are what the routes say; `npm run openapi` writes them', async () => {
    const written = await writeDocuments(version);
    for (const name of names) expect(committed(name) === written[name], `${name} is stale: npm run openapi`).toBe(true);
  });

  it.each(names)('pass the rules of Redocly: %s', async (name) => {
    const { stdout } = await run('redocly', ['lint', '--extends', 'recommended', '--format', 'json', pathOf(name)]);
    expect(JSON.parse(stdout.slice(stdout.indexOf('{')))).toMatchObject({ totals: { errors: 0 } });
  });

  it.each(names)('pass the rules of Spectral: %s', async (name) => {
    const rules = fileURLToPath(new URL('../support/spectral.yaml', import.meta.url));
    const { stdout } = await run('spectral', [
      'lint',
      '--ruleset',
      rules,
      '--fail-severity',
      'hint',
      '--format',
      'json',
      pathOf(name),
    ]);
    // An empty list, then a sentence about it.
    expect(stdout).toMatch(/^\[\]/);
  });
});

/** Runs a command of a development dependency; a finding is an answer, not an error. */
async function run(command: string, options: readonly string[]): Promise<{ stdout: string }> {
  const bin = fileURLToPath(new URL(`../../node_modules/.bin/${command}`, import.meta.url));
  return promisify(execFile)(process.execPath, [bin, ...options], { maxBuffer: 16 * 1_048_576 }).catch(
    (error: { stdout: string }) => ({ stdout: error.stdout }),
  );
}

describe('every operation', () => {
  it('has a name of its own, verb first, that never changes', () => {
    expect(operations.map(({ operationId }) => operationId)).toMatchInlineSnapshot(`
      [
        "listQueues",
        "getQueue",
        "createQueue",
        "updateQueue",
        "deleteQueue",
        "listDeadLetterSources",
        "listGroups",
        "purgeQueue",
        "getQueueStats",
        "peekMessages",
        "sendMessage",
        "getMessage",
        "deleteMessage",
        "sendMessages",
        "receiveRawMessage",
        "receiveMessages",
        "changeVisibility",
        "deleteReceivedMessage",
        "deadLetterMessage",
        "releaseMessage",
        "settleMessages",
        "startRedrive",
        "listTasks",
        "getTask",
        "cancelTask",
        "listKeys",
        "createKey",
        "getKey",
        "updateKey",
        "deleteKey",
        "rotateKey",
        "getHome",
        "getLiveness",
        "getMetrics",
        "getOpenApi30",
        "getOpenApi",
        "getOpenApiYaml",
        "getReadiness",
        "getVersion",
      ]
    `);
  });

  it.each(operations.map((operation) => [operation.operationId, operation] as const))(
    '%s is described',
    (_name, operation) => {
      expect(operation.operationId).toMatch(
        /^(?:create|get|list|update|delete|purge|send|receive|peek|change|release|deadLetter|settle|start|cancel|rotate)[A-Z]\w+$/,
      );
      expect(operation.tags).toHaveLength(1);
      expect(operation.summary).toMatch(/^[A-Z].+[^.]$/);
      expect(operation.description).toMatch(/\S{3,}/);
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['4XX', '5XX']));
    },
  );

  it('answers refusals as problems, and everything else by named schemas', () => {
    const unnamed = operations.flatMap(({ operationId, responses }) =>
      Object.entries(responses).flatMap(([status, { content = {} }]) =>
        Object.entries(content)
          .filter(
            ([type, { schema }]) => type.endsWith('json') && schema.$ref === undefined && schema.type !== 'object',
          )
          .map(([type]) => `${operationId} ${status} ${type}`),
      ),
    );
    expect(unnamed).toEqual([]);
    const refusals = operations.flatMap(({ responses }) =>
      Object.entries(responses).filter(
        ([status, { $ref }]) => Number(status) >= 400 && Number(status) < 500 && $ref === undefined,
      ),
    );
    for (const [, { content }] of refusals) {
      expect(content?.['application/problem+json']?.schema.$ref).toBe('#/components/schemas/Problem');
    }
  });
});

describe('every schema', () => {
  const objects = Object.entries(document.components.schemas);

  it('has no object without a name inside', () => {
    const nested = objects.filter(([, schema]) => innerObjects(schema).length > 0).map(([name]) => name);
    expect(nested).toEqual([]);
  });

  it.each(objects)('%s describes itself and what people type', (_name, schema) => {
    const described =
      typeof schema.description === 'string' || schema.enum !== undefined || domainSchemas.includes(_name);
    expect(described).toBe(true);
  });

  it.each(names)('that allows null lists it among its values: %s', (name) => {
    const { components } = JSON.parse(committed(name)) as OpenApi;
    const members = Object.values(components.schemas).flatMap(membersOf);
    const lists = members.flatMap(([, { type, nullable, enum: values }]) =>
      Array.isArray(values) && (nullable === true || (Array.isArray(type) && type.includes('null'))) ? [values] : [],
    );
    expect(lists).toHaveLength(2);
    for (const values of lists) expect(values).toContain(null);
  });

  it('leaves clients room for members to come', () => {
    expect(JSON.stringify(document)).not.toContain('"additionalProperties":false');
    expect(JSON.stringify(document)).not.toContain('propertyNames');
  });
});

/** What is said of the members of a schema. */
const membersOf = ({ properties = {} }: Schema): readonly (readonly [string, Schema])[] =>
  Object.entries(properties as Record<string, Schema>);

/** Described by their members. */
const domainSchemas = ['Attribute', 'DeadLetterPolicy', 'RedriveAllowPolicy', 'Tags'];

function innerObjects(schema: Schema): readonly Schema[] {
  const inner = (value: unknown): Schema[] => {
    if (value === null || typeof value !== 'object') return [];
    const own =
      !Array.isArray(value) && (value as Schema).type === 'object' && 'properties' in value ? [value as Schema] : [];
    return [...own, ...Object.entries(value).flatMap(([name, child]) => (name === 'examples' ? [] : inner(child)))];
  };
  return Object.entries(schema).flatMap(([name, child]) => (name === 'examples' ? [] : inner(child)));
}

describe('every example', () => {
  const ajv = new Ajv2020({ strict: false });
  addFormats.default(ajv);
  for (const format of ['int32', 'int64', 'binary', 'byte']) ajv.addFormat(format, true);
  const name = 'https://sluice.test/openapi';
  ajv.addSchema({ $id: name, ...document });
  const isValid = (schema: Schema, value: unknown): boolean =>
    ajv.validate(JSON.parse(JSON.stringify(schema).replaceAll('"#/', `"${name}#/`)) as object, value) as boolean;

  it('of a schema is one', () => {
    const wrong: unknown[] = [];
    const visit = (path: string, value: unknown): void => {
      if (value === null || typeof value !== 'object') return;
      const { examples } = value as { examples?: unknown };
      if (Array.isArray(examples))
        for (const example of examples)
          if (!isValid(value as Schema, example)) wrong.push([path, example, ajv.errorsText()]);
      for (const [member, child] of Object.entries(value)) if (member !== 'examples') visit(`${path}/${member}`, child);
    };
    visit('', document.components.schemas);
    expect(wrong).toEqual([]);
  });

  it('of a parameter, a request or an answer is one', () => {
    const wrong = operations.flatMap(({ operationId, parameters, requestBody, responses }) =>
      [
        ...parameters.map(({ schema, example }) => ({ schema, example })),
        ...Object.values(requestBody?.content ?? {}),
        ...Object.values(responses).flatMap(({ content = {} }) => Object.values(content)),
      ]
        .filter(({ schema, example }) => example !== undefined && !isValid(schema, example))
        .map(({ example }) => [operationId, example]),
    );
    expect(wrong).toEqual([]);
  });

  it('is there for everything that a person types', () => {
    const missing = operations.flatMap(({ operationId, parameters }) =>
      parameters
        .filter(({ example }) => example === undefined)
        .map(({ name: parameter }) => `${operationId} ${parameter}`),
    );
    expect(missing).toEqual([]);
    const requests = operations.flatMap(({ operationId, requestBody }) =>
      Object.entries(requestBody?.content ?? {})
        .filter(
          ([type, { example, schema }]) =>
            type.endsWith('json') &&
            example === undefined &&
            schema.$ref !== '#/components/schemas/SendMessagesRequest',
        )
        .map(([type]) => `${operationId} ${type}`),
    );
    expect(requests).toEqual([]);
  });
});
