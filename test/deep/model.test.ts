/**
 * The model test at length: more and longer sequences, with restarts; and the same commands through the REST API and both
 * protocols of SQS.
 */
import { describe, it } from 'vitest';
import { runModel } from '../storage/model/run.ts';
import { restEngine, sqsEngine } from '../support/edges.ts';
import { sizeOf } from '../support/sizes.ts';
import { fileEngine, memoryEngine, memoryFileEngine } from '../support/sqlite.ts';

describe('an engine answers as the model does', () => {
  const maxCommands = 100;
  it.each([
    { engine: memoryEngine, sizes: { sequences: sizeOf('modelInMemory'), maxCommands } },
    { engine: fileEngine, sizes: { sequences: sizeOf('modelInFile'), maxCommands } },
    { engine: restEngine(memoryFileEngine), sizes: { sequences: sizeOf('modelOfEdge'), maxCommands } },
    { engine: sqsEngine(memoryFileEngine, 'json'), sizes: { sequences: sizeOf('modelOfEdge'), maxCommands } },
    { engine: sqsEngine(memoryFileEngine, 'query'), sizes: { sequences: sizeOf('modelOfEdge'), maxCommands } },
  ])('$engine.name, $sizes', ({ engine, sizes }) => runModel(engine, sizes));
});
