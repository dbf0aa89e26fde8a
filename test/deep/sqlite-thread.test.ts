/**
 * SQLite as a server runs it: in a file, with a thread for the writer. A thread takes long to start, so only the parts of
 * the conformance suite run that depend on how requests, answers, notices and refusals cross to it and back, and the thread
 * runs what is built.
 */
import { describe, vi } from 'vitest';
import { limitsConform } from '../storage/conformance/limits.ts';
import { messagesConform } from '../storage/conformance/messages.ts';
import { noticesConform } from '../storage/conformance/notices.ts';
import { redriveConform } from '../storage/conformance/redrive.ts';
import { threadEngine } from '../support/sqlite.ts';

vi.mock('../../src/package.ts', async (load) => {
  const source = await load<typeof import('../../src/package.ts')>();
  return { ...source, programFile: (name: string) => source.inPackage(`dist/${name}.js`) };
});

describe(threadEngine.name, () => {
  messagesConform(threadEngine);
  redriveConform(threadEngine);
  limitsConform(threadEngine);
  noticesConform(threadEngine);
});
