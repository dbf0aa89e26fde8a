/** The largest bodies, and long polls that end in every way, with the AWS SDK for JavaScript v3. */
import assert from 'node:assert/strict';
import { SQS } from '@aws-sdk/client-sqs';

const sqs = new SQS();
const { QueueUrl } = await sqs.createQueue({ QueueName: 'edges' });
const receive = async (options) =>
  (await sqs.receiveMessage({ QueueUrl, MaxNumberOfMessages: 10, ...options })).Messages ?? [];
const remove = ({ ReceiptHandle }) => sqs.deleteMessage({ QueueUrl, ReceiptHandle });

// A mebibyte of characters that are longer on the wire than in the message.
const big = ['"'.repeat(1_048_576), '\r'.repeat(1_048_576), '😀'.repeat(262_144)];
for (const MessageBody of big) {
  await sqs.sendMessage({ QueueUrl, MessageBody });
  const [message] = await receive();
  assert.ok(message.Body === MessageBody);
  await remove(message);
}

/** Asks the server until that many long polls are open. */
async function openPolls(count) {
  const { AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
  const headers = { authorization: `Basic ${btoa(`${AWS_ACCESS_KEY_ID}:${AWS_SECRET_ACCESS_KEY}`)}` };
  const line = `\nsluice_long_polls ${count}\n`;
  for (let tries = 0; tries < 1000; tries += 1) {
    if ((await (await fetch(`${AWS_ENDPOINT_URL}/metrics`, { headers })).text()).includes(line)) return;
  }
  assert.fail(`there were never ${count} long polls`);
}

// Long polls whose clients went away take no message with them.
const leaving = Array.from({ length: 5 }, () => new AbortController());
const left = leaving.map(({ signal }) =>
  sqs.receiveMessage({ QueueUrl, WaitTimeSeconds: 20 }, { abortSignal: signal }).catch(({ name }) => name),
);
await openPolls(left.length);
for (const controller of leaving) controller.abort();
assert.deepEqual(await Promise.all(left), Array(5).fill('AbortError'));
await openPolls(0);
for (const i of left.keys()) await sqs.sendMessage({ QueueUrl, MessageBody: `${i}` });
const kept = [];
while (kept.length < left.length) kept.push(...(await receive({ WaitTimeSeconds: 20 })));
await Promise.all(kept.map(remove));

// Forty waiting clients get forty messages, each its own.
const polls = Array.from({ length: 40 }, () => receive({ MaxNumberOfMessages: 1, WaitTimeSeconds: 20 }));
await openPolls(polls.length);
const batch = (n) => Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: `${n}-${i}` }));
for (const n of [0, 1, 2, 3]) await sqs.sendMessageBatch({ QueueUrl, Entries: batch(n) });
const answered = new Set((await Promise.all(polls)).map(([{ Body }]) => Body));
assert.equal(answered.size, 40);
console.log(`edges: ${big.length} big bodies, ${left.length} polls left, ${answered.size} polls answered`);
