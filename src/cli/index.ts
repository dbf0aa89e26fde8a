#!/usr/bin/env node
/**
 * Where the program begins: keeps what V8 made of the source for the next start, then runs the command line.
 *
 * The rest is imported later because what is imported before the cache is on is compiled anew each time.
 */
import { enableCompileCache } from 'node:module';
import { keepHeapSmall } from './heap.ts';

keepHeapSmall();
// In the user's own folder below the system's temporary one; where that cannot be written to, nothing is kept.
enableCompileCache();
const { run } = await import('./program.ts');
await run();
