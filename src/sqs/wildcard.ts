/**
 * Patterns of policies: `*` stands for any characters, `?` for one.
 *
 * Pieces between stars are looked for one after the other, each at its earliest place, and never again: a later star
 * could not make good what an earlier one took. So the cost is that of searching the text, whatever the pattern; and no
 * regular expression is ever made of what a user wrote.
 */

/** Whether the pattern names the text. Both as they are: letters are compared with their case. */
export function matchesWildcard(pattern: string, text: string): boolean {
  if (!pattern.includes('*')) return pattern.length === text.length && fits(pattern, text, 0);
  const pieces = pattern.split('*');
  const first = pieces[0] ?? '';
  const last = pieces.at(-1) ?? '';
  if (first.length + last.length > text.length || !fits(first, text, 0)) return false;
  const end = text.length - last.length;
  if (!fits(last, text, end)) return false;
  let from = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const at = find(piece, text, from, end);
    if (at === -1) return false;
    from = at + piece.length;
  }
  return true;
}

function find(piece: string, text: string, from: number, end: number): number {
  if (!piece.includes('?')) {
    const at = text.indexOf(piece, from);
    return at === -1 || at + piece.length > end ? -1 : at;
  }
  for (let at = from; at + piece.length <= end; at += 1) if (fits(piece, text, at)) return at;
  return -1;
}

/** Whether the piece, in which `?` fits everything, stands in the text at that place. */
function fits(piece: string, text: string, at: number): boolean {
  if (!piece.includes('?')) return text.startsWith(piece, at);
  for (let i = 0; i < piece.length; i += 1) if (piece[i] !== '?' && piece[i] !== text[at + i]) return false;
  return true;
}
