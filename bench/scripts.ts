/**
 * What the connections of the load generator do (with `sqs-scripts.ts`, for the facade): each script is one client's conversation, request after request.
 *
 * A life of a message is sent, received, deleted. Whoever receives gets the message that is next in the queue, which is
 * another client's as often as not; since each has sent one before, there is always one to be had.
 */
import { requestBytes } from './connection.ts';

/** A conversation: the next request, and how many units of work the answer completed. */
export type Script = {
  readonly next: () => Buffer;
  /** @param body valid during the call only */
  readonly answered: (status: number, body: Buffer) => number;
  /** Whether it may end here: a life in hand is finished, so that the next job finds the queue as this one did. */
  readonly isAtRest: () => boolean;
};

export type ScriptOptions = {
  readonly queue: string;
  readonly bodyBytes: number;
  /** FIFO: messages go to so many groups in turn. */
  readonly groups?: number | undefined;
  /** Messages per request, of batches. */
  readonly batch?: number | undefined;
  /** Messages go to so many queues in turn, named `queue-0`, `queue-1` and so on. */
  readonly queues?: number | undefined;
  /** Where SQS finds the queue; the default is what Sluice says. */
  readonly queueUrl?: string | undefined;
  /** What SQS requests say of who sends them, where it is not verified. */
  readonly authorization?: string | undefined;
  /** A receive waits so long for a message (0). */
  readonly waitSeconds?: number | undefined;
  /** So many receives of one client may find nothing in a row and are made again (0: the first is a failure). */
  readonly emptyMax?: number | undefined;
};

const textType = 'Content-Type: text/plain\r\n';
const jsonType = 'Content-Type: application/json\r\n';

export const textOf = (bytes: number): string => 'x'.repeat(bytes);

let drawn = 0;
/** Deduplication ids that no other process of any run has. */
const runId = `${process.pid.toString(36)}-${Date.now().toString(36)}`;
const nextDraw = (): number => {
  drawn += 1;
  return drawn;
};

function sendRequests({ queue, bodyBytes, groups }: ScriptOptions): () => Buffer {
  const body = textOf(bodyBytes);
  const path = `/v1/queues/${queue}/messages`;
  if (groups === undefined) {
    const request = requestBytes('POST', path, body, textType);
    return () => request;
  }
  return () => {
    const draw = nextDraw();
    return requestBytes('POST', `${path}?group=g${draw % groups}&dedup=${runId}-${draw}`, body, textType);
  };
}

export function batchBody({ bodyBytes, groups, batch = 1 }: Omit<ScriptOptions, 'queue'>): string {
  const body = JSON.stringify(textOf(bodyBytes));
  const entries = Array.from({ length: batch }, () => {
    if (groups === undefined) return `{"body":${body}}`;
    const draw = nextDraw();
    return `{"body":${body},"groupId":"g${draw % groups}","deduplicationId":"${runId}-${draw}"}`;
  });
  return `{"messages":[${entries.join(',')}]}`;
}

function batchRequests(options: ScriptOptions): () => Buffer {
  const path = `/v1/queues/${options.queue}/messages/batch`;
  const make = () => requestBytes('POST', path, batchBody(options), jsonType);
  if (options.groups !== undefined) return make;
  const request = make();
  return () => request;
}

const receiveRequest = (queue: string, max: number, waitSeconds = 0): Buffer =>
  requestBytes(
    'POST',
    `/v1/queues/${queue}/messages/receive?max=${max}${waitSeconds > 0 ? `&wait=${waitSeconds}` : ''}`,
    '',
  );

const handleMark = Buffer.from('"receiptHandle":"');
const quote = 0x22;

/** The texts that follow each mark, up to a quote or what else ends them: the receipt handles of a receive's answer. */
export function textsAfter(mark: string | Buffer, body: Buffer, endMark: number = quote): string[] {
  const texts: string[] = [];
  for (let at = body.indexOf(mark); at !== -1; at = body.indexOf(mark, at)) {
    const start = at + mark.length;
    at = body.indexOf(endMark, start);
    texts.push(body.toString('latin1', start, at));
  }
  return texts;
}

export function mustBe(expected: number, status: number, body: Buffer): void {
  if (status !== expected)
    throw new Error(`Answered ${status} instead of ${expected}: ${body.toString().slice(0, 500)}`);
}

/**
 * Whether a receive found something; asked of each receive of one client.
 * @throws when more than `emptyMax` in a row found nothing: the row would measure something else
 */
export function finder(emptyMax = 0): (count: number) => boolean {
  let emptyCount = 0;
  return (count) => {
    emptyCount = count > 0 ? 0 : emptyCount + 1;
    if (emptyCount > emptyMax) throw new Error('A receive found the queue empty.');
    return count > 0;
  };
}

