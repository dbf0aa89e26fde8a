/** In place of an emulator, on its port: what pointed there goes on working, with the queue URLs that it knows. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';
import { clients, isLeftOut, story } from './client.ts';

/** Whether somebody listens there already. */
async function isTaken(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const taken = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return taken;
}

const { js, python } = clients;

describe.skipIf(isLeftOut(js) || isLeftOut(python))('drop-in start', () => {
  it.for([9324, 4566])('serves on port %i with queue URLs of that port', async (port, { skip }) => {
    if (await isTaken(port)) skip(`port ${port} is taken`);
    const server = startServer(temporaryFolder(), { SLUICE_PORT: `${port}` });
    await server.url;
    const endpoint = `http://localhost:${port}`;
    expect((await fetch(`${endpoint}/_localstack/health`)).status).toBe(200);
    const queueUrl = `${endpoint}/000000000000/orders`;
    const aws = (words: string) => story(python, `aws --endpoint-url ${endpoint} --output text sqs ${words}`, endpoint);
    expect(await aws('create-queue --queue-name orders')).toBe(queueUrl);
    expect(await aws('list-queues --query QueueUrls')).toBe(queueUrl);
    expect(await story(js, 'node drop-in.mjs', endpoint)).toBe('drop-in: 3 by queue URL');
  });
});
