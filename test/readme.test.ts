/** Documentation that says what the code says, or fails. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { actions } from '../src/domain/action.ts';
import { limits } from '../src/domain/limits.ts';
import { type OwnSettingName, ownSettingNames, queueSettings } from '../src/domain/queue-attributes.ts';
import { arrivalLimits } from '../src/http/arrivals.ts';
import { pipelineLimits } from '../src/http/pipelining.ts';
import { httpLimits } from '../src/server.ts';
import { sqsActions } from '../src/sqs/actions.ts';
import { faults } from './deep/faults.ts';

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const read = (name: string) => readFileSync(path(name), 'utf8');
const readme = read('README.md');

/** The code block after `<!-- ci: name -->`, as .ci/run takes it out. */
const block = (name: string): string | undefined =>
  new RegExp(`^<!-- ci: ${name} -->\n\`\`\`\\w*\n([^]*?)^\`\`\`$`, 'm').exec(readme)?.[1];

/** First cells of the rows of a table under a heading. */
function firstCells(text: string, heading: string): readonly string[] {
  const section = text.split(/^## /m).find((part) => part.startsWith(heading)) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1]?.trim() ?? '');
}

const number = (value: number): string => value.toLocaleString('en');
const kibibyte = 1_024;
const bytes = (value: number): string =>
  value % kibibyte ** 2 === 0 ? `${number(value / kibibyte ** 2)} MiB` : `${number(value / kibibyte)} KiB`;
const seconds = (ms: number): string => `${ms / 1_000} seconds`;
const days = (seconds: number): string => `${seconds / 86_400} days`;

/** What users come upon, in the words of the README. */
const limitRows: readonly (readonly [of: string, most: string])[] = [
  ['a message: body, and names, types and values of its attributes', bytes(limits.messageBytesMax)],
  ['attributes of a message', number(limits.attributesPerMessageMax)],
  [
    'levels of JSON in a document, in a body of a batch, and in a body that an answer embeds',
    number(limits.jsonDepthMax),
  ],
  ['members of one object in a batch', number(limits.jsonKeysPerObjectMax)],
  ['a JSON batch', `${number(limits.batchEntriesMax)} messages, ${bytes(limits.batchBytesMax)}`],
  ['lines of JSON', `any number, each ${bytes(limits.batchLineBytesMax)}`],
  ['a receive', `${number(limits.receiveMessagesMax)} messages, ${bytes(limits.receiveBytesMax)}, always one`],
  ['the wait of a receive', `${limits.waitSecondsMax} seconds`],
  ['the visibility timeout, from the receive on', `${number(limits.visibilityTimeoutSecondsMax)} seconds`],
  ['the retention, and a delay through REST', days(limits.retentionSecondsMax)],
  ['messages of one queue in flight', number(limits.inFlightPerQueueMax)],
  ['long polls of one queue, and of all', `${number(limits.waitersPerQueueMax)}, ${number(limits.waitersMax)}`],
  ['queues', number(limits.queuesPerAccountMax)],
  ['the name of a queue, with its ending `.fifo`', `${limits.queueNameCharsMax} characters`],
  ['a group id, a deduplication id', `${limits.groupIdCharsMax}, ${limits.deduplicationIdCharsMax} characters`],
  [
    'an `Idempotency-Key`',
    `${limits.idempotencyKeyCharsMax} characters, kept ${limits.idempotencySeconds / 3_600} hours`,
  ],
  ['the reason of a failure', `${number(limits.reasonCharsMax)} characters`],
  ['access keys', number(limits.keysPerAccountMax)],
  ['the rate of a redrive', `${number(limits.redriveRatePerSecondMax)} messages a second`],
  [
    'bodies of requests on their way in, all together',
    `${bytes(limits.bodiesHeldBytesMax)}, large ones ${number(limits.largeBodiesHeldBytesMax / kibibyte ** 2)}`,
  ],
  [
    'answers that are not read yet, all together',
    `${bytes(limits.answersHeldBytesMax)}, large ones ${number(limits.largeAnswersHeldBytesMax / kibibyte ** 2)}`,
  ],
  ['connections, requests on one', `${number(httpLimits.connectionsMax)}, ${number(httpLimits.requestsPerSocketMax)}`],
  [
    'requests sent before the one in front on their connection is answered, all together',
    `${bytes(pipelineLimits.waitingBytesMax)}; each its body and ${bytes(pipelineLimits.requestBytes)}`,
  ],
  [
    'headers of a request',
    `${bytes(httpLimits.headerBytesMax)}, ${httpLimits.headersMax} of them, within ${seconds(httpLimits.headersTimeoutMs)}`,
  ],
  ['a body that is no upload of lines', `within ${arrivalLimits.wholeBodySecondsMax} seconds`],
  ['stillness on a connection with a request in hand', seconds(httpLimits.stillnessMsMax)],
  ['an answer that its client does not read', `left within ${seconds(2 * httpLimits.stillnessMsMax)}`],
];

type Bounded = {
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly anyOf?: Bounded[];
};

/** The bounds of a setting, where its schema says them in numbers or names. */
function boundsOf(name: OwnSettingName): string {
  const other: { readonly [S in OwnSettingName]?: string } = {
    deadLetter: `\`maxReceiveCount\` 1 to ${number(limits.maxReceiveCountMax)}`,
    redriveAllow: `${limits.redriveAllowQueuesMax} queues`,
    contentBasedDeduplication: '`true`, `false`',
    retryDelaySeconds: `${limits.retryDelaysMax} values, each up to ${number(limits.retentionSecondsMax)}`,
    tags: `${limits.tagsPerQueueMax} tags`,
  };
  const schema = z.toJSONSchema(queueSettings[name].schema, { unrepresentable: 'any' }) as Bounded;
  const { minimum, maximum, enum: names } = schema.anyOf?.[0] ?? schema;
  if (other[name] !== undefined) return other[name];
  if (names !== undefined) return names.map((value) => `\`${value}\``).join(', ');
  if (minimum === undefined || maximum === undefined) throw new Error(`Nothing bounds ${name}.`);
  return maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum}` : `${number(minimum)} to ${number(maximum)}`;
}

/** The rows of the table under a heading. */
const rowsUnder = (heading: string, text = readme): readonly string[] =>
  (text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2);

describe('the README', () => {
  it('shows the order pipeline as the example has it', () => {
    expect(block('pipeline')).toBe(read('examples/order-pipeline.sh'));
  });

  it('has every block that is run from it, and no other', () => {
    const run = [...read('.ci/run').matchAll(/^(?:run_block|block) (\w+)/gm)].map((match) => match[1]);
    const marked = [...readme.matchAll(/^<!-- ci: (\w+) -->$/gm)].map((match) => match[1]);
    expect(marked.sort()).toEqual(run.sort());
    for (const name of marked) expect(block(name ?? ''), name).toBeDefined();
  });

  it('has a map of the API with every path of the OpenAPI document', () => {
    const { paths } = JSON.parse(read('openapi/openapi.json')) as { paths: Record<string, Record<string, unknown>> };
    const documented = Object.entries(paths).flatMap(([url, methods]) =>
      Object.keys(methods)
        .filter((method) => ['get', 'put', 'post', 'patch', 'delete'].includes(method))
        .map((method) => `${method.toUpperCase()} ${url}`),
    );
    const told = firstCells(readme, 'API').flatMap((cell) => {
      const [methods = '', urls = ''] = cell.replaceAll('`', '').split(' ');
      return methods
        .split(',')
        .flatMap((method) => urls.split(',').map((url) => `${method} ${url.replace(/\?.*$/, '')}`));
    });
    expect(told.sort()).toEqual(documented.sort());
  });

  it('has the table of limits as the code has them', () => {
    expect(rowsUnder('Limits')).toEqual(limitRows.map(([of, most]) => `| ${of} | ${most} |`));
  });

  it('has the table of queue settings as the code has it', () => {
    const rows = ownSettingNames.map((name) => {
      const { schema, initial } = queueSettings[name];
      return `| \`${name}\` | \`${JSON.stringify(initial)}\` | ${boundsOf(name)} | ${schema.description} |`;
    });
    expect(rowsUnder('Queue settings')).toEqual(rows);
  });

  it('names a command for every guarantee, and tests that it runs', () => {
    const section = readme.split(/^## /m).find((part) => part.startsWith('Guarantees')) ?? '';
    const guarantees = section.match(/^- .*(?:\n {2}.*)*/gm) ?? [];
    expect(guarantees.length).toBeGreaterThan(0);
    const tests = globSync('test/**/*.test.ts', { cwd: path('') });
    for (const guarantee of guarantees) {
      const commands = [...guarantee.matchAll(/`npm (?:test|run (test:deep)) -- ([^`]+)`/g)];
      expect(commands.length, guarantee).toBeGreaterThan(0);
      for (const [command, deep, names = ''] of commands) {
        const ran = tests.filter((test) => test.startsWith('test/deep/') === (deep !== undefined));
        const vain = names.split(' ').filter((name) => !ran.some((test) => test.includes(name)));
        expect(vain, command).toEqual([]);
      }
    }
  });

  it('says of every action that keys can be given what it lets one do', () => {
    const section = readme.split(/^## /m).find((part) => part.startsWith('Access')) ?? '';
    const rows = section.split('\n').filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(Object.entries(actions).map(([action, { about }]) => `| \`${action}\` | ${about} |`));
  });

  it('has every action of SQS in its table of what is exact, each once', () => {
    const told = firstCells(readme, 'SQS compatibility').flatMap((cell) => cell.replaceAll('`', '').split(', '));
    expect(told.toSorted()).toEqual(sqsActions.map(({ name }) => name).toSorted());
  });

  it('links to files that exist', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1] ?? '');
    expect(links.filter((link) => !existsSync(path(link)))).toEqual([]);
  });
});

describe('the guide to the deep tests', () => {
  it('names every seeded fault with the test that sees it', () => {
    const told = rowsUnder('Seeded faults', read('test/deep/README.md')).map((row) => row.split(' | ').slice(0, 2));
    const right = Object.entries(faults).map(([name, { test }]) => [`| ${name}`, `[${test}](../../${test})`]);
    expect(told).toEqual(right);
  });
});

describe('the map of the source', () => {
  it('says of each dependency what it is for', () => {
    const { dependencies, devDependencies } = JSON.parse(read('package.json')) as {
      dependencies: object;
      devDependencies: object;
    };
    const cells = firstCells(read('src/README.md'), 'Dependencies');
    const told = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''));
    const isOfTypes = (name: string) => name.startsWith('@types/');
    const all = [...Object.keys(dependencies), ...Object.keys(devDependencies)];
    expect(told.filter((name) => !isOfTypes(name)).toSorted()).toEqual(
      all.filter((name) => !isOfTypes(name)).toSorted(),
    );
  });
});
