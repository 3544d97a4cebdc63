import { describe, expect, test } from "vitest";
import {
  MOST_SHARDS,
  mapSome,
  SHARDS_AT_ONCE,
  shardGroup,
  shardsOf,
} from "../../../src/api/access/shard-groups.ts";
import { buildConfig } from "../../support/shard/shard-messages.ts";

const queue = (ref: number, shards: number) => buildConfig({ shards }, { ref, name: `queue-${ref}` });

describe("shardGroup", () => {
  test("takes queues in the order in which they were made, up to 256 shards together", () => {
    const all = [queue(9, 100), queue(2, 200), queue(5, 56), queue(7, 1)];
    const first = shardGroup(all, 0);
    expect(first.queues.map(({ ref }) => ref)).toEqual([2, 5]);
    expect(first.nextRef).toBe(7);
    const second = shardGroup(all, 7);
    expect(second.queues.map(({ ref }) => ref)).toEqual([7, 9]);
    expect(second.nextRef).toBeNull();
  });

  test("comes to an end over any queues, each of them once, those of the most shards too", () => {
    const all = Array.from({ length: 40 }, (_, i) => queue(i + 1, i % 3 === 0 ? MOST_SHARDS : 4));
    const seen: number[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const group = shardGroup(all, from);
      expect(shardsOf(group.queues).length).toBeLessThanOrEqual(MOST_SHARDS);
      seen.push(...group.queues.map(({ ref }) => ref));
      from = group.nextRef;
    }
    expect(seen).toEqual(all.map(({ ref }) => ref));
  });

  test("goes on where the queue that it would begin with is gone", () => {
    expect(shardGroup([queue(2, 1), queue(8, 1)], 5).queues.map(({ ref }) => ref)).toEqual([8]);
  });
});

describe("mapSome", () => {
  test("does all, in their order, no more than some at the same time", async () => {
    let underWay = 0;
    let most = 0;
    const items = Array.from({ length: 200 }, (_, i) => i);
    const doubled = await mapSome(items, async (item) => {
      most = Math.max(most, ++underWay);
      await Promise.resolve();
      underWay--;
      return item * 2;
    });
    expect(doubled).toEqual(items.map((item) => item * 2));
    expect(most).toBe(SHARDS_AT_ONCE);
  });

  test("rejects where one does", async () => {
    await expect(
      mapSome([1, 2, 3], (item) => (item === 2 ? Promise.reject(new Error("two")) : Promise.resolve(item))),
    ).rejects.toThrow("two");
  });
});
