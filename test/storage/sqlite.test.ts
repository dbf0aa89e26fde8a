/** The conformance suite on SQLite: in memory and in a file, where a storage can be opened again. */
import { describe } from 'vitest';
import { fileEngine, memoryEngine } from '../support/sqlite.ts';
import { deadLettersConform } from './conformance/dead-letters.ts';
import { fifoConform } from './conformance/fifo.ts';
import { idempotencyConform } from './conformance/idempotency.ts';
import { limitsConform } from './conformance/limits.ts';
import { messagesConform } from './conformance/messages.ts';
import { noticesConform } from './conformance/notices.ts';
import { queuesConform } from './conformance/queues.ts';
import { receiptsConform } from './conformance/receipts.ts';
import { redriveConform } from './conformance/redrive.ts';
import { upkeepConform } from './conformance/upkeep.ts';

for (const engine of [memoryEngine, fileEngine]) {
  describe(engine.name, () => {
    queuesConform(engine);
    messagesConform(engine);
    receiptsConform(engine);
    fifoConform(engine);
    deadLettersConform(engine);
    redriveConform(engine);
    upkeepConform(engine);
    idempotencyConform(engine);
    limitsConform(engine);
    noticesConform(engine);
  });
}
