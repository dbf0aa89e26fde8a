import { describe, expect, it } from 'vitest';
import { instant } from '../src/domain/instant.ts';
import { randomIds } from '../src/ids.ts';

const ids = randomIds();

describe('a UUID', () => {
  it('is of version 7, never the same, and in order of time', () => {
    const count = 10_000;
    const uuids = Array.from({ length: count }, (_, ms) => ids.uuid(instant(Date.UTC(2026, 0, 31) + ms)));
    expect(
      uuids.filter((uuid) => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(uuid)),
    ).toEqual([]);
    expect(uuids.toSorted()).toEqual(uuids);
    // Without the time: what chance gave.
    expect(new Set(uuids.map((uuid) => uuid.slice(14))).size).toBe(count);
  });
});

describe('the id of a request', () => {
  it('is a random UUID, never the same', () => {
    const count = 10_000;
    const given = Array.from({ length: count }, () => ids.requestId());
    expect(
      given.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)),
    ).toEqual([]);
    expect(new Set(given).size).toBe(count);
  });
});
