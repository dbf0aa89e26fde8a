/**
 * The REST API under test: a real server over SQLite in memory, asked by inject, at a time that only the test moves.
 * Every answer of every test is compared with the OpenAPI document; what a test opens, the harness closes and audits.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { InjectOptions } from 'fastify';
import { afterEach, expect } from 'vitest';
import { type Broker, createBroker } from '../../src/broker/broker.ts';
import { defaultAccount } from '../../src/domain/principal.ts';
import { buildServer, type Server, type ServerDeps } from '../../src/server.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { answerCheck } from './answer-check.ts';
import { type ManualClock, manualClock } from './clock.ts';
import { countingIds } from './ids.ts';
import { type RecordingLog, recordingLog } from './log.ts';

export type Answer = {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** The parsed body; loosely typed, since tests compare it with literals. */
  readonly json: Json;
};
/** What tests read out of answers: the members of all of them together. What is not there fails where it is used. */
export interface Json {
  readonly messageId: string;
  readonly receiptHandle: string;
  readonly sequenceNumber: string;
  readonly body: unknown;
  readonly visibleAt: string;
  readonly messages: readonly Json[];
  readonly results: readonly Json[];
  readonly items: readonly Json[];
  readonly nextCursor: string;
  readonly error: Json;
  readonly code: string;
  readonly detail: string;
  readonly hint: string;
  readonly name: string;
  readonly taskId: string;
  readonly status: string;
  readonly available: number;
  readonly inFlight: number;
  readonly delayed: number;
}

export type Ask = {
  readonly headers?: IncomingHttpHeaders;
  /** Bytes or text as they are. */
  readonly body?: string | Buffer;
  /** A JSON document. */
  readonly json?: unknown;
};

type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';

export type Api = {
  readonly clock: ManualClock;
  readonly log: RecordingLog;
  readonly storage: Storage;
  readonly broker: Broker;
  readonly server: Server;
  readonly call: (method: Method, url: string, ask?: Ask) => Promise<Answer>;
  readonly get: (url: string, ask?: Ask) => Promise<Answer>;
  readonly put: (url: string, json?: unknown) => Promise<Answer>;
  readonly post: (url: string, ask?: Ask) => Promise<Answer>;
  readonly patch: (url: string, json?: unknown, headers?: IncomingHttpHeaders) => Promise<Answer>;
  readonly delete: (url: string) => Promise<Answer>;
  /** Creates a queue. */
  readonly queue: (name: string, settings?: object) => Promise<void>;
  /** Sends text; gives the message id. */
  readonly send: (queue: string, body: string, query?: string) => Promise<string>;
  /** Receives what must be there. */
  readonly receive: (queue: string, query?: string) => Promise<readonly Json[]>;
  /** The counts of a queue as [available, in flight, delayed]. */
  readonly counts: (queue: string) => Promise<readonly [number, number, number]>;
  /** Everything that can be seen of a queue, to say later that nothing has changed. */
  readonly look: (queue: string) => Promise<unknown>;
};

const open = new Set<{ close: () => Promise<void> }>();
afterEach(async () => {
  const all = [...open];
  open.clear();
  for (const api of all) await api.close();
});

export type ApiOptions = Partial<Omit<ServerDeps, 'broker' | 'clock'>> & {
  readonly dataBytesMax?: number;
  /** Stands in for parts of the storage, to make it fail. */
  readonly wrapStorage?: (storage: Storage) => Storage;
};

/** Opens an API of its own; the harness closes it after the test. */
export async function openApi({ dataBytesMax, wrapStorage, ...options }: ApiOptions = {}): Promise<Api> {
  const clock = manualClock();
  const ids = countingIds();
  const log = recordingLog();
  const engine = await openSqlite({ directory: ':memory:', ids, log, now: clock.now(), dataBytesMax });
  const storage = wrapStorage?.(engine) ?? engine;
  const broker = createBroker({ storage, clock, ids, log });
  await broker.keys.load();
  const problems: string[] = [];
  const check = answerCheck(() => server.documents);
  const server = await buildServer({
    clock,
    ids,
    log,
    version: '0.0.0',
    access: { account: defaultAccount, auth: 'open', isLoopback: true, allowedHosts: [] },
    isReady: () => ({ ready: true, reasons: [] }),
    checkAnswer: (request, reply, payload) => problems.push(...check(request, reply, payload)),
    ...options,
    broker,
  });
  open.add({
    async close() {
      broker.drain();
      await server.close();
      const broken = await storage.audit({ now: clock.now() });
      await storage.close();
      expect(broken).toEqual([]);
      expect(problems).toEqual([]);
    },
  });

  const call = async (method: Method, url: string, ask: Ask = {}): Promise<Answer> => {
    const response = await server.inject(injection(method, url, ask));
    expect(problems, 'the answer is as documented').toEqual([]);
    const { statusCode: status, headers, rawPayload: bytes, payload: text } = response;
    return { status, headers, bytes, text, json: parsed(headers, text) };
  };
  return { clock, log, storage, broker, server, call, ...shortForms(call) };
}

