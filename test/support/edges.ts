/**
 * Engines behind an edge: what clients do (send, receive, settle, change and delete queues) goes through a real server over
 * the engine, by inject, and is given back in the port's own words; all else asks the engine itself. So whatever judges
 * an engine judges an edge as well.
 *
 * What an answer of the edge tells of a message is compared here with the message itself.
 */
import { expect } from 'vitest';
import { createBroker } from '../../src/broker/broker.ts';
import { Fault, type FaultCode, type FaultData, fault } from '../../src/domain/errors.ts';
import { type Instant, instant } from '../../src/domain/instant.ts';
import { limits } from '../../src/domain/limits.ts';
import type { Draft, Message, Receipt, ReceivedMessage } from '../../src/domain/message.ts';
import { defaultAccount } from '../../src/domain/principal.ts';
import { kindOfName } from '../../src/domain/queue.ts';
import { type ReceiptSeal, receiptSeal } from '../../src/domain/receipt-handle.ts';
import { restFaults, statusOfFault, wireCode } from '../../src/rest/errors.ts';
import { buildServer, type Server } from '../../src/server.ts';
import type { ReceiveAsk, SendAsk, Sent, SettleAsk, Settled, Settlement, Storage } from '../../src/storage/port.ts';
import { type ManualClock, manualClock } from './clock.ts';
import { countingIds } from './ids.ts';
import { recordingLog } from './log.ts';
import { entries, type Members, type Protocol, type SqsAnswer, type SqsMessage, sqsCaller } from './sqs.ts';
import { type Engine, nth, trialStart } from './storage.ts';

/** What an edge may take over; undefined: it has no words for that, and the engine is asked. */
type Edge = {
  readonly send: (ask: SendAsk) => Promise<readonly (Sent | FaultData)[] | undefined>;
  readonly receive: (ask: ReceiveAsk) => Promise<readonly Told[] | undefined>;
  readonly settle: (queue: string, settlement: Settlement, isHeld: boolean) => Promise<Done | FaultData | undefined>;
  readonly more: Partial<Storage>;
};
/** A message as an edge tells it, as far as it does. */
type Told = { readonly handle: string; readonly facts: Partial<Message> & { readonly messageId: string } };
type Done = { readonly visibleAt: Instant | null | 'untold' };

/** What an edge works with. */
type Behind = {
  readonly server: Server;
  readonly real: Storage;
  readonly seal: ReceiptSeal;
  readonly memory: Memory;
};

/** What was seen so far, also before a restart. */
type Memory = {
  /** Ids that sends answered: SQS does not say that it stored nothing new. */
  readonly sent: Set<string>;
  /** The id of each message that was received, by the number in its receipts. */
  readonly received: Map<number, string>;
  /** By id: which receive was the last. */
  readonly newest: Map<string, number>;
};
const newMemory = (): Memory => ({ sent: new Set(), received: new Map(), newest: new Map() });

type Place = Behind & { readonly clock: ManualClock };

function behindEdge(base: Engine, name: string, edgeOf: (behind: Behind) => Edge): Engine {
  const places = new WeakMap<Storage, Place>();
  const realOf = (storage: Storage): Place => {
    const place = places.get(storage);
    if (place === undefined) throw new Error('This storage was not opened here.');
    return place;
  };
  async function wrap(real: Storage, memory: Memory): Promise<Storage> {
    // As a server does: time does not start before the latest instant in the data.
    const clock = manualClock(instant(Math.max(trialStart, real.highWaterAt)));
    const place = { ...(await serve(real, clock)), real, clock, seal: receiptSeal(real.sealSecret), memory };
    const storage = throughEdge(place, edgeOf(place));
    places.set(storage, place);
    return storage;
  }
  const { reopen, discard } = base;
  return {
    name: `${base.name}, through ${name}`,
    open: async (options) => wrap(await base.open(options), newMemory()),
    ...(reopen === undefined
      ? {}
      : {
          async reopen(storage) {
            const { server, real, memory } = realOf(storage);
            await server.close();
            return wrap(await reopen(real), memory);
          },
        }),
    discard: async (storage) => discard?.(realOf(storage).real),
  };
}

async function serve(storage: Storage, clock: ManualClock): Promise<{ readonly server: Server }> {
  const [ids, log] = [countingIds(), recordingLog()];
  const broker = createBroker({ storage, clock, ids, log });
  const access = { account: defaultAccount, auth: 'open', isLoopback: false, allowedHosts: [] } as const;
  const isReady = () => ({ ready: true, reasons: [] });
  return { server: await buildServer({ clock, ids, log, version: '0.0.0', access, isReady, broker }) };
}

