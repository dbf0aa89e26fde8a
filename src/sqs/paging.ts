/** Lists of queues in pages: `MaxResults` and `NextToken`. */
import { limits } from '../domain/limits.ts';
import { openCursor, sealCursor } from '../http/cursor.ts';
import type { Page, PageAsk } from '../storage/port.ts';
import type { ActionContext } from './action.ts';
import { invalidParameter } from './errors.ts';
import { queueUrl } from './queue-url.ts';
import { text, whole } from './shape.ts';

export const pageMembers = { NextToken: text, MaxResults: whole };

type PageInput = { readonly NextToken?: string | undefined; readonly MaxResults?: number | undefined };

/** @throws SqsError */
export function pageAsk({ NextToken, MaxResults }: PageInput): PageAsk {
  if (MaxResults === undefined) {
    if (NextToken === undefined || NextToken === '') return { limit: limits.pageItemsMax };
    throw invalidParameter('MaxResults is a mandatory parameter when you provide a value for NextToken.');
  }
  if (MaxResults < 1 || MaxResults > limits.pageItemsMax) {
    throw invalidParameter(
      'Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.',
    );
  }
  return { limit: MaxResults, cursor: NextToken === undefined || NextToken === '' ? undefined : cursorOf(NextToken) };
}

/** A name, or a place in the parts of the names that scopes allow: both names of 80 characters in base64. */
const cursorPattern = /^[\w.-]{1,256}$/;

/** A token is the cursor behind which the list goes on. */
function cursorOf(token: string): string {
  const cursor = openCursor(token);
  if (cursor !== undefined && cursorPattern.test(cursor)) return cursor;
  throw invalidParameter(
    'Invalid NextToken value. If you are passing in NextToken, you must not change the other request parameters.',
  );
}

/** The page as URLs under the member's name. Without `MaxResults` there is no token, however many there are. */
export function pageResult<M extends string>(
  member: M,
  { items, nextCursor }: Page<string>,
  { MaxResults }: PageInput,
  context: ActionContext,
): object {
  return {
    [member]: items.length === 0 ? undefined : items.map((name) => queueUrl(context, name)),
    NextToken: nextCursor === null || MaxResults === undefined ? undefined : sealCursor(nextCursor),
  };
}
