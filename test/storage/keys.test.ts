import { describe } from 'vitest';
import { fileEngine, memoryEngine } from '../support/sqlite.ts';
import { keysConform } from './conformance/keys.ts';

for (const engine of [memoryEngine, fileEngine]) describe(engine.name, () => keysConform(engine));
