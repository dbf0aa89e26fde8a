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
import { finder, mustBe, type Script, type ScriptOptions, textOf, textsAfter, third } from './scripts.ts';

const urlOf = ({ queue, queueUrl }: ScriptOptions): string => queueUrl ?? `http://localhost/${defaultAccount}/${queue}`;
const jsonType = 'application/x-amz-json-1.0';

type Headers = Readonly<Record<string, string>>;
const linesOf = (headers: Headers): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');

/** An action in JSON. */
function jsonRequest(action: string, input: object, sign: (headers: Headers, body: string) => Headers): Buffer {
  const body = JSON.stringify(input);
  const headers = { 'Content-Type': jsonType, 'X-Amz-Target': `AmazonSQS.${action}` };
  return requestBytes('POST', '/', body, linesOf(sign(headers, body)));
}

const withAuthorization =
  ({ authorization }: ScriptOptions) =>
  (headers: Headers): Headers =>
    authorization === undefined ? headers : { ...headers, Authorization: authorization };

const queryType = 'application/x-www-form-urlencoded';

/** An action in Query: a list is spread over members that are numbered from 1. */
function queryRequest(action: string, input: object, sign: (headers: Headers) => Headers): Buffer {
  const form = new URLSearchParams({ Action: action, Version: '2012-11-05' });
  for (const [name, value] of Object.entries(input)) {
    if (!Array.isArray(value)) form.set(name, String(value));
    else {
      const members = value.flatMap((entry: object, i) =>
        Object.entries(entry).map(
          ([member, text]) => [`${action}RequestEntry.${i + 1}.${member}`, String(text)] as const,
        ),
      );
      for (const [member, text] of members) form.set(member, text);
    }
  }
  return requestBytes('POST', '/', form.toString(), linesOf(sign({ 'Content-Type': queryType })));
}

/** How an action is asked for, and where its answer tells what a life needs to know. */
type Codec = {
  readonly request: (action: string, input: object) => Buffer;
  readonly handles: (body: Buffer) => readonly string[];
  readonly failureMark: string;
};

const angle = 0x3c;
const tightMark = '"ReceiptHandle":"';
/** Some servers write JSON with a space after the colon. */
const looseMark = '"ReceiptHandle": "';
const json = (options: ScriptOptions): Codec => ({
  request: (action, input) => jsonRequest(action, input, withAuthorization(options)),
  handles: (body) => textsAfter(body.includes(looseMark) ? looseMark : tightMark, body),
  failureMark: '"Failed":[{',
});
const query = (options: ScriptOptions): Codec => ({
  request: (action, input) => queryRequest(action, input, withAuthorization(options)),
  handles: (body) => textsAfter('<ReceiptHandle>', body, angle),
  failureMark: '<BatchResultErrorEntry>',
});

/** The headers, and those that a client adds to sign a request to `/`. */
export function signedHeaders(given: Headers, body: string): Headers {
  const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const payloadHash = hash('sha256', body, 'hex');
  const headers = { ...given, 'X-Amz-Content-Sha256': payloadHash, 'X-Amz-Date': time };
  const signable = signableHeaders(Object.entries({ Host: 'localhost', ...headers }).flat());
  const names = [...signable.keys()].sort();
  const scope = { day: time.slice(0, 8), region: 'us-east-1', service: 'sqs' };
  const request = { method: 'POST', path: '/', query: [], headers: signable, signedHeaders: names, payloadHash };
  const text = stringToSign(time, scope, canonicalRequest(request) ?? '');
  const signature = signatureOf(signingKey(benchKey.secret, scope), text);
  const credential = `${benchKey.keyId}/${scopeText(scope)}`;
  const authorization = `${algorithm} Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...headers, Authorization: authorization };
}

/** Sends the same message again and again. A unit is a request. */
const repeats = (request: Buffer): Script => ({
  next: () => request,
  answered(status, body) {
    mustBe(200, status, body);
    // A server may answer 200 to what it took for something else.
    if (!body.includes('MessageId')) throw new Error(`Not the answer of a send: ${body.toString().slice(0, 500)}`);
    return 1;
  },
  isAtRest: () => true,
});

const messageOf = (options: ScriptOptions) => ({
  QueueUrl: urlOf(options),
  MessageBody: textOf(options.bodyBytes),
});
const sqsSend = (options: ScriptOptions): Script => repeats(json(options).request('SendMessage', messageOf(options)));
const sqsSignedSend = (options: ScriptOptions): Script =>
  repeats(jsonRequest('SendMessage', messageOf(options), signedHeaders));
const sqsQuerySend = (options: ScriptOptions): Script =>
  repeats(query(options).request('SendMessage', messageOf(options)));

type Life = 'send' | 'receive' | 'delete';
const nextOf: Readonly<Record<Life, Life>> = { send: 'receive', receive: 'delete', delete: 'send' };

/** What differs between lives of one message and lives of ten. */
type Form = { readonly count: number; readonly send: Buffer; readonly delete: (handles: readonly string[]) => Buffer };

/** Sends, receives, deletes. A unit is a life of one message. */
function lives(codec: Codec, options: ScriptOptions, form: Form): Script {
  const receive = codec.request('ReceiveMessage', { QueueUrl: urlOf(options), MaxNumberOfMessages: form.count });
  const isFound = finder(options.emptyMax);
  let step: Life = 'send';
  let handles: readonly string[] = [];
  return {
    next: () => (step === 'send' ? form.send : step === 'receive' ? receive : form.delete(handles)),
    answered(status, body) {
      mustBe(200, status, body);
      if (body.includes(codec.failureMark)) throw new Error(`An entry failed: ${body.toString().slice(0, 500)}`);
      if (step === 'receive') {
        handles = codec.handles(body);
        if (!isFound(handles.length)) return 0;
      }
      const count = step === 'send' ? form.count : handles.length;
      step = nextOf[step];
      return count * third;
    },
    isAtRest: () => step === 'send',
  };
}

function singleLife(codec: Codec, options: ScriptOptions): Script {
  const QueueUrl = urlOf(options);
  return lives(codec, options, {
    count: 1,
    send: codec.request('SendMessage', messageOf(options)),
    delete: ([ReceiptHandle]) => codec.request('DeleteMessage', { QueueUrl, ReceiptHandle }),
  });
}

function batchLife(codec: Codec, options: ScriptOptions): Script {
  const { batch: count = 10, bodyBytes } = options;
  const QueueUrl = urlOf(options);
  const MessageBody = textOf(bodyBytes);
  const Entries = Array.from({ length: count }, (_, i) => ({ Id: `m${i}`, MessageBody }));
  return lives(codec, options, {
    count,
    send: codec.request('SendMessageBatch', { QueueUrl, Entries }),
    delete: (handles) =>
      codec.request('DeleteMessageBatch', {
        QueueUrl,
        Entries: handles.map((ReceiptHandle, i) => ({ Id: `m${i}`, ReceiptHandle })),
      }),
  });
}

const sqsLife = (options: ScriptOptions): Script => singleLife(json(options), options);
const sqsBatchLife = (options: ScriptOptions): Script => batchLife(json(options), options);
const sqsQueryLife = (options: ScriptOptions): Script => singleLife(query(options), options);
const sqsQueryBatchLife = (options: ScriptOptions): Script => batchLife(query(options), options);

export const sqsScripts = {
  sqsSend,
  sqsSignedSend,
  sqsLife,
  sqsBatchLife,
  sqsQuerySend,
  sqsQueryLife,
  sqsQueryBatchLife,
} as const;
