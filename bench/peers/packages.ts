/** Loads a client library from where the peers' packages are installed: it is no package of the server. */
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** @param folder see `ClientOptions.packages` */
export const loadPackage = <T>(folder: string, name: string): T => createRequire(join(folder, 'package.json'))(name);
