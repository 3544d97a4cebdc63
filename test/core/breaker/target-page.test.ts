import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstByName } from "../../../src/core/breaker/target-page.ts";

const nameOf = (name: string) => name;

describe("firstByName", () => {
  test.each([
    ["from the beginning", "", 2, ["a", "b"]],
    ["behind a name that is there", "b", 2, ["c", "d"]],
    ["behind a name that is gone", "bb", 9, ["c", "d", "e"]],
    ["behind the last", "e", 2, []],
  ])("gives the next ones %s", (_, after, limit, expected) => {
    expect(firstByName(["d", "b", "e", "a", "c"], nameOf, after, limit)).toEqual(expected);
  });

  test("gives what sorting all would", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ maxLength: 4 }), { maxLength: 60 }),
        fc.string({ maxLength: 4 }),
        fc.integer({ min: 1, max: 8 }),
        (names, after, limit) => {
          const sorted = [...names].sort((a, b) => (a < b ? -1 : 1)).filter((name) => name > after);
          expect(firstByName(names, nameOf, after, limit)).toEqual(sorted.slice(0, limit));
        },
      ),
    );
  });
});
