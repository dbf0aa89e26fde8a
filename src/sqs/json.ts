/**
 * AWS JSON 1.0: the action in a header, members as they are, errors by the name of their shape.
 * @see https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
 */
import { readJson } from '../http/json.ts';
import { SqsError, sqsShapes } from './errors.ts';
import type { Result } from './shape.ts';

export const jsonType = 'application/x-amz-json-1.0';
export const targetPrefix = 'AmazonSQS.';

/** The members of a request. @throws SqsError, malformedBody */
export function readJsonInput(bytes: Buffer): object {
  if (bytes.byteLength === 0) return {};
  const { value } = readJson(bytes);
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value;
  throw new SqsError('SerializationException', 'The body must be a JSON object.');
}

/** The same members without those that are null, which is another way to leave them out. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => item !== null).map(withoutNulls);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  );
}

/** An answer; of a void action it is empty, not an empty object. Members that are undefined are left out. */
export const writeJson = (result: object, output: Result): string =>
  output === 'nothing' ? '' : JSON.stringify(result);

export const writeJsonError = ({ shape, message }: SqsError): string =>
  JSON.stringify({ __type: `${sqsShapes[shape].namespace}#${shape}`, message });

/** The header that tells clients of the older code: `x-amzn-query-error`. */
export function queryErrorHeader({ shape }: SqsError): string {
  const { code, status } = sqsShapes[shape];
  return `${code};${status < 500 ? 'Sender' : 'Receiver'}`;
}
