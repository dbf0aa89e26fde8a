/** Engines against a model written from the documents: random sequences of commands, the same answers. */
import { describe, it } from 'vitest';
import { fileEngine, memoryEngine } from '../support/sqlite.ts';
import { runModel } from './model/run.ts';

describe('an engine answers as the model does', () => {
  it.each([
    { engine: memoryEngine, sizes: { sequences: 150, maxCommands: 60, seed: 42 } },
    { engine: memoryEngine, sizes: { sequences: 150, maxCommands: 60 } },
    { engine: fileEngine, sizes: { sequences: 15, maxCommands: 60 } },
  ])('$engine.name, $sizes', ({ engine, sizes }) => runModel(engine, sizes), 180_000);
});
