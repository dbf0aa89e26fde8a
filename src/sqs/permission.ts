/**
 * Statements that AddPermission writes into a queue's policy, and RemovePermission takes out again. A policy that was set
 * by hand keeps all else that stands in it.
 */
import { limits } from '../domain/limits.ts';
import type { ActionContext } from './action.ts';
import { parseObject } from './attributes.ts';
import { invalidParameter, invalidValue, missing, SqsError } from './errors.ts';
import { queueArn } from './queue-url.ts';

/** What a queue's owner may give to others. */
const grantable: readonly string[] = [
  '*',
  'ChangeMessageVisibility',
  'DeleteMessage',
  'GetQueueAttributes',
  'GetQueueUrl',
  'ListDeadLetterSourceQueues',
  'PurgeQueue',
  'ReceiveMessage',
  'SendMessage',
];
const ownersOnly: readonly string[] = [
  'AddPermission',
  'CancelMessageMoveTask',
  'CreateQueue',
  'DeleteQueue',
  'ListMessageMoveTasks',
  'ListQueueTags',
  'ListQueues',
  'RemovePermission',
  'SetQueueAttributes',
  'StartMessageMoveTask',
  'TagQueue',
  'UntagQueue',
];

export type Permission = {
  readonly label: string;
  readonly accounts: readonly string[];
  readonly actions: readonly string[];
};

const labelPattern = /^[\w-]{1,80}$/;
const accountPattern = /^\d{12}$/;

/** What can be said without knowing the queue. @throws SqsError */
export function requireSanePermission({ label, accounts, actions }: Permission): void {
  requireSaneLabel(label);
  if (actions.length === 0) throw missing('Actions');
  if (actions.length > limits.permissionActionsMax) {
    throw overLimit(`${actions.length} Actions were found, maximum allowed is ${limits.permissionActionsMax}.`);
  }
  const wrong = actions.find((action) => !grantable.includes(action));
  if (wrong !== undefined) {
    throw invalidValue(
      `SQS:${wrong}`,
      'ActionName',
      ownersOnly.includes(wrong)
        ? 'Only the queue owner is allowed to invoke this action.'
        : 'Please refer to the appropriate WSDL for a list of valid actions. ',
    );
  }
  if (accounts.length === 0 || accounts.some((account) => !accountPattern.test(account))) {
    throw invalidValue(`[${accounts.join(', ')}]`, 'PrincipalId', 'Unable to verify.');
  }
}

/** @throws SqsError */
export function requireSaneLabel(label: string): void {
  if (labelPattern.test(label)) return;
  throw invalidValue(
    label,
    'Label',
    `Can only include alphanumeric characters, hyphens, or underscores. 1 to ${limits.permissionLabelCharsMax} in length.`,
  );
}

const overLimit = (text: string): SqsError => new SqsError('OverLimit', text);

type Statement = { readonly Sid?: unknown };
type Document = { readonly Statement: readonly Statement[] } & Readonly<Record<string, unknown>>;

const read = (policy: string | null): Document | undefined => {
  const document = policy === null ? undefined : parseObject(policy);
  if (document === undefined) return undefined;
  const { Statement: statement = [] } = document;
  return { ...document, Statement: Array.isArray(statement) ? (statement as Statement[]) : [statement as Statement] };
};

/** One value stands alone, several are a list. */
const oneOrAll = (values: readonly string[]): string | readonly string[] =>
  values.length === 1 && values[0] !== undefined ? values[0] : values;

/** The policy with the permission. @throws SqsError when the label is taken or there are too many statements */
export function withPermission(
  policy: string | null,
  { label, accounts, actions }: Permission,
  queue: string,
  context: Pick<ActionContext, 'region' | 'principal'>,
): string {
  const arn = queueArn(context, queue);
  const document = read(policy) ?? { Version: '2008-10-17', Id: `${arn}/SQSDefaultPolicy`, Statement: [] };
  if (document.Statement.some(({ Sid }) => Sid === label)) throw invalidValue(label, 'Label', 'Already exists.');
  const count = document.Statement.length + 1;
  if (count > limits.policyStatementsMax) {
    throw overLimit(`${count} Statements were found, maximum allowed is ${limits.policyStatementsMax}.`);
  }
  const statement = {
    Sid: label,
    Effect: 'Allow',
    Principal: { AWS: oneOrAll(accounts.map((account) => `arn:aws:iam::${account}:root`)) },
    Action: oneOrAll(actions.map((action) => `SQS:${action}`)),
    Resource: arn,
  };
  const changed = JSON.stringify({ ...document, Statement: [...document.Statement, statement] });
  if (Buffer.byteLength(changed) <= limits.policyBytesMax) return changed;
  throw invalidParameter(`The policy would be longer than ${limits.policyBytesMax} bytes.`);
}

/** The policy without it; null when nothing is left. @throws SqsError when there is no such label */
export function withoutPermission(policy: string | null, label: string): string | null {
  const document = read(policy);
  const left = document?.Statement.filter(({ Sid }) => Sid !== label) ?? [];
  if (document === undefined || left.length === document.Statement.length) {
    throw invalidValue(label, 'Label', "can't find label.");
  }
  return left.length === 0 ? null : JSON.stringify({ ...document, Statement: left });
}
