/**
 * The order of test files: those that take longest begin first, so that none of them is left alone at the end. Vitest
 * knows how long each took only where it has run before; a clean clone has not.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Longest first. Those beside them that mostly wait stand between those that mostly compute. */
const longest = [
  'deep/sqlite-thread',
  'deep/slow-clients',
  'deep/model',
  'deep/schemathesis',
  'deep/kill',
  'deep/power-loss',
  'deep/disk-faults',
  'deep/clients',
  'deep/container',
  'deep/silent-writer',
  'deep/kill-fifo',
  'deep/upload',
  'clients/python',
  'clients/java',
  'clients/javascript',
].map((name) => `/test/${name}.test.ts`);

/** The others come after them, as Vitest orders them. */
const placeOf = ({ moduleId }: TestSpecification): number => {
  const place = longest.findIndex((name) => moduleId.endsWith(name));
  return place < 0 ? longest.length : place;
};

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}
