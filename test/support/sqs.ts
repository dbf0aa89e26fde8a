/**
 * The SQS facade under test: a real server over SQLite in memory, asked by inject in either protocol, at a time that only
 * the test moves. Requests are encoded and answers decoded here, by tables of their own, so that a mistake of the
 * facade's codecs is not made twice.
 */
import type { OutgoingHttpHeaders } from 'node:http';
import { afterEach, describe, expect } from 'vitest';
import { type Broker, createBroker } from '../../src/broker/broker.ts';
import { defaultAccount } from '../../src/domain/principal.ts';
import { buildServer, type Server, type ServerDeps } from '../../src/server.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { type ManualClock, manualClock } from './clock.ts';
import { countingIds } from './ids.ts';
import { type RecordingLog, recordingLog } from './log.ts';
import { childOf, parseXml, type XmlElement } from './xml.ts';

export type Protocol = 'json' | 'query';
export const protocols: readonly Protocol[] = ['json', 'query'];

/** Runs the cases over both protocols. */
export const overBoth = (name: string, cases: (protocol: Protocol) => void): void =>
  describe.each(protocols)(`${name} over %s`, (protocol) => cases(protocol));

export type Members = Readonly<Record<string, unknown>>;
/** The members of all results together; what is not there fails where it is used. */
export interface SqsResult {
  readonly QueueUrl: string;
  readonly QueueUrls?: readonly string[];
  readonly queueUrls?: readonly string[];
  readonly NextToken?: string;
  readonly Attributes?: Readonly<Record<string, string>>;
  readonly Tags?: Readonly<Record<string, string>>;
  readonly MessageId: string;
  readonly MD5OfMessageBody: string;
  readonly MD5OfMessageAttributes?: string;
  readonly MD5OfMessageSystemAttributes?: string;
  readonly SequenceNumber?: string;
  readonly Messages?: readonly SqsMessage[];
  readonly Successful?: readonly (SqsResult & { readonly Id: string })[];
  readonly Failed?: readonly SqsFailure[];
  readonly TaskHandle: string;
  readonly Results?: readonly SqsTask[];
  readonly ApproximateNumberOfMessagesMoved: number;
}
export interface SqsMessage {
  readonly MessageId: string;
  readonly ReceiptHandle: string;
  readonly MD5OfBody: string;
  readonly Body: string;
  readonly Attributes?: Readonly<Record<string, string>>;
  readonly MD5OfMessageAttributes?: string;
  readonly MessageAttributes?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}
export interface SqsFailure {
  readonly Id: string;
  readonly Code: string;
  readonly Message?: string;
  readonly SenderFault: boolean;
}
export interface SqsTask {
  readonly TaskHandle?: string;
  readonly Status: string;
  readonly SourceArn: string;
  readonly DestinationArn?: string;
  readonly MaxNumberOfMessagesPerSecond?: number;
  readonly ApproximateNumberOfMessagesMoved: number;
  readonly ApproximateNumberOfMessagesToMove: number;
  readonly FailureReason?: string;
  readonly StartedTimestamp: number;
}

export type SqsErrorSeen = {
  readonly status: number;
  /** The older code: of `x-amzn-query-error`, or of the XML. */
  readonly code: string;
  /** The name in `__type`; empty in Query. */
  readonly type: string;
  readonly fault: string;
  readonly message: string;
};

export type SqsAnswer = {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly text: string;
  readonly result: SqsResult;
  readonly error: SqsErrorSeen | undefined;
};

export type CallOptions = { readonly headers?: Record<string, string>; readonly path?: string; readonly get?: boolean };