/** The one handle of an answer. @throws when the queue was empty: the row would measure something else */
function handleOf(body: Buffer): string {
  const start = body.indexOf(handleMark) + handleMark.byteLength;
  if (start < handleMark.byteLength) throw new Error('A receive found the queue empty.');
  return body.toString('latin1', start, body.indexOf(quote, start));
}

const deleteRequest = (queue: string, handle: string): Buffer =>
  requestBytes('DELETE', `/v1/queues/${queue}/receipts/${handle}`);

/** The same bytes come back each time, and nothing is stored. */
function reference({ bodyBytes }: ScriptOptions): Script {
  const request = requestBytes('POST', '/reference', textOf(bodyBytes), textType);
  return {
    next: () => request,
    answered(status, body) {
      mustBe(201, status, body);
      return 1;
    },
    isAtRest: () => true,
  };
}

function send(options: ScriptOptions): Script {
  return {
    next: sendRequests(options),
    answered(status, body) {
      mustBe(201, status, body);
      return 1;
    },
    isAtRest: () => true,
  };
}

/** Receives one, deletes it. A unit is a request. */
function receiveDelete({ queue }: ScriptOptions): Script {
  const receive = receiveRequest(queue, 1);
  let handle: string | undefined;
  return {
    next: () => (handle === undefined ? receive : deleteRequest(queue, handle)),
    answered(status, body) {
      if (handle === undefined) {
        mustBe(200, status, body);
        handle = handleOf(body);
      } else {
        mustBe(204, status, body);
        handle = undefined;
      }
      return 1;
    },
    isAtRest: () => handle === undefined,
  };
}

/** A life is three requests, each of which counts for a third, so that short runs count evenly. */
export const third = 1 / 3;

/** Sends one, receives one, deletes that. A unit is a life. */
function life(options: ScriptOptions): Script {
  const { queue } = options;
  const sendNext = sendRequests(options);
  const receive = receiveRequest(queue, 1, options.waitSeconds);
  const isFound = finder(options.emptyMax);
  let step: 'send' | 'receive' | 'delete' = 'send';
  let handle = '';
  return {
    next: () => (step === 'send' ? sendNext() : step === 'receive' ? receive : deleteRequest(queue, handle)),
    answered(status, body) {
      switch (step) {
        case 'send':
          mustBe(201, status, body);
          step = 'receive';
          return third;
        case 'receive':
          mustBe(200, status, body);
          if (!isFound(body.includes(handleMark) ? 1 : 0)) return 0;
          handle = handleOf(body);
          step = 'delete';
          return third;
        case 'delete':
          mustBe(204, status, body);
          step = 'send';
          return third;
      }
    },
    isAtRest: () => step === 'send',
  };
}

/** Each life in the next of many queues. A unit is a life. */
function spreadLife(options: ScriptOptions): Script {
  const { queue, queues = 1 } = options;
  const begin = () => life({ ...options, queue: `${queue}-${nextDraw() % queues}` });
  let current = begin();
  return {
    next() {
      if (current.isAtRest()) current = begin();
      return current.next();
    },
    answered: (status, body) => current.answered(status, body),
    isAtRest: () => current.isAtRest(),
  };
}

/** The same by the hundred: batch send, receive of as many, batch delete. A unit is a life of one message. */
function batchLife(options: ScriptOptions): Script {
  const { queue, batch = 100 } = options;
  const sendNext = batchRequests({ ...options, batch });
  const receive = receiveRequest(queue, batch);
  let step: 'send' | 'receive' | 'delete' = 'send';
  let handles: readonly string[] = [];
  const settle = () =>
    requestBytes('POST', `/v1/queues/${queue}/receipts/batch`, JSON.stringify({ delete: handles }), jsonType);
  return {
    next: () => (step === 'send' ? sendNext() : step === 'receive' ? receive : settle()),
    answered(status, body) {
      mustBe(200, status, body);
      if (body.includes('"error"')) throw new Error(`An entry failed: ${body.toString().slice(0, 500)}`);
      switch (step) {
        case 'send':
          step = 'receive';
          return batch * third;
        case 'receive':
          handles = textsAfter(handleMark, body);
          if (handles.length === 0) throw new Error('A receive found the queue empty.');
          step = 'delete';
          return handles.length * third;
        case 'delete':
          step = 'send';
          return handles.length * third;
      }
    },
    isAtRest: () => step === 'send',
  };
}

/** Sends batches. A unit is a message. */
function fill(options: ScriptOptions): Script {
  return {
    next: batchRequests(options),
    answered(status, body) {
      mustBe(200, status, body);
      if (body.includes('"error"')) throw new Error(`An entry failed: ${body.toString().slice(0, 500)}`);
      return options.batch ?? 1;
    },
    isAtRest: () => true,
  };
}

export const restScripts = { reference, send, receiveDelete, life, spreadLife, batchLife, fill } as const;
