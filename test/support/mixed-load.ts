/** Clients that do everything a queue service can do, all at once, and keep account of what they were promised. */
import type { Ack, Deeds, Step } from './deeds.ts';

type Answer = { readonly ack: Ack; readonly json: Readonly<Record<string, unknown>> };
type Received = { readonly messageId: string; readonly receiptHandle: string };

/** Longer than any run: what is held stays so. */
const holdSeconds = 3_600;

export type LoadOptions = {
  /** Where the server listens. */
  readonly url: string;
  readonly deeds: Deeds;
  readonly random: () => number;
  /** The load ends when this says so, or when the server is gone. */
  readonly isOver: () => boolean;
  /** Large messages too, so that the write-ahead log is soon long enough to be copied while others work. */
  readonly isHeavy: boolean;
  /** Told of each acknowledgement as it comes. */
  readonly onAck?: (ack: Ack) => void;
  /** A new one at each call, over all loads on the same data. */
  readonly number: () => number;
};

/** Queues that the load needs. */
const queues: Readonly<Record<string, object>> = {
  'work-dlq': {},
  'again-dlq': {},
  work: { deadLetter: { queue: 'work-dlq', maxReceiveCount: 100 } },
  again: { deadLetter: { queue: 'again-dlq', maxReceiveCount: 100 } },
  batches: {},
  purged: {},
  big: {},
  'orders.fifo': {},
};

/** Runs all clients until it is over. */
export async function runMixedLoad(options: LoadOptions): Promise<void> {
  const load = createLoad(options);
  if (!(await load.prepare())) return;
  const { send, work, batch, purge, administer, redrive, order, carry } = load.clients;
  const clients = [send, send, work, work, batch, purge, administer, redrive, order];
  if (options.isHeavy) clients.push(carry, carry);
  await Promise.all(clients.map((client) => load.repeat(client)));
}

