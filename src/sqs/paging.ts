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

/** @param list which list it is, of what: a token of another one is refused. @throws SqsError */
export function pageAsk({ NextToken, MaxResults }: PageInput, list: string): PageAsk {
  if (MaxResults === undefined) {
    if (NextToken === undefined || NextToken === '') return { limit: limits.pageItemsMax };
    throw invalidParameter('MaxResults is a mandatory parameter when you provide a value for NextToken.');
  }
  if (MaxResults < 1 || MaxResults > limits.pageItemsMax) {
    throw invalidParameter(
      'Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.',
    );
  }
  return {
    limit: MaxResults,
    cursor: NextToken === undefined || NextToken === '' ? undefined : cursorOf(NextToken, list),
  };
}

/** A name, or a place in the parts of the names that scopes allow: both names of 80 characters in base64. */
const cursorPattern = /^[\w.-]{1,256}$/;

/** A token is the cursor behind which the list goes on, and the list. `MaxResults` may change between the pages. */
function cursorOf(token: string, list: string): string {
  const opened = openCursor(token);
  const [cursor = ''] = opened?.split(' ', 1) ?? [];
  if (cursorPattern.test(cursor) && opened === inToken(cursor, list)) return cursor;
  throw invalidParameter(
    'Invalid NextToken value. If you are passing in NextToken, you must not change the other request parameters.',
  );
}

const inToken = (cursor: string, list: string): string => `${cursor} ${list}`;

/** The page as URLs under the member's name. Without `MaxResults` there is no token, however many there are. */
export function pageResult<M extends string>(
  member: M,
  { items, nextCursor }: Page<string>,
  { MaxResults }: PageInput,
  list: string,
  context: ActionContext,
): object {
  return {
    [member]: items.length === 0 ? undefined : items.map((name) => queueUrl(context, name)),
    NextToken: nextCursor === null || MaxResults === undefined ? undefined : sealCursor(inToken(nextCursor, list)),
  };
}
