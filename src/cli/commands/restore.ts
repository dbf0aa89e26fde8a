/** `sluice restore <file>`: makes a backup the data of an empty folder. No server may be there. */
import { Command } from 'commander';
import { loadConfig, type Options } from '../../config.ts';
import { randomIds } from '../../ids.ts';
import { restore } from '../../storage/sqlite/backup.ts';
import { givenSettings, type Io, withSettingOptions } from '../command.ts';

export const restoreCommand = (io: Io): Command =>
  withSettingOptions(new Command('restore'))
    .description('make a backup the data of an empty folder')
    .argument('<file>', 'the backup')
    .option('--json', 'as JSON')
    .action((file: string, options: Options & { json?: boolean }) => {
      process.umask(0o077);
      const { config } = loadConfig(io.env, io.readFile, givenSettings(options));
      const copied = restore(file, config.dataDir, randomIds());
      const { path, messageCount, queueCount, accessKeyCount } = copied;
      if (options.json === true) return io.print(JSON.stringify(copied, null, 2));
      io.print(`${path}: ${messageCount} messages in ${queueCount} queues, found whole`);
      io.print('Receipt handles from before the restore hold no more: what was in flight comes back by itself.');
      if (accessKeyCount > 0) io.print('Its access keys need the master key of the server that the backup is of.');
    });
