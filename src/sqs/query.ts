/**
 * AWS Query: parameters in the query string or a form body, lists and maps flattened into numbered names; answers in XML.
 *
 * Parameters are found through the table of the action's members, and numbered ones are gathered in maps by their
 * number: a number never becomes the length of anything.
 * @see https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
 */
import { isUtf8 } from 'node:buffer';
import type { z } from 'zod';
import { limits } from '../domain/limits.ts';
import { SqsError, sqsShapes } from './errors.ts';
import { type Output, queryNames, type Result } from './shape.ts';

export const xmlType = 'text/xml';
const namespace = 'http://queue.amazonaws.com/doc/2012-11-05/';

/** The parameters of a request; of a name that is given twice the last one counts. */
export type Parameters = ReadonlyMap<string, string>;

const malformed = (message: string): SqsError => new SqsError('SerializationException', message);

/** Adds the parameters of a form or a query string. @throws SqsError */
export function readForm(text: string, into: Map<string, string>): void {
  if (text === '') return;
  const pairs = text.split('&', limits.formParametersMax + 1);
  // Also of one name, or empty: none is left out unread.
  if (pairs.length + into.size > limits.formParametersMax) {
    throw malformed(`A request has at most ${limits.formParametersMax} parameters.`);
  }
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    into.set(name, equals === -1 ? '' : decode(pair.slice(equals + 1)));
  }
}

/** @throws SqsError for what is not percent-encoded UTF-8 */
function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw malformed('A parameter is not valid percent-encoded UTF-8.');
  }
}

/** The text of a form body. @throws SqsError */
export function formText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw malformed('The body is not valid UTF-8.');
  return bytes.toString('utf8');
}

/** How a member of an action's input is written in Query. */
type Plan =
  | { readonly is: 'text' }
  | { readonly is: 'number' }
  | { readonly is: 'list'; readonly of: Plan }
  | { readonly is: 'map'; readonly key: string; readonly value: string; readonly of: Plan }
  | { readonly is: 'struct'; readonly members: ReadonlyMap<string, { readonly member: string; readonly plan: Plan }> };
type StructPlan = Extract<Plan, { is: 'struct' }>;

/** Reads the plan off the schema, once per action. */
export function planOf(schema: z.ZodObject): StructPlan {
  const plan = planOfType(schema);
  if (plan.is !== 'struct') throw new Error('The input of an action is an object.');
  return plan;
}

/** What of a schema's definition is looked at here. */
type Definition = {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
};
const definitionOf = (schema: z.ZodType): Definition => schema.def as unknown as Definition;

function planOfType(schema: z.ZodType): Plan {
  const definition = definitionOf(schema);
  const names = queryNames.get(schema);
  switch (definition.type) {
    case 'optional':
      return planOfType(present(definition.innerType));
    case 'string':
      return { is: 'text' };
    case 'number':
      return { is: 'number' };
    case 'array':
      return { is: 'list', of: planOfType(present(definition.element)) };
    case 'record':
      return {
        is: 'map',
        key: names?.key ?? 'Name',
        value: names?.value ?? 'Value',
        of: planOfType(present(definition.valueType)),
      };
    case 'object':
      return { is: 'struct', members: new Map(Object.entries(definition.shape ?? {}).flatMap(membersOf)) };
    default:
      throw new Error(`Query has no words for a member of the type ${definition.type}.`);
  }
}

function membersOf([member, schema]: readonly [string, z.ZodType]) {
  const plan = planOfType(schema);
  const names = queryNames.get(unwrapped(schema))?.names ?? [member];
  return names.map((name) => [name, { member, plan }] as const);
}

const unwrapped = (schema: z.ZodType): z.ZodType => {
  const { type, innerType } = definitionOf(schema);
  return type === 'optional' ? unwrapped(present(innerType)) : schema;
};

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('A schema lacks a part.');
  return value;
}

/** What has been gathered for one member: text, or what lies under its numbers or names. */
type Node = { text: string | undefined; readonly children: Map<string, Node> };
const newNode = (): Node => ({ text: undefined, children: new Map() });
/** Parts of a name: an entry's attribute's value's list item has nine. */
const namePartsMax = 10;

/** The members of a request, still to be checked by the action's schema. @throws SqsError */
export function readQueryInput(parameters: Parameters, plan: StructPlan): object {
  const root = newNode();
  for (const [name, value] of parameters) {
    const parts = name.split('.', namePartsMax + 1);
    // What no member is called is left out, and costs nothing.
    if (!plan.members.has(parts[0] ?? '')) continue;
    if (parts.length > namePartsMax) throw malformed('A parameter has a name of too many parts.');
    let node = root;
    for (const part of parts) {
      const child = node.children.get(part) ?? newNode();
      node.children.set(part, child);
      node = child;
    }
    node.text = value;
  }
  return structOf(root, plan);
}

