/**
 * How much the deep tests do: what fits beside everything else on every change, or, by `npm run test:deep -- --full`,
 * what a release is worth.
 */

/** Set by the runner of the deep tests. */
export const fullVariable = 'SLUICE_TEST_FULL';

export const isFull = process.env[fullVariable] === 'true';

/** What each test does on every change, and before a release. */
const sizes = {
  /** Disks as a power cut may leave them. */
  crashStates: [1_000, 100_000],
  /** Disks that are copied as they stand under load. */
  powerCuts: [30, 500],
  /** Folders of data that are damaged. */
  damages: [300, 10_000],
  /** Servers killed under load. */
  kills: [30, 1_600],
  fifoKills: [10, 400],
  /** Calls to the disk that go wrong, one per server; at full size each one at which it can. */
  diskFaults: [38, Number.POSITIVE_INFINITY],
  /** Sequences of commands for an engine and the model. */
  modelInMemory: [400, 20_000],
  modelInFile: [50, 1_000],
  modelOfEdge: [40, 2_000],
  /** Requests that schemathesis makes of each operation, beside those that cover its schema. */
  casesOfOperation: [5, 200],
  /** Texts for each parser. */
  textsOfParser: [2_000, 200_000],
  /** Signed requests, each of them changed ten times as well. */
  signatures: [2_000, 10_000],
  /** Servers told to stop under load. */
  drains: [3, 100],
  /** Seconds for which a server is offered more than it can write. */
  overloadSeconds: [8, 600],
  /** Seconds for which clients that asked for much read nothing. */
  unreadSeconds: [8, 130],
} as const satisfies Record<string, readonly [everyChange: number, full: number]>;

export const sizeOf = (name: keyof typeof sizes): number => sizes[name][isFull ? 1 : 0];
