/** Unmodified clients against a real server: each runs the order pipeline in its own way and says what it did. */
import { describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';
import { type Client, type Credentials, isLeftOut, story } from './client.ts';

export type Case = {
  readonly title: string;
  readonly client: Client;
  readonly command: string;
  /** The last line that the program writes. */
  readonly says: string;
  /** Told only with an access key, since it takes so long; elsewhere it is told on an open server, too. */
  readonly isSlow?: true;
};

/** All that do the whole story do the same, so they must say the same. */
export const pipeline = 'orders: 14 sent, 20 received, 14 deleted, 1 dead, 1 redriven, 1 duplicates';

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

/** Tells each story on a server of its own: open, and with an access key. */
export function tell(cases: readonly Case[]): void {
  for (const { title, client, command, says, isSlow = false } of cases) {
    describe.skipIf(isLeftOut(client))(title, () => {
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
}
