import { expect, test } from "vitest";
import { BriefRoom, UnderWay } from "../../src/core/under-way.ts";

test("a place is free again once it is given back, or its time is over", () => {
  const room = new BriefRoom(2, 100);
  const first = room.take(0);
  expect(room.take(50)).not.toBeNull();
  expect(room.take(60)).toBeNull();
  first?.();
  expect(room.take(61)).not.toBeNull();
  expect(room.take(149)).toBeNull();
  expect(room.take(150)).not.toBeNull();
});

test("what is under way counts until it ends, or for as long as it may take", () => {
  const calls = new UnderWay(100);
  const end = calls.begin(0);
  calls.begin(50);
  expect(calls.count(99)).toBe(2);
  end();
  end();
  expect(calls.count(99)).toBe(1);
  expect(calls.count(149)).toBe(1);
  expect(calls.count(150)).toBe(0);
});