export type Sqs = {
  readonly protocol: Protocol;
  readonly clock: ManualClock;
  readonly log: RecordingLog;
  readonly broker: Broker;
  readonly storage: Storage;
  readonly server: Server;
  readonly call: (action: string, members?: Members, options?: CallOptions) => Promise<SqsAnswer>;
  /** What must succeed. */
  readonly ok: (action: string, members?: Members, options?: CallOptions) => Promise<SqsResult>;
  /** What must be refused; gives the error. */
  readonly refused: (action: string, members?: Members, options?: CallOptions) => Promise<SqsErrorSeen>;
  /** Creates a queue; a name that ends in .fifo makes a FIFO queue. Gives the URL. */
  readonly queue: (name: string, attributes?: Readonly<Record<string, string>>) => Promise<string>;
  readonly send: (QueueUrl: string, MessageBody: string, members?: Members) => Promise<SqsResult>;
  readonly receive: (QueueUrl: string, members?: Members) => Promise<readonly SqsMessage[]>;
  readonly receiveOne: (QueueUrl: string, members?: Members) => Promise<SqsMessage>;
  readonly bodies: (QueueUrl: string, members?: Members) => Promise<readonly string[]>;
  readonly delete: (QueueUrl: string, message: Pick<SqsMessage, 'ReceiptHandle'>) => Promise<void>;
  readonly hide: (QueueUrl: string, message: Pick<SqsMessage, 'ReceiptHandle'>, seconds: number) => Promise<void>;
  readonly attributes: (QueueUrl: string, ...names: string[]) => Promise<Readonly<Record<string, string>>>;
  /** [visible, not visible, delayed] */
  readonly counts: (QueueUrl: string) => Promise<readonly string[]>;
};

const open = new Set<{ close: () => Promise<void> }>();
afterEach(async () => {
  const all = [...open];
  open.clear();
  for (const one of all) await one.close();
});

/** Opens a facade of its own; the harness audits and closes it after the test. */
export async function openSqs(protocol: Protocol, options: Partial<ServerDeps> = {}): Promise<Sqs> {
  const clock = manualClock();
  const ids = countingIds();
  const log = recordingLog();
  const storage = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  const broker = options.broker ?? createBroker({ storage, clock, ids, log });
  const server = await buildServer({
    clock,
    ids,
    log,
    version: '0.0.0',
    access: { account: defaultAccount, auth: 'open', isLoopback: false, allowedHosts: [] },
    isReady: () => ({ ready: true, reasons: [] }),
    ...options,
    broker,
  });
  broker.upkeep.start();
  open.add({
    async close() {
      broker.drain();
      await server.close();
      await broker.upkeep.stop();
      const broken = await storage.audit({ now: clock.now() });
      await storage.close();
      expect(broken).toEqual([]);
      expect(log.lines.filter(({ level }) => level >= 50)).toEqual([]);
    },
  });
  const call = sqsCaller(server, protocol);
  return { protocol, clock, log, broker, storage, server, call, ...shortForms(call) };
}

/** Calls an action of a server in a protocol. */
export const sqsCaller =
  (server: Server, protocol: Protocol): Sqs['call'] =>
  async (action, members = {}, asked = {}) => {
    const request = protocol === 'json' ? jsonRequest(action, members, asked) : queryRequest(action, members, asked);
    const { statusCode: status, headers, payload: text } = await server.inject(request);
    return protocol === 'json' ? jsonAnswer(status, headers, text) : queryAnswer(action, status, headers, text);
  };

const host = 'queue.test:9324';

function jsonRequest(action: string, members: Members, { headers, path = '/' }: CallOptions) {
  return {
    method: 'POST' as const,
    url: path,
    headers: {
      host,
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      ...headers,
    },
    payload: JSON.stringify(members),
  };
}

