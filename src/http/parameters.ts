/**
 * Query parameters: one table per operation, a row per parameter, walked for reading and for documenting.
 *
 * Read by hand and not by a schema library, since these are the hottest lines of the edge: a receive has three.
 */
import type { z } from 'zod';
import { Fault } from '../domain/errors.ts';
import { parseDurationSeconds } from '../domain/instant.ts';
import { limits } from '../domain/limits.ts';
import { issueProblem } from '../domain/zod-problem.ts';
import { openCursor } from './cursor.ts';
import type { JsonSchema } from './operation.ts';

export type Parameter<T> = {
  readonly description: string;
  readonly schema: JsonSchema;
  readonly example: string | number | boolean;
  /** @throws invalidArgument */
  readonly read: (name: string, text: string) => T;
};
export type ParameterTable = Readonly<Record<string, Parameter<unknown>>>;
export type ParameterValues<P extends ParameterTable> = {
  readonly [N in keyof P]?: P[N] extends Parameter<infer T> ? T : never;
};

export const invalid = (name: string, problem: string): Fault => Fault.of('invalidArgument', { name, problem });

/**
 * The values of a query string; parameters that were not given are absent.
 * @throws invalidArgument for an unknown, a repeated or an unreadable one
 */
export function readQuery<P extends ParameterTable>(table: P, query: unknown): ParameterValues<P> {
  const values: Record<string, unknown> = {};
  const given = query as Readonly<Record<string, string | readonly string[]>>;
  for (const name in given) {
    const parameter = Object.hasOwn(table, name) ? table[name] : undefined;
    if (parameter === undefined) throw unknownParameter(table, name);
    const text = given[name];
    if (typeof text !== 'string') throw invalid(name, 'is given more than once');
    values[name] = parameter.read(name, text);
  }
  return values as ParameterValues<P>;
}

function unknownParameter(table: ParameterTable, name: string): Fault {
  const known = Object.keys(table);
  const problem =
    known.length === 0 ? 'is unknown: there are no query parameters here' : `is unknown: there are ${known.join(', ')}`;
  return invalid(name.slice(0, 64), problem);
}

const digits = /^\d{1,16}$/;

/** A whole number within bounds. */
export const wholeNumber = (min: number, max: number, description: string, example: number): Parameter<number> => ({
  description,
  schema: { type: 'integer', minimum: min, maximum: max, format: max <= 0x7fffffff ? 'int32' : 'int64' },
  example,
  read(name, text) {
    const value = digits.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw invalid(name, `must be a whole number from ${min} to ${max}, not ${shown(text)}`);
  },
});

/** A duration as people write it: plain seconds or `30s`, `5m`, `2h`, `1d`. */
export const duration = (max: number, description: string, example: string): Parameter<number> => ({
  description: `${description} Seconds, or with a unit: \`30s\`, \`5m\`, \`2h\`, \`1d\`; at most ${max} seconds.`,
  schema: { type: 'string', pattern: '^\\d{1,9}[smhd]?$' },
  example,
  read(name, text) {
    const seconds = parseDurationSeconds(text);
    if (seconds !== undefined && seconds <= max) return seconds;
    throw invalid(name, `must be a duration such as 30s, 5m or 2h of at most ${max} seconds, not ${shown(text)}`);
  },
});

/** Text that a schema describes. */
export const text = (
  schema: z.ZodType<string>,
  json: JsonSchema,
  description: string,
  example: string,
): Parameter<string> => ({
  description,
  schema: { type: 'string', ...json },
  example,
  read(name, value) {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw invalid(name, issueProblem(parsed.error));
  },
});

/** True when given bare or as `true`. */
export const flag = (description: string): Parameter<boolean> => ({
  description,
  schema: { type: 'boolean' },
  example: true,
  read(name, value) {
    if (value === 'true' || value === '') return true;
    if (value === 'false') return false;
    throw invalid(name, `must be true or false, not ${shown(value)}`);
  },
});

/** One word out of a few. */
export const choice = <const T extends string>(values: readonly T[], description: string): Parameter<T> => ({
  description,
  schema: { type: 'string', enum: values },
  example: values[0] ?? '',
  read(name, value) {
    const found = values.find((word) => word === value);
    if (found !== undefined) return found;
    throw invalid(name, `must be one of ${values.join(', ')}, not ${shown(value)}`);
  },
});

/** Where a list goes on: what the page before said. */
export const cursor: Parameter<string> = {
  description: 'Where to go on: the `nextCursor` of the page before.',
  schema: { type: 'string', minLength: 1, maxLength: 1_024 },
  example: '5S_97m9yZGVycw',
  read(name, value) {
    const opened = openCursor(value);
    if (opened !== undefined) return opened;
    throw invalid(name, 'must be the nextCursor of the page before, as it came');
  },
};

/** `limit` and `cursor` of a list. */
export const paging = {
  limit: wholeNumber(
    1,
    limits.pageItemsMax,
    `Items per page; ${limits.pageItemsDefault} unless given.`,
    limits.pageItemsDefault,
  ),
  cursor,
};

/** What was given, cut and quoted for a sentence. */
export const shown = (value: string): string => JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value);
