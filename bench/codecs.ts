/**
 * What reading and writing cost: microseconds of processor time per call of each codec that a message passes on its way,
 * with bodies of 256 bytes, by the function that the server calls.
 */
import type { Receipt } from '../src/domain/message.ts';
import { defaultAccount, everything, openPrincipal } from '../src/domain/principal.ts';
import { receiptSeal } from '../src/domain/receipt-handle.ts';
import { readJson } from '../src/http/json.ts';
import { findAction } from '../src/sqs/actions.ts';
import { readJsonInput, writeJson } from '../src/sqs/json.ts';
import { md5, md5OfAttributes } from '../src/sqs/md5.ts';
import { formText, planOf, readForm, readQueryInput, writeXml } from '../src/sqs/query.ts';
import { createAuthenticate } from '../src/sqs/signature.ts';
import { packAnswer, packRequests, unpackAnswer, unpackRequests } from '../src/storage/sqlite/crossing.ts';
import type { Request } from '../src/storage/sqlite/store.ts';
import { benchKey } from './key.ts';
import { median } from './numbers.ts';
import { signedHeaders } from './sqs-scripts.ts';
import { textTable } from './text-table.ts';
import { closeTrial, openTrial, receives, sends, times } from './trial.ts';

type Codec = { readonly codec: string; readonly does: string; readonly call: () => unknown };

const bodyText = 'x'.repeat(256);
const rounds = 7;
const callsMin = 200;
/** So long each round takes, that a call of a tenth of a microsecond is measured as well as one of a hundred. */
const roundMs = 40;

function sqsCodecs(): readonly Codec[] {
  const send = findAction('SendMessage');
  const receive = findAction('ReceiveMessage');
  if (send === undefined || receive === undefined) throw new Error('The facade has no such actions.');
  const input = { QueueUrl: `http://localhost/${defaultAccount}/orders`, MessageBody: bodyText };
  const json = Buffer.from(JSON.stringify(input));
  const form = Buffer.from(new URLSearchParams({ Action: 'SendMessage', Version: '2012-11-05', ...input }).toString());
  const plan = planOf(send.input);
  const message = {
    MessageId: '0197f3a2-6c1e-7d3a-9b1f-3a5c7e9f1b2d',
    ReceiptHandle: 'A'.repeat(48),
    MD5OfBody: md5(bodyText),
    Body: bodyText,
  };
  const result = { Messages: times(10, () => message) };
  const attributes = new Map(['source', 'tenant', 'trace'].map((name) => [name, { type: 'String', value: name }]));
  return [
    {
      codec: 'SQS JSON',
      does: 'reads a SendMessage and checks its members',
      call: () => send.input.parse(readJsonInput(json)),
    },
    {
      codec: 'SQS Query',
      does: 'reads a SendMessage and checks its members',
      call() {
        const parameters = new Map<string, string>();
        readForm(formText(form), parameters);
        return send.input.parse(readQueryInput(parameters, plan));
      },
    },
    { codec: 'SQS JSON', does: 'writes ten received messages', call: () => writeJson(result, receive.output) },
    {
      codec: 'SQS Query',
      does: 'writes ten received messages',
      call: () => writeXml('ReceiveMessage', result, receive.output, message.MessageId),
    },
    { codec: 'MD5', does: 'of a body', call: () => md5(bodyText) },
    { codec: 'MD5', does: 'of three attributes', call: () => md5OfAttributes(attributes) },
    signatureCodec(json),
  ];
}

function signatureCodec(body: Buffer): Codec {
  const given = { 'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Target': 'AmazonSQS.SendMessage' };
  const rawHeaders = Object.entries({ Host: 'localhost', ...signedHeaders(given, body.toString()) }).flat();
  const { keyId, secret } = benchKey;
  const principal = { account: defaultAccount, id: keyId, scopes: everything };
  const signer = { principal, secrets: [{ id: 'bench', open: () => secret }] };
  const failed = { requireCalm: () => undefined, count: () => undefined };
  const authenticate = createAuthenticate({
    keys: { signer: () => signer, isKnown: () => true },
    gate: { isOpen: () => false, anyone: openPrincipal(defaultAccount), failed },
    clock: { now: () => Date.now() as never },
  });
  const request = { method: 'POST', rawUrl: '/', rawHeaders, rawBody: body, peerAddress: '127.0.0.1' };
  return { codec: 'Signature Version 4', does: 'verifies a SendMessage', call: () => authenticate(request) };
}

function restCodecs(): readonly Codec[] {
  const batch = Buffer.from(JSON.stringify({ messages: times(100, () => ({ body: { text: bodyText } })) }));
  const seal = receiptSeal(new Uint8Array(32));
  const receipt: Receipt = { queueId: 7, message: 123_456, receive: 1 };
  const handle = seal.seal(receipt);
  return [
    { codec: 'REST JSON', does: 'reads a batch of 100', call: () => readJson(batch, 'messages') },
    { codec: 'receipt handle', does: 'is made', call: () => seal.seal(receipt) },
    { codec: 'receipt handle', does: 'is opened', call: () => seal.open(handle) },
  ];
}

/** What crosses to the writer's thread and back, as 64 clients make it; without the crossing itself. */
function crossingCodecs(place: string): readonly Codec[] {
  const trial = openTrial(place, 'standard');
  const single = { requests: 64, each: 1 };
  const sent = sends(trial.queue, single, bodyText.length, false);
  const asked = receives(trial.queue, single);
  const answered = trial.store.run(sent);
  const received = trial.store.run(asked);
  closeTrial(trial);
  const there = (requests: readonly Request[]) => () => unpackRequests(packRequests(requests));
  const back = (requests: readonly Request[], answer: typeof answered) => () =>
    unpackAnswer(requests, packAnswer(requests, answer));
  return [
    { codec: 'crossing', does: 'takes 64 sends to the writer', call: there(sent) },
    { codec: 'crossing', does: 'brings 64 answers of sends', call: back(sent, answered) },
    { codec: 'crossing', does: 'brings 64 received messages', call: back(asked, received) },
  ];
}

/** Microseconds of processor time per call, the median of rounds; the first warms up. */
function usPerCall(call: () => unknown): number {
  const results: number[] = [];
  let calls = callsMin;
  for (let round = 0; round <= rounds; round += 1) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    for (let i = 0; i < calls; i += 1) call();
    const ms = performance.now() - start;
    const { user, system } = process.cpuUsage(cpu);
    if (round > 0) results.push((user + system) / calls);
    calls = Math.max(callsMin, Math.round((calls * roundMs) / Math.max(ms, 0.1)));
  }
  return median(results);
}

/** @param place where a folder for data is made */
export function codecTable(place: string): string {
  const codecs = [...restCodecs(), ...sqsCodecs(), ...crossingCodecs(place)];
  const rows = codecs.map(({ codec, does, call }) => [codec, does, usPerCall(call).toFixed(2)]);
  return textTable(['codec', 'does', 'µs (cpu)'], rows);
}
