import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  type Environment,
  isLoopback,
  loadConfig,
  type Options,
  settingKeys,
  settings,
  shown,
} from '../src/config.ts';

const noFile = (path: string): string => {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`);
};
const load = (env: Environment, options?: Options) => loadConfig(env, noFile, options);
const loadYaml = (yaml: string, env: Environment = {}) => loadConfig({ SLUICE_CONFIG: 's.yaml', ...env }, () => yaml);

/** The sentences with which the settings are refused. */
function refusal(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('settings', () => {
  it('have their initial values when nothing is said', () => {
    const { config, sources } = load({ PATH: '/bin' });
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8080, dataDir: './data', auth: 'keys', logLevel: 'info' });
    expect(config.queueDefinitions).toEqual([]);
    expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
  });

  it('have initial values that their own schemas accept', () => {
    for (const key of settingKeys)
      expect(settings[key].schema.safeParse(settings[key].initial).success, key).toBe(true);
  });

  it('come from an option before the environment, from the environment before the file', () => {
    const yaml = 'port: 1\naccount: "111111111111"\nlogLevel: warn';
    const env = { SLUICE_CONFIG: 's.yaml', SLUICE_PORT: '2', SLUICE_LOG_LEVEL: 'debug' };
    const { config, sources } = loadConfig(env, () => yaml, { port: '3' });
    expect(config).toMatchObject({ port: 3, logLevel: 'debug', account: '111111111111' });
    expect(sources).toMatchObject({ port: 'option', logLevel: 'environment', account: 'file', host: 'default' });
  });

  it('count as not set when their variable is empty', () => {
    expect(load({ SLUICE_PORT: '' }).config.port).toBe(8080);
  });

  it('read lists from text and from YAML', () => {
    expect(load({ SLUICE_ALLOWED_HOSTS: 'sluice.test, queue' }).config.allowedHosts).toEqual(['sluice.test', 'queue']);
    expect(loadYaml('allowedHosts: [sluice.test]').config.allowedHosts).toEqual(['sluice.test']);
  });

  const wrong: readonly (readonly [variable: string, value: string])[] = [
    ['SLUICE_PORT', '65536'],
    ['SLUICE_PORT', '80a'],
    ['SLUICE_PORT', '-1'],
    ['SLUICE_ACCOUNT', '00000000000'],
    ['SLUICE_AUTH', 'none'],
    ['SLUICE_LOG_LEVEL', 'loud'],
    ['SLUICE_DATA_BYTES_MAX', '1'],
    ['SLUICE_SHUTDOWN_SECONDS', '0'],
    ['SLUICE_ALLOWED_HOSTS', 'http://a'],
    ['SLUICE_HOST', 'a b'],
    ['SLUICE_ALLOW_NETWORK_FS', 'yes'],
  ];
  it.each(wrong)('are refused with their name, their value and what would be right: %s=%s', (variable, value) => {
    const row = Object.values(settings).find(({ env }) => env === variable);
    expect(refusal(() => load({ [variable]: value }))).toEqual([
      `${variable} is ${JSON.stringify(value)}; right would be ${row?.right}.`,
    ]);
  });

  it.each([
    ['SLUICE_PORT', '65535'],
    ['SLUICE_PORT', '0'],
    ['SLUICE_DATA_BYTES_MAX', '0'],
    ['SLUICE_DATA_BYTES_MAX', '16777216'],
    ['SLUICE_SHUTDOWN_SECONDS', '600'],
    ['SLUICE_ALLOW_NETWORK_FS', 'true'],
    ['SLUICE_ALLOW_NETWORK_FS', 'false'],
  ])('are accepted at their bounds: %s=%s', (variable, value) => {
    expect(() => load({ [variable]: value })).not.toThrow();
  });

  it('are refused all at once', () => {
    expect(refusal(() => load({ SLUICE_PORT: 'x', SLUICE_AUTH: 'y', SLUICE_NOPE: '' }))).toHaveLength(3);
  });

  it('are refused with a suggestion when their variable is misspelt', () => {
    expect(refusal(() => load({ SLUICE_DATADIR: '/data' }))).toEqual([
      'SLUICE_DATADIR is not a setting; did you mean SLUICE_DATA_DIR?',
    ]);
  });

  it('are not mistaken for the variables that Kubernetes sets for a Service named sluice', () => {
    const pod = {
      SLUICE_PORT: 'tcp://10.0.0.1:80',
      SLUICE_SERVICE_HOST: '10.0.0.1',
      SLUICE_SERVICE_PORT_HTTP: '80',
      SLUICE_PORT_80_TCP_ADDR: '10.0.0.1',
    };
    expect(load(pod).config.port).toBe(8080);
  });

  it('hold the master key, from the variable or from a file', () => {
    const digits = 'ab'.repeat(32);
    const bytes = Buffer.from(digits, 'hex');
    expect(load({}).config.masterKeyBytes).toBeUndefined();
    expect(load({ SLUICE_MASTER_KEY: digits }).config.masterKeyBytes).toEqual(bytes);
    expect(load({ SLUICE_MASTER_KEY: bytes.toString('base64') }).config.masterKeyBytes).toEqual(bytes);
    const fromFile = (text: string) => loadConfig({ SLUICE_MASTER_KEY_FILE: '/run/master' }, () => text);
    expect(fromFile(`${digits}\n`).config.masterKeyBytes).toEqual(bytes);
    expect(refusal(() => fromFile('too short'))[0]).toContain('SLUICE_MASTER_KEY_FILE is "/run/master"');
    expect(refusal(() => load({ SLUICE_MASTER_KEY_FILE: '/nowhere' }))[0]).toContain('cannot be read');
  });

  it('never show a master key that is wrong, nor take two', () => {
    const [sentence] = refusal(() => load({ SLUICE_MASTER_KEY: 'hunter2' }));
    expect(sentence).toContain('SLUICE_MASTER_KEY is "***"');
    expect(sentence).not.toContain('hunter2');
    const both = { SLUICE_MASTER_KEY: 'ab'.repeat(32), SLUICE_MASTER_KEY_FILE: '/run/master' };
    expect(refusal(() => loadConfig(both, () => 'ab'.repeat(32)))[0]).toContain('are both set');
  });

  it('tell loopback from other addresses', () => {
    for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '::1']) expect(isLoopback(host), host).toBe(true);
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.test', '128.0.0.1']) {
      expect(isLoopback(host), host).toBe(false);
    }
  });

  it('are not shown when they are secret', () => {
    expect(shown({ isSecret: true }, 'hunter2')).toBe('***');
    expect(shown({ isSecret: false }, 8080)).toBe(8080);
  });
});

describe('the settings file', () => {
  it('is refused with its path when it cannot be read', () => {
    expect(refusal(() => load({ SLUICE_CONFIG: '/nowhere.yaml' }))[0]).toContain('SLUICE_CONFIG is "/nowhere.yaml"');
  });

  it('may be empty', () => {
    expect(loadYaml('').config.port).toBe(8080);
  });

  it.each([
    ['a: [', 's.yaml is not YAML'],
    ['- a', 's.yaml is not a list of settings'],
    ['port: 1\nport: 2', 's.yaml is not YAML'],
    ['prot: 1', 'prot in s.yaml is not a setting; did you mean port?'],
    ['port: no', 'port in s.yaml is "no"; right would be a whole number'],
    ['account: 123456789012', 'account in s.yaml is 123456789012; right would be 12 digits'],
    ['definitions: {topics: {}}', 'definitions.topics in s.yaml is not a setting; there are queues, keys'],
    ['definitions: {queues: {a b: {}}}', 'definitions.queues.a b in s.yaml is wrong'],
    [
      'definitions: {queues: {a: {delaySecond: 1}}}',
      'definitions.queues.a.delaySecond in s.yaml is not a setting; did you mean delaySeconds?',
    ],
    [
      'definitions: {queues: {a: {delaySeconds: -1}}}',
      'definitions.queues.a.delaySeconds in s.yaml is wrong: must be at least 0.',
    ],
    ['definitions: {queues: {a: {delaySeconds: soon}}}', 'delaySeconds in s.yaml is wrong: must be a number.'],
    ['definitions: {queues: [a]}', 'definitions.queues in s.yaml is wrong: must be an object.'],
    [
      'definitions: {queues: {a: {type: fifo}}}',
      'definitions.queues.a.type in s.yaml is "fifo"; right would be "standard"',
    ],
  ])('is refused with the place and the reason: %s', (yaml, start) => {
    expect(refusal(() => loadYaml(yaml))[0]).toContain(start);
  });

  it('declares queues, of the type that the name says, with the settings it names', () => {
    const { config } = loadYaml(`
      definitions:
        queues:
          plain:
          orders: { visibilityTimeoutSeconds: 60, deadLetter: { queue: orders-dlq, maxReceiveCount: 3 } }
          orders.fifo: { type: fifo, contentBasedDeduplication: true }`);
    expect(config.queueDefinitions).toEqual([
      { name: 'plain', kind: 'standard', settings: {} },
      {
        name: 'orders',
        kind: 'standard',
        settings: { visibilityTimeoutSeconds: 60, deadLetter: { queue: 'orders-dlq', maxReceiveCount: 3 } },
      },
      { name: 'orders.fifo', kind: 'fifo', settings: { contentBasedDeduplication: true } },
    ]);
  });

  const keyOf = (members: string) => `definitions: {keys: {SLUICEX3MPLK7Q2WV5AB: {${members}}}}`;
  const scopes = 'scopes: [{actions: [send], queues: [orders-*]}]';
  const secret = 'a-secret-of-the-tests-0123456789';

  it('declares access keys, whose secrets may stand in files of their own', () => {
    const { config } = loadYaml(keyOf(`secret: ${secret}, ${scopes}, name: orders, expiresAt: "2027-01-01T00:00:00Z"`));
    const key = { keyId: 'SLUICEX3MPLK7Q2WV5AB', secret, scopes: [{ actions: ['send'], queues: ['orders-*'] }] };
    expect(config.keyDefinitions).toEqual([{ ...key, name: 'orders', expiresAt: Date.UTC(2027, 0, 1) }]);
    const files: Record<string, string> = {
      's.yaml': keyOf(`secretFile: /run/key, ${scopes}`),
      '/run/key': `${secret}\n`,
    };
    const fromFile = loadConfig({ SLUICE_CONFIG: 's.yaml' }, (path) => files[path] ?? noFile(path));
    expect(fromFile.config.keyDefinitions).toEqual([{ ...key, name: 'declared', expiresAt: null }]);
  });

  it.each([
    [
      `secret: short, ${scopes}`,
      'secret in s.yaml is wrong: must be 20 to 128 printable ASCII characters without blanks.',
    ],
    [`${scopes}`, 'SLUICEX3MPLK7Q2WV5AB in s.yaml is wrong: either `secret` or `secretFile` must be there.'],
    [`secret: ${secret}, secretFile: /run/key, ${scopes}`, 'either `secret` or `secretFile`'],
    [`secretFile: /run/key, ${scopes}`, 'secretFile is "/run/key", which cannot be read'],
    [`secret: slk_${'x'.repeat(49)}, ${scopes}`, 'secret was mistyped, or is the secret of another key.'],
    [`secret: ${secret}`, 'scopes in s.yaml is wrong: is missing: it must be a list.'],
    [`secret: ${secret}, scopes: []`, 'scopes in s.yaml is wrong: must be at least 1 items long.'],
    [
      `secret: ${secret}, scopes: [{actions: [fly], queues: [a]}]`,
      'scopes.0.actions.0 in s.yaml is wrong: must be one of "*", "createQueue"',
    ],
    [
      `secret: ${secret}, scopes: [{actions: [readMetrics], queues: [a]}]`,
      'scopes.0.queues in s.yaml is wrong: must hold "*", or the scope must leave out readMetrics',
    ],
    [
      `secret: ${secret}, scopes: [{actions: [send], queue: [a], queues: [a]}]`,
      'scopes.0.queue in s.yaml is not a setting; did you mean queues?',
    ],
    [`secert: ${secret}, secret: ${secret}, ${scopes}`, 'secert in s.yaml is not a setting; did you mean secret?'],
    [`secret: ${secret}, ${scopes}, expiresAt: soon`, 'expiresAt in s.yaml is wrong: must be an instant such as'],
  ])('refuses the access key {%s}, without showing its secret', (members, part) => {
    const read = (path: string) => (path === 's.yaml' ? keyOf(members) : noFile(path));
    const sentences = refusal(() => loadConfig({ SLUICE_CONFIG: 's.yaml' }, read));
    expect(sentences.join('\n')).toContain(part);
    expect(sentences.join('\n')).not.toContain(secret);
  });

  it('is accepted as the example in deploy/ has it', () => {
    const example = readFileSync(new URL('../deploy/sluice.yaml', import.meta.url), 'utf8');
    expect(loadYaml(example).config.queueDefinitions.length).toBeGreaterThan(0);
  });
});

describe('the README', () => {
  it('has the table of settings as the code has it', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const rows = settingKeys.map((key) => {
      const { env, initial, unit, about } = settings[key];
      const value =
        Array.isArray(initial) || initial === '' ? 'none' : `\`${initial}\`${unit === '' ? '' : ` ${unit}`}`;
      return `| \`${env}\` | \`${key}\` | ${value} | ${about} |`;
    });
    expect(readme.split('\n').filter((line) => line.startsWith('| `SLUICE_'))).toEqual([
      ...rows,
      '| `SLUICE_CONFIG` | | none | Path of the YAML file with settings and definitions. |',
    ]);
  });
});
