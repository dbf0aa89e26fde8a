/** What Fastify and Node refuse before an operation runs, as faults of the catalogue. */
import { Fault } from '../domain/errors.ts';

type RequestFacts = { readonly contentType: string; readonly path: string };
type FrameworkError = { readonly code?: unknown; readonly statusCode?: unknown };

const malformed = (problem: string) => (): Fault => Fault.of('malformedBody', { problem });

/** One row per refusal of Fastify's that a client can cause. */
const refusals: Readonly<Record<string, (facts: RequestFacts) => Fault>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ({ contentType }) =>
    Fault.of('unsupportedMediaType', { contentType, accepted: 'a content type such as application/json' }),
  FST_ERR_BAD_URL: ({ path }) =>
    Fault.of('invalidArgument', { name: 'path', problem: `is not a valid percent-encoding: ${path.slice(0, 128)}` }),
  FST_ERR_MAX_PARAM_LENGTH: () =>
    Fault.of('invalidArgument', { name: 'path', problem: 'holds a part that is too long' }),
};

/** The fault that an error of the framework stands for; undefined for anything else, which is a bug. */
export function faultOfFramework(error: unknown, facts: RequestFacts): Fault | undefined {
  const { code, statusCode } = error as FrameworkError;
  if (typeof code !== 'string') return undefined;
  // The client went away while its body was read; nobody is there to hear the answer.
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') return malformed('The body ended early.')();
  if (Object.hasOwn(refusals, code)) return refusals[code]?.(facts);
  const isRefusal = code.startsWith('FST_') && Number(statusCode) >= 400 && Number(statusCode) < 500;
  return isRefusal ? malformed('The request could not be read.')() : undefined;
}
