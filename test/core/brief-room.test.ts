import { expect, test } from "vitest";
import { BriefRoom } from "../../src/core/brief-room.ts";

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
