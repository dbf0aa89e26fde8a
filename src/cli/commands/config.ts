/** `sluice config`: the settings in force, each with its source, without secrets. */
import { Command } from 'commander';
import { Document, isScalar, isSeq } from 'yaml';
import {
  hidden,
  type LoadedConfig,
  loadConfig,
  type Options,
  type Setting,
  settingKeys,
  settings,
  shown,
} from '../../config.ts';
import { toRfc3339 } from '../../domain/instant.ts';
import { givenSettings, type Io, withSettingOptions } from '../command.ts';

export const configCommand = (io: Io): Command =>
  withSettingOptions(new Command('config'))
    .description('print the settings in force and where each comes from')
    .option('--json', 'as JSON')
    .action((options: Options & { json?: boolean }) => {
      const loaded = loadConfig(io.env, io.readFile, givenSettings(options));
      io.print(options.json === true ? asJson(loaded) : asYaml(loaded));
    });

const printable = ({ config }: LoadedConfig, key: Setting): unknown => shown(settings[key], config[key]);

/** Queues and keys as the file declares them; of secrets only that they are there. */
const definitions = ({ config }: LoadedConfig) => ({
  queues: Object.fromEntries(config.queueDefinitions.map(({ name, settings: named }) => [name, named])),
  keys: Object.fromEntries(
    config.keyDefinitions.map(({ keyId, name, scopes, expiresAt }) => [
      keyId,
      { secret: hidden, name, scopes, ...(expiresAt === null ? {} : { expiresAt: toRfc3339(expiresAt) }) },
    ]),
  ),
});

function asJson(loaded: LoadedConfig): string {
  const rows = settingKeys.map((key) => [key, { value: printable(loaded, key), source: loaded.sources[key] }]);
  return JSON.stringify({ settings: Object.fromEntries(rows), definitions: definitions(loaded) }, null, 2);
}

/** A file that can be used as SLUICE_CONFIG, with the source of each value as a comment. */
function asYaml(loaded: LoadedConfig): string {
  const values = Object.fromEntries(settingKeys.map((key) => [key, printable(loaded, key)]));
  const document = new Document({ ...values, definitions: definitions(loaded) });
  for (const key of settingKeys) {
    const value = document.get(key, true);
    if (isSeq(value)) value.flow = true;
    if (isScalar(value) || isSeq(value)) value.comment = ` ${loaded.sources[key]}`;
  }
  return document.toString().trimEnd();
}
