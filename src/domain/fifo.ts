/**
 * What FIFO queues add: message groups, deduplication and sequence numbers.
 *
 * The one rule of receiving: a message can be received if it is visible and no earlier message of its group is in
 * flight or delayed, except those taken earlier in the same receive.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { limits } from './limits.ts';

/** SQS: alphanumeric and ASCII punctuation, no blanks. */
const idPattern = /^[!-~]*$/;
const idText = (charsMax: number) =>
  z.string().min(1).max(charsMax).regex(idPattern, 'may hold letters, digits and ASCII punctuation, no blanks');

export const GroupId = idText(limits.groupIdCharsMax);
export const DeduplicationId = idText(limits.deduplicationIdCharsMax);
export const AttemptId = idText(limits.attemptIdCharsMax);

/** The deduplication id of a body where the queue deduplicates by content: SHA-256 in hex, attributes left out. */
export const contentDeduplicationId = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex');

/** A sequence number on the wire: 20 digits, so that text order is number order. */
export const sequenceText = (sequence: number): string => sequence.toString().padStart(20, '0');
