/**
 * Settings: one table with a row per setting, walked by whoever reads, checks, prints or documents them.
 *
 * A value comes from a command line option, else from the environment, else from the YAML file that SLUICE_CONFIG
 * names, else from the table. What nobody knows is refused with a suggestion, since a misspelt setting that is
 * silently ignored is found out too late. All problems are told at once. The file may also declare queues and access
 * keys (`definitions`), which exist before the server listens.
 */
import { isIPv4 } from 'node:net';
import { closest, distance } from 'fastest-levenshtein';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { ExpiryText, isPlausible, KeyId, KeyName, secretPattern } from './domain/access-key.ts';
import { type Instant, instant } from './domain/instant.ts';
import { limits } from './domain/limits.ts';
import { defaultAccount, Scope } from './domain/principal.ts';
import { kindOfName } from './domain/queue.ts';
import {
  type OwnSettingName,
  ownSettingNames,
  QueueKind,
  QueueName,
  type QueueSettingsPatch,
  queueSettings,
} from './domain/queue-attributes.ts';
import { parseMasterKey } from './domain/seal.ts';
import { sentence } from './domain/zod-problem.ts';

/** How text from the environment, an option or a quoted YAML value becomes what the schema checks. */
type Reader = (text: string) => unknown;
const asText: Reader = (text) => text;
const asNumber: Reader = (text) => (/^\d{1,16}$/.test(text) ? Number(text) : text);
const asClaim: Reader = (text) => ({ true: true, false: false })[text] ?? text;
const asList: Reader = (text) => text.split(',').map((item) => item.trim());

type SettingRow = {
  readonly env: `SLUICE_${string}`;
  readonly schema: z.ZodType;
  readonly read: Reader;
  readonly initial: unknown;
  /** What the value counts; empty where it counts nothing. */
  readonly unit: string;
  /** The values that are right, as the end of a sentence. */
  readonly right: string;
  /** What it is for, in one sentence. */
  readonly about: string;
  /** Never printed. */
  readonly isSecret: boolean;
};

const bytesMaxLeast = 16 * 1_048_576;

