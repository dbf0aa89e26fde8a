/**
 * Conversations with the SQS facade, as the SDKs of AWS have them: in JSON or in Query, signed or not.
 *
 * A signature is good for fifteen minutes, so the same signed bytes are sent again and again; the server verifies each.
 */
import { hash } from 'node:crypto';
import { defaultAccount } from '../src/domain/principal.ts';
import {
  algorithm,
  canonicalRequest,
  scopeText,
  signableHeaders,
  signatureOf,
  signingKey,
  stringToSign,
} from '../src/sqs/canonical-request.ts';
import { requestBytes } from './connection.ts';
import { benchKey } from './key.ts';
import { mustBe, type Script, type ScriptOptions, textOf, textsAfter, third } from './scripts.ts';

const queueUrl = (queue: string): string => `http://localhost/${defaultAccount}/${queue}`;
const jsonType = 'application/x-amz-json-1.0';

const linesOf = (headers: Readonly<Record<string, string>>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

/** An action in JSON. */
function jsonRequest(action: string, input: object, isSigned = false): Buffer {
  const body = JSON.stringify(input);
  const headers = { 'Content-Type': jsonType, 'X-Amz-Target': `AmazonSQS.${action}` };
  return requestBytes('POST', '/', body, linesOf(isSigned ? signed(headers, body) : headers));
}

/** The headers, and those that a client adds to sign a request to `/`. */
function signed(given: Readonly<Record<string, string>>, body: string): Readonly<Record<string, string>> {
  const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const payloadHash = hash('sha256', body, 'hex');
  const headers = { ...given, 'X-Amz-Content-Sha256': payloadHash, 'X-Amz-Date': time };
  const signable = signableHeaders(Object.entries({ Host: 'localhost', ...headers }).flat());
  const signedHeaders = [...signable.keys()].sort();
  const scope = { day: time.slice(0, 8), region: 'us-east-1', service: 'sqs' };
  const request = { method: 'POST', path: '/', query: [], headers: signable, signedHeaders, payloadHash };
  const text = stringToSign(time, scope, canonicalRequest(request) ?? '');
  const signature = signatureOf(signingKey(benchKey.secret, scope), text);
  const credential = `${benchKey.keyId}/${scopeText(scope)}`;
  const authorization = `${algorithm} Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`;
  return { ...headers, Authorization: authorization };
}

/** Sends the same message again and again. A unit is a request. */
const repeats = (request: Buffer): Script => ({
  next: () => request,
  answered(status, body) {
    mustBe(200, status, body);
    return 1;
  },
  isAtRest: () => true,
});

const messageOf = ({ queue, bodyBytes }: ScriptOptions) => ({
  QueueUrl: queueUrl(queue),
  MessageBody: textOf(bodyBytes),
});
const sqsSend = (options: ScriptOptions): Script => repeats(jsonRequest('SendMessage', messageOf(options)));
const sqsSignedSend = (options: ScriptOptions): Script => repeats(jsonRequest('SendMessage', messageOf(options), true));

function sqsQuerySend(options: ScriptOptions): Script {
  const form = new URLSearchParams({ Action: 'SendMessage', Version: '2012-11-05', ...messageOf(options) });
  const type = 'Content-Type: application/x-www-form-urlencoded\r\n';
  return repeats(requestBytes('POST', '/', form.toString(), type));
}

const handleMark = '"ReceiptHandle":"';
type Life = 'send' | 'receive' | 'delete';
const nextOf: Readonly<Record<Life, Life>> = { send: 'receive', receive: 'delete', delete: 'send' };

/** What differs between lives of one message and lives of ten. */
type Form = { readonly count: number; readonly send: Buffer; readonly delete: (handles: readonly string[]) => Buffer };

/** Sends, receives, deletes. A unit is a life of one message. */
function lives({ queue }: ScriptOptions, form: Form): Script {
  const receive = jsonRequest('ReceiveMessage', { QueueUrl: queueUrl(queue), MaxNumberOfMessages: form.count });
  let step: Life = 'send';
  let handles: readonly string[] = [];
  return {
    next: () => (step === 'send' ? form.send : step === 'receive' ? receive : form.delete(handles)),
    answered(status, body) {
      mustBe(200, status, body);
      if (body.includes('"Failed":[{')) throw new Error(`An entry failed: ${body.toString().slice(0, 500)}`);
      if (step === 'receive') {
        handles = textsAfter(handleMark, body);
        if (handles.length === 0) throw new Error('A receive found the queue empty.');
      }
      const count = step === 'send' ? form.count : handles.length;
      step = nextOf[step];
      return count * third;
    },
    isAtRest: () => step === 'send',
  };
}

function sqsLife(options: ScriptOptions): Script {
  const QueueUrl = queueUrl(options.queue);
  return lives(options, {
    count: 1,
    send: jsonRequest('SendMessage', messageOf(options)),
    delete: ([ReceiptHandle]) => jsonRequest('DeleteMessage', { QueueUrl, ReceiptHandle }),
  });
}

function sqsBatchLife(options: ScriptOptions): Script {
  const { batch: count = 10, bodyBytes } = options;
  const QueueUrl = queueUrl(options.queue);
  const MessageBody = textOf(bodyBytes);
  const Entries = Array.from({ length: count }, (_, i) => ({ Id: `m${i}`, MessageBody }));
  return lives(options, {
    count,
    send: jsonRequest('SendMessageBatch', { QueueUrl, Entries }),
    delete: (handles) =>
      jsonRequest('DeleteMessageBatch', {
        QueueUrl,
        Entries: handles.map((ReceiptHandle, i) => ({ Id: `m${i}`, ReceiptHandle })),
      }),
  });
}

export const sqsScripts = { sqsSend, sqsSignedSend, sqsQuerySend, sqsLife, sqsBatchLife } as const;
