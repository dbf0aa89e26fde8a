/** The model test at length: more and longer sequences, with restarts. */
import { describe, it } from 'vitest';
import { runModel } from '../storage/model/run.ts';
import { fileEngine, memoryEngine } from '../support/sqlite.ts';

describe('an engine answers as the model does', () => {
  it.each([
    { engine: memoryEngine, sizes: { sequences: 1_500, maxCommands: 100 } },
    { engine: fileEngine, sizes: { sequences: 100, maxCommands: 100 } },
  ])('$engine.name, $sizes', ({ engine, sizes }) => runModel(engine, sizes));
});
