/** What the compiler and the linter cannot see: who may import whom, who may read time, chance and the environment. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { faults } from './deep/faults.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Files as git knows them or would add them; those deleted but not yet committed are left out. */
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  .toString()
  .split('\0')
  .filter((path) => path !== '' && readText(path) !== '');
const code = files.filter((path) => path.endsWith('.ts'));
const product = code.filter((path) => path.startsWith('src/'));
const self = 'test/tidy.test.ts';

function readText(path: string): string {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return '';
  }
}

/** Modules that a file imports, statically, by `import()`, or as a program of its own; own ones as paths from the root. */
function importsOf(path: string): readonly string[] {
  const text = readText(path);
  const patterns = [/\bfrom '([^']+)'/g, /^import '([^']+)'/gm, /\bimport\('([^']+)'\)/g];
  const named = patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''));
  const programs = [...text.matchAll(/\bprogramFile\('([^']+)'\)/g)].map((match) => `src/${match[1]}.ts`);
  return [...named.map((name) => (name.startsWith('.') ? normalize(join(dirname(path), name)) : name)), ...programs];
}

/**
 * Layer → what it may import of our own, from the outside in. The most specific row that a path starts with is its
 * layer; every layer may import itself.
 */
const leaves = ['src/clock.ts', 'src/ids.ts', 'src/config.ts'];
const port = ['src/storage/port.ts', 'src/storage/startup-error.ts'];
const arrows: Readonly<Record<string, readonly string[]>> = {
  'src/domain/': [],
  'src/clock.ts': ['src/domain/'],
  'src/ids.ts': ['src/domain/'],
  'src/config.ts': ['src/domain/'],
  'src/metrics/': ['src/domain/'],
  'src/storage/': ['src/domain/', 'src/ids.ts', 'src/package.ts'],
  'src/storage/sqlite/': ['src/domain/', 'src/ids.ts', 'src/package.ts', 'src/storage/'],
  'src/broker/': [...leaves, ...port, 'src/domain/'],
  'src/http/': ['src/clock.ts', 'src/ids.ts', 'src/domain/'],
  'src/rest/': [...leaves, 'src/storage/port.ts', 'src/domain/', 'src/broker/', 'src/http/'],
  'src/sqs/': [...leaves, 'src/storage/port.ts', 'src/domain/', 'src/broker/', 'src/http/'],
  'src/server.ts': [...leaves, 'src/domain/', 'src/broker/', 'src/http/', 'src/rest/', 'src/sqs/', 'src/metrics/'],
  'src/log.ts': ['src/config.ts'],
  'src/package.ts': [],
  'src/frontend.ts': [
    ...leaves,
    'src/package.ts',
    'src/storage/port.ts',
    'src/domain/',
    'src/broker/',
    'src/http/',
    'src/metrics/',
    'src/server.ts',
  ],
  // The files of the HTTP threads.
  'src/http-thread': [
    ...leaves,
    'src/package.ts',
    'src/log.ts',
    'src/domain/',
    'src/broker/',
    'src/metrics/',
    'src/frontend.ts',
    'src/storage/',
    'src/process-end.ts',
  ],
  'src/process-end.ts': ['src/clock.ts', 'src/domain/'],
  'src/main.ts': [
    ...leaves,
    'src/package.ts',
    'src/process-end.ts',
    'src/domain/',
    'src/broker/',
    'src/metrics/',
    'src/frontend.ts',
    'src/http-threads.ts',
    'src/storage/',
  ],
  'src/cli/': ['src/config.ts', 'src/domain/', 'src/storage/startup-error.ts'],
  // They work on the data themselves, with or without a server.
  'src/cli/commands/backup.ts': [...leaves, 'src/domain/', 'src/storage/', 'src/cli/'],
  'src/cli/commands/doctor.ts': [...leaves, 'src/domain/', 'src/storage/', 'src/cli/'],
  'src/cli/commands/restore.ts': [...leaves, 'src/domain/', 'src/storage/', 'src/cli/'],
  'src/cli/commands/serve.ts': [
    'src/config.ts',
    'src/log.ts',
    'src/storage/startup-error.ts',
    'src/cli/',
    'src/main.ts',
  ],
};
const layerOf = (path: string): string | undefined =>
  Object.keys(arrows)
    .filter((layer) => path.startsWith(layer))
    .sort((a, b) => b.length - a.length)[0];

