import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

/**
 * Three projects: `fast` decides every commit, `deep` (crashes, faults, the container) runs by `npm run test:deep`, and
 * `clients` (SDKs and frameworks as their makers ship them) by `npm run test:clients`.
 */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/deep/**', 'test/clients/**'],
          pool: 'threads',
          maxWorkers: 2,
          // The end of a vain wait, not a bound on speed: a busy machine is no failure.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'deep',
          include: ['test/deep/**/*.test.ts'],
          globalSetup: 'test/support/built.ts',
          pool: 'forks',
          // Two at a time: many wait most of the time.
          maxWorkers: 2,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          globalSetup: ['test/support/built.ts', 'test/clients/installed.ts'],
          pool: 'forks',
          // Two at a time, as many as there are processors to do the work: each program is one process beside its server.
          maxWorkers: 2,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
