/** A small XML reader that keeps the rules which matter to clients: entities, and raw carriage returns becoming line feeds. */

export type XmlElement = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
};

const token = /<\?[^>]*\?>|<(\/?)([\w:.-]+)((?:\s+[\w:.-]+="[^"]*")*)\s*(\/?)>|([^<]+)/gy;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

type Open = { name: string; attributes: Record<string, string>; children: XmlElement[]; text: string };

/** @throws Error for what is not well-formed */
export function parseXml(source: string): XmlElement {
  if (forbidden.test(source) || !source.isWellFormed()) throw new Error('The document holds a forbidden character.');
  // XML 1.0, 2.11: a parser passes on line feeds only.
  const text = source.replace(/\r\n?/g, '\n');
  const top: Open = { name: '', attributes: {}, children: [], text: '' };
  const stack: Open[] = [top];
  token.lastIndex = 0;
  let at = 0;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    at = token.lastIndex;
    step(stack, match);
    if (at === text.length) break;
  }
  const [root] = top.children;
  if (at !== text.length || stack.length !== 1 || root === undefined) throw new Error(`Not well-formed: ${source}`);
  return root;
}

function step(stack: Open[], [, slash, name, attributes, isEmpty, content]: RegExpExecArray): void {
  const parent = stack.at(-1);
  if (parent === undefined) throw new Error('More elements end than began.');
  if (content !== undefined) parent.text += unescaped(content);
  else if (name === undefined) return;
  else if (slash === '/') {
    if (stack.pop()?.name !== name) throw new Error(`</${name}> ends another element.`);
  } else {
    const element = { name, attributes: attributesOf(attributes ?? ''), children: [], text: '' };
    parent.children.push(element);
    if (isEmpty !== '/') stack.push(element);
  }
}

const attributesOf = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/([\w:.-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, unescaped(value)]),
  );

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const unescaped = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (_all, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return named[name ?? ''] ?? `&${name};`;
  });

export const childOf = (element: XmlElement, name: string): XmlElement | undefined =>
  element.children.find((child) => child.name === name);
