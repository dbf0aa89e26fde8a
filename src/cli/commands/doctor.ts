/**
 * `sluice doctor`: asks the data themselves whether every promise about them holds. Exit code 0 when all do, 1 when one
 * does not, 2 when the data cannot be read.
 */
import { SqliteError } from 'better-sqlite3';
import { Command } from 'commander';
import { systemClock } from '../../clock.ts';
import { loadConfig, type Options } from '../../config.ts';
import { instant } from '../../domain/instant.ts';
import { doctorOf, type Finding } from '../../storage/sqlite/doctor.ts';
import { type Look, openToLook } from '../../storage/sqlite/look.ts';
import { StartupError } from '../../storage/startup-error.ts';
import { CommandError, givenSettings, type Io, letServersGoFirst, withSettingOptions } from '../command.ts';

const cannotLook = 2;

export const doctorCommand = (io: Io): Command =>
  withSettingOptions(new Command('doctor'))
    .description('check that the data are whole; safe beside a running server. Exit code 0, 1 or (cannot look) 2')
    .argument('[file]', 'a backup to check instead of the folder of the data')
    .option('--json', 'as JSON')
    .action((file: string | undefined, options: Options & { json?: boolean }) => {
      letServersGoFirst();
      const { config } = loadConfig(io.env, io.readFile, givenSettings(options));
      const report = examine(file ?? config.dataDir);
      io.print(options.json === true ? JSON.stringify(report, null, 2) : asTable(report));
      const { brokenCount, findings } = report;
      if (brokenCount > 0) throw new CommandError(`${brokenCount} of ${findings.length} promises do not hold.`);
    });

type Report = {
  readonly path: string;
  readonly isServed: boolean;
  readonly commitNumber: number;
  readonly queueCount: number;
  readonly messageCount: number;
  readonly brokenCount: number;
  /** Of those that the server's upkeep keeps: it has not come to them yet. */
  readonly lateCount: number;
  readonly findings: readonly Finding[];
};

/** @throws CommandError when the data cannot be read */
function examine(place: string): Report {
  try {
    const look = openToLook(place);
    try {
      return reportOf(look);
    } finally {
      look.close();
    }
  } catch (error) {
    if (error instanceof StartupError) throw new CommandError(error.message, cannotLook);
    // Damage that keeps SQLite from reading the tables that tell what there is.
    if (error instanceof SqliteError) throw new CommandError(`${place} cannot be read: ${error.message}.`, cannotLook);
    throw error;
  }
}

function reportOf({ path, db, horizon, horizonTrouble, isServed }: Look): Report {
  const figure = (sql: string): number => db.prepare<[], number>(sql).pluck().get() ?? 0;
  const now = systemClock(instant(0)).now();
  const findings = doctorOf(db)({ now, horizon, horizonTrouble, hasUpkeep: isServed });
  return {
    path,
    isServed,
    commitNumber: figure('select commit_number from engine_state'),
    queueCount: figure('select count(*) from queues'),
    messageCount: figure('select coalesce(sum(message_count), 0) from queue_counters'),
    brokenCount: findings.filter(isBroken).length,
    lateCount: findings.filter(isLate).length,
    findings,
  };
}

const isLate = ({ count, needsUpkeep }: Finding): boolean => count > 0 && needsUpkeep === true;
const isBroken = (finding: Finding): boolean => finding.count > 0 && !isLate(finding);

/** Upkeep works in slices, so that requests go on: it needs its time for what passed while there was no server. */
const lateWords = 'upkeep has not come to them yet; if it does not within some minutes, look at the log';

function asTable({ path, isServed, commitNumber, queueCount, messageCount, findings }: Report): string {
  const served = isServed ? ', being served' : '';
  const title = `${path}: ${messageCount} messages in ${queueCount} queues at commit ${commitNumber}${served}`;
  const row = (finding: Finding): string => {
    const { promise, count, first } = finding;
    if (count === 0) return `  ok      ${promise}`;
    return isLate(finding)
      ? `  late    ${promise}: ${count}; ${lateWords}`
      : `  BROKEN  ${promise}: ${count}, such as ${JSON.stringify(first)}`;
  };
  return [title, ...findings.map(row)].join('\n');
}