/** One row per setting; the key is its name in the YAML file. */
export const settings = {
  host: {
    env: 'SLUICE_HOST',
    schema: z.string().regex(/^[\w.:-]+$/),
    read: asText,
    initial: '127.0.0.1',
    unit: '',
    right: 'an address or host name of this machine, such as 127.0.0.1 or 0.0.0.0',
    about: 'Address to listen on.',
    isSecret: false,
  },
  port: {
    env: 'SLUICE_PORT',
    schema: z.int().min(0).max(65_535),
    read: asNumber,
    initial: 8080,
    unit: '',
    right: 'a whole number from 0 (any free port) to 65535',
    about: 'Port to listen on.',
    isSecret: false,
  },
  httpThreads: {
    env: 'SLUICE_HTTP_THREADS',
    schema: z.int().min(1).max(64),
    read: asNumber,
    initial: 1,
    unit: '',
    right: 'a whole number from 1 to 64',
    about:
      'Threads that serve HTTP; the writer has one of its own besides. A key or policy that was changed through one of them holds in the others some milliseconds later.',
    isSecret: false,
  },
  dataDir: {
    env: 'SLUICE_DATA_DIR',
    schema: z.string().min(1),
    read: asText,
    initial: './data',
    unit: '',
    right: 'the path of a folder on a local disk',
    about: 'Folder of the data; made when it is missing.',
    isSecret: false,
  },
  allowNetworkFileSystem: {
    env: 'SLUICE_ALLOW_NETWORK_FS',
    schema: z.boolean(),
    read: asClaim,
    initial: false,
    unit: '',
    right: 'true or false',
    about:
      'Start although the data lie on NFS, SMB, 9p or FUSE, whose locks and syncs cannot be trusted: messages may be lost.',
    isSecret: false,
  },
  auth: {
    env: 'SLUICE_AUTH',
    schema: z.enum(['keys', 'off']),
    read: asText,
    initial: 'keys',
    unit: '',
    right: 'keys or off',
    about:
      '`keys`: every request needs an access key; while there is none the server is open, and listens on loopback only. `off`: open on any address.',
    isSecret: false,
  },
  masterKey: {
    env: 'SLUICE_MASTER_KEY',
    schema: z.string().refine((text) => text === '' || parseMasterKey(text) !== undefined),
    read: asText,
    initial: '',
    unit: '',
    right: '32 bytes as 64 hexadecimal digits or in base64, such as `openssl rand -hex 32` prints',
    about: 'Seals the secrets of access keys in the data; none: `master.key` in the folder of the data, made there.',
    isSecret: true,
  },
  masterKeyFile: {
    env: 'SLUICE_MASTER_KEY_FILE',
    schema: z.string(),
    read: asText,
    initial: '',
    unit: '',
    right: 'the path of a file with 64 hexadecimal digits',
    about: 'File with the master key, instead of `SLUICE_MASTER_KEY`.',
    isSecret: false,
  },
  account: {
    env: 'SLUICE_ACCOUNT',
    schema: z.string().regex(/^\d{12}$/),
    read: asText,
    initial: defaultAccount,
    unit: '',
    right: '12 digits (in YAML in quotes)',
    about: 'Account whose queues the server shows; part of SQS queue URLs and ARNs.',
    isSecret: false,
  },
  region: {
    env: 'SLUICE_REGION',
    schema: z.string().regex(/^[a-z0-9-]{1,32}$/),
    read: asText,
    initial: 'us-east-1',
    unit: '',
    right: 'the name of a region, such as us-east-1',
    about: 'Region in the ARNs of SQS queues.',
    isSecret: false,
  },
  publicUrl: {
    env: 'SLUICE_PUBLIC_URL',
    schema: z.union([z.literal(''), z.string().regex(/^https?:\/\/[\w.:[\]/-]+$/)]),
    read: asText,
    initial: '',
    unit: '',
    right: 'a URL such as https://queues.example.com',
    about: 'What SQS queue URLs begin with; none: as the client called the server.',
    isSecret: false,
  },
  recreateSeconds: {
    env: 'SLUICE_RECREATE_SECONDS',
    schema: z.int().min(0).max(3_600),
    read: asNumber,
    initial: limits.recreateSeconds,
    unit: 'seconds',
    right: 'a whole number from 0 to 3600',
    about: 'How long SQS clients cannot create a queue of the name of one that was deleted.',
    isSecret: false,
  },
  allowedHosts: {
    env: 'SLUICE_ALLOWED_HOSTS',
    schema: z.array(z.string().regex(/^[A-Za-z0-9.-]+$/)),
    read: asList,
    initial: [],
    unit: '',
    right: 'host names without port, separated by commas',
    about:
      'Names, beside those of loopback, that requests to an open server may carry in their Host header. Where others reach it, they are checked only when some are set.',
    isSecret: false,
  },
  dataBytesMax: {
    env: 'SLUICE_DATA_BYTES_MAX',
    schema: z.union([z.literal(0), z.int().min(bytesMaxLeast)]),
    read: asNumber,
    initial: 0,
    unit: 'bytes',
    right: `0 (no limit) or a whole number from ${bytesMaxLeast} on`,
    about: 'Largest database file; sends that would pass it are refused with 507. 0: no limit.',
    isSecret: false,
  },
  shutdownSeconds: {
    env: 'SLUICE_SHUTDOWN_SECONDS',
    schema: z.int().min(1).max(600),
    read: asNumber,
    initial: 15,
    unit: 'seconds',
    right: 'a whole number from 1 to 600',
    about: 'How long an orderly stop may take before the process ends anyway.',
    isSecret: false,
  },
  logLevel: {
    env: 'SLUICE_LOG_LEVEL',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    read: asText,
    initial: 'info',
    unit: '',
    right: 'trace, debug, info, warn, error, fatal or silent',
    about: 'Least level of the log lines written, as JSON, to standard output.',
    isSecret: false,
  },
} as const satisfies Record<string, SettingRow>;

export type Setting = keyof typeof settings;
export const settingKeys = Object.keys(settings) as readonly Setting[];

