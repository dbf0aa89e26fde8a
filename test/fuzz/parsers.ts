/**
 * Every parser that reads what comes from outside, in one table, and what holds for all of them: whatever the text is, it
 * is read or refused by an error of ours, and takes no longer than its length allows.
 */
import { parse as parseQueryString } from 'node:querystring';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { keyIdOf, parseBearer, secretOf } from '../../src/domain/access-key.ts';
import { Fault } from '../../src/domain/errors.ts';
import { instant, parseDurationSeconds } from '../../src/domain/instant.ts';
import { defaultAccount, openPrincipal } from '../../src/domain/principal.ts';
import { QueueName } from '../../src/domain/queue-attributes.ts';
import { receiptSeal } from '../../src/domain/receipt-handle.ts';
import { parseMasterKey } from '../../src/domain/seal.ts';
import { createGate } from '../../src/http/authentication.ts';
import { openCursor, sealCursor } from '../../src/http/cursor.ts';
import { readJson } from '../../src/http/json.ts';
import { bodyKind, essenceOf, isForeignCharset, prefersJson } from '../../src/http/media-type.ts';
import { paging, readQuery } from '../../src/http/parameters.ts';
import { entryDraft, rawDraft } from '../../src/rest/draft.ts';
import { splitLines } from '../../src/rest/lines.ts';
import { idempotencyKeyOf } from '../../src/rest/parameters.ts';
import type { ActionContext } from '../../src/sqs/action.ts';
import { sqsActions } from '../../src/sqs/actions.ts';
import { queueAttributes, settingsOf } from '../../src/sqs/attributes.ts';
import { prepare } from '../../src/sqs/draft.ts';
import { SqsError } from '../../src/sqs/errors.ts';
import { readJsonInput, withoutNulls } from '../../src/sqs/json.ts';
import { openTaskHandle, taskHandle } from '../../src/sqs/move-task.ts';
import { pageAsk } from '../../src/sqs/paging.ts';
import { parsePolicy } from '../../src/sqs/policy.ts';
import { formText, planOf, readForm, readQueryInput } from '../../src/sqs/query.ts';
import { parseArn, queueArn, queueNameOf, queueOfArn, queueUrl } from '../../src/sqs/queue-url.ts';
import { matchesWildcard } from '../../src/sqs/wildcard.ts';
import { verifierOf } from '../support/signing.ts';
import { anything, bombs } from './damage.ts';

type Parser = {
  readonly name: string;
  /** Texts of the kind that it is made for; the first sample is what is blown up. */
  readonly good: fc.Arbitrary<string>;
  readonly read: (text: string) => unknown;
  /** Characters of a text that is meant to take long. Default: `bombCharsUsual`. */
  readonly bombChars?: number;
};

const at = instant(Date.UTC(2026, 0, 1));
const clock = { now: () => at };
const principal = openPrincipal(defaultAccount);
const keyId = keyIdOf(Buffer.alloc(14, 7));
const secret = secretOf(keyId, Buffer.alloc(32, 7));

/** What reading needs of a request to the facade. */
export const context = {
  region: 'us-east-1',
  recreateSeconds: 0,
  principal,
  origin: () => 'http://localhost:8080',
  isQuery: false,
  clock,
} as unknown as ActionContext;

export const queueName = fc.stringMatching(/^[A-Za-z0-9_-]{1,75}(\.fifo)?$/);

const gate = createGate(
  { account: defaultAccount, auth: 'keys', isLoopback: false, allowedHosts: [] },
  { isEmpty: () => false, isKnown: (id) => id === keyId, check: () => undefined },
  // Nobody is refused for having asked often: each time is long after the one before.
  { now: laterEachTime() },
);
function laterEachTime() {
  let hours = 0;
  return () => {
    hours += 1;
    return instant(hours * 3_600_000);
  };
}

const authenticate = verifierOf({ keyId, secret, at });
const scope = `${keyId}/20260101/us-east-1/sqs/aws4_request`;
const signature = 'a'.repeat(64);
const signed = (rawUrl: string, ...rawHeaders: readonly string[]) =>
  authenticate({
    method: 'POST',
    rawUrl,
    rawHeaders: ['Host', 'localhost', 'X-Amz-Date', '20260101T000000Z', ...rawHeaders],
    rawBody: Buffer.alloc(0),
    peerAddress: '127.0.0.1',
  });

