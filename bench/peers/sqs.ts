/** A client of an SQS server, in JSON or in Query. It need not be fast: the load of these peers is made elsewhere. */
import type { ClientOptions, PeerClient, Taken } from './client.ts';

type Answer = { readonly url: string; readonly taken: readonly Taken[] };
type Codec = {
  readonly headers: (action: string) => Readonly<Record<string, string>>;
  readonly body: (action: string, input: Readonly<Record<string, string | number>>) => string;
  readonly read: (text: string) => Answer;
};

type JsonAnswer = {
  readonly QueueUrl?: string;
  readonly Messages?: readonly { readonly Body: string; readonly ReceiptHandle: string }[] | null;
};

const element = (name: string, text: string): string => new RegExp(`<${name}>([^<]*)<`).exec(text)?.[1] ?? '';

/** Some servers tell by a signature's form which service is asked for, though they do not verify it. */
export const authorization =
  'AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=00';

const codecs = {
  json: {
    headers: (action) => ({ 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` }),
    body: (_action, input) => JSON.stringify(input),
    read(text) {
      const { QueueUrl = '', Messages }: JsonAnswer = text === '' ? {} : JSON.parse(text);
      return {
        url: QueueUrl,
        taken: (Messages ?? []).map(({ Body, ReceiptHandle }) => ({ body: Body, handle: ReceiptHandle })),
      };
    },
  },
  query: {
    headers: () => ({ 'content-type': 'application/x-www-form-urlencoded' }),
    body(action, input) {
      const form = new URLSearchParams({ Action: action, Version: '2012-11-05' });
      for (const [name, value] of Object.entries(input)) form.set(name, String(value));
      return form.toString();
    },
    read: (text) => ({
      url: element('QueueUrl', text),
      taken: text
        .split('<Message>')
        .slice(1)
        .map((message) => ({ body: element('Body', message), handle: element('ReceiptHandle', message) })),
    }),
  },
} as const satisfies Record<string, Codec>;

/** @returns where the server says that the queue is; made where there is none */
export async function queueUrl(protocol: keyof typeof codecs, port: number, queue: string): Promise<string> {
  return (await call(codecs[protocol], port, 'CreateQueue', { QueueName: queue })).url;
}

async function call(
  codec: Codec,
  port: number,
  action: string,
  input: Readonly<Record<string, string | number>>,
): Promise<Answer> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { ...codec.headers(action), authorization },
    body: codec.body(action, input),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${action} was answered ${answer.status}: ${text.slice(0, 300)}`);
  return codec.read(text);
}

export const openSqs =
  (protocol: keyof typeof codecs) =>
  async ({ port, queue }: ClientOptions): Promise<PeerClient> => {
    const codec = codecs[protocol];
    let QueueUrl = '';
    return {
      async createQueue() {
        QueueUrl = await queueUrl(protocol, port, queue);
      },
      async send(bodies) {
        for (const MessageBody of bodies) await call(codec, port, 'SendMessage', { QueueUrl, MessageBody });
      },
      async receive(max) {
        const ask = { QueueUrl, MaxNumberOfMessages: Math.min(max, 10), WaitTimeSeconds: 1 };
        return (await call(codec, port, 'ReceiveMessage', ask)).taken;
      },
      async delete(taken) {
        for (const { handle } of taken)
          await call(codec, port, 'DeleteMessage', { QueueUrl, ReceiptHandle: String(handle) });
      },
      close: async () => undefined,
    };
  };
