/**
 * An operation of an HTTP API: where it listens, who may call it, what it does, and everything the OpenAPI document
 * says of it, in one value. Edges hold lists of operations; one place registers them, one writes the document.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Action } from '../domain/action.ts';
import type { FaultCode } from '../domain/errors.ts';
import type { ParameterTable } from './parameters.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

/** How the body of a request arrives at the handler. */
export type BodyForm =
  /** No body; one that comes anyway must be empty or `{}`. */
  | 'none'
  /** A JSON document, as bytes. */
  | 'document'
  /** Any bytes under any content type: a message. */
  | 'message'
  /** JSON as bytes, or lines of JSON as a stream. */
  | 'batch';

export type Content = {
  readonly [mediaType: string]: {
    /** A named zod schema, or JSON Schema where zod has no words for it. */
    readonly schema: z.ZodType | JsonSchema;
    readonly example?: unknown;
    readonly examples?: Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>;
  };
};

export type HeaderDoc = {
  readonly description: string;
  readonly schema: JsonSchema;
  readonly example?: string;
  readonly isRequired?: boolean;
};

export type AnswerDoc = {
  readonly description: string;
  readonly headers?: Readonly<Record<string, HeaderDoc>>;
  readonly content?: Content;
  readonly links?: JsonSchema;
};

export type Tag = 'Queues' | 'Messages' | 'Receipts' | 'Redrive' | 'Keys' | 'System';

export type OperationDoc = {
  readonly tag: Tag;
  readonly summary: string;
  readonly description: string;
  readonly query?: ParameterTable;
  readonly headers?: Readonly<Record<string, HeaderDoc>>;
  readonly request?: { readonly description?: string; readonly isRequired: boolean; readonly content: Content };
  /** By status; `2XX` is an answer of rarer use that generators are not to take for the result of the call. */
  readonly answers: Readonly<Record<number, AnswerDoc> & Partial<Record<'2XX', AnswerDoc>>>;
  /** What can go wrong, beyond what can always go wrong. */
  readonly faults: readonly FaultCode[];
};

export type Operation = {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** HEAD is answered, too: as GET is, without the body. */
  readonly hasHead?: boolean;
  /** Path parameters as `:name`. */
  readonly url: string;
  /** verbNoun; never changed once released, since SDKs name their methods after it. */
  readonly operationId: string;
  readonly action: Action;
  readonly body: BodyForm;
  readonly doc: OperationDoc;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => unknown;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route does, for authorisation. A route without one stops start-up. */
    action?: Action;
    operation?: Operation;
  }
}