function queryRequest(action: string, members: Members, { headers, path = '/', get = false }: CallOptions) {
  const form = new URLSearchParams([
    ['Action', action],
    ['Version', '2012-11-05'],
    ...flattened(members, ''),
  ]).toString();
  if (get) return { method: 'GET' as const, url: `${path}?${form}`, headers: { host, ...headers } };
  return {
    method: 'POST' as const,
    url: path,
    headers: { host, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', ...headers },
    payload: form,
  };
}

/** JSON member → its name in Query; of maps also those of key and value. */
const queryMembers: Readonly<Record<string, { name: string; key?: string }>> = {
  Attributes: { name: 'Attribute', key: 'Name' },
  tags: { name: 'Tag', key: 'Key' },
  Tags: { name: 'Tag', key: 'Key' },
  TagKeys: { name: 'TagKey' },
  AttributeNames: { name: 'AttributeName' },
  MessageSystemAttributeNames: { name: 'MessageSystemAttributeName' },
  MessageAttributeNames: { name: 'MessageAttributeName' },
  MessageAttributes: { name: 'MessageAttribute', key: 'Name' },
  MessageSystemAttributes: { name: 'MessageSystemAttribute', key: 'Name' },
  AWSAccountIds: { name: 'AWSAccountId' },
  Actions: { name: 'ActionName' },
  StringListValues: { name: 'StringListValue' },
  BinaryListValues: { name: 'BinaryListValue' },
};

/** What a list of entries is called depends on the action; the value says which it is. */
export const entries = (name: string, list: readonly Members[]): Members =>
  Object.defineProperty({ Entries: list }, 'entryName', { value: name, enumerable: false });

function flattened(members: Members, prefix: string): [string, string][] {
  const entryName = (members as { entryName?: string }).entryName;
  return Object.entries(members).flatMap(([member, value]): [string, string][] => {
    if (value === undefined || value === null) return [];
    const row = member === 'Entries' ? { name: entryName ?? 'Entries' } : queryMembers[member];
    const name = prefix + (row?.name ?? member);
    if (Array.isArray(value)) return value.flatMap((item, i) => flat(item, `${name}.${i + 1}`));
    if (typeof value !== 'object') return [[name, String(value)]];
    if (row?.key === undefined) return flattened(value as Members, `${name}.`);
    return Object.entries(value).flatMap(([key, item], i) => [
      [`${name}.${i + 1}.${row.key}`, key] as [string, string],
      ...flat(item, `${name}.${i + 1}.Value`),
    ]);
  });
}

const flat = (value: unknown, name: string): [string, string][] =>
  typeof value === 'object' && value !== null ? flattened(value as Members, `${name}.`) : [[name, String(value)]];

function jsonAnswer(status: number, headers: OutgoingHttpHeaders, text: string): SqsAnswer {
  expect(headers['content-type']).toBe('application/x-amz-json-1.0');
  expect(headers['x-amzn-requestid']).toMatch(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const value = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  if (status === 200) return { status, headers, text, result: value as unknown as SqsResult, error: undefined };
  const [code = '', fault = ''] = String(headers['x-amzn-query-error']).split(';');
  expect(Object.keys(value)).toEqual(['__type', 'message']);
  const error = { status, code, fault, type: String(value.__type), message: String(value.message) };
  return { status, headers, text, result: nothing, error };
}

const nothing = {} as SqsResult;
const namespace = 'http://queue.amazonaws.com/doc/2012-11-05/';

function queryAnswer(action: string, status: number, headers: OutgoingHttpHeaders, text: string): SqsAnswer {
  expect(headers['content-type']).toBe('text/xml');
  const root = parseXml(text);
  expect(root.attributes.xmlns).toBe(namespace);
  const requestId = childOf(childOf(root, 'ResponseMetadata') ?? root, 'RequestId')?.text;
  expect(requestId).toBe(headers['x-amzn-requestid']);
  if (status === 200) {
    expect(root.name).toBe(`${action}Response`);
    const element = childOf(root, `${action}Result`);
    return {
      status,
      headers,
      text,
      result: element === undefined ? nothing : resultOf(action, element),
      error: undefined,
    };
  }
  expect(root.name).toBe('ErrorResponse');
  const error = childOf(root, 'Error');
  const part = (name: string) => (error === undefined ? '' : (childOf(error, name)?.text ?? ''));
  const seen = { status, code: part('Code'), fault: part('Type'), type: '', message: part('Message') };
  return { status, headers, text, result: nothing, error: seen };
}

/** Repeated element → the member of JSON that lists them. */
const listMembers: Readonly<Record<string, string>> = {
  Message: 'Messages',
  SendMessageBatchResultEntry: 'Successful',
  DeleteMessageBatchResultEntry: 'Successful',
  ChangeMessageVisibilityBatchResultEntry: 'Successful',
  BatchResultErrorEntry: 'Failed',
  ListMessageMoveTasksResultEntry: 'Results',
};
const mapMembers: Readonly<Record<string, { member: string; key: string }>> = {
  Attribute: { member: 'Attributes', key: 'Name' },
  Tag: { member: 'Tags', key: 'Key' },
  MessageAttribute: { member: 'MessageAttributes', key: 'Name' },
};
const numbers = [
  'ApproximateNumberOfMessagesMoved',
  'ApproximateNumberOfMessagesToMove',
  'MaxNumberOfMessagesPerSecond',
  'StartedTimestamp',
];

function resultOf(action: string, element: XmlElement): SqsResult {
  const urls = { ListQueues: 'QueueUrls', ListDeadLetterSourceQueues: 'queueUrls' }[action];
  return membersOf(element, urls) as unknown as SqsResult;
}

function membersOf(element: XmlElement, urlList?: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const child of element.children) {
    const map = mapMembers[child.name];
    const list = child.name === 'QueueUrl' ? urlList : listOf(child);
    if (map !== undefined) {
      const key = childOf(child, map.key)?.text ?? '';
      const value = childOf(child, 'Value');
      found[map.member] = { ...(found[map.member] as object), [key]: value === undefined ? '' : simple(value) };
    } else if (list !== undefined) {
      const item = child.children.length === 0 ? child.text : membersOf(child);
      found[list] = [...((found[list] as unknown[]) ?? []), item];
    } else found[child.name] = simple(child);
  }
  return found;
}

/** A failed entry's sentence is called like a received message. */
const listOf = ({ name, children }: XmlElement): string | undefined =>
  name === 'Message' && children.length === 0 ? undefined : listMembers[name];

function simple(element: XmlElement): unknown {
  if (element.children.length > 0) return membersOf(element);
  if (numbers.includes(element.name)) return Number(element.text);
  if (element.name === 'SenderFault') return element.text === 'true' ? true : element.text;
  return element.text;
}

type ShortForms = Omit<Sqs, 'protocol' | 'clock' | 'log' | 'broker' | 'storage' | 'server' | 'call'>;

function shortForms(call: Sqs['call']): ShortForms {
  const ok: Sqs['ok'] = async (action, members, options) => {
    const answer = await call(action, members, options);
    expect(answer.error, answer.text).toBeUndefined();
    return answer.result;
  };
  const receive: Sqs['receive'] = async (QueueUrl, members) =>
    (await ok('ReceiveMessage', { QueueUrl, ...members })).Messages ?? [];
  const attributes: Sqs['attributes'] = async (QueueUrl, ...AttributeNames) =>
    (await ok('GetQueueAttributes', { QueueUrl, AttributeNames })).Attributes ?? {};
  return {
    ok,
    receive,
    attributes,
    async refused(action, members, options) {
      const { error, text } = await call(action, members, options);
      if (error === undefined) throw new Error(`${action} was not refused: ${text}`);
      return error;
    },
    async queue(QueueName, given = {}) {
      const fifo = QueueName.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
      return (await ok('CreateQueue', { QueueName, Attributes: { ...fifo, ...given } })).QueueUrl;
    },
    send: (QueueUrl, MessageBody, members) => ok('SendMessage', { QueueUrl, MessageBody, ...members }),
    async receiveOne(QueueUrl, members) {
      return nth(await receive(QueueUrl, members));
    },
    async bodies(QueueUrl, members) {
      return (await receive(QueueUrl, members)).map(({ Body }) => Body);
    },
    async delete(QueueUrl, { ReceiptHandle }) {
      await ok('DeleteMessage', { QueueUrl, ReceiptHandle });
    },
    async hide(QueueUrl, { ReceiptHandle }, VisibilityTimeout) {
      await ok('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout });
    },
    async counts(QueueUrl) {
      const found = await attributes(
        QueueUrl,
        'ApproximateNumberOfMessages',
        'ApproximateNumberOfMessagesNotVisible',
        'ApproximateNumberOfMessagesDelayed',
      );
      return [
        found.ApproximateNumberOfMessages ?? '',
        found.ApproximateNumberOfMessagesNotVisible ?? '',
        found.ApproximateNumberOfMessagesDelayed ?? '',
      ];
    },
  };
}

/** The only one, or the one asked for. */
export function nth<T>(items: readonly T[] | undefined, index = 0): T {
  const item = items?.[index];
  if (item === undefined) throw new Error(`There is no item ${index} among ${items?.length ?? 0}.`);
  return item;
}

export const arnOf = (name: string): string => `arn:aws:sqs:us-east-1:${defaultAccount}:${name}`;
export const redrivePolicy = (name: string, maxReceiveCount: number | string): string =>
  JSON.stringify({ deadLetterTargetArn: arnOf(name), maxReceiveCount });

export const sendEntries = (list: readonly Members[]): Members => entries('SendMessageBatchRequestEntry', list);
export const deleteEntries = (list: readonly Members[]): Members => entries('DeleteMessageBatchRequestEntry', list);
export const hideEntries = (list: readonly Members[]): Members =>
  entries('ChangeMessageVisibilityBatchRequestEntry', list);
/** The queue beside a list of entries, whose name is kept. */
export const on = (QueueUrl: string, list: Members): Members =>
  Object.defineProperty({ QueueUrl, Entries: list.Entries }, 'entryName', {
    value: (list as { entryName?: string }).entryName,
    enumerable: false,
  });

/** A text attribute. */
export const textAttribute = (StringValue: string, DataType = 'String'): Members => ({ DataType, StringValue });
