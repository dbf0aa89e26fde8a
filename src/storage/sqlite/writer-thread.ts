/** Where the writer's thread begins: it has a cache of compiled source of its own to turn on, before anything else. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
await import('./writer-program.ts');
