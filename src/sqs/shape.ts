/**
 * Shapes of what actions take and give, as far as the two protocols differ in them.
 *
 * JSON carries values as they are. Query flattens lists and maps into numbered names on the way in and repeated elements
 * on the way out, and each list and map has a name of its own there. Inputs are zod schemas, which the names are
 * attached to; outputs need no check, only names.
 */
import { z } from 'zod';

/** How a list or map is called in Query requests. Later names are spellings that some clients used. */
export type QueryNames = { readonly names: readonly string[]; readonly key?: string; readonly value?: string };

export const queryNames = z.registry<QueryNames>();

export const text = z.string().optional();
export const requiredText = z.string().min(1);
export const whole = z.int().optional();
export const requiredWhole = z.int();

export const textList = (...names: string[]) => z.array(z.string()).register(queryNames, { names }).optional();

export const textMap = (names: readonly string[], key: string) =>
  z.record(z.string(), z.string()).register(queryNames, { names, key, value: 'Value' }).optional();

/** What a message attribute looks like on the wire. Everything is optional: what is missing has sentences of its own. */
const MessageAttributeValue = z.object({
  DataType: text,
  StringValue: text,
  BinaryValue: text,
  StringListValues: textList('StringListValue', 'StringListValues'),
  BinaryListValues: textList('BinaryListValue', 'BinaryListValues'),
});
export type MessageAttributeValue = z.infer<typeof MessageAttributeValue>;

export const attributeMap = (...names: string[]) =>
  z.record(z.string(), MessageAttributeValue).register(queryNames, { names, key: 'Name', value: 'Value' }).optional();

export const entryList = <S extends z.ZodRawShape>(name: string, shape: S) =>
  z
    .array(z.object(shape))
    .register(queryNames, { names: [name, 'Entries'] })
    .optional();

/** An output: text (or a number, or true and false), or what is made of such. */
export type Output =
  | 'text'
  | { readonly is: 'struct'; readonly members: Readonly<Record<string, Output>> }
  | { readonly is: 'list'; readonly element: string; readonly of: Output }
  | { readonly is: 'map'; readonly element: string; readonly key: string; readonly of: Output };

export const struct = (members: Readonly<Record<string, Output>>) => ({ is: 'struct', members }) as const;
export const list = (element: string, of: Output): Output => ({ is: 'list', element, of });
export const map = (element: string, key: string, of: Output): Output => ({ is: 'map', element, key, of });

/** What an action gives: members, or nothing at all, which is another thing than no members. */
export type Result = ReturnType<typeof struct> | 'nothing';

const failed = list(
  'BatchResultErrorEntry',
  struct({ Id: 'text', Code: 'text', Message: 'text', SenderFault: 'text' }),
);
/** The result of a batch. */
export const batchResult = (element: string, members: Readonly<Record<string, Output>>): Result =>
  struct({ Successful: list(element, struct(members)), Failed: failed });
