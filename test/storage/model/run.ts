/** Runs sequences of commands against an engine and the model. */
import { randomInt } from 'node:crypto';
import * as fc from 'fast-check';
import { type Engine, Trial } from '../../support/storage.ts';
import { anyCommands, begin, drain } from './commands.ts';
import { Model } from './model.ts';

export type Sizes = { readonly sequences: number; readonly maxCommands: number; readonly seed?: number };

/** Each sequence has its own storage; the seed is told, and with it a failure can be had again. */
export async function runModel(
  engine: Engine,
  { sequences, maxCommands, seed = randomInt(2 ** 31) }: Sizes,
): Promise<void> {
  process.stdout.write(
    `model, ${engine.name}: ${sequences} sequences of up to ${maxCommands} commands, seed ${seed}\n`,
  );
  await fc.assert(
    fc.asyncProperty(anyCommands({ maxCommands }), async (commands) => {
      const trial = new Trial(engine, await engine.open());
      const model = new Model();
      try {
        await begin(model, trial);
        await fc.asyncModelRun(() => ({ model, real: trial }), commands);
        await drain(model, trial);
      } finally {
        await trial.storage.close();
        await engine.discard?.(trial.storage);
      }
    }),
    { seed, numRuns: sequences },
  );
}