const watch = { moved: () => undefined, waiting: () => undefined, end: () => undefined };
async function linesOf(text: string): Promise<void> {
  const body = Readable.from([Buffer.from(text)], { objectMode: false });
  for await (const line of splitLines(body, watch, () => undefined)) {
    if (Buffer.isBuffer(line)) orRefused(() => entryDraft(readJson(line, 'document').value, '1', {}, 'lines[0]'));
  }
}

/** Runs what may be refused in between. */
function orRefused(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
}

const plans = sqsActions.map(({ input }) => ({ input, plan: planOf(input) }));
const memberNames = [...new Set(plans.flatMap(({ plan }) => [...plan.members.keys()]))];
const parameterName = fc
  .tuple(
    fc.constantFrom(...memberNames),
    fc.array(fc.constantFrom('1', '2', '0', '01', '-1', '4294967296', 'Name', 'Value', 'Key', 'Id', 'StringValue'), {
      maxLength: 5,
    }),
  )
  .map(([first, rest]) => [first, ...rest].join('.'));
const form = fc
  .array(fc.tuple(parameterName, fc.string({ maxLength: 12 })), { maxLength: 8 })
  .map((pairs) => new URLSearchParams(pairs).toString());

const jsonText = fc.json({ maxDepth: 4 });
const sqsMember = fc.oneof(fc.string({ maxLength: 12 }), fc.integer(), fc.jsonValue({ maxDepth: 2 }));
const sqsJson = fc
  .dictionary(fc.constantFrom(...memberNames), sqsMember, { maxKeys: 5 })
  .map((members) => JSON.stringify(members));

export const numberText = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.bigInt({ min: -(10n ** 37n), max: 10n ** 37n }).map(String),
);
const sqsMessage = fc
  .record({
    MessageBody: fc.string({ minLength: 1, maxLength: 12 }),
    MessageAttributes: fc.dictionary(
      fc.stringMatching(/^[A-Za-z.]{1,8}$/),
      fc.record({
        DataType: fc.constantFrom('String', 'Number', 'Binary', 'Number.int', 'Strong'),
        StringValue: fc.oneof(numberText, fc.string({ maxLength: 8 })),
      }),
      { maxKeys: 3 },
    ),
  })
  .map((message) => JSON.stringify(message));

const policy = fc
  .record({
    Effect: fc.constantFrom('Allow', 'Deny'),
    Action: fc.constantFrom('sqs:*', 'SQS:SendMessage', 'sqs:Send*'),
    AWS: fc.constantFrom(defaultAccount, `arn:aws:iam::${defaultAccount}:user/${keyId}`, '*'),
    Condition: fc.constantFrom(
      { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } },
      { NumericLessThan: { 'aws:EpochTime': '1e3' } },
      { StringLike: { 'aws:userid': ['a*', '?'] } },
      { Bool: { 'aws:SecureTransport': 'true' } },
    ),
  })
  .map(({ Effect, Action, AWS, Condition }) =>
    JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect, Action, Principal: { AWS }, Resource: queueArn(context, 'q'), Condition }],
    }),
  );

const settingsYaml = fc.constantFrom(
  'port: 8080\nlogLevel: info\nallowedHosts: [a, "b:1"]\n',
  'definitions:\n  queues:\n    orders: {delaySeconds: 5, deadLetter: {queue: dlq, maxReceiveCount: 3}}\n    dlq: {}\n',
  `definitions:\n  keys:\n    ${keyId}: {secret: ${secret}, scopes: [{actions: [send], queues: ["a-*"]}]}\n`,
  'a: &a [1]\nb: *a\n',
);

const handles = receiptSeal(Buffer.alloc(32, 1));
const handle = fc
  .record({ queueId: fc.nat(), message: fc.nat(), receive: fc.nat() })
  .map((receipt) => handles.seal(receipt));
const headerName = fc.stringMatching(/^attr-[a-z.]{1,8}$/);

const requestWith = (headers: Readonly<Record<string, string>>) =>
  ({ headers, ip: '127.0.0.1', raw: { rawHeaders: Object.entries(headers).flat(), url: '/' } }) as never;

