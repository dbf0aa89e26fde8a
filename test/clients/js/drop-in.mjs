/** A client that knows nothing but the address of its queue: without an endpoint, the SDK takes the queue's. */
import assert from 'node:assert/strict';
import { SQS } from '@aws-sdk/client-sqs';

const { AWS_ENDPOINT_URL: endpoint } = process.env;
delete process.env.AWS_ENDPOINT_URL;

// Which queue a path names, the emulators that used to listen on these ports have spelled in several ways.
const paths = ['/000000000000/orders', '/queue/us-east-1/000000000000/orders', '/queue/orders'];
const sqs = new SQS();
for (const path of paths) await sqs.sendMessage({ QueueUrl: `${endpoint}${path}`, MessageBody: path });
const { Messages } = await sqs.receiveMessage({ QueueUrl: `${endpoint}${paths[0]}`, MaxNumberOfMessages: 10 });
assert.deepEqual(Messages.map(({ Body }) => Body).sort(), paths.sort());
console.log(`drop-in: ${Messages.length} by queue URL`);
