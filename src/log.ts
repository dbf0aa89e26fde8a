/**
 * The log: JSON lines on standard output. Written beside the event loop, so that a slow reader of the log does not hold
 * up requests; pino writes what is left when the process exits, also after an uncaught error.
 */
import { destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from './config.ts';

/**
 * What is written at once: lines of several threads are not mixed up in a pipe as long as none of them writes more than
 * PIPE_BUF. @see https://man7.org/linux/man-pages/man7/pipe.7.html
 */
const writeBytesMax = 4_096;

/** The log of the calling thread. */
export const openLog = ({ logLevel, httpThreads }: Pick<Config, 'logLevel' | 'httpThreads'>): Logger =>
  pino(
    { level: logLevel, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    destination({ fd: 1, sync: false, ...(httpThreads > 1 ? { maxWrite: writeBytesMax } : {}) }),
  );
