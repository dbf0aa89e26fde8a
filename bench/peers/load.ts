/**
 * The load generator for peers that do not speak HTTP: the same work as the scripts of SQS, through each peer's common
 * client library, one client per connection.
 */
import { Counter, measure, serveJobs, type Timed } from '../generator.ts';
import { finder, textOf, third } from '../scripts.ts';
import { type ClientOptions, openClient, type PeerClient, type Speaks } from './client.ts';

export type ClientJob = Timed &
  Omit<ClientOptions, 'max'> & {
    readonly speaks: Speaks;
    readonly does: 'send' | 'life';
    readonly connections: number;
    readonly bodyBytes: number;
    /** Messages per call. */
    readonly batch: number;
    readonly emptyMax: number;
  };

type Count = (units: number, startedAt: number) => void;
type Work = (client: PeerClient, bodies: readonly string[], count: Count, emptyMax: number) => Promise<void>;

const works: Readonly<Record<ClientJob['does'], Work>> = {
  async send(client, bodies, count) {
    const startedAt = performance.now();
    await client.send(bodies);
    count(bodies.length, startedAt);
  },
  async life(client, bodies, count, emptyMax) {
    const sentAt = performance.now();
    await client.send(bodies);
    count(bodies.length * third, sentAt);
    const isFound = finder(emptyMax);
    while (true) {
      const receivedAt = performance.now();
      const taken = await client.receive(bodies.length);
      count(taken.length * third, receivedAt);
      if (!isFound(taken.length)) continue;
      const deletedAt = performance.now();
      await client.delete(taken);
      count(taken.length * third, deletedAt);
      return;
    }
  },
};

serveJobs(async (job: ClientJob) => {
  const counter = new Counter();
  const bodies = Array.from({ length: job.batch }, () => textOf(job.bodyBytes));
  const opened = Array.from({ length: job.connections }, () => openClient(job.speaks, { ...job, max: job.batch }));
  const clients = await Promise.all(opened);
  let isOver = false;
  const count: Count = (units, startedAt) => counter.count(units, performance.now() - startedAt);
  const converse = async (client: PeerClient): Promise<void> => {
    while (!isOver) await works[job.does](client, bodies, count, job.emptyMax);
  };
  const end = () => {
    isOver = true;
  };
  const result = await measure(counter, job, { conversations: Promise.all(clients.map(converse)), end });
  await Promise.all(clients.map((client) => client.close()));
  return result;
});
