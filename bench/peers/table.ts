/**
 * What users would pick instead of Sluice, one row per server and setting: what it is installed from, how it is started,
 * and what it promises of a message that it has acknowledged. Who adds a peer adds a row here, and a kit where it is
 * installed from something new.
 *
 * A peer is run as its own documentation says, once with its defaults and once with its most durable settings.
 */
import { join } from 'node:path';
import { asStarted, projectPath } from '../processes.ts';
import type { Speaks } from './client.ts';
import type { KitName } from './install.ts';

/** Where a peer is started: its folder is empty at first, and kept over a restart. */
export type Place = {
  readonly port: number;
  /** More ports of its own, for those who need them. */
  readonly sidePorts: readonly [number, number];
  readonly folder: string;
  /** Where its kit is installed. */
  readonly kit: string;
};

export type Command = {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Written into the folder first. */
  readonly files?: Readonly<Record<string, string>>;
  /** What must run beside it, and ends with it. */
  readonly beside?: { readonly program: string; readonly args: readonly string[] };
};

export type Peer = {
  readonly name: string;
  readonly setting: string;
  /** Of acknowledged messages: after the process is killed, and after the power is lost. */
  readonly promises: string;
  readonly kit: KitName;
  readonly speaks: Speaks;
  /** What the client asks for, where that decides about durability. */
  readonly ask?: string;
  readonly start: (place: Place) => Command;
  /** How it is asked to stop. */
  readonly stop: NodeJS.Signals;
};

const nothing = 'promises nothing after a crash';

const sluice = ({ port, folder }: Place): Command => ({
  program: process.execPath,
  args: [...asStarted.args, join(projectPath, 'src/cli/index.ts'), 'serve'],
  env: { ...asStarted.env, SLUICE_PORT: String(port), SLUICE_DATA_DIR: join(folder, 'data') },
});

const elasticMq =
  (storage: string) =>
  ({ port, folder, kit }: Place): Command => ({
    program: 'java',
    args: [`-Dconfig.file=${join(folder, 'peer.conf')}`, '-cp', join(kit, 'jars/*'), 'org.elasticmq.server.Main'],
    files: {
      'peer.conf': `include classpath("application.conf")
node-address { host = "127.0.0.1", port = ${port} }
rest-sqs { bind-port = ${port}, bind-hostname = "127.0.0.1" }
rest-stats { enabled = false }
${storage.replaceAll('FOLDER', folder)}`,
    },
  });

const goaws = ({ port, folder, kit }: Place): Command => ({
  program: join(kit, 'bin/cmd'),
  args: ['-config', join(folder, 'goaws.yaml'), 'Local'],
  files: {
    'goaws.yaml': `Local:\n  Host: 127.0.0.1\n  Port: ${port}\n  Region: us-east-1\n  AccountId: "000000000000"\n`,
  },
});

const fauxqs =
  (env: Readonly<Record<string, string>>) =>
  ({ port, folder, kit }: Place): Command => ({
    program: process.execPath,
    args: [join(kit, 'node_modules/fauxqs/dist/server.js')],
    env: { FAUXQS_PORT: String(port), FAUXQS_DATA_DIR: join(folder, 'data'), FAUXQS_LOGGER: 'false', ...env },
    files: { 'data/.keep': '' },
  });

const rabbitMq = ({ port, sidePorts: [epmdPort, distributionPort], folder }: Place): Command => ({
  program: '/usr/lib/rabbitmq/bin/rabbitmq-server',
  args: [],
  env: {
    HOME: folder,
    RABBITMQ_NODENAME: `peer${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
  },
  files: { enabled_plugins: '[].\n', 'rabbitmq.conf': 'log.file.level = error\n' },
  beside: { program: 'epmd', args: ['-port', String(epmdPort), '-address', '127.0.0.1'] },
});

const nats =
  (sync: string) =>
  ({ port, folder, kit }: Place): Command => ({
    program: join(kit, 'bin/nats-server'),
    args: ['-c', join(folder, 'nats.conf')],
    files: {
      'nats.conf': `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(folder, 'data')}"${sync} }\n`,
    },
  });

const redis =
  (...settings: readonly string[]) =>
  ({ port, folder }: Place): Command => ({
    program: 'redis-server',
    args: ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...settings],
  });

