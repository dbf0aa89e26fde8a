/**
 * `sluice backup <file>`: a copy of the data, also while they are served. It reads the folder itself instead of asking the
 * server, so that a copy of any size costs the server nothing and needs no connection that lasts.
 */
import { Command } from 'commander';
import { loadConfig, type Options } from '../../config.ts';
import { backUp } from '../../storage/sqlite/backup.ts';
import { givenSettings, type Io, letServersGoFirst, withSettingOptions } from '../command.ts';

export const backupCommand = (io: Io): Command =>
  withSettingOptions(new Command('backup'))
    .description('copy the data into a new file, also while they are served')
    .argument('<file>', 'the backup; it must not be there yet')
    .option('--json', 'as JSON')
    .action((file: string, options: Options & { json?: boolean }) => {
      process.umask(0o077);
      letServersGoFirst();
      const { config } = loadConfig(io.env, io.readFile, givenSettings(options));
      const copied = backUp(config.dataDir, file);
      const { path, messageCount, queueCount, commitNumber, accessKeyCount } = copied;
      if (options.json === true) return io.print(JSON.stringify(copied, null, 2));
      io.print(`${path}: ${messageCount} messages in ${queueCount} queues at commit ${commitNumber}, found whole`);
      if (accessKeyCount > 0) io.print('Its access keys need the master key, which is not in it: keep that elsewhere.');
    });