const durations = fc.tuple(fc.nat(999_999_999), fc.constantFrom('', 's', 'm', 'h', 'd')).map(([n, unit]) => n + unit);

export const parsers: readonly Parser[] = [
  { name: 'JSON', good: jsonText, read: (text) => readJson(Buffer.from(text)) },
  { name: 'JSON of a batch', good: jsonText, read: (text) => readJson(Buffer.from(text), 'messages') },
  { name: 'JSON in Latin-1', good: jsonText, read: (text) => readJson(Buffer.from(text, 'latin1'), 'document') },
  {
    name: 'lines of JSON',
    good: fc.array(jsonText, { minLength: 1, maxLength: 4 }).map((lines) => lines.join('\n')),
    read: linesOf,
  },
  {
    name: 'an entry of a batch',
    good: fc
      .record({
        body: fc.jsonValue({ maxDepth: 1 }),
        contentType: fc.constantFrom('a/b', 'text/plain'),
        delaySeconds: fc.nat(),
      })
      .map((entry) => JSON.stringify(entry)),
    read: (text) => entryDraft(readJson(Buffer.from(text)).value, text, {}, 'messages[0]'),
  },
  {
    name: 'a query string',
    good: fc
      .tuple(fc.nat(1_000), fc.string({ minLength: 1 }))
      .map(([limit, from]) => `limit=${limit}&cursor=${sealCursor(from)}`),
    read: (text) => readQuery(paging, parseQueryString(text)),
  },
  { name: 'a duration', good: durations, read: parseDurationSeconds },
  { name: 'a queue name', good: queueName, read: (text) => QueueName.safeParse(text) },
  {
    name: 'headers of a message',
    good: fc.tuple(headerName, fc.string({ maxLength: 8 })).map(([name, value]) => `${name} ${value}`),
    read: (text) => {
      const [name = '', ...rest] = text.split(' ');
      return rawDraft(Buffer.from(text), { 'content-type': text, [`attr-${name}`]: rest.join(' ') }, {});
    },
  },
  {
    name: 'Content-Type and Accept',
    good: fc.constantFrom(
      'application/json; charset=utf-8',
      'text/plain;q=0.5, */*',
      'multipart/form-data; boundary="a"',
    ),
    read: (text) => [essenceOf(text), isForeignCharset(text), bodyKind(text), prefersJson(text)],
  },
  {
    name: 'Idempotency-Key',
    good: fc.uuid(),
    read: (text) => idempotencyKeyOf(requestWith({ 'idempotency-key': text })),
  },
  {
    name: 'Authorization of the REST API',
    good: fc.constantFrom(
      `Bearer ${keyId}.${secret}`,
      `Basic ${Buffer.from(`${keyId}:${secret}`).toString('base64')}`,
      'Digest username="a"',
    ),
    read: (text) => gate.identify(requestWith({ authorization: text })),
  },
  { name: 'a bearer key', good: fc.constant(`${keyId}.${secret}`), read: parseBearer },
  {
    name: 'a master key',
    good: fc.constantFrom('ab'.repeat(32), Buffer.alloc(32).toString('base64')),
    read: parseMasterKey,
  },
  {
    name: 'Authorization of a signature',
    good: fc.constant(`AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`),
    read: (text) => signed('/', 'Authorization', text),
  },
  {
    name: 'a presigned query',
    good: fc.constant(
      `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(scope)}&X-Amz-Date=20260101T000000Z` +
        `&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=${signature}`,
    ),
    read: (text) => signed(`/?${text}`),
  },
  {
    name: 'the form of an SQS action',
    good: form,
    read: (text) => {
      const parameters = new Map<string, string>();
      readForm(formText(Buffer.from(text, 'latin1')), parameters);
      for (const { plan, input } of plans) orRefused(() => input.safeParse(readQueryInput(parameters, plan)));
    },
  },
  {
    name: 'the JSON of an SQS action',
    good: sqsJson,
    read: (text) => {
      const members = withoutNulls(readJsonInput(Buffer.from(text)));
      for (const { input } of plans) input.safeParse(members);
    },
  },
  {
    name: 'a message of SQS',
    good: sqsMessage,
    read: (text) => {
      const input = sqsActions.find(({ name }) => name === 'SendMessage')?.input;
      const parsed = input?.omit({ QueueUrl: true }).safeParse(readJsonInput(Buffer.from(text)));
      if (parsed?.success === true) prepare(parsed.data as never, undefined);
    },
  },
  {
    name: 'attributes of a queue',
    good: fc.oneof(
      fc.integer().map(String),
      fc.constantFrom(
        'true',
        'perQueue',
        `{"deadLetterTargetArn":"${queueArn(context, 'q')}","maxReceiveCount":"5"}`,
        `{"redrivePermission":"byQueue","sourceQueueArns":["${queueArn(context, 'q')}"]}`,
      ),
    ),
    read: (text) => {
      for (const name of Object.keys(queueAttributes)) orRefused(() => settingsOf({ [name]: text }, 'fifo', context));
    },
  },
  { name: 'a policy', good: policy, read: (text) => parsePolicy(text) },
  {
    name: 'a pattern of a policy',
    good: fc.constantFrom('a*', '*a?', 'sqs:Send*'),
    read: (text) => matchesWildcard(text, `${text.replaceAll('*', 'x')}b`),
  },
  {
    name: 'the address of a queue',
    good: queueName.map((name) => queueUrl(context, name)),
    read: (text) => queueNameOf(text, context),
  },
  {
    name: 'an ARN',
    good: queueName.map((name) => queueArn(context, name)),
    read: (text) => [parseArn(text), queueOfArn(text, context)],
  },
  { name: 'a receipt handle', good: handle, read: (text) => handles.open(text) },
  { name: 'a cursor', good: fc.string({ minLength: 1 }).map(sealCursor), read: openCursor },
  {
    name: 'a NextToken',
    good: queueName.map((name) => sealCursor(`${name} queues`)),
    read: (text) => pageAsk({ NextToken: text, MaxResults: 5 }, 'queues'),
  },
  {
    name: 'a task handle',
    good: fc.uuid().map((taskId) => taskHandle({ taskId, source: 'q' } as never, context)),
    read: openTaskHandle,
  },
  {
    name: 'the settings file',
    good: settingsYaml,
    read: (text) => loadConfig({ SLUICE_CONFIG: 's.yaml' }, () => text),
    // The operator's own: it may be hard to read, it only must not break.
    bombChars: 2_048,
  },
  {
    name: 'variables of the environment',
    good: fc.constantFrom('8080', 'info', 'a,b', '12h', 'true', '000000000000'),
    read: (text) => {
      for (const name of ['PORT', 'HOST', 'ACCOUNT', 'ALLOWED_HOSTS', 'DATA_BYTES_MAX', 'MASTER_KEY'])
        orRefused(() => loadConfig({ [`SLUICE_${name}`]: text }, () => text));
    },
  },
];