export const peers: readonly Peer[] = [
  {
    name: 'Sluice',
    setting: 'default, SQS JSON',
    promises: 'on disk, with fsync, before it is acknowledged',
    kit: 'sluice',
    speaks: 'sqs-json',
    start: sluice,
    stop: 'SIGTERM',
  },
  {
    name: 'Sluice',
    setting: 'default, SQS Query',
    promises: 'on disk, with fsync, before it is acknowledged',
    kit: 'sluice',
    speaks: 'sqs-query',
    start: sluice,
    stop: 'SIGTERM',
  },
  {
    name: 'ElasticMQ',
    setting: 'default: in memory',
    promises: nothing,
    kit: 'elasticmq',
    speaks: 'sqs-json',
    start: elasticMq(''),
    stop: 'SIGTERM',
  },
  {
    name: 'ElasticMQ',
    setting: 'messages-storage (H2)',
    promises: 'given to H2, which writes later and calls no fsync: the last ones are gone after a crash',
    kit: 'elasticmq',
    speaks: 'sqs-json',
    start: elasticMq(`queues-storage { enabled = true, path = "FOLDER/queues.conf" }
messages-storage { enabled = true, uri = "jdbc:h2:FOLDER/messages" }
`),
    stop: 'SIGTERM',
  },
  {
    name: 'goaws',
    setting: 'in memory only; SQS Query only',
    promises: nothing,
    kit: 'goaws',
    speaks: 'sqs-query',
    start: goaws,
    stop: 'SIGTERM',
  },
  {
    name: 'moto server',
    setting: 'in memory only',
    promises: nothing,
    kit: 'moto',
    speaks: 'sqs-json',
    start: ({ port, kit }) => ({
      program: join(kit, 'venv/bin/moto_server'),
      args: ['-H', '127.0.0.1', '-p', String(port)],
    }),
    stop: 'SIGTERM',
  },
  {
    name: 'fauxqs',
    setting: 'default: in memory',
    promises: nothing,
    kit: 'npm',
    speaks: 'sqs-json',
    start: fauxqs({}),
    stop: 'SIGTERM',
  },
  {
    name: 'fauxqs',
    setting: 'persistence (SQLite)',
    promises: 'on disk, with fsync, a commit for each message',
    kit: 'npm',
    speaks: 'sqs-json',
    start: fauxqs({ FAUXQS_PERSISTENCE: 'true' }),
    stop: 'SIGTERM',
  },
  {
    name: 'RabbitMQ',
    setting: 'transient messages (client default), confirms',
    promises: `${nothing}: messages that are not persistent`,
    kit: 'rabbitmq',
    speaks: 'amqp',
    ask: 'transient',
    start: rabbitMq,
    stop: 'SIGTERM',
  },
  {
    name: 'RabbitMQ',
    setting: 'classic durable, persistent, confirms',
    promises: 'written, with fsync, before it is confirmed',
    kit: 'rabbitmq',
    speaks: 'amqp',
    ask: 'classic',
    start: rabbitMq,
    stop: 'SIGTERM',
  },
  {
    name: 'RabbitMQ',
    setting: 'quorum queue of one node, confirms',
    promises: 'in the log of a majority (here: one node), with fsync, before it is confirmed',
    kit: 'rabbitmq',
    speaks: 'amqp',
    ask: 'quorum',
    start: rabbitMq,
    stop: 'SIGTERM',
  },
  {
    name: 'NATS JetStream',
    setting: 'default: file storage',
    promises: 'written before it is acknowledged, fsync every two minutes: survives a kill, not a loss of power',
    kit: 'nats',
    speaks: 'nats',
    start: nats(''),
    stop: 'SIGTERM',
  },
  {
    name: 'NATS JetStream',
    setting: 'sync_interval: always',
    promises: 'on disk, with fsync, before it is acknowledged',
    kit: 'nats',
    speaks: 'nats',
    start: nats(', sync_interval: always'),
    stop: 'SIGTERM',
  },
  {
    name: 'Redis Streams',
    setting: 'default: snapshots',
    promises: 'what came after the last snapshot (a minute to an hour old) is gone after a crash',
    kit: 'redis',
    speaks: 'redis',
    start: redis(),
    stop: 'SIGTERM',
  },
  {
    name: 'Redis Streams',
    setting: 'appendfsync everysec',
    promises: 'written before it is acknowledged, fsync every second: survives a kill; a loss of power takes a second',
    kit: 'redis',
    speaks: 'redis',
    start: redis('--appendonly', 'yes', '--appendfsync', 'everysec'),
    stop: 'SIGTERM',
  },
  {
    name: 'Redis Streams',
    setting: 'appendfsync always',
    promises: 'on disk, with fsync, before it is acknowledged',
    kit: 'redis',
    speaks: 'redis',
    start: redis('--appendonly', 'yes', '--appendfsync', 'always'),
    stop: 'SIGTERM',
  },
];

export const titleOf = ({ name, setting }: Peer): string => `${name}, ${setting}`;
