/**
 * Installs the clients before the first test, so that no test waits for a download: those of one tool in turn, since Maven's
 * store of packages is for one at a time, the tools side by side.
 */
import { type Client, clients, install, isLeftOut } from './client.ts';

export async function setup(): Promise<void> {
  const asked: readonly Client[] = Object.values(clients).filter((client) => !isLeftOut(client));
  await Promise.all([...Map.groupBy(asked, ({ needs }) => needs).values()].map(installInTurn));
}

async function installInTurn(ofOneTool: readonly Client[]): Promise<void> {
  for (const client of ofOneTool) await install(client);
}
