/**
 * Queue policies: the strict subset of IAM's language that is understood here. Anything else is refused when the policy
 * is set: what is kept is enforced.
 *
 *     explicit Deny ─▶ denied │ Allow of a scope, or of the policy ─▶ allowed │ else ─▶ denied
 *
 * Left out: NotPrincipal, NotAction, NotResource, roles, and conditions beyond policy-conditions.ts. `Service` principals
 * are kept and match nobody, since no services of AWS call here. An Allow for everybody without a condition is refused
 * unless the operator lets queues be public.
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-creating-custom-policies.html
 */
import { z } from 'zod';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import { firstProblem } from '../domain/zod-problem.ts';
import { readJson } from '../http/json.ts';
import { type Condition, conditionOf, holds, type PolicyContext } from './policy-conditions.ts';
import { matchesWildcard } from './wildcard.ts';

/** What IAM knows of SQS, in lower case. Batches have no names of their own: they are authorised as the single form. */
export const policyActions: readonly string[] = [
  'addpermission',
  'cancelmessagemovetask',
  'changemessagevisibility',
  'createqueue',
  'deletemessage',
  'deletequeue',
  'getqueueattributes',
  'getqueueurl',
  'listdeadlettersourcequeues',
  'listmessagemovetasks',
  'listqueues',
  'listqueuetags',
  'purgequeue',
  'receivemessage',
  'removepermission',
  'sendmessage',
  'setqueueattributes',
  'startmessagemovetask',
  'tagqueue',
  'untagqueue',
];

const oneOrMany = z.union([z.string().max(2_048), z.array(z.string().max(2_048)).min(1).max(100)]);
const ConditionValue = z.union([z.string().max(2_048), z.number(), z.boolean()]);
const StatementSchema = z.strictObject({
  Sid: z.string().max(128).optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.union([z.literal('*'), z.strictObject({ AWS: oneOrMany }), z.strictObject({ Service: oneOrMany })], {
    error: 'must be "*", {"AWS": …} or {"Service": …}',
  }),
  Action: oneOrMany,
  Resource: oneOrMany,
  Condition: z
    .record(z.string(), z.record(z.string(), z.union([ConditionValue, z.array(ConditionValue).min(1).max(100)])))
    .optional(),
});
const PolicySchema = z.strictObject({
  Version: z.enum(['2012-10-17', '2008-10-17']),
  Id: z.string().max(2_048).optional(),
  Statement: z.array(StatementSchema).min(1).max(limits.policyStatementsMax),
});

/** Whom a statement names. */
type Who =
  | { readonly is: 'everybody' }
  | { readonly is: 'account'; readonly account: string }
  | { readonly is: 'key'; readonly account: string; readonly keyId: string };

type QueuePatterns = { readonly account: string; readonly name: string };

type Statement = {
  readonly isAllow: boolean;
  readonly who: readonly Who[];
  /** Patterns in lower case, without the `sqs:`. */
  readonly actions: readonly string[];
  readonly resources: readonly QueuePatterns[];
  readonly conditions: readonly Condition[];
};
export type Policy = { readonly statements: readonly Statement[] };

export type PolicyOptions = {
  /** Whether a queue may be open to everybody who has a key of any account. */
  readonly allowsPublic?: boolean;
};

/** The policy, or what is wrong with it as a sentence without its dot. */
export function parsePolicy(text: string, { allowsPublic = false }: PolicyOptions = {}): Policy | string {
  if (Buffer.byteLength(text) > limits.policyBytesMax) return `it is longer than ${limits.policyBytesMax} bytes`;
  const document = jsonOf(text);
  if (document === undefined) return 'it is not JSON';
  const parsed = PolicySchema.safeParse(document);
  if (!parsed.success) {
    const { name, problem } = firstProblem(parsed.error);
    return `${name} ${problem}`;
  }
  const statements: Statement[] = [];
  for (const [i, raw] of parsed.data.Statement.entries()) {
    const statement = statementOf(raw, allowsPublic);
    if (typeof statement === 'string') return `Statement[${i}]: ${statement}`;
    statements.push(statement);
  }
  return { statements };
}

