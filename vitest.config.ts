import { defineConfig } from 'vitest/config';

/** Two projects: `fast` decides every commit, `deep` (clients, crashes, faults) runs by `npm run test:deep`. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: ['test/deep/**'],
          pool: 'threads',
          // The end of a vain wait, not a bound on speed: a busy machine is no failure.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'deep',
          include: ['test/deep/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
