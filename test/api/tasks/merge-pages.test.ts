import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mergePages } from "../../../src/api/tasks/merge-pages.ts";
import type { ListAnswer } from "../../../src/protocol/shard-api.ts";
import type { TaskSummary } from "../../../src/schema/task.ts";

const task = (id: string) => ({ id }) as TaskSummary;

/** A shard that examines at most `examines` rows for each page. */
function answer(ids: string[], before: string | null, limit: number, examines: number): ListAnswer {
  const below = ids.filter((id) => before === null || id < before).sort((a, b) => (a > b ? -1 : 1));
  const examined = below.slice(0, Math.min(limit, examines));
  const isEnd = examined.length === below.length;
  // Every third task does not match the filter: it is examined and not given.
  const matching = examined.filter((id) => Number(id.slice(1)) % 3 !== 0);
  return { tasks: matching.map(task), examinedTo: isEnd ? null : (examined.at(-1) ?? null) };
}

describe("mergePages", () => {
  test("gives the newest first over all shards", () => {
    const page = mergePages(
      [
        { tasks: [task("c"), task("a")], examinedTo: null },
        { tasks: [task("b")], examinedTo: null },
      ],
      10,
    );
    expect(page).toEqual({ tasks: [task("c"), task("b"), task("a")], nextBefore: null });
  });

  test("goes on below its last task where more would not fit", () => {
    const page = mergePages([{ tasks: [task("c"), task("b"), task("a")], examinedTo: null }], 2);
    expect(page).toEqual({ tasks: [task("c"), task("b")], nextBefore: "b" });
  });

  test("ends where the shard that stopped first stopped", () => {
    const page = mergePages(
      [
        { tasks: [task("z"), task("a")], examinedTo: null },
        { tasks: [], examinedTo: "m" },
        { tasks: [task("k")], examinedTo: "k" },
      ],
      10,
    );
    expect(page).toEqual({ tasks: [task("z")], nextBefore: "m" });
  });

  test("gives every matching task exactly once, in order, over all pages", () => {
    const shardIds = fc.uniqueArray(fc.integer({ min: 100, max: 999 }), { maxLength: 60 });
    fc.assert(
      fc.property(
        shardIds,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 5 }),
        (all, limit, examines) => {
          const ids = all.map((id) => `t${id}`);
          const shards = [0, 1, 2].map((shard) => ids.filter((_, i) => i % 3 === shard));
          const seen: string[] = [];
          let before: string | null = null;
          for (let pages = 0; pages < 200; pages++) {
            const page = mergePages(
              shards.map((shard) => answer(shard, before, limit, examines)),
              limit,
            );
            expect(page.tasks.length).toBeLessThanOrEqual(limit);
            seen.push(...page.tasks.map(({ id }) => id));
            before = page.nextBefore;
            if (before === null) break;
          }
          const matching = ids.filter((id) => Number(id.slice(1)) % 3 !== 0);
          expect(seen).toEqual(matching.sort().reverse());
        },
      ),
    );
  });
});
