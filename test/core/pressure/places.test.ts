import { describe, expect, test } from "vitest";
import { placesFor, placesLeft } from "../../../src/core/pressure/places.ts";

function left(queue: string, total: number, taken: Record<string, number>, waiting: string[] = []): number {
  return placesLeft(
    { total, takenByQueue: new Map(Object.entries(taken)), waiting: new Set(waiting) },
    queue,
  );
}

describe("placesFor", () => {
  test("is an eighth of the open files but those that are needed at any rate, and at least eight", () => {
    expect([64, 112, 256, 1_024, 1_048_576].map(placesFor)).toEqual([8, 8, 20, 116, 131_060]);
  });
});

describe("placesLeft", () => {
  test("gives all that are free to a queue while no other waits", () => {
    expect(left("a", 10, {})).toBe(10);
    expect(left("a", 10, { a: 6, b: 1 }, ["a"])).toBe(3);
    expect(left("a", 10, { a: 12 })).toBe(0);
  });

  test("gives each that waits its even share of what the others leave", () => {
    expect(left("a", 10, { a: 8 }, ["b"])).toBe(0);
    expect(left("b", 10, { a: 8, b: 1 }, ["a"])).toBe(1);
    expect(left("b", 10, { a: 3 }, ["a"])).toBe(5);
    expect(left("b", 10, { c: 4 }, ["a", "b"])).toBe(3);
  });

  test("leaves one for each in turn where there are more queues than places", () => {
    expect(left("c", 2, { a: 1 }, ["a", "b", "c"])).toBe(1);
    expect(left("a", 2, { a: 1 }, ["a", "b", "c"])).toBe(0);
  });
});