/** The path of the YAML file; the one setting that the file itself cannot hold. */
export const configFileEnv = 'SLUICE_CONFIG';

/** A queue that exists, with these settings, before the server listens. */
export type QueueDefinition = {
  readonly name: QueueName;
  readonly kind: QueueKind;
  /** Those that the file names. */
  readonly settings: QueueSettingsPatch;
};

/** An access key that exists, with this secret and these scopes, before the server listens. */
export type KeyDefinition = {
  readonly keyId: string;
  readonly secret: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Instant | null;
};

type Values = { readonly [S in Setting]: z.infer<(typeof settings)[S]['schema']> };
export type Config = Values & {
  readonly queueDefinitions: readonly QueueDefinition[];
  readonly keyDefinitions: readonly KeyDefinition[];
  /** From the variable or the file; undefined: none was given. */
  readonly masterKeyBytes: Uint8Array | undefined;
};

/** Where a value came from. */
export type Source = 'option' | 'environment' | 'file' | 'default';
export type LoadedConfig = { readonly config: Config; readonly sources: Readonly<Record<Setting, Source>> };

export type Environment = Readonly<Record<string, string | undefined>>;
/** Command line options by the name of the setting, as text. */
export type Options = { readonly [S in Setting | 'config']?: string | undefined };

/** What is wrong with the settings: one line per problem, each with the setting, the value and what would be right. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads all settings.
 * @param readFile returns the text of a file or throws
 * @throws ConfigError
 */
export function loadConfig(env: Environment, readFile: (path: string) => string, options: Options = {}): LoadedConfig {
  const problems: string[] = unknownVariables(env);
  const filePath = options.config ?? present(env[configFileEnv]);
  const file = filePath === undefined ? {} : readDocument(filePath, readFile, problems);
  const found = settingKeys.map((key) => [key, find(key, options, env, file, filePath ?? '')] as const);
  const values = Object.fromEntries(found.map(([key, given]) => [key, check(key, given, problems)])) as Values;
  const { queueDefinitions, keyDefinitions } = readDefinitions(file.definitions, filePath ?? '', readFile, problems);
  const masterKeyBytes = readMasterKey(values, readFile, problems);
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  const sources = Object.fromEntries(found.map(([key, { source }]) => [key, source])) as LoadedConfig['sources'];
  return { config: { ...values, queueDefinitions, keyDefinitions, masterKeyBytes }, sources };
}

/** The environment of this process. */
export const processEnvironment = (): Environment => process.env;

/** What is printed instead of a secret. */
export const hidden = '***';

/** The value of a setting as it may be printed. */
export const shown = (row: Pick<SettingRow, 'isSecret'>, value: unknown): unknown =>
  row.isSecret && value !== '' ? hidden : value;

/** Whether only programs on this machine can reach a server that listens there. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

type Given = { readonly source: Source; readonly label: string; readonly value: unknown };

function find(key: Setting, options: Options, env: Environment, file: YamlFile, filePath: string): Given {
  const row = settings[key];
  const option = options[key];
  if (option !== undefined) return { source: 'option', label: `--${kebab(key)}`, value: option };
  const variable = present(env[row.env]);
  if (variable !== undefined && !isServiceLink(row.env, variable)) {
    return { source: 'environment', label: row.env, value: variable };
  }
  if (file[key] !== undefined) return { source: 'file', label: `${key} in ${filePath}`, value: file[key] };
  return { source: 'default', label: key, value: row.initial };
}

function check(key: Setting, { label, value }: Given, problems: string[]): unknown {
  const row: SettingRow = settings[key];
  const parsed = row.schema.safeParse(typeof value === 'string' ? row.read(value) : value);
  if (parsed.success) return parsed.data;
  problems.push(`${label} is ${JSON.stringify(shown(row, value))}; right would be ${row.right}.`);
  return row.initial;
}

type ReadFile = (path: string) => string;

function readMasterKey(
  { masterKey, masterKeyFile }: Values,
  readFile: ReadFile,
  problems: string[],
): Uint8Array | undefined {
  if (masterKeyFile === '') return masterKey === '' ? undefined : parseMasterKey(masterKey);
  if (masterKey !== '')
    problems.push('SLUICE_MASTER_KEY and SLUICE_MASTER_KEY_FILE are both set; right would be one of them.');
  const bytes = parseMasterKey(readSecretFile(masterKeyFile, 'SLUICE_MASTER_KEY_FILE', readFile, problems));
  if (bytes === undefined) {
    problems.push(
      `SLUICE_MASTER_KEY_FILE is ${JSON.stringify(masterKeyFile)}; right would be ${settings.masterKeyFile.right}.`,
    );
  }
  return bytes;
}

/** The text of a file without the end of its last line; the problem never holds the text. */
function readSecretFile(path: string, label: string, readFile: ReadFile, problems: string[]): string {
  try {
    return readFile(path).replace(/\r?\n$/, '');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    problems.push(`${label} is ${JSON.stringify(path)}, which cannot be read: ${why}.`);
    return '';
  }
}

