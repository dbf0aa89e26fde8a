/** What the server gave out comes back as it was, and in no other form; what is written is read as the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bearerOf,
  hashOf,
  isPlausible,
  isSecretOf,
  keyIdOf,
  parseBearer,
  randomBytesOf,
  type StoredKey,
  secretOf,
} from '../../src/domain/access-key.ts';
import { instant, parseDurationSeconds } from '../../src/domain/instant.ts';
import { type Attribute, decodeAttributes, encodeAttributes } from '../../src/domain/message.ts';
import { defaultAccount, everything } from '../../src/domain/principal.ts';
import { receiptSeal } from '../../src/domain/receipt-handle.ts';
import { secretSeal } from '../../src/domain/seal.ts';
import { openCursor, sealCursor } from '../../src/http/cursor.ts';
import { prepare } from '../../src/sqs/draft.ts';
import { openTaskHandle, taskHandle } from '../../src/sqs/move-task.ts';
import { pageAsk } from '../../src/sqs/paging.ts';
import { escapeXml, readForm } from '../../src/sqs/query.ts';
import { queueArn, queueNameOf, queueOfArn, queueUrl } from '../../src/sqs/queue-url.ts';
import { parseXml } from '../support/xml.ts';
import { tampered } from './damage.ts';
import { context, numberText, queueName } from './parsers.ts';

const options = { seed: 1, numRuns: 30 };
const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((all) => all.isWellFormed());
const bytes = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });

const receipts = fc.record({
  queueId: fc.nat(2 ** 40 - 1),
  message: fc.nat(2 ** 48 - 1),
  receive: fc.nat(2 ** 32 - 1),
});

function opens(open: () => unknown): boolean {
  try {
    const opened = open();
    return opened !== undefined && opened !== false && !(opened as { fault?: unknown }).fault;
  } catch {
    return false;
  }
}

const storedKey = (keyId: string, secret: string): StoredKey => ({
  keyId,
  account: defaultAccount,
  name: 'test',
  scopes: everything,
  isDeclared: false,
  createdAt: instant(0),
  createdBy: null,
  expiresAt: null,
  secrets: [{ number: 1, hash: hashOf(secret), sealed: Buffer.alloc(0), createdAt: instant(0), expiresAt: null }],
});

type Sealed = { readonly given: string; readonly open: (given: string) => unknown };

const seals: readonly { readonly name: string; readonly sealed: fc.Arbitrary<Sealed> }[] = [
  {
    name: 'a receipt handle',
    sealed: fc.tuple(bytes(32), receipts).map(([secret, receipt]) => {
      const { seal, open } = receiptSeal(secret);
      return { given: seal(receipt), open };
    }),
  },
  { name: 'a cursor', sealed: text.map((cursor) => ({ given: sealCursor(cursor), open: openCursor })) },
  {
    name: 'a NextToken',
    sealed: queueName.map((name) => ({
      given: sealCursor(`${name} queues`),
      // An empty one asks for the first page.
      open: (NextToken) => NextToken !== '' && pageAsk({ NextToken, MaxResults: 1 }, 'queues'),
    })),
  },
  {
    name: 'an access key',
    sealed: fc.tuple(bytes(randomBytesOf.keyId), bytes(randomBytesOf.secret)).map(([id, random]) => {
      const keyId = keyIdOf(id);
      const secret = secretOf(keyId, random);
      const key = storedKey(keyId, secret);
      return {
        given: bearerOf(keyId, secret),
        open: (given) => {
          const read = parseBearer(given);
          return read?.keyId === keyId && isSecretOf(key, read.secret, instant(1));
        },
      };
    }),
  },
  {
    name: 'the checksum of a secret',
    sealed: fc.tuple(bytes(randomBytesOf.keyId), bytes(randomBytesOf.secret)).map(([id, random]) => {
      const keyId = keyIdOf(id);
      return {
        given: secretOf(keyId, random),
        // One that does not begin as ours may be any declared one.
        open: (given) => given.startsWith('slk_') && isPlausible(keyId, given),
      };
    }),
  },
  {
    name: 'a sealed secret',
    sealed: fc.tuple(bytes(32), bytes(12), text).map(([master, iv, secret]) => {
      const { seal, open } = secretSeal(master);
      return {
        given: Buffer.from(seal(secret, 'row', iv)).toString('latin1'),
        open: (given) => open(Buffer.from(given, 'latin1'), 'row'),
      };
    }),
  },
];

describe('what was given out', () => {
  it.each(seals)('is taken as it came and with nothing changed: $name', ({ sealed }) => {
    fc.assert(
      fc.property(sealed, ({ given, open }) => {
        expect(
          opens(() => open(given)),
          given,
        ).toBe(true);
        for (const other of tampered(given)) {
          // The same bytes where what is given is bytes.
          if (Buffer.from(other, 'latin1').equals(Buffer.from(given, 'latin1'))) continue;
          expect(
            opens(() => open(other)),
            `${given}\n${other}`,
          ).toBe(false);
        }
      }),
      options,
    );
  });

  it('is taken by its own data alone: a receipt handle', () => {
    fc.assert(
      fc.property(receipts, bytes(32), bytes(32), (receipt, one, other) => {
        fc.pre(!Buffer.from(one).equals(Buffer.from(other)));
        const handle = receiptSeal(one).seal(receipt);
        expect(receiptSeal(one).open(handle)).toEqual(receipt);
        expect(receiptSeal(other).open(handle)).toHaveProperty('fault');
      }),
      options,
    );
  });
});

describe('what is written is read as the same:', () => {
  const many = { seed: 1, numRuns: 300 };

  it('durations', () => {
    const units = { '': 1, s: 1, m: 60, h: 3_600, d: 86_400 };
    const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
    fc.assert(
      fc.property(fc.nat(999_999_999), unit, (count, of) => {
        expect(parseDurationSeconds(`${count}${of}`)).toBe(count * units[of]);
      }),
      many,
    );
  });

  it('addresses and ARNs of queues', () => {
    fc.assert(
      fc.property(queueName, (name) => {
        expect(queueNameOf(queueUrl(context, name), context)).toBe(name);
        expect(queueOfArn(queueArn(context, name), context)).toBe(name);
        const foreign = queueArn(context, name).replace(defaultAccount, '123456789012');
        expect(queueOfArn(foreign, context)).toBeUndefined();
      }),
      many,
    );
  });

  it('task handles', () => {
    fc.assert(
      fc.property(fc.uuid(), queueName, (taskId, source) => {
        const handle = taskHandle({ taskId, source } as never, context);
        expect(openTaskHandle(handle)).toEqual({ taskId, sourceArn: queueArn(context, source) });
      }),
      many,
    );
  });

  it('forms, as URLSearchParams writes them', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 8 }), (pairs) => {
        const read = new Map<string, string>();
        readForm(new URLSearchParams(pairs as [string, string][]).toString(), read);
        expect([...read]).toEqual([...new Map(pairs)]);
      }),
      many,
    );
  });

  it('attributes in the data', () => {
    const attribute: fc.Arbitrary<Attribute> = fc.oneof(
      fc.record({ type: fc.constant('String'), value: text }),
      fc.record({ type: fc.constant('Number'), value: numberText }),
      fc.record({ type: fc.constant('Binary'), value: fc.base64String({ minLength: 4 }) }),
    ) as fc.Arbitrary<Attribute>;
    const name = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', '1', '2'));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, attribute), { maxLength: 10 }), (entries) => {
        const attributes = new Map(entries);
        expect([...decodeAttributes(encodeAttributes(attributes))]).toEqual([...attributes]);
      }),
      many,
    );
  });

  it('numbers of SQS, digit for digit', () => {
    fc.assert(
      fc.property(numberText, (value) => {
        const MessageAttributes = { n: { DataType: 'Number', StringValue: value } };
        const { draft } = prepare({ MessageBody: 'x', MessageAttributes } as never, undefined);
        expect(draft.attributes.get('n')?.value).toBe(value);
      }),
      many,
    );
  });

  it('text in XML', () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.constant('</Message><x/>&#0;]]>\r\n"\'')), (body) => {
        // What XML cannot carry is refused at the send.
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        fc.pre(!/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(body));
        expect(parseXml(`<a>${escapeXml(body)}</a>`).text).toBe(body);
      }),
      many,
    );
  });
});
