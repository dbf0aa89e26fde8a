/** Documentation that says what the code says, or fails. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { actions } from '../src/domain/action.ts';
import { sqsActions } from '../src/sqs/actions.ts';

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

  it('names a test for every promise, and each exists', () => {
    const promises = (readme.split(/^## /m).find((part) => part.startsWith('Promises')) ?? '').match(
      /^- .*(?:\n {2}.*)*/gm,
    );
    expect(promises?.length).toBeGreaterThan(0);
    for (const promise of promises ?? []) {
      const tests = [...promise.matchAll(/`(test\/[\w/.-]+)`/g)].map((match) => match[1] ?? '');
      expect(tests.length, promise).toBeGreaterThan(0);
      for (const test of tests) expect(existsSync(path(test)), test).toBe(true);
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

describe('the map of the source', () => {
  it('says of each dependency what it is for', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    const told = firstCells(read('src/README.md'), 'Dependencies').map((cell) => cell.replaceAll('`', ''));
    expect(told).toEqual(Object.keys(dependencies));
  });
});
