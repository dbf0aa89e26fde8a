/** Access keys over HTTP. A secret is told once, in the answer that made it, and never again. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { NewSecret } from '../broker/keys.ts';
import { ExpiryText, isInForce, KeyId, KeyName, keyIdPattern, type StoredKey } from '../domain/access-key.ts';
import { type Instant, instant, toRfc3339 } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { everything, Scope } from '../domain/principal.ts';
import { readDocument, requireNoBody } from '../http/bodies.ts';
import type { Operation } from '../http/operation.ts';
import { duration, invalid, paging, readQuery } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import { InstantText } from './message-json.ts';
import { nextCursor } from './messages.ts';
import { pageOf } from './queues.ts';

const scopes = z
  .array(Scope)
  .min(1)
  .max(limits.scopesPerKeyMax)
  .describe('What the key may do, and on which queues. What no scope allows is denied.')
  .meta({ examples: [[{ actions: ['send'], queues: ['orders-*'] }]] });

export const CreateKey = z
  .strictObject({
    name: KeyName,
    scopes: scopes.optional().describe('What the key may do, and on which queues; everything unless given.'),
    expiresAt: ExpiryText.nullable().optional().describe('From when on it is refused; null, or absent: never.'),
  })
  .meta({ id: 'CreateKeyRequest', description: 'A key to make.' });

export const UpdateKey = z
  .strictObject({
    name: KeyName.optional(),
    scopes: scopes.optional(),
    expiresAt: ExpiryText.nullable().optional().describe('From when on it is refused; null: never.'),
  })
  .meta({ id: 'UpdateKeyRequest', description: 'What to change, as a merge patch: what is left out stays.' });

const members = {
  keyId: KeyId,
  name: KeyName,
  account: z
    .string()
    .describe('The account whose queues it sees.')
    .meta({ examples: ['000000000000'] }),
  scopes,
  isDeclared: z
    .boolean()
    .describe('Whether it is declared in the settings file, where alone it can be changed.')
    .meta({ examples: [false] }),
  isExpired: z
    .boolean()
    .describe('Whether `expiresAt` has passed.')
    .meta({ examples: [false] }),
  secretCount: z
    .int()
    .min(0)
    .describe('Secrets in force: two while a rotation lasts.')
    .meta({ examples: [1] }),
  createdAt: InstantText.describe('When it was made.'),
  createdBy: z
    .string()
    .optional()
    .describe('The key that made it; absent: nobody in particular.')
    .meta({ examples: ['SLUICEX3MPLK7Q2WV5AB'] }),
  expiresAt: InstantText.optional().describe('From when on it is refused; absent: never.'),
};
export const KeyView = z.object(members).meta({ id: 'Key', description: 'An access key, without its secret.' });
export const KeyList = z
  .object({ items: z.array(KeyView).describe('By id.'), nextCursor })
  .meta({ id: 'KeyList', description: 'A page of access keys.' });
export const KeyWithSecret = z
  .object({
    ...members,
    secret: z
      .string()
      .describe('The secret access key of AWS SDKs, the password of basic authentication. It is not shown again.')
      .meta({ examples: ['slk_…'] }),
    bearer: z
      .string()
      .describe('Id and secret for `Authorization: Bearer`. It is not shown again.')
      .meta({ examples: ['SLUICEX3MPLK7Q2WV5AB.slk_…'] }),
  })
  .meta({ id: 'KeyWithSecret', description: 'An access key with a new secret: the only time that it is told.' });

function viewOf(key: StoredKey, now: Instant) {
  return {
    keyId: key.keyId,
    name: key.name,
    account: key.account,
    scopes: key.scopes,
    isDeclared: key.isDeclared,
    isExpired: !isInForce(key, now),
    secretCount: key.secrets.filter((secret) => isInForce(secret, now)).length,
    createdAt: toRfc3339(key.createdAt),
    ...(key.createdBy === null ? {} : { createdBy: key.createdBy }),
    ...(key.expiresAt === null ? {} : { expiresAt: toRfc3339(key.expiresAt) }),
  };
}

const withSecret = ({ key, secret, bearer }: NewSecret, now: Instant) => ({ ...viewOf(key, now), secret, bearer });

/** @throws invalidArgument */
function keyOf({ params }: FastifyRequest): string {
  const { key } = params as { readonly key: string };
  if (keyIdPattern.test(key)) return key;
  throw invalid('key', 'must be the id of an access key');
}

const instantOf = (text: string | null | undefined): Instant | null | undefined =>
  text === null || text === undefined ? text : instant(Date.parse(text));

async function createKey({ broker, clock }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  readQuery({}, request.query);
  const { name, scopes: asked = [...everything], expiresAt } = readDocument(request, CreateKey);
  const ask = { name, scopes: asked, expiresAt: instantOf(expiresAt) ?? null };
  const made = await broker.keys.create(request.principal, ask);
  reply.code(201).header('location', `/v1/keys/${made.key.keyId}`);
  return withSecret(made, clock.now());
}

async function listKeys({ broker, clock }: RestDeps, request: FastifyRequest) {
  const { limit = limits.pageItemsDefault, cursor } = readQuery(paging, request.query);
  const now = clock.now();
  return pageOf(broker.keys.list(request.principal, { limit, cursor }), (key) => viewOf(key, now));
}

async function getKey({ broker, clock }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  return viewOf(broker.keys.get(request.principal, keyOf(request)), clock.now());
}

const mergePatchTypes = ['application/merge-patch+json', 'application/json'];

