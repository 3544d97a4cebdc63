import { describe, expect, test } from "vitest";
import { Lanes } from "../../../src/shard/lanes/lanes.ts";

/** Lanes that are due at 0, in this order. */
function due(...names: string[]): Lanes {
  const lanes = new Lanes();
  for (const name of names) lanes.note(name, 0);
  lanes.ready(0);
  return lanes;
}

describe("a parked lane", () => {
  test("has no turn until it is woken, and is due all the same", () => {
    const lanes = due("a", "b");
    lanes.park("a", null);
    expect([...lanes.ready(1_000_000)]).toEqual(["b"]);
    expect(lanes.isReady("a", 0)).toBe(true);
    expect([...lanes.due(0)].sort()).toEqual(["a", "b"]);
    lanes.wake("a");
    expect([...lanes.ready(0)]).toEqual(["b", "a"]);
  });

  test("has its turn again at the time it is parked until, which is the next that something happens", () => {
    const lanes = due("a");
    lanes.park("a", 500);
    lanes.note("b", 700);
    expect(lanes.nextAt()).toBe(500);
    expect([...lanes.ready(499)]).toEqual([]);
    expect([...lanes.ready(500)]).toEqual(["a"]);
    expect(lanes.nextAt()).toBe(700);
  });

  test("goes by what it was parked for last", () => {
    const lanes = due("a");
    lanes.park("a", 500);
    lanes.wake("a");
    lanes.park("a", 900);
    expect(lanes.nextAt()).toBe(900);
    expect([...lanes.ready(500)]).toEqual([]);
    expect([...lanes.ready(900)]).toEqual(["a"]);
  });

  test("is not woken by rows that come, nor by those that become due", () => {
    const lanes = due("a");
    lanes.park("a", null);
    lanes.note("a", -5);
    lanes.note("a", 100);
    expect([...lanes.ready(200)]).toEqual([]);
    expect(lanes.nextAt()).toBeNull();
  });

  test("is parked no more once a claim has looked at it", () => {
    const lanes = due("a");
    lanes.park("a", 500);
    lanes.looked("a", 800, 0);
    expect(lanes.nextAt()).toBe(800);
    expect([...lanes.ready(500)]).toEqual([]);
    expect(lanes.hasDue(500)).toBe(false);
    expect([...lanes.ready(800)]).toEqual(["a"]);
  });

  test("is woken with all others", () => {
    const lanes = due("a", "b", "c");
    for (const lane of ["a", "b"]) lanes.park(lane, null);
    lanes.wakeAll();
    expect([...lanes.ready(0)].sort()).toEqual(["a", "b", "c"]);
  });

  test("has to be ready to be parked", () => {
    const lanes = new Lanes();
    lanes.note("later", 100);
    lanes.park("later", null);
    expect([...lanes.ready(100)]).toEqual(["later"]);
  });
});

describe("a lane whose bound is corrected", () => {
  test("keeps its turn where it is due, and waits where it is not", () => {
    const lanes = due("a", "b");
    lanes.correct("a", 40, 50);
    lanes.correct("b", 60, 50);
    expect([...lanes.ready(50)]).toEqual(["a"]);
    expect(lanes.oldest(50, () => true)).toEqual({ lane: "a", dueAt: 40 });
    expect([...lanes.ready(60)]).toEqual(["a", "b"]);
  });

  test("has its turn though nobody had looked at it before", () => {
    const lanes = new Lanes();
    lanes.note("a", 0);
    expect(lanes.unknown()).toEqual(["a"]);
    lanes.correct("a", 40, 50);
    expect([...lanes.ready(50)]).toEqual(["a"]);
    expect(lanes.unknown()).toEqual([]);
  });

  test("is forgotten where it has no rows", () => {
    const lanes = due("a");
    lanes.correct("a", null, 50);
    expect(lanes.hasDue(50)).toBe(false);
    expect(lanes.oldest(50, () => true)).toBeNull();
  });
});

describe("what is kept in memory of a lane", () => {
  test("does not grow while tasks come and go before one that waits for next month", () => {
    const lanes = new Lanes();
    const month = 30 * 24 * 3_600_000;
    for (let now = 0; now < 20_000; now += 2) {
      lanes.note("a", now + 1);
      lanes.ready(now + 1);
      lanes.looked("a", month, now + 1);
      expect(lanes.entries).toBeLessThan(200);
    }
    expect(lanes.nextAt()).toBe(month);
  });

  test("does not grow while a lane is parked and woken, again and again", () => {
    const lanes = due("a", "b");
    for (let i = 1; i < 5_000; i++) {
      lanes.park("a", 1_000_000 - i);
      lanes.wake("a");
    }
    lanes.park("a", 500);
    expect(lanes.entries).toBeLessThan(200);
    expect(lanes.nextAt()).toBe(500);
  });
});

describe("when a lane is looked through for what is over", () => {
  test("is known of rows that came while no other waited, and of those after them", () => {
    const { expiries } = laneWith([900, 700, 800]);
    expect(expiries.mayBeOver("a", 699)).toBe(false);
    expect(expiries.mayBeOver("a", 700)).toBe(true);
  });

  test("is not known of a lane with rows from before a start", () => {
    const lanes = due("a");
    lanes.note("a", 0, 900);
    expect(lanes.expiries.mayBeOver("a", 0)).toBe(true);
    lanes.expiries.looked("a", 800);
    expect(lanes.expiries.mayBeOver("a", 799)).toBe(false);
  });

  test("is forgotten with the lane's last row", () => {
    const lanes = laneWith([900]);
    lanes.looked("a", null, 0);
    lanes.note("a", 0);
    expect(lanes.expiries.mayBeOver("a", 0)).toBe(true);
  });
});

function laneWith(expiresAt: number[]): Lanes {
  const lanes = new Lanes();
  for (const at of expiresAt) lanes.note("a", 0, at);
  return lanes;
}