function structOf(node: Node, { members }: StructPlan): object {
  const found: [string, unknown][] = [];
  for (const [name, { member, plan }] of members) {
    const child = node.children.get(name);
    if (child !== undefined) found.push([member, nodeValue(child, plan)]);
  }
  return Object.fromEntries(found);
}

const wholeNumber = /^-?\d{1,15}$/;

function nodeValue(node: Node, plan: Plan): unknown {
  switch (plan.is) {
    case 'text':
      return node.text;
    case 'number':
      // What is no number stays text, which the schema refuses as JSON's would be.
      return node.text !== undefined && wholeNumber.test(node.text) ? Number(node.text) : node.text;
    case 'list':
      // A single item may come without its number.
      if (node.text !== undefined && node.children.size === 0) return [node.text];
      return inOrder(node).map((item) => nodeValue(item, plan.of));
    case 'map':
      return mapOf(inOrder(node), plan);
    case 'struct':
      return structOf(node, plan);
  }
}

function mapOf(items: readonly Node[], plan: Extract<Plan, { is: 'map' }>): object {
  const found: [string, unknown][] = items.map((item) => {
    const name = item.children.get(plan.key)?.text ?? '';
    if (name === '__proto__') throw malformed('"__proto__" is not a name that is taken here.');
    const value = item.children.get(plan.value);
    return [name, value === undefined ? emptyOf(plan.of) : nodeValue(value, plan.of)];
  });
  return Object.fromEntries(found);
}

const emptyOf = (plan: Plan): unknown => (plan.is === 'struct' ? {} : '');

const indexPattern = /^[1-9]\d{0,9}$/;

/** What is numbered, by number; gaps do not count. @throws SqsError */
function inOrder({ children }: Node): readonly Node[] {
  const numbered = [...children].map(([part, node]) => {
    const index = indexPattern.test(part) ? Number(part) : Number.POSITIVE_INFINITY;
    if (index > limits.formIndexMax) {
      throw malformed(`Parameters of a list are numbered from 1 to ${limits.formIndexMax}.`);
    }
    return { index, node };
  });
  return numbered.sort((a, b) => a.index - b.index).map(({ node }) => node);
}

/** What cannot stand in XML text as it is; lone surrogates are found by isWellFormed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const special = /[&<>"\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;
const replacements: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  // A carriage return that is not escaped comes out of an XML parser as a line feed, and the checksum fails.
  '\r': '&#xD;',
};

/** Text for XML: what XML cannot carry at all becomes U+FFFD. */
export function escapeXml(text: string): string {
  const wellFormed = text.isWellFormed() ? text : text.toWellFormed();
  return wellFormed.replace(special, (found) => replacements[found] ?? '\u{fffd}');
}

/** An answer in XML. */
export function writeXml(action: string, result: object, output: Result, requestId: string): string {
  const inner = output === 'nothing' ? '' : element(`${action}Result`, membersXml(result, output.members));
  return `<?xml version="1.0"?><${action}Response xmlns="${namespace}">${inner}<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${action}Response>`;
}

const element = (name: string, content: string): string =>
  content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`;

type Members = Readonly<Record<string, Output>>;

function membersXml(value: object, members: Members): string {
  let xml = '';
  const values = value as Readonly<Record<string, unknown>>;
  for (const name in members) {
    const member = values[name];
    const shape = members[name];
    if (member !== undefined && shape !== undefined) xml += outputXml(name, member, shape);
  }
  return xml;
}

function outputXml(name: string, value: unknown, shape: Output): string {
  if (shape === 'text') return element(name, escapeXml(String(value)));
  switch (shape.is) {
    case 'struct':
      return element(name, membersXml(value as object, shape.members));
    case 'list':
      return (value as readonly unknown[]).map((item) => outputXml(shape.element, item, shape.of)).join('');
    case 'map':
      return Object.entries(value as object)
        .map(([key, item]) =>
          element(shape.element, element(shape.key, escapeXml(key)) + outputXml('Value', item, shape.of)),
        )
        .join('');
  }
}

/** The sentence about a missing queue is another one in this protocol. */
const wsdlText = 'The specified queue does not exist for this wsdl version.';

/** What an error says in this protocol. */
export function queryError({ shape, message }: SqsError) {
  const { code, status } = sqsShapes[shape];
  return {
    type: status < 500 ? 'Sender' : 'Receiver',
    code,
    message: shape === 'QueueDoesNotExist' ? wsdlText : message,
  };
}

export function writeXmlError(error: SqsError, requestId: string): string {
  const { type, code, message } = queryError(error);
  return `<?xml version="1.0"?><ErrorResponse xmlns="${namespace}"><Error><Type>${type}</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message><Detail/></Error><RequestId>${requestId}</RequestId></ErrorResponse>`;
}
