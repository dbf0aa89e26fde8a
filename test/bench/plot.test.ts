/** The plots of the axes: points stand at their place of a logarithmic scale, and names cannot break the picture. */
import { describe, expect, it } from 'vitest';
import { plotSvg } from '../../bench/axes/plot.ts';

const plotOf = (values: readonly number[], name = 'send') =>
  plotSvg({
    title: 'Title',
    note: 'Note',
    x: 'size',
    panels: [{ title: 'per second', lines: [{ name, points: values.map((y, i) => ({ x: `x${i}`, y })) }] }],
  });
const heightsOf = (svg: string): readonly number[] => {
  const points = /<polyline points="([^"]*)"/.exec(svg)?.[1] ?? '';
  return points.split(' ').map((point) => Number(point.split(',')[1]));
};

describe('a plot', () => {
  it('gives the same factor the same height', () => {
    const [ten = 0, hundred = 0, thousand = 0] = heightsOf(plotOf([10, 100, 1_000]));
    expect(ten - hundred).toBeGreaterThan(0);
    expect(hundred - thousand).toBeCloseTo(ten - hundred, 1);
  });

  it('leaves out what was not measured', () => {
    expect(heightsOf(plotOf([10, Number.NaN, 1_000]))).toHaveLength(2);
    expect(plotOf([Number.NaN])).not.toContain('NaN');
  });

  it('has a title for those who cannot see it', () => {
    expect(plotOf([1])).toContain('<title>Title</title>');
  });

  it('writes names as text', () => {
    expect(plotOf([1], '<b> & "c"')).toContain('&lt;b&gt; &amp; &quot;c&quot;');
  });
});
