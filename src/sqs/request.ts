/** What a request asks for: its protocol, its action, and the members that the action's schema lets through. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { essenceOf, formType } from '../http/media-type.ts';
import type { SqsAction } from './action.ts';
import { findAction, sqsActions } from './actions.ts';
import { addressText, missing, SqsError } from './errors.ts';
import { readJsonInput, targetPrefix, withoutNulls } from './json.ts';
import { formText, type Parameters, planOf, readForm, readQueryInput } from './query.ts';

export type Call = {
  readonly protocol: 'json' | 'query';
  readonly action: SqsAction;
  /** Not yet checked. */
  readonly members: object;
  /** The members as the action's schema types them, once somebody has asked for them. */
  input?: object;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** What it asks for, once it is read: whoever admits it and whoever does it both look. */
    sqsCall: Call | undefined;
    sqsParameters: Parameters | undefined;
  }
}

/** Makes room on each request for what is read of it. */
export function rememberCalls(app: FastifyInstance): void {
  app.decorateRequest('sqsCall', undefined);
  app.decorateRequest('sqsParameters', undefined);
}

const jsonTypePattern = /^application\/x-amz-json-1\.\d$/;

export const isJson = ({ headers }: FastifyRequest): boolean =>
  headers['x-amz-target'] !== undefined || jsonTypePattern.test(essenceOf(headers['content-type'] ?? ''));

/** A visit: neither protocol is spoken, and no action is named. */
export function saysNothing(request: FastifyRequest, body: Buffer): boolean {
  return !isJson(request) && !parametersOf(request, body).has('Action');
}

/** @throws SqsError, malformedBody */
export function readCall(request: FastifyRequest, body: Buffer): Call {
  request.sqsCall ??= isJson(request) ? readJsonCall(request, body) : readQueryCall(request, body);
  return request.sqsCall;
}

const unknownAction = (name: string): SqsError =>
  new SqsError('UnknownOperationException', `The action ${name.slice(0, 128)} is not valid for this endpoint.`);

function readJsonCall({ headers }: FastifyRequest, body: Buffer): Call {
  const target = headers['x-amz-target'];
  const name = typeof target === 'string' ? target : '';
  const action = name.startsWith(targetPrefix) ? findAction(name.slice(targetPrefix.length)) : undefined;
  if (action === undefined) throw unknownAction(name.replace(targetPrefix, ''));
  return { protocol: 'json', action, members: readJsonInput(body) };
}

function parametersOf(request: FastifyRequest, body: Buffer): Parameters {
  request.sqsParameters ??= readParameters(request, body);
  return request.sqsParameters;
}

/** The parameters of the query string and of a form body, which wins. */
function readParameters({ url, headers }: FastifyRequest, body: Buffer): Parameters {
  const parameters = new Map<string, string>();
  const query = url.indexOf('?');
  if (query !== -1) readForm(url.slice(query + 1), parameters);
  const type = headers['content-type'];
  if (body.byteLength > 0 && (type === undefined || essenceOf(type) === formType)) {
    readForm(formText(body), parameters);
  }
  return parameters;
}

const plans = new Map(sqsActions.map((action) => [action.name, planOf(action.input)]));

function readQueryCall(request: FastifyRequest, body: Buffer): Call {
  const parameters = parametersOf(request, body);
  const name = parameters.get('Action') ?? '';
  const action = findAction(name);
  const plan = plans.get(name);
  if (action === undefined || plan === undefined) throw unknownAction(name);
  const path = pathOf(request);
  if (/^\/+$/.test(path)) return { protocol: 'query', action, members: readQueryInput(parameters, plan) };
  if ((request.params as { readonly queue?: string }).queue === undefined) {
    throw new SqsError('InvalidAddress', addressText(path.slice(0, 256)));
  }
  if (!action.isForQueuePath) throw unknownAction(name);
  return { protocol: 'query', action, members: { QueueUrl: path, ...readQueryInput(parameters, plan) } };
}

const pathOf = ({ url }: FastifyRequest): string => url.split('?', 1)[0] ?? '/';

/** The members as the action's schema types them. @throws SqsError */
export function inputOf(call: Call): object {
  call.input ??= checkedInput(call);
  return call.input;
}

function checkedInput({ action, members, protocol }: Call): object {
  const parsed = action.input.safeParse(members);
  if (parsed.success) return parsed.data;
  // Seldom: a member that is null counts as absent.
  const again = protocol === 'json' ? action.input.safeParse(withoutNulls(members)) : parsed;
  if (again.success) return again.data;
  throw errorOfIssues(again.error.issues);
}

type Issue = z.core.$ZodIssue;

/** Values of another type come first, whatever else is missing. */
function errorOfIssues(issues: readonly Issue[]): SqsError {
  const wrong = issues.find((issue) => !isMissing(issue));
  if (wrong !== undefined) {
    return new SqsError('SerializationException', `The value of ${wrong.path.join('.')} is of another type.`);
  }
  return missing(issues[0]?.path.join('.') ?? '');
}

/** Absent, or an empty text where one is required. */
const isMissing = (issue: Issue): boolean =>
  issue.code === 'too_small' || (issue.code === 'invalid_type' && issue.message.endsWith('received undefined'));
