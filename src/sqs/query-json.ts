/**
 * The JSON form of Query's answers, for requests whose Accept header asks for JSON: the XML's envelope as members. Some
 * members have names and forms of their own there: lists begin in lower case, maps are lists of pairs, and what is absent
 * is null.
 */
import type { SqsError } from './errors.ts';
import { queryError } from './query.ts';
import type { Output, Result } from './shape.ts';

export const queryJsonType = 'application/json';

/** Members that begin in lower case in this form. */
const renamed: Readonly<Record<string, string>> = { Messages: 'messages', QueueUrls: 'queueUrls' };

export function writeQueryJson(action: string, result: object, output: Result, RequestId: string): string {
  const members = output === 'nothing' ? {} : { [`${action}Result`]: membersOf(result, output.members) };
  return JSON.stringify({ [`${action}Response`]: { ...members, ResponseMetadata: { RequestId } } });
}

export function writeQueryJsonError(error: SqsError, RequestId: string): string {
  const { type: Type, code: Code, message: Message } = queryError(error);
  return JSON.stringify({ Error: { Code, Message, Type }, RequestId });
}

function membersOf(value: object, members: Readonly<Record<string, Output>>): object {
  const values = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(members).map(([name, shape]) => [renamed[name] ?? name, formOf(values[name], shape)]),
  );
}

function formOf(value: unknown, shape: Output): unknown {
  if (value === undefined) return null;
  if (shape === 'text') return value;
  switch (shape.is) {
    case 'struct':
      return membersOf(value as object, shape.members);
    case 'list':
      return (value as readonly unknown[]).map((item) => formOf(item, shape.of));
    case 'map':
      return Object.entries(value as object).map(([key, item]) => ({
        [shape.key]: key,
        Value: formOf(item, shape.of),
      }));
  }
}
