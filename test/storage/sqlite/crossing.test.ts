/** What crosses to the writer's thread and back arrives as it was sent. */
import { describe, expect, it } from 'vitest';
import { fault } from '../../../src/domain/errors.ts';
import { instant } from '../../../src/domain/instant.ts';
import { type Draft, noAttributes, noHistory, type ReceivedMessage } from '../../../src/domain/message.ts';
import { defaultAccount } from '../../../src/domain/principal.ts';
import { QueueName } from '../../../src/domain/queue-attributes.ts';
import type { ReceiveAnswer, SendAsk, SettleAsk } from '../../../src/storage/port.ts';
import {
  type Crossing,
  packAnswer,
  packRequests,
  transferOf,
  unpackAnswer,
  unpackRequests,
} from '../../../src/storage/sqlite/crossing.ts';
import type { BatchAnswer, Request } from '../../../src/storage/sqlite/store.ts';

/** What a thread makes of it. */
const crossed = <T extends Crossing<unknown>>(packed: T): T =>
  structuredClone(packed, { transfer: transferOf(packed) });

const queue = { account: defaultAccount, name: QueueName.parse('orders') };
const now = instant(1_700_000_000_000);
const attributes = new Map([
  ['__proto__', { type: 'String', value: 'odd' }],
  ['n', { type: 'Number', value: '1' }],
]);

const drafts: readonly Draft[] = [
  { body: Buffer.from('one'), contentType: 'text/plain', attributes: noAttributes },
  { body: Buffer.alloc(0), contentType: 'text/plain', attributes: noAttributes, delaySeconds: 0 },
  {
    body: Buffer.alloc(70_000, 7),
    contentType: 'application/json',
    attributes,
    delaySeconds: 5,
    groupId: 'g',
    deduplicationId: 'd',
    traceHeader: 'Root=1',
  },
];
const sendAsk: SendAsk = {
  queue,
  drafts,
  isAtomic: true,
  idempotency: { key: 'k', fingerprint: 'f' },
  senderId: 's',
  now,
};
const receipt = { queueId: 3, message: 2 ** 47, receive: 2 };
const settleAsk: SettleAsk = {
  queue,
  settlements: [
    { does: 'delete', receipt },
    { does: 'extend', receipt, visibilitySeconds: 30 },
    { does: 'release', receipt, delaySeconds: 0, reason: 'db down' },
  ],
  isLenient: true,
  now,
};

const received = (body: Buffer, more: Partial<ReceivedMessage> = {}): ReceivedMessage => ({
  messageId: '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
  body,
  contentType: 'text/plain',
  attributes: noAttributes,
  traceHeader: 'Root=1',
  senderId: 'sender',
  groupId: 'g',
  deduplicationId: 'd',
  sequence: 9,
  sentAt: instant(1),
  enqueuedAt: instant(2),
  visibleAt: instant(4),
  heldUntil: instant(3),
  receiveCount: 6,
  firstReceivedAt: null,
  history: noHistory,
  receipt: { queueId: 3, message: 5, receive: 7 },
  ...more,
});
const receiveAnswer: ReceiveAnswer = {
  messages: [
    received(Buffer.from('one')),
    received(Buffer.from('two'), {
      attributes,
      firstReceivedAt: instant(8),
      history: { lastFailure: { at: instant(1), reason: 'db down' } },
    }),
  ],
  isReplay: false,
  queueId: 3,
  waitSeconds: 20,
  nextVisibleAt: null,
  missingDeadLetterQueue: undefined,
};

/** Buffers and plain bytes are the same to whoever reads them. */
const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? Buffer.from(value).toString('latin1')
    : Array.isArray(value)
      ? value.map(plain)
      : value !== null && typeof value === 'object' && !(value instanceof Map)
        ? Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]))
        : value;

describe('crossing to the writer and back', () => {
  it('brings requests over as they were, with the body of each message', () => {
    const requests = [
      { name: 'send', ask: sendAsk },
      { name: 'settle', ask: settleAsk },
      { name: 'receive', ask: { queue, limit: 10, bytesMax: 1024, visibilitySeconds: 0, attemptId: 'a', now } },
      { name: 'receive', ask: { queue, limit: 1, bytesMax: 1, now } },
      { name: 'upkeep', ask: { now } },
      { name: 'send', ask: { ...sendAsk, drafts: [...drafts].reverse() } },
    ] as readonly Request[];
    const there = unpackRequests(crossed(packRequests(requests)));
    expect(plain(there)).toEqual(plain(requests));
  });

  it('leaves the bodies of the requests with their sender', () => {
    packRequests([{ name: 'send', ask: sendAsk }]);
    expect(Buffer.from(drafts[0]?.body ?? []).toString()).toBe('one');
  });

  it('brings answers back as they were, refusals among them', () => {
    const requests = (['send', 'receive', 'settle', 'receive', 'send', 'upkeep'] as const).map((name) => ({ name }));
    const answer: BatchAnswer = {
      outcomes: [
        {
          does: 'value',
          value: [{ messageId: 'a', sequence: null, isDuplicate: false }, fault('emptyBody', {})],
        },
        { does: 'value', value: receiveAnswer },
        { does: 'value', value: [{ visibleAt: now, messageId: 'a' }, fault('receiptInvalid', {})] },
        { does: 'refuse', fault: fault('queueNotFound', { queue: 'orders' }) },
        { does: 'break', message: 'broken' },
        { does: 'value', value: { nextAt: null, expiredCount: 2 } },
      ],
      ready: [{ queueId: 3, at: now, count: 1 }],
      changes: [{ of: 'key', keyId: 'key' }],
      isFull: false,
    };
    const back = unpackAnswer(requests, crossed(packAnswer(requests, answer)));
    expect(plain(back)).toEqual(plain(answer));
  });
});
