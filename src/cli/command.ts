/** What a command gets from the program that runs it, and the options that several commands share. */
import { getPriority, setPriority } from 'node:os';
import type { Command } from 'commander';
import type { Environment, Options } from '../config.ts';

export type Io = {
  readonly env: Environment;
  /** Writes a line of the answer. */
  readonly print: (line: string) => void;
  readonly readFile: (path: string) => string;
};

/** Builds one command; the table of them is in program.ts. */
export type CommandBuilder = (io: Io) => Command;

/** Why a command failed, as one sentence for its user. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Adds the options that name settings; their values go before environment and file. */
export const withSettingOptions = (command: Command): Command =>
  command
    .option('--host <host>', 'address to listen on')
    .option('--port <port>', 'port to listen on')
    .option('--data-dir <path>', 'folder of the data')
    .option('--config <path>', 'YAML file with settings and definitions');

/** The setting options that the user gave. */
export const givenSettings = ({ host, port, dataDir, config }: Options): Options => ({ host, port, dataDir, config });

const patientNiceness = 10;

/** For commands that read much: a server on this machine goes first. Who is nicer already stays so. */
export function letServersGoFirst(): void {
  if (getPriority() < patientNiceness) setPriority(patientNiceness);
}
