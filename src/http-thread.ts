/** Where a further HTTP thread begins: it has a cache of compiled source of its own to turn on, before anything else. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
await import('./http-thread-program.ts');
