/** `sluice healthcheck`: asks this machine's own server whether it lives; for containers that have no curl. */
import { Command } from 'commander';
import { loadConfig, type Options } from '../../config.ts';
import { CommandError, givenSettings, type Io, withSettingOptions } from '../command.ts';

/** A live server answers at once; a container's health check should give up before the next one begins. */
const waitMsMax = 5_000;

export const healthcheckCommand = (io: Io): Command =>
  withSettingOptions(new Command('healthcheck'))
    .description('ask the server of these settings whether it lives; exit code 0 or 1')
    .action(async (options: Options) => {
      const { config } = loadConfig(io.env, io.readFile, givenSettings(options));
      await expectAlive(`http://${reachable(config.host)}:${config.port}/livez`);
    });

/** "All addresses" cannot be asked; loopback is one of them. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

async function expectAlive(url: string): Promise<void> {
  const status = await fetch(url, { signal: AbortSignal.timeout(waitMsMax) }).then(
    (response) => response.status,
    (error: unknown) => `no answer (${causeOf(error)})`,
  );
  if (status !== 200) throw new CommandError(`${url} gives ${status}; right would be 200.`);
}

const causeOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
};
