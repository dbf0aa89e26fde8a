/** The conformance suite on SQLite in a file, where a storage can be opened again: cases that go over a restart run. */
import { describe } from 'vitest';
import { fileEngine } from '../support/sqlite.ts';
import { conforms } from './conformance/conforms.ts';

describe(fileEngine.name, { timeout: 30_000 }, () => conforms(fileEngine));
