import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chooseProbe,
  chooseShard,
  type ParkedShard,
  type ParkedTask,
} from "../../../src/core/breaker/choose-probe.ts";

const task = (id: string, over: Partial<ParkedTask> = {}): ParkedTask => ({
  id,
  attemptsUsed: 0,
  attemptsLeft: 5,
  dueAt: 0,
  ...over,
});
const shard = (name: string, over: Partial<ParkedShard> = {}): ParkedShard => ({
  shard: name,
  tasks: 1,
  probe: { attemptsUsed: 0, attemptsLeft: 5 },
  probedAt: 0,
  ...over,
});
const tasks = fc.uniqueArray(
  fc.record<ParkedTask>({
    id: fc.string({ minLength: 1, maxLength: 3 }),
    attemptsUsed: fc.nat(4),
    attemptsLeft: fc.integer({ min: 1, max: 4 }),
    dueAt: fc.nat(3),
  }),
  { selector: ({ id }) => id, minLength: 1 },
);

describe("chooseProbe", () => {
  test("takes the task that has used the fewest attempts", () => {
    const parked = [
      task("a", { attemptsUsed: 2 }),
      task("b", { attemptsUsed: 1 }),
      task("c", { attemptsUsed: 3 }),
    ];
    expect(chooseProbe(parked)?.id).toBe("b");
  });

  test("spares a task that a failed probe would end", () => {
    const parked = [task("a", { attemptsLeft: 1 }), task("b", { attemptsUsed: 4, attemptsLeft: 2 })];
    expect(chooseProbe(parked)?.id).toBe("b");
    expect(chooseProbe(parked.slice(0, 1))?.id).toBe("a");
  });

  test("takes the one due longest of equals, then the first by id", () => {
    const parked = [task("c", { dueAt: 2 }), task("b", { dueAt: 1 }), task("a", { dueAt: 1 })];
    expect(chooseProbe(parked)?.id).toBe("a");
    expect(chooseProbe([task("a"), task("b")])?.id).toBe("a");
  });

  test("finds none where none is parked", () => {
    expect(chooseProbe([])).toBeNull();
  });

  test("does not depend on the order it is shown", () => {
    fc.assert(
      fc.property(tasks, (parked) => {
        expect(chooseProbe(parked.toReversed())).toEqual(chooseProbe(parked));
      }),
    );
  });

  test("spreads failing probes: nobody is two ahead of another, and nobody ends while another could go", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.integer({ min: 2, max: 6 }),
        fc.nat(40),
        (n, max, probes) => {
          const parked = Array.from({ length: n }, (_, i) => task(`t${i}`, { attemptsLeft: max }));
          for (let i = 0; i < Math.min(probes, n * (max - 1)); i++) {
            const chosen = chooseProbe(parked);
            if (chosen === null) throw new Error("expected a task");
            chosen.attemptsUsed++;
            chosen.attemptsLeft--;
          }
          const used = parked.map(({ attemptsUsed }) => attemptsUsed);
          expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(1);
          expect(Math.max(...used)).toBeLessThan(max);
        },
      ),
    );
  });
});

describe("chooseShard", () => {
  test("takes a shard where a probe costs no attempt", () => {
    expect(chooseShard([shard("a"), shard("b", { probe: null, probedAt: 9 })])?.shard).toBe("b");
    expect(chooseShard([shard("b", { probe: null, probedAt: 9 }), shard("a")])?.shard).toBe("b");
  });

  test("takes the shard whose task has used the fewest, then the one probed longest ago", () => {
    const used = shard("a", { probe: { attemptsUsed: 1, attemptsLeft: 4 } });
    expect(chooseShard([used, shard("b", { probedAt: 9 }), shard("c", { probedAt: 3 })])?.shard).toBe("c");
  });

  test("takes the first by name of equals", () => {
    expect(chooseShard([shard("b"), shard("a")])?.shard).toBe("a");
    expect(chooseShard([shard("a"), shard("b")])?.shard).toBe("a");
    expect(chooseShard([])).toBeNull();
  });

  test("takes turns among shards that are alike", () => {
    const parked = [shard("a"), shard("b"), shard("c")];
    const turns = Array.from({ length: 6 }, (_, i) => {
      const chosen = chooseShard(parked);
      if (chosen !== null) chosen.probedAt = i + 1;
      return chosen?.shard;
    });
    expect(turns).toEqual(["a", "b", "c", "a", "b", "c"]);
  });
});
