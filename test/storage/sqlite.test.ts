/** The conformance suite on SQLite in memory; sqlite-file.test.ts runs it on a file, beside this one. */
import { describe } from 'vitest';
import { memoryEngine } from '../support/sqlite.ts';
import { conforms } from './conformance/conforms.ts';

describe(memoryEngine.name, { timeout: 30_000 }, () => conforms(memoryEngine));