function jsonOf(text: string): unknown {
  try {
    return readJson(Buffer.from(text)).value;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

const listOf = <T>(value: T | T[]): readonly T[] => (Array.isArray(value) ? value : [value]);

/** Thrown and caught within this file: the first thing wrong with a statement. */
class Problem extends Error {}

function statementOf(raw: z.infer<typeof StatementSchema>, allowsPublic: boolean): Statement | string {
  try {
    const statement: Statement = {
      isAllow: raw.Effect === 'Allow',
      who: whoOf(raw.Principal),
      actions: listOf(raw.Action).map(actionPattern),
      resources: listOf(raw.Resource).map(resourcePatterns),
      conditions: Object.entries(raw.Condition ?? {}).flatMap(([operator, byKey]) =>
        Object.entries(byKey).map(([key, values]) => conditionOrProblem(operator, key, listOf(values).map(String))),
      ),
    };
    return isPublic(statement) && !allowsPublic
      ? 'it allows everybody without a condition, which is not allowed here'
      : statement;
  } catch (error) {
    if (error instanceof Problem) return error.message;
    throw error;
  }
}

/** Whether it lets everybody in who has a key of any account. */
export const isPublic = ({ isAllow, conditions, who }: Statement): boolean =>
  isAllow && conditions.length === 0 && who.some(({ is }) => is === 'everybody');

function conditionOrProblem(operator: string, key: string, values: readonly string[]): Condition {
  const condition = conditionOf(operator, key, values);
  if (typeof condition === 'string') throw new Problem(condition);
  return condition;
}

function whoOf(principal: z.infer<typeof StatementSchema>['Principal']): readonly Who[] {
  if (principal === '*') return [{ is: 'everybody' }];
  return 'Service' in principal ? [] : listOf(principal.AWS).map(awsPrincipal);
}

const iamArn = /^arn:(?:aws|aws-cn|aws-us-gov):iam::(\d{12}):(?:root|user\/([\w+=,.@-]{1,128}))$/;

function awsPrincipal(text: string): Who {
  if (text === '*') return { is: 'everybody' };
  if (/^\d{12}$/.test(text)) return { is: 'account', account: text };
  const [, account, keyId] = iamArn.exec(text) ?? [];
  if (account === undefined) {
    throw new Problem(
      `the principal ${JSON.stringify(text)} is neither an account, arn:aws:iam::<account>:root, nor arn:aws:iam::<account>:user/<key id>`,
    );
  }
  return keyId === undefined ? { is: 'account', account } : { is: 'key', account, keyId };
}

function actionPattern(text: string): string {
  const lower = text.toLowerCase();
  const pattern = lower === '*' ? '*' : lower.startsWith('sqs:') ? lower.slice(4) : undefined;
  if (pattern === undefined || !policyActions.some((action) => matchesWildcard(pattern, action))) {
    throw new Problem(`the action ${JSON.stringify(text)} names none of SQS`);
  }
  return pattern;
}

/** The region is not compared: one server is one region, whatever clients call it. */
function resourcePatterns(text: string): QueuePatterns {
  if (text === '*') return { account: '*', name: '*' };
  const [arn, partition = '', service, _region, account = '', name = '', ...more] = text.split(':');
  const isQueue = arn === 'arn' && /^(?:aws|aws-cn|aws-us-gov|\*)$/.test(partition) && service === 'sqs';
  if (!isQueue || account === '' || name === '' || more.length > 0) {
    throw new Problem(
      `the resource ${JSON.stringify(text)} is not the ARN of queues, arn:aws:sqs:<region>:<account>:<name>`,
    );
  }
  return { account, name };
}

export type PolicyAsk = PolicyContext & {
  /** In lower case, one of policyActions. */
  readonly action: string;
  readonly queue: { readonly account: string; readonly name: string };
};

/** What the policy says of a request; `nothing` when no statement speaks of it. */
export function evaluatePolicy({ statements }: Policy, ask: PolicyAsk): 'allow' | 'deny' | 'nothing' {
  const matching = statements.filter((statement) => speaksOf(statement, ask));
  if (matching.some(({ isAllow }) => !isAllow)) return 'deny';
  return matching.length > 0 ? 'allow' : 'nothing';
}

function speaksOf({ who, actions, resources, conditions }: Statement, ask: PolicyAsk): boolean {
  const { principal, action, queue } = ask;
  return (
    who.some((one) => isNamed(one, principal)) &&
    actions.some((pattern) => matchesWildcard(pattern, action)) &&
    resources.some(
      ({ account, name }) => matchesWildcard(account, queue.account) && matchesWildcard(name, queue.name),
    ) &&
    conditions.every((condition) => holds(condition, ask))
  );
}

function isNamed(who: Who, { account, id }: PolicyContext['principal']): boolean {
  if (who.is === 'everybody') return true;
  return who.account === account && (who.is === 'account' || who.keyId === id);
}