/** An empty variable is one that is not set: compose files and unit files pass such. */
const present = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

function unknownVariables(env: Environment): string[] {
  const known = [...settingKeys.map((key): string => settings[key].env), configFileEnv];
  return Object.entries(env)
    .filter(([name, value]) => name.startsWith('SLUICE_') && !known.includes(name) && !isServiceLink(name, value ?? ''))
    .map(([name]) => `${name} is not a setting${didYouMean(name, known)}`);
}

const serviceVariable =
  /^SLUICE_(?:\w+_)?SERVICE_(?:HOST|PORT)(?:_\w+)?$|^SLUICE_(?:\w+_)?PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?$/;

/**
 * Whether Kubernetes set this variable, which it does in every pod for a Service named `sluice` or `sluice-…`.
 * @see https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const isServiceLink = (name: string, value: string): boolean =>
  serviceVariable.test(name) || (name.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value));

/** More than half of a word is another word. */
const misspellingsMax = (word: string): number => Math.min(4, Math.floor(word.length / 2));

/** The end of a sentence about a word that nobody knows. */
function didYouMean(word: string, known: readonly string[]): string {
  const near = closest(word, known);
  return distance(word, near) <= misspellingsMax(word) ? `; did you mean ${near}?` : `; there are ${known.join(', ')}.`;
}

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

type YamlFile = Readonly<Record<string, unknown>>;

/** The top level of the file; its unknown keys are problems. */
function readDocument(path: string, readFile: (path: string) => string, problems: string[]): YamlFile {
  const text = readText(path, readFile);
  const top = z.record(z.string(), z.unknown()).nullable().safeParse(yamlOf(path, text));
  if (!top.success)
    throw new ConfigError(`${path} is not a list of settings; right would be lines such as "port: 8080".`);
  const known = [...settingKeys, 'definitions'];
  for (const key of Object.keys(top.data ?? {})) {
    if (!known.includes(key)) problems.push(`${key} in ${path} is not a setting${didYouMean(key, known)}`);
  }
  return top.data ?? {};
}

/** @throws ConfigError also for what is only found when values are made: an alias of nothing, depth beyond all measure */
function yamlOf(path: string, text: string): unknown {
  try {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error !== undefined) throw error;
    return document.toJS();
  } catch (error) {
    throw new ConfigError(`${path} is not YAML: ${(error as Error).message.trimEnd()}`);
  }
}

function readText(path: string, readFile: (path: string) => string): string {
  try {
    return readFile(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`${configFileEnv} is ${JSON.stringify(path)}, which cannot be read: ${why}.`, { cause });
  }
}

/** The body of `PUT /v1/queues/{queue}`; an empty YAML value is a queue with the initial settings. */
const QueueSettingsSchema = z.strictObject({
  type: QueueKind.optional(),
  ...(Object.fromEntries(ownSettingNames.map((name) => [name, queueSettings[name].schema.optional()])) as {
    [S in OwnSettingName]: z.ZodOptional<(typeof queueSettings)[S]['schema']>;
  }),
});
const secretWords = '20 to 128 printable ASCII characters without blanks';

