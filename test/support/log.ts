/** A real pino logger that keeps its lines instead of writing them. */
import { type Logger, pino } from 'pino';

export type LogLine = { readonly level: number; readonly msg: string } & Readonly<Record<string, unknown>>;

export type RecordingLog = Logger & {
  /** What was logged so far, oldest first. */
  readonly lines: readonly LogLine[];
  /** The same, which is then forgotten: for tests that expect errors in the log. */
  readonly take: () => readonly LogLine[];
};

export function recordingLog(): RecordingLog {
  const lines: LogLine[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line) as LogLine) };
  return Object.assign(pino({ level: 'trace' }, stream), { lines, take: () => lines.splice(0) });
}
