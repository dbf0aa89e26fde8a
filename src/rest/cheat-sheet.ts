/** What a person sees who opens the server with curl: the commands to begin with, and the queues that are there. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { prefersJson } from '../http/media-type.ts';
import type { Operation } from '../http/operation.ts';
import { readQuery } from '../http/parameters.ts';
import type { RestDeps } from './deps.ts';
import { originOf } from './origin.ts';

export const Home = z
  .object({
    name: z
      .string()
      .describe('The name of the service.')
      .meta({ examples: ['sluice'] }),
    links: z
      .record(z.string(), z.string())
      .describe('Where things are.')
      .meta({
        examples: [{ queues: '/v1/queues', openapi: '/openapi.json' }],
      }),
  })
  .meta({ id: 'Home', description: 'Where things are.' });

const links = {
  queues: '/v1/queues',
  tasks: '/v1/tasks',
  docs: '/docs',
  openapi: '/openapi.json',
  live: '/livez',
  ready: '/readyz',
  metrics: '/metrics',
  version: '/version',
};

const queuesShownMax = 10;

async function home(deps: RestDeps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | object> {
  readQuery({}, request.query);
  reply.header('vary', 'accept');
  if (prefersJson(request.headers.accept)) return { name: 'sluice', links };
  return reply.header('content-type', 'text/plain; charset=utf-8').send(await sheet(deps, request));
}

async function sheet({ broker }: RestDeps, request: FastifyRequest): Promise<string> {
  const { items, nextCursor } = await broker.queues.list(request.principal, { prefix: '', limit: queuesShownMax });
  const lines = items.map(
    ({ queue, stats }) =>
      `  ${queue.name.padEnd(32)} ${stats.availableCount} available, ${stats.inFlightCount} in flight, ${stats.delayedCount} delayed`,
  );
  if (nextCursor !== null) lines.push('  …');
  // Somebody in particular asks where access keys are in force.
  const hasKey = request.principal.id !== undefined;
  if (lines.length === 0) lines.push(hasKey ? '  none that this key may see' : '  none yet');
  // The commands are those of a standard queue: a FIFO queue would ask for a group.
  const example = items.find(({ queue }) => queue.kind === 'standard')?.queue.name ?? 'orders';
  return text(originOf(request), example, lines, hasKey ? 'curl -u $KEY_ID:$KEY_SECRET' : 'curl');
}

const text = (
  origin: string,
  queue: string,
  queues: readonly string[],
  curl: string,
): string => `Sluice: a message queue over HTTP

Queues
${queues.join('\n')}

Begin
  Q=${origin}/v1/queues
  ${curl} -X PUT $Q/${queue}
  ${curl} -d 'hello' $Q/${queue}/messages
  ${curl} --json '{"orderId":42}' "$Q/${queue}/messages?delay=30s"
  ${curl} -X POST "$Q/${queue}/messages/receive?max=10&wait=20s"
  ${curl} -X DELETE $Q/${queue}/receipts/<receiptHandle>

A worker
  while out=$(${curl} -fsS -o job -w '%{http_code} %header{receipt-url}' -X POST "$Q/${queue}/messages/next?wait=20s"); do
    set -- $out; [ "$1" = 200 ] && ./run job && ${curl} -fsX DELETE "$2"; done

Look
  ${curl} "$Q/${queue}/messages?limit=5"      messages, untouched
  ${curl} $Q/${queue}/stats                   numbers
  ${origin}/docs                           all operations
  ${origin}/openapi.json                   for SDKs
`;

export const homeOperations = (deps: RestDeps): readonly Operation[] => [
  {
    method: 'GET',
    url: '/',
    operationId: 'getHome',
    action: 'look',
    body: 'none',
    doc: {
      tag: 'System',
      summary: 'Cheat sheet',
      description: 'The commands to begin with and the first queues as text; links when `Accept` prefers JSON.',
      answers: {
        200: {
          description: 'The cheat sheet.',
          content: { 'application/json': { schema: Home }, 'text/plain': { schema: { type: 'string' } } },
        },
      },
      faults: [],
    },
    handle: (request, reply) => home(deps, request, reply),
  },
];