/** A key as the file declares it; the secret stands in the file or in one of its own. */
const KeyDefinitionSchema = z
  .strictObject({
    secret: z.string().regex(secretPattern, `must be ${secretWords}`).optional(),
    secretFile: z.string().min(1).optional(),
    name: KeyName.default('declared'),
    scopes: z.array(Scope).min(1).max(limits.scopesPerKeyMax),
    expiresAt: ExpiryText.optional(),
  })
  .refine(({ secret, secretFile }) => (secret === undefined) !== (secretFile === undefined), {
    error: 'either `secret` or `secretFile` must be there',
  });
const Definitions = z.strictObject({
  queues: z
    .record(
      QueueName,
      z.preprocess((value) => value ?? {}, QueueSettingsSchema),
    )
    .nullish(),
  keys: z.record(KeyId, KeyDefinitionSchema).nullish(),
});

type ReadDefinitions = {
  readonly queueDefinitions: readonly QueueDefinition[];
  readonly keyDefinitions: readonly KeyDefinition[];
};

function readDefinitions(given: unknown, path: string, readFile: ReadFile, problems: string[]): ReadDefinitions {
  const parsed = Definitions.nullish().safeParse(given);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => definitionProblem(issue, path)));
    return { queueDefinitions: [], keyDefinitions: [] };
  }
  return {
    queueDefinitions: queueDefinitionsOf(parsed.data?.queues ?? {}, path, problems),
    keyDefinitions: Object.entries(parsed.data?.keys ?? {}).map(
      ([keyId, { secret, secretFile, expiresAt, ...rest }]) => ({
        keyId,
        ...rest,
        secret: declaredSecret(keyId, { secret, secretFile }, readFile, problems),
        expiresAt: expiresAt === undefined ? null : instant(Date.parse(expiresAt)),
      }),
    ),
  };
}

/** The secret of a declared key, from the file or one of its own; a problem never holds it. */
function declaredSecret(
  keyId: string,
  { secret, secretFile }: { readonly secret?: string | undefined; readonly secretFile?: string | undefined },
  readFile: ReadFile,
  problems: string[],
): string {
  const label = `definitions.keys.${keyId}.${secret === undefined ? 'secretFile' : 'secret'}`;
  const text = secret ?? readSecretFile(secretFile ?? '', label, readFile, problems);
  if (text === '' && problems.length > 0) return text;
  if (!secretPattern.test(text)) {
    problems.push(`${label} is ${JSON.stringify(secretFile)}; right would be a file with ${secretWords}.`);
  } else if (!isPlausible(keyId, text)) {
    problems.push(`${label} was mistyped, or is the secret of another key.`);
  }
  return text;
}

function queueDefinitionsOf(
  queues: NonNullable<z.infer<typeof Definitions>['queues']>,
  path: string,
  problems: string[],
): readonly QueueDefinition[] {
  return Object.entries(queues).map(([key, { type, ...rest }]) => {
    const name = QueueName.parse(key);
    const kind = kindOfName(name);
    if (type !== undefined && type !== kind) {
      problems.push(
        `definitions.queues.${name}.type in ${path} is "${type}"; right would be "${kind}", ` +
          'since the names of FIFO queues, and only those, end in ".fifo".',
      );
    }
    return { name, kind, settings: rest };
  });
}

/** The members of a part of the definitions. */
function knownIn(path: readonly PropertyKey[]): readonly string[] {
  if (path.length === 0) return ['queues', 'keys'];
  if (path[0] === 'queues') return ['type', ...ownSettingNames];
  return path.length === 2 ? Object.keys(KeyDefinitionSchema.shape) : Object.keys(Scope.shape);
}

function definitionProblem(issue: z.core.$ZodIssue, path: string): string {
  const where = ['definitions', ...issue.path].join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = knownIn(issue.path);
    const words = issue.keys.map((key) => `${where}.${key} in ${path} is not a setting${didYouMean(key, known)}`);
    return words.join('\n');
  }
  if (issue.code === 'invalid_key') return `${where} in ${path} is wrong: ${sentence(issue.issues[0] ?? issue)}.`;
  return `${where} in ${path} is wrong: ${sentence(issue)}.`;
}
