/**
 * Where this package lies and what is in it, from the source as from a build, whose files lie otherwise: what is beside
 * the code is found from the folder that holds package.json.
 */
import { existsSync, readFileSync } from 'node:fs';

/** Far above any nesting of ours. */
const levelsMax = 8;

function findFolder(): URL {
  let folder = new URL('.', import.meta.url);
  for (let level = 0; level < levelsMax; level += 1) {
    if (existsSync(new URL('package.json', folder))) return folder;
    folder = new URL('..', folder);
  }
  throw new Error(`There is no package.json above ${import.meta.url}.`);
}

const folder = findFolder();
const isSource = import.meta.url.endsWith('.ts');

/** @param path from the top of the package, such as `migrations/sqlite/` */
export const inPackage = (path: string): URL => new URL(path, folder);

/** The file of a program of its own, such as that of a thread. @param name its path below `src`, without an ending */
export const programFile = (name: string): URL => inPackage(isSource ? `src/${name}.ts` : `dist/${name}.js`);

export const manifest = JSON.parse(readFileSync(inPackage('package.json'), 'utf8')) as { readonly version: string };