function throughEdge({ real, clock, server, seal, memory }: Place, edge: Edge): Storage {
  /** The server's clock is the asker's. */
  const at = (now: Instant) => clock.advance({ ms: Math.max(now - clock.now(), 0) });
  const find = (ask: { queue: SettleAsk['queue']; now: Instant }, { message }: Receipt) =>
    real.findMessage({ queue: ask.queue, messageId: memory.received.get(message) ?? '', now: ask.now });

  async function settleOne(ask: SettleAsk, settlement: Settlement): Promise<Settled | FaultData> {
    const before = await find(ask, settlement.receipt);
    const isHeld = before !== null && before.heldUntil > ask.now && isNewest(before, settlement.receipt);
    const done = await edge.settle(ask.queue.name, settlement, isHeld);
    if (done === undefined) return nth(await real.settle({ ...ask, settlements: [settlement] }));
    if ('fault' in done) {
      // REST has one word for a receipt that holds no more and for one whose message is gone; deleting that is no fault.
      const isGone = done.fault === 'receiptExpired' && before === null && settlement.does !== 'delete';
      return isGone ? fault('messageNotFound', { messageId: '', queue: ask.queue.name }) : done;
    }
    const { visibleAt } = done;
    const after = visibleAt === 'untold' ? await find(ask, settlement.receipt) : null;
    return {
      visibleAt: visibleAt === 'untold' ? (after?.visibleAt ?? null) : visibleAt,
      messageId: before?.messageId ?? null,
    };
  }
  const isNewest = ({ messageId }: Message, { receive }: Receipt) => memory.newest.get(messageId) === receive;

  return {
    ...real,
    async send(ask) {
      await at(ask.now);
      const outcomes = (await edge.send(ask)) ?? (await real.send(ask));
      for (const one of outcomes) if ('messageId' in one) memory.sent.add(one.messageId);
      return outcomes;
    },
    async receive(ask) {
      await at(ask.now);
      const told = await edge.receive(ask);
      if (told === undefined) {
        const answer = await real.receive(ask);
        for (const { messageId, receipt } of answer.messages) remember(messageId, receipt);
        return answer;
      }
      const messages: ReceivedMessage[] = [];
      for (const { handle, facts } of told) {
        const message = await real.findMessage({ queue: ask.queue, messageId: facts.messageId, now: ask.now });
        expect(message, 'what the edge tells of a message').toMatchObject(facts);
        const receipt = seal.open(handle);
        if (message === null || 'fault' in receipt) throw new Error('The edge handed out what is not there.');
        remember(facts.messageId, receipt);
        messages.push({ ...message, receipt });
      }
      const { queueId, nextVisibleAt } = await real.glance({ queue: ask.queue });
      return { messages, isReplay: false, queueId, waitSeconds: 0, nextVisibleAt };
    },
    async settle(ask) {
      await at(ask.now);
      const settled: (Settled | FaultData)[] = [];
      for (const settlement of ask.settlements) settled.push(await settleOne(ask, settlement));
      return settled;
    },
    ...edge.more,
    async close() {
      await server.close();
      await real.close();
    },
  };

  function remember(messageId: string, receipt: Receipt): void {
    memory.received.set(receipt.message, messageId);
    memory.newest.set(messageId, receipt.receive);
  }
}

const textOf = ({ body }: Draft): string => Buffer.from(body).toString();

// REST

type Problem = { readonly code: string; readonly status: number };
type RestOutcome = {
  readonly messageId?: string;
  readonly sequenceNumber?: string;
  readonly isDuplicate?: boolean;
  readonly error?: Problem;
};
type RestMessage = Readonly<Record<string, string | number>> & {
  readonly messageId: string;
  readonly receiptHandle: string;
};

/** The members of all answers together. */
type RestAnswer = {
  readonly code?: string;
  readonly results?: readonly RestOutcome[];
  readonly messages?: readonly RestMessage[];
  readonly visibleAt?: string;
};

/** What stands on the wire → the code. */
const codes = new Map((Object.keys(restFaults) as FaultCode[]).map((code) => [wireCode(code), code]));
/** @throws Error for what is no fault of the catalogue, or comes with another's status */
function codeOf({ code, status }: Problem): FaultCode {
  const known = codes.get(code);
  if (known === undefined || statusOfFault(known) !== status) throw new Error(`REST answered ${status} ${code}.`);
  return known;
}
const faultOf = (problem: Problem): FaultData => ({ fault: codeOf(problem), facts: {} }) as unknown as FaultData;

