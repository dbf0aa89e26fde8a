/** The whole suite: what every engine must do, judged through the port alone. */
import type { Engine } from '../../support/storage.ts';
import { deadLettersConform } from './dead-letters.ts';
import { fifoConform } from './fifo.ts';
import { idempotencyConform } from './idempotency.ts';
import { limitsConform } from './limits.ts';
import { messagesConform } from './messages.ts';
import { noticesConform } from './notices.ts';
import { queuesConform } from './queues.ts';
import { receiptsConform } from './receipts.ts';
import { redriveConform } from './redrive.ts';
import { upkeepConform } from './upkeep.ts';

/** To be called inside a `describe` that names the engine. */
export function conforms(engine: Engine): void {
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
}
