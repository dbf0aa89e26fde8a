/** A disk that hangs for good: the process ends, so that whoever watches it starts another or looks after the disk. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startServer, temporaryFolder } from '../support/process.ts';

it('ends the process with 1 when the writer has been silent for 30 seconds with work waiting', async () => {
  const pipe = join(temporaryFolder(), 'pipe');
  execFileSync('mkfifo', [pipe]);
  // The writer's thread opens a pipe that nobody writes to when it is asked to create the queue.
  const planted = `import { readFileSync } from 'node:fs';
    import { parentPort } from 'node:worker_threads';
    parentPort?.on('message', (message) =>
      JSON.stringify(message).includes('"putQueue"') && readFileSync(${JSON.stringify(pipe)}));`;
  const server = startServer(temporaryFolder(), {
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(planted)}`,
  });
  const url = await server.url;
  const begun = performance.now();
  await expect(fetch(`${url}/v1/queues/orders`, { method: 'PUT' })).rejects.toThrow();
  expect(await server.ended).toEqual({ code: 1, signal: null, errorText: '' });
  expect(performance.now() - begun).toBeGreaterThan(30_000);
  expect(await server.logged('storage failed')).toMatchObject({
    level: 'fatal',
    err: { message: expect.stringContaining('has not answered') },
  });
});
