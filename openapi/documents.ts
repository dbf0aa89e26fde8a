/** The OpenAPI documents as they are committed: written by a real server, which has nothing in it. */
import { pino } from 'pino';
import { createBroker } from '../src/broker/broker.ts';
import { systemClock } from '../src/clock.ts';
import { instant } from '../src/domain/instant.ts';
import { defaultAccount } from '../src/domain/principal.ts';
import { randomIds } from '../src/ids.ts';
import { buildServer } from '../src/server.ts';
import { openSqlite } from '../src/storage/sqlite/engine.ts';

/** File name → text. */
export type Documents = Readonly<Record<'openapi.json' | 'openapi-3.0.json', string>>;

/** Where a committed document says that the server is. */
const servers = [{ url: 'http://localhost:8080', description: 'A server on this machine.' }];

export async function writeDocuments(version: string): Promise<Documents> {
  const ids = randomIds();
  const clock = systemClock(instant(0));
  const log = pino({ level: 'silent' });
  const storage = await openSqlite({ directory: ':memory:', ids, log, now: clock.now() });
  const broker = createBroker({ storage, clock, ids, log });
  const access = { account: defaultAccount, auth: 'open', isLoopback: true, allowedHosts: [] } as const;
  const isReady = () => ({ ready: true, reasons: [] });
  const server = await buildServer({ broker, clock, ids, log, version, access, isReady });
  const text = (document: object) => `${JSON.stringify({ ...document, servers }, null, 2)}\n`;
  const documents = {
    'openapi.json': text(server.documents.openapi31()),
    'openapi-3.0.json': text(server.documents.openapi30()),
  };
  await server.close();
  await storage.close();
  return documents;
}
