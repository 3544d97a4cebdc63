import { expect, test } from "vitest";
import { shownHolds } from "../../../src/api/breakers/queue-hold.ts";

test("shownHolds shows one hold for each queue, the longest of what its shards have, the longest first", () => {
  const at = (seconds: number) => Date.parse("2026-11-23T10:00:00Z") + seconds * 1_000;
  const holds = [
    { queue: "a", until: at(5) },
    { queue: "b", until: at(9) },
    { queue: "a", until: at(7) },
    { queue: "a", until: at(6) },
  ];
  expect(shownHolds(holds)).toEqual([
    { queue: "b", until: "2026-11-23T10:00:09.000Z" },
    { queue: "a", until: "2026-11-23T10:00:07.000Z" },
  ]);
});
