/** An SQS action: its name, what it takes, what it gives, and what it does. It knows neither JSON nor XML. */
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../clock.ts';
import type { Principal } from '../domain/principal.ts';
import type { Result } from './shape.ts';

/** What is the same for every request. */
export type SqsSettings = {
  /** The region in ARNs. */
  readonly region: string;
  /** What queue URLs begin with, such as `https://queues.example.com`; absent: as the client called the server. */
  readonly publicUrl?: string | undefined;
  /** How long a name is not free after its queue was deleted. */
  readonly recreateSeconds: number;
};

/** What an action has at hand. */
export type ActionContext = SqsSettings & {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly principal: Principal;
  /** What queue URLs in answers begin with. */
  readonly origin: () => string;
  /** The header X-Amzn-Trace-Id. */
  readonly traceHeader: string | undefined;
  /** Query: a member that is missing has another error than in JSON, and two lists of names are one. */
  readonly isQuery: boolean;
  readonly reply: FastifyReply;
};

export type SqsAction = {
  readonly name: string;
  readonly input: z.ZodObject;
  readonly output: Result;
  /** Whether it makes sense at the address of a queue. */
  readonly isForQueuePath: boolean;
  /** The input was parsed by `input`. */
  readonly run: (input: never, context: ActionContext) => Promise<object>;
};

type Definition<I extends z.ZodObject> = {
  readonly name: string;
  readonly input: I;
  readonly output: Result;
  readonly isForQueuePath?: boolean;
  readonly run: (input: z.output<I>, context: ActionContext) => Promise<object>;
};

/** Defines an action; `run` sees its input as the schema types it. */
export const defineAction = <I extends z.ZodObject>({ isForQueuePath = true, ...rest }: Definition<I>): SqsAction => ({
  ...rest,
  isForQueuePath,
});

/** What void actions give. */
export const nothing = {};
