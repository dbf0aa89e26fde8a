/**
 * Instants and durations, and how people write them.
 *
 * An instant is a whole number of milliseconds since 1970-01-01 UTC. On the wire it is RFC 3339 with
 * milliseconds; a duration is whole seconds, and in URLs may be written `20s`, `5m`, `2h` or `1d`.
 */

declare const instantBrand: unique symbol;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number & { readonly [instantBrand]: true };

/** Brands whole milliseconds as an instant; fractions are dropped. */
export const instant = (ms: number): Instant => Math.floor(ms) as Instant;

/** The instant `seconds` after `from`. */
export const secondsAfter = (from: Instant, seconds: number): Instant => instant(from + seconds * 1000);

/** RFC 3339 in UTC with milliseconds, such as `2026-01-31T12:00:00.000Z`. @see https://www.rfc-editor.org/rfc/rfc3339 */
export const toRfc3339 = (at: Instant): string => new Date(at).toISOString();

const secondsPerUnit = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/**
 * Reads a duration as people write it in a URL: `45`, `45s`, `5m`, `2h`, `1d`.
 * @returns whole seconds, or undefined when the text is not such a duration (signs, fractions and blanks are not)
 */
export function parseDurationSeconds(text: string): number | undefined {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (match === null) return undefined;
  const unit = (match[2] === '' ? 's' : match[2]) as keyof typeof secondsPerUnit;
  return Number(match[1]) * secondsPerUnit[unit];
}
