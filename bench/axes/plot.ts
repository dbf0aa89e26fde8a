/**
 * A plot as SVG text: two panels over the same points, how many per second and how long the slowest in a hundred waits.
 * Both scales are logarithmic, so that the same factor is the same height; points stand evenly, as they are named.
 */

export type Line = { readonly name: string; readonly points: readonly { readonly x: string; readonly y: number }[] };
export type Panel = { readonly title: string; readonly lines: readonly Line[] };
export type Plot = {
  readonly title: string;
  readonly note: string;
  readonly x: string;
  readonly panels: readonly Panel[];
};

const width = 720;
const panelHeight = 240;
const margin = { top: 64, right: 170, bottom: 34, left: 70 } as const;
const gap = 52;
/** What a value written above a point needs. */
const labelSpace = 24;
/** Told apart by people who see few colours, too (Okabe and Ito). */
const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'] as const;

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => escapes[sign] ?? sign);

const number = (value: number): string => value.toFixed(1).replace(/\.0$/, '');

/** A value on a scale: 12,345 · 123 · 1.2. */
const shown = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(2)));

type Text = {
  readonly x: number;
  readonly y: number;
  readonly size?: number;
  readonly anchor?: string;
  readonly fill?: string;
};
const text = (said: string, { x, y, size = 12, anchor = 'start', fill = '#333' }: Text): string =>
  `<text x="${number(x)}" y="${number(y)}" font-size="${size}" text-anchor="${anchor}" fill="${fill}">${escaped(said)}</text>`;

/** Whole decades around all values, at least one. */
function decadesAround(values: readonly number[]): { readonly low: number; readonly high: number } {
  const logs = values.filter((value) => value > 0).map(Math.log10);
  if (logs.length === 0) return { low: 0, high: 1 };
  const low = Math.floor(Math.min(...logs));
  return { low, high: Math.max(low + 1, Math.ceil(Math.max(...logs))) };
}

function panelSvg({ title, lines }: Panel, top: number): string {
  const names = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))];
  const { low, high } = decadesAround(lines.flatMap(({ points }) => points.map(({ y }) => y)));
  const inner = width - margin.left - margin.right;
  const xOf = (name: string) => margin.left + (inner * (names.indexOf(name) + 0.5)) / names.length;
  const yOf = (value: number) => top + panelHeight * (1 - (Math.log10(value) - low) / (high - low));
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const grid = decades.flatMap((value) => [
    `<line x1="${margin.left}" x2="${width - margin.right}" y1="${number(yOf(value))}" y2="${number(yOf(value))}" stroke="#ddd"/>`,
    text(shown(value), { x: margin.left - 8, y: yOf(value) + 4, anchor: 'end' }),
  ]);
  const ticks = names.map((name) => text(name, { x: xOf(name), y: top + panelHeight + 18, anchor: 'middle' }));
  const heights = lines.flatMap(({ points }) => points.map(({ x, y }) => ({ x, at: yOf(y) })));
  /** Above its point, unless another point is there. */
  const labelY = (x: string, y: number): number => {
    const above = heights.some((other) => other.x === x && other.at < yOf(y) && other.at > yOf(y) - labelSpace);
    return yOf(y) + (above ? 18 : -8);
  };
  const drawn = lines.flatMap(({ name, points }, i) => {
    const colour = colours[i % colours.length] ?? '#333';
    const real = points.filter(({ y }) => y > 0);
    const path = real.map(({ x, y }) => `${number(xOf(x))},${number(yOf(y))}`).join(' ');
    const legendY = top + 12 + i * 20;
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...real.map(({ x, y }) => `<circle cx="${number(xOf(x))}" cy="${number(yOf(y))}" r="3.5" fill="${colour}"/>`),
      ...real.map(({ x, y }) =>
        text(shown(y), { x: xOf(x), y: labelY(x, y), size: 11, anchor: 'middle', fill: colour }),
      ),
      `<circle cx="${width - margin.right + 14}" cy="${legendY - 4}" r="3.5" fill="${colour}"/>`,
      text(name, { x: width - margin.right + 24, y: legendY, fill: colour }),
    ];
  });
  return [text(title, { x: margin.left, y: top - 14, size: 13 }), ...grid, ...ticks, ...drawn].join('\n');
}

export function plotSvg({ title, note, x, panels }: Plot): string {
  const tops = panels.map((_, i) => margin.top + 24 + i * (panelHeight + gap + 20));
  const height = (tops.at(-1) ?? 0) + panelHeight + margin.bottom + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${text(title, { x: margin.left, y: 28, size: 17, fill: '#111' })}
${text(note, { x: margin.left, y: 48, size: 11, fill: '#666' })}
${panels.map((panel, i) => panelSvg(panel, tops[i] ?? 0)).join('\n')}
${text(x, { x: margin.left + (width - margin.left - margin.right) / 2, y: height - 12, anchor: 'middle', fill: '#666' })}
</svg>
`;
}