function restEdge({ server, real, seal }: Behind): Edge {
  /** Answers that are no 2xx come as problems. */
  async function call(method: 'POST' | 'PATCH' | 'DELETE' | 'PUT', url: string, json?: unknown) {
    const answer = await server.inject({
      method,
      url: `/v1/queues/${url}`,
      ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' }, payload: JSON.stringify(json) }),
    });
    const value = (answer.payload === '' ? {} : JSON.parse(answer.payload)) as RestAnswer;
    expect(answer.statusCode, answer.payload).toBeLessThan(500);
    return {
      value,
      problem: answer.statusCode < 300 ? undefined : { code: value.code ?? '', status: answer.statusCode },
    };
  }
  const orThrow = (problem: Problem | undefined): void => {
    if (problem !== undefined) throw new Fault(faultOf(problem));
  };
  /** Method, and what follows the receipt in the address. */
  const settleUrl = (settlement: Settlement): readonly ['DELETE' | 'PATCH' | 'POST', string] => {
    const reason = 'reason' in settlement ? `reason=${encodeURIComponent(settlement.reason ?? '')}` : '';
    switch (settlement.does) {
      case 'delete':
        return ['DELETE', ''];
      case 'extend':
        return ['PATCH', `?visibility=${settlement.visibilitySeconds}`];
      case 'release': {
        const { delaySeconds } = settlement;
        return ['POST', `/release?${reason}${delaySeconds === undefined ? '' : `&delay=${delaySeconds}`}`];
      }
      case 'deadLetter':
        return ['POST', `/dead-letter?${reason}`];
    }
  };

  return {
    async send({ queue, drafts, isAtomic }) {
      const messages = drafts.map((draft) => ({
        body: textOf(draft),
        groupId: draft.groupId,
        deduplicationId: draft.deduplicationId,
        delaySeconds: draft.delaySeconds,
      }));
      const { value, problem } = await call('POST', `${queue.name}/messages/batch?atomic=${isAtomic}`, { messages });
      const { results } = value;
      if (results === undefined) orThrow(problem);
      return (results ?? []).map(({ error, messageId = '', sequenceNumber, isDuplicate = false }) =>
        error !== undefined
          ? faultOf(error)
          : { messageId, sequence: sequenceNumber === undefined ? null : Number(sequenceNumber), isDuplicate },
      );
    },
    async receive({ queue, limit, visibilitySeconds, attemptId }) {
      const isFifo = kindOfName(queue.name) === 'fifo';
      const options = [
        `max=${limit}`,
        ...(visibilitySeconds === undefined ? [] : [`visibility=${visibilitySeconds}`]),
        ...(attemptId === undefined || !isFifo ? [] : [`attempt=${attemptId}`]),
      ];
      const { value, problem } = await call('POST', `${queue.name}/messages/receive?wait=0s&${options.join('&')}`);
      orThrow(problem);
      return (value.messages ?? []).map(({ receiptHandle, messageId, ...told }) => ({
        handle: receiptHandle,
        facts: {
          messageId,
          body: Buffer.from(String(told.body)),
          groupId: String(told.groupId ?? ''),
          sentAt: instant(Date.parse(String(told.sentAt))),
          receiveCount: Number(told.receiveCount),
          firstReceivedAt: instant(Date.parse(String(told.firstReceivedAt))),
        },
      }));
    },
    async settle(queue, settlement) {
      const [method, rest] = settleUrl(settlement);
      const { value, problem } = await call(method, `${queue}/receipts/${seal.seal(settlement.receipt)}${rest}`);
      if (problem?.code === 'queue_not_found') orThrow(problem);
      if (problem !== undefined) return faultOf(problem);
      const { visibleAt } = value;
      return { visibleAt: visibleAt === undefined ? null : instant(Date.parse(visibleAt)) };
    },
    more: {
      async deleteQueue({ queue }) {
        orThrow((await call('DELETE', queue.name)).problem);
      },
      async updateQueue({ queue, settings }) {
        orThrow((await call('PATCH', queue.name, settings)).problem);
        return real.getQueue(queue);
      },
    },
  };
}

export const restEngine = (base: Engine): Engine => behindEdge(base, 'REST', restEdge);

// SQS

/** Whether SQS has words for all of it, and would refuse nothing of it in the request as a whole. */
function isOfSqs({ queue, drafts, isAtomic }: SendAsk, isContentBased: boolean): boolean {
  const isFifo = kindOfName(queue.name) === 'fifo';
  const isGood = ({ body, groupId, deduplicationId, delaySeconds }: Draft) =>
    body.byteLength > 0 &&
    (isFifo
      ? groupId !== undefined && delaySeconds === undefined && (isContentBased || deduplicationId !== undefined)
      : deduplicationId === undefined);
  return !isAtomic && drafts.length <= limits.sqsBatchEntriesMax && drafts.every(isGood);
}

/** SQS has one code for many mistakes; its sentence tells which one it is, of those that can be here. */
const sqsSentences: readonly (readonly [FaultCode, RegExp])[] = [
  ['delayTooLong', /Reason: DelaySeconds must be >= 0 and <= /],
  ['attemptIdReused', /receiveRequestAttemptId is not valid anymore/],
  ['receiptExpired', /The receipt handle has expired/],
  ['visibilityTooLong', /Total VisibilityTimeout for the message is beyond the limit/],
];

