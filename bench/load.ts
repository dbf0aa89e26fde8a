/**
 * The load generator that speaks HTTP: so many connections, each in a conversation, for so long; or long polls that wait
 * while one connection sends.
 */
import { Connection, requestBytes } from './connection.ts';
import { Counter, type LoadResult, measure, pause, serveJobs } from './generator.ts';
import { quantile } from './numbers.ts';
import { restScripts, type ScriptOptions } from './scripts.ts';
import { sqsScripts } from './sqs-scripts.ts';

const scripts = { ...restScripts, ...sqsScripts };

export type Drive = ScriptOptions & {
  readonly does: keyof typeof scripts;
  readonly port: number;
  readonly connections: number;
  readonly warmSeconds: number;
  readonly seconds: number;
  /** Ends as soon as so many units are done. */
  readonly unitsMax?: number | undefined;
};

export type LongPolls = {
  readonly does: 'longPolls';
  readonly port: number;
  readonly queues: readonly string[];
  readonly polls: number;
  /** The polls are opened evenly over this time, so that they do not end all at once. */
  readonly openSeconds: number;
  /** Nobody sends meanwhile: the server's idle cost. */
  readonly idleSeconds: number;
  readonly wakes: number;
  readonly wakeGapMs: number;
};

export type Job = Drive | LongPolls;

/** Runs the conversations; each ends after the answer it waits for, and a life in hand is finished. */
async function drive(job: Drive): Promise<LoadResult> {
  const counter = new Counter();
  const { promise: failure, reject } = Promise.withResolvers<never>();
  let isOver = false;
  const { promise: enough, resolve: stop } = Promise.withResolvers<void>();

  const converse = (): Promise<void> =>
    new Promise((resolve) => {
      const connection = new Connection(job.port, reject);
      const script = scripts[job.does](job);
      const step = () => {
        const startedAt = performance.now();
        connection.request(script.next(), (status, body) => {
          try {
            counter.count(script.answered(status, body), performance.now() - startedAt);
            if (job.unitsMax !== undefined && counter.units >= job.unitsMax) stop();
            if (isOver && script.isAtRest()) {
              connection.close();
              resolve();
            } else step();
          } catch (cause) {
            reject(cause);
          }
        });
      };
      step();
    });

  const all = Promise.all(Array.from({ length: job.connections }, converse));
  const conversations = Promise.race([all, failure]);
  const end = () => {
    isOver = true;
  };
  return await measure(counter, job, { conversations, end, enough });
}

/** Bodies of wake-up messages: the number tells when it was sent. */
const wakePattern = /"body":"wake-(\d+)"/;

async function longPolls(job: LongPolls): Promise<LoadResult> {
  const counter = new Counter();
  const { promise: failure, reject } = Promise.withResolvers<never>();
  const connections: Connection[] = [];
  const sentAt: number[] = [];
  let awake: (() => void) | undefined;
  const queueOf = (i: number): string => job.queues[i % job.queues.length] ?? '';

  const poll = (i: number) => {
    const connection = new Connection(job.port, reject);
    connections.push(connection);
    const request = requestBytes('POST', `/v1/queues/${queueOf(i)}/messages/receive?max=1&wait=20s`, '');
    const again = () =>
      connection.request(request, (status, body) => {
        if (status !== 200) return reject(new Error(`A long poll was answered ${status}: ${body.toString()}`));
        const wake = wakePattern.exec(body.toString());
        counter.count(wake === null ? 0 : 1, performance.now() - (sentAt[Number(wake?.[1])] ?? Number.NaN));
        again();
        if (wake !== null) awake?.();
      });
    again();
  };

  const perTick = Math.ceil(job.polls / (job.openSeconds * 100));
  for (let opened = 0; opened < job.polls; await Promise.race([pause(10), failure])) {
    for (let i = 0; i < perTick && opened < job.polls; i += 1) poll(opened++);
  }
  await Promise.race([pause(2_000), failure]);
  counter.begin();
  await Promise.race([pause(job.idleSeconds * 1_000), failure]);
  const idle = counter.end();

  const waking = new Counter();
  const sender = new Connection(job.port, reject);
  for (let i = 0; i < job.wakes; i += 1) {
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    awake = resolve;
    const body = `wake-${i}`;
    const request = requestBytes('POST', `/v1/queues/${queueOf(i)}/messages`, body, 'Content-Type: text/plain\r\n');
    sentAt[i] = performance.now();
    sender.request(request, (status, answer) => {
      if (status !== 201) reject(new Error(`A send was answered ${status}: ${answer.toString()}`));
    });
    await Promise.race([woken, failure]);
    waking.waits.push(performance.now() - (sentAt[i] ?? 0));
    await Promise.race([pause(job.wakeGapMs), failure]);
  }
  for (const connection of [...connections, sender]) connection.close();
  return { ...idle, p50Ms: quantile(waking.waits, 0.5), p99Ms: quantile(waking.waits, 0.99) };
}

serveJobs((job: Job) => (job.does === 'longPolls' ? longPolls(job) : drive(job)));
