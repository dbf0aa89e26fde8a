/** Unmodified clients against a real server: each runs the order pipeline in its own way and says what it did. */
import { beforeAll, describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';
import { type Client, type Credentials, clients, install, isLeftOut, story } from './client.ts';

type Case = {
  readonly title: string;
  readonly client: Client;
  readonly command: string;
  /** The last line that the program writes. */
  readonly says: string;
  /** Told only with an access key, since it takes so long; elsewhere it is told on an open server, too. */
  readonly isSlow?: true;
};

/** All that do the whole story do the same, so they must say the same. */
const pipeline = 'orders: 14 sent, 20 received, 14 deleted, 1 dead, 1 redriven, 1 duplicates';

const { js, jsQuery, sqsConsumer, python, pythonQuery, celery, go, java, spring } = clients;
const cases: readonly Case[] = [
  { title: 'AWS SDK for JavaScript v3', client: js, command: 'node orders.mjs', says: pipeline },
  {
    title: 'AWS SDK for JavaScript v3, every action',
    client: js,
    command: 'node actions.mjs',
    says: 'actions: 23 done, 17 errors',
  },
  {
    title: 'AWS SDK for JavaScript v3, edges',
    client: js,
    command: 'node edges.mjs',
    says: 'edges: 3 big bodies, 5 polls left, 40 polls answered',
  },
  {
    title: 'AWS SDK for JavaScript v3 with a wrong clock',
    client: js,
    command: 'node --import ./wrong-clock.mjs orders.mjs',
    says: pipeline,
  },
  {
    title: 'AWS SDK for JavaScript v2 (Query, at the addresses of queues)',
    client: jsQuery,
    command: 'node orders.mjs',
    says: pipeline,
  },
  {
    title: 'sqs-producer and sqs-consumer',
    client: sqsConsumer,
    command: 'node orders.mjs',
    says: 'orders: 26 sent, 26 handled, 2 failures, 1 dead, 1 redriven, 3 held by a heartbeat, 4 events in order',
  },
  { title: 'boto3', client: python, command: 'python orders.py', says: pipeline },
  { title: 'boto3 1.28 (Query)', client: pythonQuery, command: 'python orders.py', says: pipeline },
  {
    title: 'AWS CLI',
    client: python,
    command: './orders.sh',
    says: 'orders: 7 sent, 7 deleted, 1 dead, 1 redriven, 1 duplicates',
    isSlow: true,
  },
  {
    title: 'Celery',
    client: celery,
    command: 'python orders.py',
    says: 'orders: 3 charged, 1 retried, 1 dead, 1 redriven, 3 events in order',
  },
  { title: 'AWS SDK for Go v2', client: go, command: './orders', says: pipeline },
  {
    title: 'AWS SDK for Java v2',
    client: java,
    command: `java -cp 'target/classes:lib/*' Orders`,
    says: pipeline,
  },
  {
    title: 'Spring Cloud AWS',
    client: spring,
    command: `java -cp 'target/classes:lib/*' orders.Orders`,
    says: 'orders: 28 sent, 2 failures, 1 dead, 1 redriven, 5 events in order',
  },
];

/** Makes the first access key, from which on every request needs one. */
async function firstKey(url: string): Promise<Credentials> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/v1/keys`, { method: 'POST', headers, body: '{"name":"admin"}' });
  expect(answer.status).toBe(201);
  return (await answer.json()) as Credentials;
}

/** What the server itself counted of a queue. */
async function statsOf(url: string, queue: string, { keyId, secret }: Credentials): Promise<unknown> {
  const authorization = `Basic ${Buffer.from(`${keyId}:${secret}`).toString('base64')}`;
  return (await fetch(`${url}/v1/queues/${queue}/stats`, { headers: { authorization } })).json();
}

it.for([
  { client: python, protocol: 'json' },
  { client: pythonQuery, protocol: 'query' },
])('$client.name speaks $protocol', async ({ client, protocol }, { skip }) => {
  skip(isLeftOut(client), 'SLUICE_TEST_WITHOUT');
  await install(client);
  const words = `import boto3; print(boto3.client('sqs').meta.service_model.metadata['protocol'])`;
  expect(await story(client, `python -c "${words}"`, 'http://localhost')).toBe(protocol);
});

for (const { title, client, command, says, isSlow = false } of cases) {
  describe.skipIf(isLeftOut(client))(title, () => {
    beforeAll(() => install(client));

    const onOpenServer = async () => {
      const url = await startServer(temporaryFolder()).url;
      expect(await story(client, command, url)).toBe(says);
    };
    if (!isSlow) it('tells its story', onOpenServer);

    it('tells it with an access key, and is refused with a wrong one', async () => {
      const url = await startServer(temporaryFolder()).url;
      const key = await firstKey(url);
      await expect(story(client, command, url)).rejects.toThrow(
        /InvalidClientTokenId|security token included in the request is invalid/,
      );
      await expect(story(client, command, url, { ...key, secret: 'wrong' })).rejects.toThrow(
        /SignatureDoesNotMatch|signature we calculated does not match/,
      );
      expect(await story(client, command, url, key)).toBe(says);
      if (says !== pipeline) return;
      expect(await statsOf(url, 'orders', key)).toMatchObject({
        sent: 11,
        deleted: 11,
        deadLettered: 1,
        available: 0,
        inFlight: 0,
      });
    });
  });
}