/** What a client or an operator is told, as opposed to a bug. */
const isRefusal = (error: unknown): boolean =>
  error instanceof Fault || error instanceof SqsError || error instanceof ConfigError;

/** Reads so many texts; each is read or refused. */
export const neverBreaks = ({ good, read }: Parser, { seed, numRuns }: { seed: number; numRuns: number }) =>
  fc.assert(
    fc.asyncProperty(anything(good), async (text) => {
      try {
        await read(text);
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }),
    { seed, numRuns },
  );

/** Characters of a text that is meant to take long: more than headers can have, less than a body. */
const bombCharsUsual = 32_768;
/** Processor time of this thread that one of them may take. */
const bombMsMax = 500;

/** Reads texts that are meant to take long, each in bounded time. */
export async function neverHangs({ good, read, bombChars = bombCharsUsual }: Parser, seed: number): Promise<void> {
  const [sample = ''] = fc.sample(good, { seed, numRuns: 1 });
  for (const text of bombs(sample, bombChars)) {
    const started = process.threadCpuUsage();
    await Promise.resolve(text)
      .then(read)
      .catch((error: unknown) => {
        if (!isRefusal(error)) throw new Error(`${text.slice(0, 80)}…`, { cause: error });
      });
    const { user, system } = process.threadCpuUsage(started);
    expect((user + system) / 1_000, text.slice(0, 80)).toBeLessThan(bombMsMax);
  }
}
