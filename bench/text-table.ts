/** A table of text: the first column and those told to the left, the others to the right. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => [...(line[column] ?? '')].length)));
  const isText = head.map((_, column) => rows.every((row) => !/^[\d–<>≥]/.test(row[column] ?? '')));
  const cell = (text: string, column: number) => {
    const space = ' '.repeat((widths[column] ?? 0) - [...text].length);
    return isText[column] === true ? text + space : space + text;
  };
  const format = (line: readonly string[]) => line.map(cell).join('  ').trimEnd();
  return [format(head), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(format)].join('\n');
}
