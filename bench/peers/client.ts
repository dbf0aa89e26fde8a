/**
 * One client of a peer: what all of them can do with a queue, whatever they call it. It is used where a message's whole
 * way is followed (the kill) and, for peers that do not speak HTTP, to load them; one call at a time per client.
 */
import { openAmqp } from './amqp.ts';
import { openNats } from './nats.ts';
import { openRedis } from './redis.ts';
import { openSqs } from './sqs.ts';

/** A message in hand: what was received, and what deletes it. */
export type Taken = { readonly body: string; readonly handle: unknown };

export interface PeerClient {
  /** Makes the queue where there is none. */
  createQueue(): Promise<void>;
  /** Resolves when all are acknowledged. At most ten. */
  send(bodies: readonly string[]): Promise<void>;
  /** None where nothing came for about a second. */
  receive(max: number): Promise<readonly Taken[]>;
  delete(taken: readonly Taken[]): Promise<void>;
  close(): Promise<void>;
}

export type ClientOptions = {
  readonly port: number;
  readonly queue: string;
  /** What the row of the table asks for. */
  readonly ask?: string | undefined;
  /** Messages that are received at once, at most. */
  readonly max: number;
  /** The folder that the npm packages of the peers are installed in. */
  readonly packages: string;
};

const openers = {
  'sqs-json': openSqs('json'),
  'sqs-query': openSqs('query'),
  amqp: openAmqp,
  nats: openNats,
  redis: openRedis,
} as const satisfies Record<string, (options: ClientOptions) => Promise<PeerClient>>;

export type Speaks = keyof typeof openers;

export const openClient = (speaks: Speaks, options: ClientOptions): Promise<PeerClient> => openers[speaks](options);
