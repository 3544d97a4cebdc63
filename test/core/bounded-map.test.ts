import fc from "fast-check";
import { expect, test } from "vitest";
import { putLast } from "../../src/core/bounded-map.ts";

test("a bounded map has the entries that were put in last, each key once, the newest at its end", () => {
  const puts = fc.array(fc.tuple(fc.nat(6), fc.nat()), { maxLength: 40 });
  fc.assert(
    fc.property(puts, fc.integer({ min: 1, max: 5 }), (entries, most) => {
      const map = new Map<number, number>();
      for (const [key, value] of entries) putLast(map, most, key, value);
      const expected = [...new Map(entries.map(([key], i) => [key, i])).entries()]
        .sort(([, a], [, b]) => a - b)
        .slice(-most)
        .map(([key, at]) => [key, entries[at]?.[1]]);
      expect([...map]).toEqual(expected);
    }),
  );
});

test("a map that was over its bound comes back to it", () => {
  const map = new Map([1, 2, 3, 4].map((key) => [key, key]));
  putLast(map, 2, 5, 5);
  expect([...map.keys()]).toEqual([4, 5]);
});