function injection(method: Method, url: string, { headers, body, json }: Ask): InjectOptions {
  const jsonHeaders = json === undefined ? {} : { 'content-type': 'application/json' };
  const payload = json === undefined ? body : JSON.stringify(json);
  return {
    method: method as 'GET',
    url,
    headers: { ...jsonHeaders, ...headers } as Record<string, string>,
    ...(payload === undefined ? {} : { payload }),
  };
}

const nothing = {} as Json;
const parsed = (headers: OutgoingHttpHeaders, text: string): Json =>
  /json/.test(String(headers['content-type'])) && text !== '' ? readable(text) : nothing;
/** A raw message may be announced as JSON and not be. */
function readable(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return nothing;
  }
}

type ShortForms = Omit<Api, 'clock' | 'log' | 'storage' | 'broker' | 'server' | 'call'>;

function shortForms(call: Api['call']): ShortForms {
  const ok = async (answer: Promise<Answer>): Promise<Answer> => {
    const done = await answer;
    expect(done.status, done.text).toBeLessThan(300);
    return done;
  };
  const counts: Api['counts'] = async (queue) => {
    const { json } = await ok(call('GET', `/v1/queues/${queue}/stats`));
    return [json.available, json.inFlight, json.delayed];
  };
  return {
    get: (url, ask) => call('GET', url, ask),
    put: (url, json) => call('PUT', url, { json }),
    post: (url, ask) => call('POST', url, ask),
    patch: (url, json, headers = {}) => call('PATCH', url, { json, headers }),
    delete: (url) => call('DELETE', url),
    async queue(name, settings) {
      await ok(call('PUT', `/v1/queues/${name}`, { json: settings }));
    },
    async send(queue, body, query = '') {
      const headers = { 'content-type': 'text/plain' };
      const { json } = await ok(call('POST', `/v1/queues/${queue}/messages${query}`, { body, headers }));
      return json.messageId;
    },
    async receive(queue, query = '') {
      return (await ok(call('POST', `/v1/queues/${queue}/messages/receive${query}`))).json.messages;
    },
    counts,
    look: async (queue) => ({
      queue: (await call('GET', `/v1/queues/${queue}`)).text,
      stats: (await call('GET', `/v1/queues/${queue}/stats`)).text,
      messages: (await call('GET', `/v1/queues/${queue}/messages?limit=100`)).text,
    }),
  };
}

/** The only one, or the one asked for. */
export function nth<T>(items: readonly T[], index = 0): T {
  const item = items[index];
  if (item === undefined) throw new Error(`There is no item ${index} among ${items.length}.`);
  return item;
}

/** Says that an answer is the problem of this code, with its status and its request id. */
export function expectProblem(answer: Answer, status: number, code: string, detail?: string | RegExp): void {
  expect({ status: answer.status, code: answer.json.code }, answer.text).toEqual({ status, code });
  expect(answer.headers['content-type']).toBe('application/problem+json');
  expect(answer.json).toMatchObject({
    status,
    type: `urn:sluice:problem:${code}`,
    requestId: answer.headers['x-request-id'],
  });
  if (detail !== undefined) expect(answer.json.detail).toMatch(detail);
}

/** Does what a hint says: a curl command with a method, a JSON or plain body and one address. */
export function follow(api: Api, hint: string): Promise<Answer> {
  const words = [...(hint.split(' # ', 1)[0] ?? '').matchAll(/\$'((?:[^'\\]|\\.)*)'|'([^']*)'|(\S+)/g)].map(
    ([, escaped, single, plain]) => escaped?.replace(/\\(.)/g, '$1') ?? single ?? plain ?? '',
  );
  expect(words[0], hint).toBe('curl');
  const after = (option: string) => (words.includes(option) ? words[words.indexOf(option) + 1] : undefined);
  const json = after('--json');
  const body = json ?? after('-d');
  const type = json === undefined ? 'application/x-www-form-urlencoded' : 'application/json';
  const method = after('-X') ?? (body === undefined ? 'GET' : 'POST');
  const url = (words.at(-1) ?? '').replace('http://localhost:80', '');
  return api.call(method as Method, url, body === undefined ? {} : { body, headers: { 'content-type': type } });
}

/** Asks something that must be refused, and says that the queue is as it was. */
export async function expectRefusal(
  api: Api,
  queue: string,
  ask: () => Promise<Answer>,
  [status, code, detail]: readonly [number, string, (string | RegExp)?],
): Promise<Answer> {
  const before = await api.look(queue);
  const answer = await ask();
  expectProblem(answer, status, code, detail);
  expect(await api.look(queue)).toEqual(before);
  return answer;
}
