/**
 * A client of NATS JetStream: publishes and waits for the stream's acknowledgement, pulls, and acknowledges each message
 * with an answer (`ackAck`). A stream with work-queue retention removes what is acknowledged, as a queue does.
 */
import type { ClientOptions, PeerClient, Taken } from './client.ts';
import { loadPackage } from './packages.ts';

/** What is used of @nats-io/transport-node and @nats-io/jetstream. */
type Message = { string(): string; ackAck(): Promise<boolean> };
type Consumer = { fetch(options: { max_messages: number; expires: number }): Promise<AsyncIterable<Message>> };
type Manager = {
  readonly streams: { add(settings: object): Promise<unknown> };
  readonly consumers: { add(stream: string, settings: object): Promise<unknown> };
};
type Connection = { close(): Promise<void> };
type Transport = { connect(options: object): Promise<Connection> };
type JetStream = {
  jetstream(connection: Connection): {
    publish(subject: string, body: string): Promise<unknown>;
    readonly consumers: { get(stream: string, consumer: string): Promise<Consumer> };
  };
  jetstreamManager(connection: Connection): Promise<Manager>;
};

const receiveMsMax = 1_000;
const consumerName = 'workers';

export async function openNats({ port, queue, packages }: ClientOptions): Promise<PeerClient> {
  const { connect } = loadPackage<Transport>(packages, '@nats-io/transport-node');
  const { jetstream, jetstreamManager } = loadPackage<JetStream>(packages, '@nats-io/jetstream');
  const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false });
  const stream = jetstream(connection);
  let consumer: Consumer | undefined;
  return {
    async createQueue() {
      const manager = await jetstreamManager(connection);
      await manager.streams.add({ name: queue, subjects: [queue], retention: 'workqueue', storage: 'file' });
      const ack = { ack_policy: 'explicit', max_ack_pending: 100_000 };
      await manager.consumers.add(queue, { durable_name: consumerName, ...ack });
    },
    send: async (bodies) => void (await Promise.all(bodies.map((body) => stream.publish(queue, body)))),
    async receive(max) {
      consumer ??= await stream.consumers.get(queue, consumerName);
      const taken: Taken[] = [];
      for await (const message of await consumer.fetch({ max_messages: max, expires: receiveMsMax })) {
        taken.push({ body: message.string(), handle: message });
      }
      return taken;
    },
    delete: async (taken) => void (await Promise.all(taken.map(({ handle }) => (handle as Message).ackAck()))),
    close: () => connection.close(),
  };
}
