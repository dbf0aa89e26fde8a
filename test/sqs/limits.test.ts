/** What happens at the limits of the service, and that no request makes it fail. */
import { array, assert, asyncProperty, constantFrom, dictionary, jsonValue, oneof, string, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBroker } from '../../src/broker/broker.ts';
import { Fault } from '../../src/domain/errors.ts';
import { sqsActions } from '../../src/sqs/actions.ts';
import type { Storage } from '../../src/storage/port.ts';
import { openSqlite } from '../../src/storage/sqlite/engine.ts';
import { manualClock } from '../support/clock.ts';
import { countingIds } from '../support/ids.ts';
import { recordingLog } from '../support/log.ts';
import { openSqs, overBoth, type Protocol } from '../support/sqs.ts';

/** A facade over an engine some of whose operations are others. */
async function openWith(protocol: Protocol, operations: Partial<Storage>) {
  const clock = manualClock();
  const ids = countingIds();
  const log = recordingLog();
  const engine = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  return openSqs(protocol, { broker: createBroker({ storage: { ...engine, ...operations }, clock, ids, log }) });
}

/** A facade whose queues have as many messages in flight as there can be. */
const openFull = (protocol: Protocol) =>
  openWith(protocol, {
    receive: async ({ queue }) => {
      throw Fault.of('tooManyInFlight', { queue: queue.name, countMax: 120_000 });
    },
  });

overBoth('what the service cannot do', (protocol) => {
  it('is told as a fault of its own, which clients try again', async () => {
    const t = await openWith(protocol, {
      send: async () => {
        throw Fault.of('overloaded', { seconds: 1 });
      },
    });
    const QueueUrl = await t.queue('q');
    expect(await t.refused('SendMessage', { QueueUrl, MessageBody: 'a' })).toMatchObject({
      status: 503,
      code: 'ServiceUnavailable',
      fault: 'Receiver',
    });
  });

  it('for a reason that nobody knows is no word of the reason', async () => {
    const t = await openWith(protocol, {
      send: async () => {
        throw new Error('disk of the secret server');
      },
    });
    const QueueUrl = await t.queue('q');
    const error = await t.refused('SendMessage', { QueueUrl, MessageBody: 'a' });
    expect(error).toMatchObject({ status: 500, code: 'InternalFailure', fault: 'Receiver' });
    expect(error.message).not.toContain('secret');
    expect(t.log.take().map(({ level }) => level)).toContain(50);
  });
});

overBoth('with 120,000 messages in flight', (protocol) => {
  it('a short poll of a standard queue is over the limit, a long one finds nothing', async () => {
    const t = await openFull(protocol);
    const QueueUrl = await t.queue('q');
    expect(await t.refused('ReceiveMessage', { QueueUrl })).toMatchObject({ status: 403, code: 'OverLimit' });
    expect(await t.receive(QueueUrl, { WaitTimeSeconds: 1 })).toEqual([]);
    await t.ok('SetQueueAttributes', { QueueUrl, Attributes: { ReceiveMessageWaitTimeSeconds: '1' } });
    expect(await t.receive(QueueUrl)).toEqual([]);
  });

  it('a FIFO queue gives nothing, without complaint', async () => {
    const t = await openFull(protocol);
    expect(await t.receive(await t.queue('q.fifo'))).toEqual([]);
  });
});

describe('no request fails the service', () => {
  const action = constantFrom(...sqsActions.map(({ name }) => name), 'Nonsense', '');
  const member = constantFrom(...sqsActions.flatMap(({ input }) => Object.keys(input.shape)));
  const url = constantFrom('q', 'http://x/000000000000/q', 'http://x/000000000000/q.fifo', '');

  it('whatever JSON it holds', async () => {
    const t = await openSqs('json', { sqs: { recreateSeconds: 0 } });
    await t.queue('q');
    await t.queue('q.fifo');
    const value = oneof(jsonValue({ maxDepth: 3 }), array(dictionary(member, jsonValue({ maxDepth: 2 }))));
    const request = tuple(action, url, dictionary(member, value, { maxKeys: 5 }));
    await assert(
      asyncProperty(request, async ([name, QueueUrl, members]) => {
        const { status, text } = await t.call(name, { ...members, QueueUrl, WaitTimeSeconds: 0 });
        expect(status, text).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });

  it('whatever parameters it has', async () => {
    const t = await openSqs('query', { sqs: { recreateSeconds: 0 } });
    await t.queue('q');
    const part = oneof(
      constantFrom('1', '2', '0', '99999999', 'Name', 'Value', 'Id', 'StringValue', 'DataType'),
      string(),
    );
    const start = constantFrom('MessageAttribute', 'SendMessageBatchRequestEntry', 'Attribute', 'Tag', 'AttributeName');
    const name = tuple(oneof(start, member), array(part, { maxLength: 6 })).map(([first, rest]) =>
      [first, ...rest].join('.'),
    );
    const pairs = array(tuple(name, string({ unit: 'binary' })), { maxLength: 12 });
    await assert(
      asyncProperty(tuple(action, pairs), async ([named, given]) => {
        const sane = given
          .filter(([key]) => key !== 'WaitTimeSeconds')
          .map(([key, text]): [string, string] => [key, text.toWellFormed()]);
        const { statusCode, payload } = await t.server.inject({
          method: 'POST',
          url: '/000000000000/q',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
          payload: new URLSearchParams([['Action', named], ...sane]).toString(),
        });
        expect(statusCode, payload).toBeLessThan(500);
      }),
      { numRuns: 300 },
    );
  });

  it('whatever its bytes are', async () => {
    const t = await openSqs('query');
    const types = ['application/x-www-form-urlencoded', 'application/x-amz-json-1.0', 'text/plain', '', 'a/b;;;'];
    const request = tuple(constantFrom(...types), string({ unit: 'binary' }), constantFrom('/', '/000000000000/q'));
    await assert(
      asyncProperty(request, async ([type, text, path]) => {
        const headers = { ...(type === '' ? {} : { 'content-type': type }), 'content-encoding': 'identity' };
        const payload = Buffer.from(text, 'utf16le');
        const { statusCode } = await t.server.inject({ method: 'POST', url: path, headers, payload });
        expect(statusCode).toBeLessThan(500);
      }),
      { numRuns: 200 },
    );
  });
});