async function updateKey({ broker, clock }: RestDeps, request: FastifyRequest) {
  readQuery({}, request.query);
  const { expiresAt, ...change } = readDocument(request, UpdateKey, mergePatchTypes);
  const key = await broker.keys.update(request.principal, keyOf(request), {
    ...change,
    expiresAt: instantOf(expiresAt),
  });
  return viewOf(key, clock.now());
}

async function deleteKey({ broker }: RestDeps, request: FastifyRequest, reply: FastifyReply) {
  readQuery({}, request.query);
  await broker.keys.delete(request.principal, keyOf(request));
  return reply.code(204).send();
}

const rotateQuery = {
  overlap: duration(
    limits.keyOverlapSecondsMax,
    'How long the present secret stays good beside the new one; a day unless given, 0 ends it now.',
    '1d',
  ),
};
const overlapSecondsDefault = 86_400;

async function rotateKey({ broker, clock }: RestDeps, request: FastifyRequest) {
  const { overlap = overlapSecondsDefault } = readQuery(rotateQuery, request.query);
  requireNoBody(request);
  const made = await broker.keys.rotate(request.principal, keyOf(request), { overlapSeconds: overlap });
  return withSecret(made, clock.now());
}

const documentFaults = ['malformedBody', 'unsupportedMediaType', 'bodyTooLarge'] as const;
const changeFaults = ['keyNotFound', 'keyDeclared', 'accessDenied'] as const;
const keyContent = { 'application/json': { schema: KeyView } };

export const keyOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'GET',
    url: '/v1/keys',
    operationId: 'listKeys',
    action: 'manageKeys',
    body: 'none',
    doc: {
      tag: 'Keys',
      summary: 'List access keys',
      description: 'Access keys by id, without their secrets.',
      query: paging,
      answers: { 200: { description: 'A page of keys.', content: { 'application/json': { schema: KeyList } } } },
      faults: [],
    },
    handle: (request) => listKeys(deps, request),
  },
  {
    method: 'POST',
    url: '/v1/keys',
    operationId: 'createKey',
    action: 'manageKeys',
    body: 'document',
    doc: {
      tag: 'Keys',
      summary: 'Make an access key',
      description:
        'The secret is in the answer, and is not told again. From the first key on every request needs one, so the first ' +
        'must be able to manage keys. Nobody gives more than they have. Not safe to repeat: delete a key whose answer was lost.' +
        '\n\n`curl --json \'{"name":"admin"}\' localhost:8080/v1/keys`',
      request: {
        isRequired: true,
        content: {
          'application/json': {
            schema: CreateKey,
            example: { name: 'order workers', scopes: [{ actions: ['receive', 'settle'], queues: ['orders-*'] }] },
          },
        },
      },
      answers: {
        201: {
          description: 'It was made.',
          headers: {
            Location: {
              description: 'Where the key is.',
              schema: { type: 'string', format: 'uri-reference' },
              example: '/v1/keys/SLUICEX3MPLK7Q2WV5AB',
              isRequired: true,
            },
          },
          content: { 'application/json': { schema: KeyWithSecret } },
        },
      },
      faults: ['accessDenied', 'keyNeeded', 'tooManyKeys', 'invalidArgument', ...documentFaults],
    },
    handle: (request, reply) => createKey(deps, request, reply),
  },
  {
    method: 'GET',
    url: '/v1/keys/:key',
    operationId: 'getKey',
    action: 'manageKeys',
    body: 'none',
    doc: {
      tag: 'Keys',
      summary: 'Look at an access key',
      description: 'Its scopes and its end, without its secret.',
      answers: { 200: { description: 'The key.', content: keyContent } },
      faults: ['keyNotFound'],
    },
    handle: (request) => getKey(deps, request),
  },
  {
    method: 'PATCH',
    url: '/v1/keys/:key',
    operationId: 'updateKey',
    action: 'manageKeys',
    body: 'document',
    doc: {
      tag: 'Keys',
      summary: 'Change an access key',
      description: 'Its name, its scopes or its end; in force at once.',
      request: {
        isRequired: true,
        content: {
          'application/json': { schema: UpdateKey, example: { expiresAt: '2027-01-31T12:00:00Z' } },
          'application/merge-patch+json': { schema: UpdateKey, example: { expiresAt: null } },
        },
      },
      answers: { 200: { description: 'The key as it is now.', content: keyContent } },
      faults: [...changeFaults, 'keyNeeded', ...documentFaults],
    },
    handle: (request) => updateKey(deps, request),
  },
  {
    method: 'DELETE',
    url: '/v1/keys/:key',
    operationId: 'deleteKey',
    action: 'manageKeys',
    body: 'none',
    doc: {
      tag: 'Keys',
      summary: 'Delete an access key',
      description: 'It is refused from now on; its long polls end.',
      answers: { 204: { description: 'It is gone.' } },
      faults: [...changeFaults, 'keyNeeded'],
    },
    handle: (request, reply) => deleteKey(deps, request, reply),
  },
  {
    method: 'POST',
    url: '/v1/keys/:key/rotate',
    operationId: 'rotateKey',
    action: 'manageKeys',
    body: 'none',
    doc: {
      tag: 'Keys',
      summary: 'Give an access key a new secret',
      description: 'The present secret stays good for the overlap, so clients can change one after the other.',
      query: rotateQuery,
      answers: {
        200: {
          description: 'The key with its new secret.',
          content: { 'application/json': { schema: KeyWithSecret } },
        },
      },
      faults: changeFaults,
    },
    handle: (request) => rotateKey(deps, request),
  },
];
