/** Checksums that SDKs compare: a wrong one, or one too many, is an exception in the client. */
import { hash } from 'node:crypto';
import type { Attributes } from '../domain/message.ts';

export const md5 = (bytes: Uint8Array | string): string => hash('md5', bytes, 'hex');

const stringTransport = Buffer.from([1]);
const binaryTransport = Buffer.from([2]);

/**
 * The checksum of attributes, or undefined of none: of each in the order of names its length-prefixed name and type, a
 * byte that says how the value travels, and the length-prefixed value; binary values as raw bytes.
 * @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
 */
export function md5OfAttributes(attributes: Attributes): string | undefined {
  if (attributes.size === 0) return undefined;
  const parts: Uint8Array[] = [];
  const put = (bytes: Buffer) => {
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.byteLength);
    parts.push(length, bytes);
  };
  // Names in the order of their code units, which is how JavaScript compares strings.
  const rows = [...attributes].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { type, value }] of rows) {
    const isBinary = type.startsWith('Binary');
    put(Buffer.from(name));
    put(Buffer.from(type));
    parts.push(isBinary ? binaryTransport : stringTransport);
    put(isBinary ? Buffer.from(value, 'base64') : Buffer.from(value));
  }
  return md5(Buffer.concat(parts));
}
