/** `sluice serve`: the service itself; the one command that does not speak to a server but is one. */
import { Command } from 'commander';
import { loadConfig, type Options } from '../../config.ts';
import { openLog } from '../../log.ts';
import { StartupError } from '../../storage/startup-error.ts';
import { givenSettings, type Io, withSettingOptions } from '../command.ts';

export const serveCommand = (io: Io): Command =>
  withSettingOptions(new Command('serve'))
    .description('serve queues until SIGTERM or SIGINT')
    .option('--accept-data-loss', 'start although acknowledged commits are missing from the data')
    .action(async (options: Options & { acceptDataLoss?: boolean }) => {
      expectNode(process.versions.node);
      const { config } = loadConfig(io.env, io.readFile, givenSettings(options));
      // Loaded here, so that other commands need not load a whole server first.
      const { serve } = await import('../../main.ts');
      await serve(config, openLog(config), { acceptDataLoss: options.acceptDataLoss === true });
    });

/** The first release whose binary interface the SQLite driver speaks; on older ones it crashes without a word. */
const nodeMajorLeast = 22;

function expectNode(version: string): void {
  if (Number.parseInt(version, 10) >= nodeMajorLeast) return;
  throw new StartupError(`Node.js is ${version}; right would be ${nodeMajorLeast} or later.`);
}
