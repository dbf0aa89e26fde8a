/** Content types: what kind of body they announce. @see https://www.rfc-editor.org/rfc/rfc9110#name-media-type */

/** `json`: JSON text; `text`: text in UTF-8; `binary`: anything else. */
export type BodyKind = 'json' | 'text' | 'binary';

export const formType = 'application/x-www-form-urlencoded';

const jsonType = /^(?:application\/json|[^/]+\/[^/]+\+json)$/;
const textType =
  /^(?:text\/.+|application\/(?:xml|yaml|x-yaml|javascript|x-javascript|x-www-form-urlencoded)|[^/]+\/[^/]+\+(?:xml|yaml))$/;
const charsetParameter = /;\s*charset\s*=\s*"?([^\s;"]+)/i;
const utf8Charset = /^(?:utf-?8|us-ascii)$/i;

/** The type without its parameters, in lower case. */
export const essenceOf = (contentType: string): string => {
  const end = contentType.indexOf(';');
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
};

/** The charset parameter says something else than UTF-8. */
export function isForeignCharset(contentType: string): boolean {
  const charset = charsetParameter.exec(contentType)?.[1];
  return charset !== undefined && !utf8Charset.test(charset);
}

function kindOf(contentType: string): BodyKind {
  const essence = essenceOf(contentType);
  // JSON is UTF-8 whatever its parameters say (RFC 8259 §8.1).
  if (jsonType.test(essence)) return 'json';
  return textType.test(essence) && !isForeignCharset(contentType) ? 'text' : 'binary';
}

/** Services use a handful of types; those seen lately are kept. */
const kindsKeptMax = 256;
const kinds = new Map<string, BodyKind>();

/** The kind of body that a content type announces. */
export function bodyKind(contentType: string): BodyKind {
  const known = kinds.get(contentType);
  if (known !== undefined) return known;
  if (kinds.size >= kindsKeptMax) kinds.clear();
  const kind = kindOf(contentType);
  kinds.set(contentType, kind);
  return kind;
}

const textTypes: readonly string[] = ['text/plain', 'text/html', 'text/xml', 'application/xml', 'text/*'];

/** Whether an Accept header prefers JSON to text and XML. Absent or `*` alone: it does not. */
export function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const quality = (wanted: readonly string[]) =>
    Math.max(
      0,
      ...accept.split(',').map((range) => {
        const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
        const weight = parameters.find((parameter) => parameter.startsWith('q='));
        return wanted.includes(type) ? Number(weight?.slice(2) ?? 1) || 0 : 0;
      }),
    );
  return quality(['application/json', 'application/*']) > quality(textTypes);
}
