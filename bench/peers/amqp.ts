/**
 * A client of RabbitMQ: publishes with confirms, consumes what is pushed to it, acknowledges. An acknowledgement is not
 * answered in AMQP, so a life ends when it is sent.
 */
import type { ClientOptions, PeerClient, Taken } from './client.ts';
import { loadPackage } from './packages.ts';

/** What is used of amqplib. */
type Delivery = { readonly content: Buffer };
type Channel = {
  assertQueue(queue: string, options: object): Promise<unknown>;
  prefetch(count: number): Promise<unknown>;
  consume(queue: string, take: (delivery: Delivery | null) => void): Promise<unknown>;
  sendToQueue(queue: string, body: Buffer, options: object, confirmed: (failure: Error | null) => void): boolean;
  ack(delivery: Delivery): void;
  on(event: 'error', listener: (cause: Error) => void): void;
};
type Connection = {
  createConfirmChannel(): Promise<Channel>;
  on(event: 'error' | 'close', listener: (cause: Error) => void): void;
  close(): Promise<void>;
};
type Amqp = { connect(url: string): Promise<Connection> };

/** The queue and the messages of each setting. */
const asks: Readonly<Record<string, { readonly queue: object; readonly message: object }>> = {
  transient: { queue: { durable: true }, message: { persistent: false } },
  classic: { queue: { durable: true }, message: { persistent: true } },
  quorum: { queue: { durable: true, arguments: { 'x-queue-type': 'quorum' } }, message: { persistent: true } },
};

const receiveMsMax = 1_000;

export async function openAmqp({ port, queue, ask = 'classic', max, packages }: ClientOptions): Promise<PeerClient> {
  const settings = asks[ask];
  if (settings === undefined) throw new Error(`Nothing is known of the setting ${ask}.`);
  const amqp = loadPackage<Amqp>(packages, 'amqplib');
  const connection = await amqp.connect(`amqp://guest:guest@127.0.0.1:${port}?heartbeat=0`);
  const channel = await connection.createConfirmChannel();
  const inHand: Delivery[] = [];
  let arrived: (() => void) | undefined;
  let isConsuming = false;
  let fail: ((cause: Error) => void) | undefined;
  const failed = (cause: Error | undefined) => fail?.(cause ?? new Error('The connection was closed.'));
  connection.on('error', failed);
  connection.on('close', failed);
  channel.on('error', failed);

  const consume = async () => {
    isConsuming = true;
    await channel.prefetch(max);
    await channel.consume(queue, (delivery) => {
      if (delivery !== null) inHand.push(delivery);
      arrived?.();
    });
  };
  const confirmed = (body: string): Promise<void> =>
    new Promise((resolve, reject) => {
      fail = reject;
      channel.sendToQueue(queue, Buffer.from(body), settings.message, (failure) =>
        failure === null ? resolve() : reject(failure),
      );
    });
  const somethingArrives = (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, receiveMsMax);
      arrived = () => {
        clearTimeout(timer);
        arrived = undefined;
        resolve();
      };
    });
  return {
    createQueue: async () => void (await channel.assertQueue(queue, settings.queue)),
    send: async (bodies) => void (await Promise.all(bodies.map(confirmed))),
    async receive(count) {
      if (!isConsuming) await consume();
      if (inHand.length === 0) await somethingArrives();
      return inHand
        .splice(0, count)
        .map((delivery): Taken => ({ body: delivery.content.toString(), handle: delivery }));
    },
    async delete(taken) {
      for (const { handle } of taken) channel.ack(handle as Delivery);
    },
    close: () => connection.close(),
  };
}
