/** What a schema found wrong, as a name and a sentence that says what would be right. */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/**
 * The first thing wrong: the path of the value (`deadLetter.queue`, `messages[3].body`) and the sentence about it.
 * @param known the members that the whole value may have
 */
export function firstProblem(
  error: z.ZodError,
  at = '',
  known: readonly string[] = [],
): { name: string; problem: string } {
  const issue = error.issues[0];
  if (issue === undefined) return { name: at || 'body', problem: 'is not as it should be' };
  if (issue.code === 'unrecognized_keys') {
    const name = pathText([...issue.path, issue.keys[0] ?? ''], at);
    const there = issue.path.length > 0 || known.length === 0 ? '' : `; there are ${known.join(', ')}`;
    return { name, problem: `is not a member that is known here${there}` };
  }
  if (issue.code === 'invalid_key' && issue.issues[0] !== undefined) {
    return { name: pathText(issue.path, at) || 'body', problem: `as a name: ${sentence(issue.issues[0])}` };
  }
  return { name: pathText(issue.path, at) || 'body', problem: sentence(issue) };
}

/** The sentence alone, for a value whose name is known. */
export function issueProblem(error: z.ZodError): string {
  return firstProblem(error).problem;
}

function pathText(path: readonly PropertyKey[], at: string): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text === '' ? String(key) : `${text}.${String(key)}`;
  }, at);
}

const typeNames: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a string',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'a list',
};
const typeName = (type: string): string => typeNames[type] ?? type;

/** What would be right, to stand behind the name of what is wrong. */
export function sentence(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (!issue.message.endsWith('received undefined')) return `must be ${typeName(issue.expected)}`;
      return (issue.expected as string) === 'nonoptional'
        ? 'is missing'
        : `is missing: it must be ${typeName(issue.expected)}`;
    case 'too_small':
      return `must be at least ${String(issue.minimum)}${unitOf(issue.origin)}`;
    case 'too_big':
      return `must be at most ${String(issue.maximum)}${unitOf(issue.origin)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`;
    default:
      // The message of a rule of ours, which is a sentence already.
      return issue.message;
  }
}

const unitOf = (origin: string): string =>
  origin === 'string' ? ' characters long' : origin === 'array' || origin === 'set' ? ' items long' : '';