describe('the source', () => {
  it('is wholly in layers that have arrows', () => {
    expect(product.filter((path) => layerOf(path) === undefined)).toEqual([]);
  });

  it('imports along the arrows only', () => {
    const wrong = product.flatMap((path) => {
      const layer = layerOf(path) ?? '';
      const allowed = [layer, ...(arrows[layer] ?? [])];
      return importsOf(path)
        .filter((target) => target.startsWith('src/') && !allowed.some((start) => target.startsWith(start)))
        .map((target) => `${path} → ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it('has a domain that imports zod alone', () => {
    const foreign = product
      .filter((path) => path.startsWith('src/domain/'))
      .flatMap(importsOf)
      .filter((name) => !name.startsWith('src/domain/') && !name.startsWith('node:') && name !== 'zod');
    expect(foreign).toEqual([]);
  });

  it('imports only packages that are named as dependencies, and uses all of them', () => {
    const { dependencies } = JSON.parse(readText('package.json')) as { dependencies: Record<string, string> };
    const packages = product
      .flatMap(importsOf)
      .filter((name) => !/^(?:node:|src\/|\.|migrations|package\.json)/.test(name));
    const used = new Set(
      packages.map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      ),
    );
    expect([...used].sort()).toEqual(Object.keys(dependencies).sort());
  });

  it('has no file that nothing imports', () => {
    // Entry points are named in package.json; a compiled worker has another extension than its source.
    const stem = (path: string) => path.replace(/(?:\.[jt]s|\$\{.*)$/, '');
    const imported = new Set(product.flatMap((path) => importsOf(path).filter((to) => to !== path)).map(stem));
    const manifest = readText('package.json');
    expect(product.filter((path) => !imported.has(stem(path)) && !manifest.includes(path))).toEqual([]);
  });

  it('has the place of each seeded fault once, and the test that sees it', () => {
    const lost = Object.entries(faults).filter(
      ([, { edits, test }]) =>
        readText(test) === '' || edits.some(({ file, from }) => readText(file).split(from).length !== 2),
    );
    expect(lost.map(([name]) => name)).toEqual([]);
  });
});

type Ban = { readonly what: string; readonly pattern: RegExp; readonly in: readonly string[]; readonly except: RegExp };

const bans: readonly Ban[] = [
  {
    what: 'the clock and timers outside clock.ts',
    pattern: /\bDate\.now\(|\bnew Date\(\)|\bsetTimeout\(|\bsetInterval\(|\btimers\/promises|\bperformance\.now\(/,
    in: code,
    except: /^src\/clock\.ts$|^test\/deep\/|^bench\//,
  },
  {
    what: 'blocking waits but the last of a process that must end',
    pattern: /\bAtomics\.wait\(/,
    in: code,
    except: /^src\/process-end\.ts$/,
  },
  {
    what: 'chance outside ids.ts',
    pattern: /\bMath\.random\(|\brandomUUID\(|\brandomInt\(/,
    in: code,
    // Tests over random cases print the seed they drew.
    except: /^src\/ids\.ts$|^test\/(?:deep|storage\/model)\/|^bench\//,
  },
  { what: 'the environment outside config.ts', pattern: /\bprocess\.env\b/, in: product, except: /^src\/config\.ts$/ },
  {
    what: 'files outside storage and the command line',
    pattern: /from 'node:fs(?:\/promises)?'/,
    in: product,
    except: /^src\/(?:package\.ts|storage\/(?:migrate\.ts|sqlite\/(?:backup|data-directory)\.ts)|cli\/program\.ts)$/,
  },
  { what: 'tests that shut out others', pattern: /\b(?:it|test|describe)\.only\b/, in: code, except: /^$/ },
  { what: 'default exports', pattern: /^export default\b/m, in: product, except: /^$/ },
  {
    what: 'things left to fix',
    pattern: /\b(?:FIXME|TODO|XXX)\b/,
    in: files,
    except: /^package-lock\.json$|^LICENSE$/,
  },
  {
    what: 'paths of one machine',
    pattern: /(?<![\w.:-])\/(?:work|home|Users|root)\/\w/,
    in: files,
    except: /^$/,
  },
  {
    what: 'hosts of package registries',
    pattern: /\bregistry\.npmjs|\bproxy\.golang|"resolved":/,
    in: files,
    except: /^$/,
  },
];

describe('the repository', () => {
  it.each(bans)('has no $what', ({ pattern, in: among, except }) => {
    expect(among.filter((path) => path !== self && !except.test(path) && pattern.test(readText(path)))).toEqual([]);
  });

  it('has no dependency whose version is not exact', () => {
    const manifests = files
      .filter((path) => /(?:^|\/)package\.json$/.test(path))
      .map((path) => JSON.parse(readText(path)) as Record<'dependencies' | 'devDependencies', object>);
    const groups = manifests.flatMap(({ dependencies = {}, devDependencies = {} }) => [dependencies, devDependencies]);
    const versions = groups.flatMap((group) => Object.entries(group));
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)))).toEqual([]);
  });

  it('locks every package by its checksum, from the registry, and runs no script of one but those named', () => {
    const { allowScripts } = JSON.parse(readText('package.json')) as { allowScripts: Record<string, boolean> };
    const locks = files.filter((path) => /(?:^|\/)package-lock\.json$/.test(path));
    const wrong = locks.flatMap((path) => {
      const { packages } = JSON.parse(readText(path)) as { packages: Record<string, Locked> };
      return Object.entries(packages).flatMap(([at, { version = '', integrity = '', ...rest }]) => {
        if (at === '') return [];
        const name = at.split('node_modules/').at(-1) ?? '';
        const isLocked = /^\d+\.\d+\.\d+/.test(version) && integrity.startsWith('sha512-');
        const isNamed = rest.hasInstallScript !== true || name in allowScripts;
        return isLocked && isNamed && rest.link !== true && rest.resolved === undefined ? [] : [`${path}: ${at}`];
      });
    });
    expect(locks.length).toBeGreaterThan(1);
    expect(wrong).toEqual([]);
  });
});

/** A package in a lock; one that names where it comes from does not come from the registry that the user is set to. */
type Locked = {
  readonly version?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly link?: boolean;
  readonly resolved?: string;
};
