/**
 * Installs what the peers are run from, into a cache outside the tree: once, in the version pinned here. Where something
 * cannot be installed, the bench says why and goes on without it.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Kit = {
  /** What the folder in the cache is named by; a new version installs anew. */
  readonly version: string;
  readonly from: string;
  readonly install: (folder: string) => void;
  /** What is in fact there, where that is not for us to say. */
  readonly found?: () => string;
};

export type KitName = keyof typeof kits;
export type Installed =
  | { readonly isThere: true; readonly folder: string; readonly version: string; readonly from: string }
  | { readonly isThere: false; readonly reason: string };

const installMsMax = 600_000;
const run = (program: string, args: readonly string[], options: { cwd?: string; env?: Record<string, string> } = {}) =>
  execFileSync(program, args, {
    timeout: installMsMax,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, ...options.env },
  }).toString();

const own = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

function goProgram(module: string, version: string): Kit {
  return {
    version,
    from: `go install ${module}@v${version}`,
    install: (folder) => run('go', ['install', `${module}@v${version}`], { env: { GOBIN: join(folder, 'bin') } }),
  };
}

/** Debian says which version: one that is pinned here would be gone with the next security update. */
function debianPackage(name: string): Kit {
  const isRoot = process.getuid?.() === 0;
  const found = () => run('dpkg-query', ['--show', name]).trim().split('\t')[1] ?? '';
  return {
    version: 'debian',
    from: `apt-get install ${name}`,
    found,
    install() {
      try {
        found();
        return;
      } catch {
        if (!isRoot) throw new Error(`${name} is not installed, and only root can: apt-get install ${name}`);
      }
      // In this run level, what is installed is not started.
      const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
      run('apt-get', ['update', '-qq'], { env });
      run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env });
    },
  };
}

const elasticMqVersion = '1.7.1';
const motoVersion = '5.2.5';

const kits = {
  sluice: { version: 'this tree', from: 'this tree', install: () => undefined },
  elasticmq: {
    version: elasticMqVersion,
    from: `mvn, org.elasticmq:elasticmq-server_2.13:${elasticMqVersion}`,
    install(folder) {
      const pom = `<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>peers</artifactId>
<version>1</version><packaging>pom</packaging><dependencies><dependency><groupId>org.elasticmq</groupId>
<artifactId>elasticmq-server_2.13</artifactId><version>${elasticMqVersion}</version></dependency></dependencies></project>`;
      writeFileSync(join(folder, 'pom.xml'), pom);
      run('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=jars'], { cwd: folder });
    },
  },
  goaws: goProgram('github.com/Admiral-Piett/goaws/app/cmd', '0.4.4'),
  moto: {
    version: motoVersion,
    from: `pip install moto[server]==${motoVersion}`,
    install(folder) {
      run('python3', ['-m', 'venv', join(folder, 'venv')]);
      run(join(folder, 'venv/bin/pip'), ['install', '-q', `moto[server]==${motoVersion}`]);
    },
  },
  npm: {
    version: manifestVersion('fauxqs'),
    from: 'npm ci in bench/peers',
    install(folder) {
      for (const file of ['package.json', 'package-lock.json']) copyFileSync(own(file), join(folder, file));
      run('npm', ['ci', '--loglevel=error', '--no-progress', '--ignore-scripts'], { cwd: folder });
    },
  },
  nats: goProgram('github.com/nats-io/nats-server/v2', '2.15.2'),
  rabbitmq: debianPackage('rabbitmq-server'),
  redis: debianPackage('redis-server'),
} as const satisfies Record<string, Kit>;

function manifestVersion(name: string): string {
  const manifest: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(own('package.json'), 'utf8'),
  );
  return manifest.dependencies[name] ?? '';
}

/** Installs what is not yet there. */
export function install(name: KitName, cache = join(homedir(), '.cache/sluice-peers')): Installed {
  const kit: Kit = kits[name];
  const folder = join(cache, `${name}-${kit.version.replaceAll(' ', '-')}`);
  const mark = join(folder, '.installed');
  try {
    if (!existsSync(mark) || kit.found !== undefined) {
      if (kit.found === undefined) rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder, { recursive: true });
      kit.install(folder);
      writeFileSync(mark, '');
    }
    return { isThere: true, folder, version: kit.found?.() ?? kit.version, from: kit.from };
  } catch (cause) {
    return { isThere: false, reason: reasonOf(cause) };
  }
}

/** The last thing that an installer said, or what is wrong with it. */
function reasonOf(cause: unknown): string {
  const { stderr, message }: { readonly stderr?: unknown; readonly message?: unknown } = cause as object;
  const said = String(stderr ?? '')
    .trim()
    .split('\n')
    .at(-1);
  return said === undefined || said === '' ? String(message ?? cause) : said;
}