/** @throws Error for what cannot be here */
function faultOfSqs(code: string, message: string): FaultData {
  const isGone = code === 'AWS.SimpleQueueService.NonExistentQueue';
  const said =
    code === 'InvalidParameterValue' ? sqsSentences.find(([, sentence]) => sentence.test(message)) : undefined;
  const known = isGone ? 'queueNotFound' : said?.[0];
  if (known === undefined) throw new Error(`SQS answered ${code}: ${message}`);
  return { fault: known, facts: {} } as unknown as FaultData;
}

function sqsEdge(protocol: Protocol): (behind: Behind) => Edge {
  return ({ server, real, seal, memory }) => {
    const call = sqsCaller(server, protocol);
    const urlOf = (queue: string) => ({ QueueUrl: `http://queue.test/${defaultAccount}/${queue}` });
    const orThrow = ({ error }: SqsAnswer): void => {
      if (error !== undefined) throw new Fault(faultOfSqs(error.code, error.message));
    };
    const entryOf = (draft: Draft, i: number): Members => ({
      Id: `${i}`,
      MessageBody: textOf(draft),
      MessageGroupId: draft.groupId,
      MessageDeduplicationId: draft.deduplicationId,
      DelaySeconds: draft.delaySeconds,
    });
    const factsOf = ({ MessageId, Body, Attributes = {} }: SqsMessage) => ({
      messageId: MessageId,
      body: Buffer.from(Body),
      groupId: Attributes.MessageGroupId ?? '',
      sentAt: instant(Number(Attributes.SentTimestamp)),
      receiveCount: Number(Attributes.ApproximateReceiveCount),
      firstReceivedAt: instant(Number(Attributes.ApproximateFirstReceiveTimestamp)),
    });

    async function send(ask: SendAsk): Promise<readonly (Sent | FaultData)[] | undefined> {
      const { queue, drafts } = ask;
      const settings = (await real.findQueue(queue))?.settings;
      if (!isOfSqs(ask, settings?.contentBasedDeduplication === true)) return undefined;
      const list = entries('SendMessageBatchRequestEntry', drafts.map(entryOf));
      const answer = await call('SendMessageBatch', { ...urlOf(queue.name), ...list });
      orThrow(answer);
      const { Successful = [], Failed = [] } = answer.result;
      return drafts.map((_draft, i) => {
        const done = Successful.find(({ Id }) => Id === `${i}`);
        if (done === undefined) {
          const { Code = '', Message = '' } = Failed.find(({ Id }) => Id === `${i}`) ?? {};
          return faultOfSqs(Code, Message);
        }
        const isDuplicate = memory.sent.has(done.MessageId);
        memory.sent.add(done.MessageId);
        const sequence = done.SequenceNumber === undefined ? null : Number(done.SequenceNumber);
        return { messageId: done.MessageId, sequence, isDuplicate };
      });
    }

    async function receive({ queue, limit, visibilitySeconds, attemptId }: ReceiveAsk): Promise<readonly Told[]> {
      const answer = await call('ReceiveMessage', {
        ...urlOf(queue.name),
        MaxNumberOfMessages: limit,
        VisibilityTimeout: visibilitySeconds,
        WaitTimeSeconds: 0,
        ReceiveRequestAttemptId: attemptId,
        MessageSystemAttributeNames: ['All'],
      });
      orThrow(answer);
      return (answer.result.Messages ?? []).map((one) => ({ handle: one.ReceiptHandle, facts: factsOf(one) }));
    }

    async function settle(queue: string, settlement: Settlement): Promise<Done | FaultData> {
      const members = { ...urlOf(queue), ReceiptHandle: seal.seal(settlement.receipt) };
      if (settlement.does !== 'extend') {
        orThrow(await call('DeleteMessage', members));
        return { visibleAt: null };
      }
      const VisibilityTimeout = settlement.visibilitySeconds;
      const { error } = await call('ChangeMessageVisibility', { ...members, VisibilityTimeout });
      if (error === undefined) return { visibleAt: 'untold' };
      return faultOfSqs(error.code, error.message);
    }

    return {
      send,
      receive: async (ask) => (ask.limit > limits.sqsBatchEntriesMax ? undefined : receive(ask)),
      // Of receipts that hold no more SQS thinks otherwise than the port; the others are the model's.
      settle: async (queue, settlement, isHeld) =>
        isHeld && (settlement.does === 'delete' || settlement.does === 'extend')
          ? settle(queue, settlement)
          : undefined,
      more: {
        async deleteQueue({ queue }) {
          orThrow(await call('DeleteQueue', urlOf(queue.name)));
        },
      },
    };
  };
}

export const sqsEngine = (base: Engine, protocol: Protocol): Engine =>
  behindEdge(base, `SQS over ${protocol}`, sqsEdge(protocol));