function createLoad({ url, deeds, random, isOver, number, onAck }: LoadOptions) {
  /** Undefined: not acknowledged. */
  async function call(method: string, path: string, body?: string | object): Promise<Answer | undefined> {
    const requestId = `r-${number()}`;
    const isJson = typeof body === 'object';
    try {
      const response = await fetch(`${url}/v1/${path}`, {
        method,
        headers: { 'x-request-id': requestId, 'content-type': isJson ? 'application/json' : 'text/plain' },
        ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : body }),
      });
      const text = await response.text();
      if (response.status >= 500) return undefined;
      if (!response.ok) throw new Refused(`${method} ${path} was answered ${response.status} ${text}`);
      onAck?.(requestId);
      return { ack: requestId, json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
    } catch (error) {
      if (error instanceof Refused) throw error;
      return undefined;
    }
  }

  async function sendOne(
    queue: string,
    body: string,
    query = '',
  ): Promise<{ messageId: string; ack: Ack } | undefined> {
    const answer = await call('POST', `queues/${queue}/messages${query}`, body);
    if (answer === undefined) return undefined;
    const messageId = String(answer.json.messageId);
    const message = deeds.message(messageId, queue);
    message.sentBy ??= answer.ack;
    return { messageId, ack: answer.ack };
  }

  async function receive(queue: string, max: number): Promise<{ messages: readonly Received[]; ack: Ack } | undefined> {
    const answer = await call('POST', `queues/${queue}/messages/receive?max=${max}&wait=1s&visibility=${holdSeconds}s`);
    if (answer === undefined) return undefined;
    const messages = answer.json.messages as readonly Received[];
    for (const { messageId } of messages) {
      const { steps, sentBy } = deeds.message(messageId, queue);
      steps.push({
        after: sentBy ?? '',
        by: answer.ack,
        leaves: [queue],
        receives: 1 + steps.filter((step) => step.receives !== undefined).length,
      });
    }
    return { messages, ack: answer.ack };
  }

  /** A step is known before its request leaves, since it may happen without an answer. */
  async function step(messageId: string, queue: string, next: Step, ask: () => Promise<Answer | undefined>) {
    deeds.message(messageId, queue).steps.push(next);
    const answer = await ask();
    if (answer !== undefined) next.by = answer.ack;
    return answer;
  }

  const settlements = {
    delete: (queue: string, { messageId, receiptHandle }: Received, after: Ack) =>
      step(messageId, queue, { after, leaves: [null] }, () =>
        call('DELETE', `queues/${queue}/receipts/${receiptHandle}`),
      ),
    deadLetter: (queue: string, { messageId, receiptHandle }: Received, after: Ack) =>
      step(messageId, queue, { after, leaves: [`${queue}-dlq`] }, () =>
        call('POST', `queues/${queue}/receipts/${receiptHandle}/dead-letter?reason=no`),
      ),
    async extend(queue: string, { messageId, receiptHandle }: Received, after: Ack) {
      const next: Step = { after, leaves: [queue] };
      const body = { visibilityTimeoutSeconds: holdSeconds + number() };
      const answer = await step(messageId, queue, next, () =>
        call('PATCH', `queues/${queue}/receipts/${receiptHandle}`, body),
      );
      if (answer !== undefined) next.visibleAt = Date.parse(String(answer.json.visibleAt));
      return answer;
    },
  };

  const clients = {
    async send() {
      const size = random() < 0.1 ? 6_000 : 20 + Math.floor(random() * 300);
      return sendOne('work', `m-${number()} ${'x'.repeat(size)}`);
    },
    async work() {
      const taken = await receive('work', 5);
      for (const held of taken?.messages ?? []) {
        const chance = random();
        const settlement = chance < 0.7 ? 'delete' : chance < 0.85 ? 'deadLetter' : 'extend';
        if ((await settlements[settlement]('work', held, taken?.ack ?? '')) === undefined) return undefined;
      }
      return taken;
    },
    async batch() {
      const name = `batch-${number()}`;
      const messages = Array.from({ length: deeds.batchEntryCount }, (_, i) => ({ body: `${name}-${i}` }));
      const answer = await call('POST', 'queues/batches/messages/batch?atomic=true', { messages });
      if (answer === undefined) return undefined;
      for (const { messageId } of answer.json.results as { messageId: string }[]) {
        deeds.message(messageId, 'batches').sentBy = answer.ack;
      }
      return answer;
    },
    async purge() {
      let after: Ack = '';
      for (let i = 0; i < 3; i += 1) {
        const sent = await sendOne('purged', `p-${number()}`);
        if (sent === undefined) return undefined;
        after = sent.ack;
      }
      const steps = deeds.waitingIn('purged').map((message) => {
        const next: Step = { after, leaves: [null] };
        message.steps.push(next);
        return next;
      });
      const answer = await call('POST', 'queues/purged/purge');
      if (answer !== undefined) for (const next of steps) next.by = answer.ack;
      return answer;
    },
    async administer() {
      const name = `made-${number()}`;
      const made = await call('PUT', `queues/${name}`, {});
      if (made === undefined) return undefined;
      deeds.queues.push({ name, by: made.ack });
      const retentionSeconds = 100_000 + number();
      const changed = await call('PATCH', 'queues/work', { retentionSeconds });
      if (changed !== undefined) deeds.settings.push({ queue: 'work', retentionSeconds, by: changed.ack });
      return changed;
    },
    async redrive() {
      if ((await sendOne('again', `a-${number()}`)) === undefined) return undefined;
      const taken = await receive('again', 10);
      const moved: string[] = [];
      for (const held of taken?.messages ?? []) {
        const answer = await settlements.deadLetter('again', held, taken?.ack ?? '');
        if (answer === undefined) return undefined;
        deeds.message(held.messageId, 'again').steps.push({ after: answer.ack, leaves: ['again', 'again-dlq'] });
        moved.push(held.messageId);
      }
      const answer = await call('POST', 'queues/again-dlq/redrive').catch(() => null);
      if (answer === undefined) return undefined;
      // Refused while an earlier one is running, which takes these along.
      if (answer === null) return moved;
      deeds.tasks.push({ taskId: String(answer.json.taskId), by: answer.ack });
      return answer;
    },
    /** Each message of a group is sent twice under one deduplication id, then received and deleted. */
    async order() {
      const id = number();
      const query = `?group=g${id % 3}&dedup=d${id}`;
      if ((await sendOne('orders.fifo', `o-${id}`, query)) === undefined) return undefined;
      if ((await sendOne('orders.fifo', `o-${id}`, query)) === undefined) return undefined;
      const taken = await receive('orders.fifo', 3);
      for (const held of taken?.messages ?? []) {
        if ((await settlements.delete('orders.fifo', held, taken?.ack ?? '')) === undefined) return undefined;
      }
      return taken;
    },
    async carry() {
      if ((await sendOne('big', `b-${number()} ${'y'.repeat(1_000_000)}`)) === undefined) return undefined;
      const taken = await receive('big', 1);
      for (const held of taken?.messages ?? []) {
        if ((await settlements.delete('big', held, taken?.ack ?? '')) === undefined) return undefined;
      }
      return taken;
    },
  };

  return {
    clients,
    /** @returns whether all the queues are there */
    async prepare(): Promise<boolean> {
      for (const [name, settings] of Object.entries(queues)) {
        // What was changed since is left as it is.
        const answer = await call('PUT', `queues/${name}`, settings);
        if (answer === undefined) return false;
        deeds.queues.push({ name, by: answer.ack });
      }
      return true;
    },
    async repeat(client: () => Promise<unknown>) {
      while (!isOver() && (await client()) !== undefined);
    },
  };
}

class Refused extends Error {}
