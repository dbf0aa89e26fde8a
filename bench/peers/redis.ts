/** A client of Redis Streams: XADD, XREADGROUP in one consumer group, XACK and XDEL in one trip. */
import type { ClientOptions, PeerClient, Taken } from './client.ts';
import { loadPackage } from './packages.ts';

/** What is used of ioredis. */
type Entry = readonly [id: string, fields: readonly string[]];
type Pipeline = {
  xadd(...args: readonly string[]): Pipeline;
  xack(...args: readonly string[]): Pipeline;
  xdel(...args: readonly string[]): Pipeline;
  exec(): Promise<readonly (readonly [failure: Error | null, result: unknown])[] | null>;
};
type Redis = {
  connect(): Promise<void>;
  pipeline(): Pipeline;
  xgroup(...args: readonly string[]): Promise<unknown>;
  xreadgroup(...args: readonly (string | number)[]): Promise<readonly (readonly [string, readonly Entry[]])[] | null>;
  on(event: 'error', listener: () => void): void;
  disconnect(): void;
};
type IoRedis = { readonly Redis: new (options: object) => Redis };

const receiveMsMax = 1_000;
const group = 'workers';

export async function openRedis({ port, queue, packages }: ClientOptions): Promise<PeerClient> {
  const { Redis } = loadPackage<IoRedis>(packages, 'ioredis');
  const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0 });
  // Each command that fails tells so itself.
  redis.on('error', () => undefined);
  await redis.connect();
  const run = async (pipeline: Pipeline): Promise<void> => {
    for (const [failure] of (await pipeline.exec()) ?? []) if (failure !== null) throw failure;
  };
  return {
    async createQueue() {
      await redis.xgroup('CREATE', queue, group, '0', 'MKSTREAM').catch((cause: Error) => {
        if (!cause.message.startsWith('BUSYGROUP')) throw cause;
      });
    },
    send: (bodies) => run(bodies.reduce((pipeline, body) => pipeline.xadd(queue, '*', 'body', body), redis.pipeline())),
    async receive(max) {
      const who = ['GROUP', group, 'worker'] as const;
      const found = await redis.xreadgroup(...who, 'COUNT', max, 'BLOCK', receiveMsMax, 'STREAMS', queue, '>');
      return (found?.[0]?.[1] ?? []).map(([id, fields]): Taken => ({ body: fields[1] ?? '', handle: id }));
    },
    delete(taken) {
      const ids = taken.map(({ handle }) => String(handle));
      return run(
        redis
          .pipeline()
          .xack(queue, group, ...ids)
          .xdel(queue, ...ids),
      );
    },
    close: async () => redis.disconnect(),
  };
}
