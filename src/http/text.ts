/** Answers whose media type goes out letter by letter as it is given. */
import type { FastifyReply } from 'fastify';

const asItIs = (text: string): string => text;

/**
 * Fastify adds a charset to every type of JSON, unless somebody else serialises. As a string, not as bytes: head and body
 * then leave as one piece.
 */
export const sendText = (reply: FastifyReply, mediaType: string, text: string): FastifyReply =>
  reply.header('content-type', mediaType).serializer(asItIs).send(text);
