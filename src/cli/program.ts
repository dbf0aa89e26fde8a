/**
 * The program `sluice`: a table of commands. A mistake of its user ends in one sentence and exit code 1 (2 for a wrong
 * command line, or what the command itself says); anything else is a bug and shows its stack.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { ConfigError, processEnvironment } from '../config.ts';
import { StartupError } from '../storage/startup-error.ts';
import { type CommandBuilder, CommandError, type Io } from './command.ts';
import { backupCommand } from './commands/backup.ts';
import { configCommand } from './commands/config.ts';
import { doctorCommand } from './commands/doctor.ts';
import { healthcheckCommand } from './commands/healthcheck.ts';
import { restoreCommand } from './commands/restore.ts';
import { serveCommand } from './commands/serve.ts';

const commands: readonly CommandBuilder[] = [
  serveCommand,
  configCommand,
  healthcheckCommand,
  doctorCommand,
  backupCommand,
  restoreCommand,
];

const io: Io = {
  env: processEnvironment(),
  print: (line) => process.stdout.write(`${line}\n`),
  readFile: (path) => readFileSync(path, 'utf8'),
};

/** Errors whose message is meant for the user. */
const sentences = [ConfigError, StartupError, CommandError];

/** Runs the command that the arguments name. */
export async function run(): Promise<void> {
  const program = new Command('sluice').description('A self-hosted message queue spoken to over HTTP.').exitOverride();
  for (const build of commands) program.addCommand(build(io).exitOverride());
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = exitCodeOf(error);
  }
}

/** Commander has written its own message already. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!sentences.some((kind) => error instanceof kind)) throw error;
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : error}\n`);
  return error instanceof CommandError ? error.exitCode : 1;
}
