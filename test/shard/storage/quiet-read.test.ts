import { describe, expect, test } from "vitest";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const PAGE = { before: null, state: null, label: null, target: null, createdAfter: null, limit: 50 };

/** A shard with a task that is due, on a disk that has become full. */
async function fullDisk() {
  const world = new ShardWorld();
  const { id } = await world.submit(world.taskTo("a", { delayMs: 1_000 }));
  world.now += 2_000;
  world.onSql = (query) => {
    if (!/^\s*(SELECT|WITH)/.test(query)) throw new Error("database or disk is full: SQLITE_FULL");
  };
  world.onSetAlarm = () => {
    throw new Error("database or disk is full: SQLITE_FULL");
  };
  return { world, id };
}

describe("a quiet read", () => {
  test("answers where storage takes no writes and any other read fails", async () => {
    const { world, id } = await fullDisk();

    await expect(world.shard.get(id)).rejects.toThrow("SQLITE_FULL");
    expect(await world.shard.get(id, true)).toMatchObject({ ok: true, task: { id, state: "pending" } });
    expect((await world.shard.list(PAGE, true)).tasks).toMatchObject([{ id }]);
    expect((await world.shard.stats(true)).counts).toMatchObject({ pending: 1 });
  });

  test("leaves what is due to the next call", async () => {
    const { world, id } = await fullDisk();
    await world.shard.get(id, true);
    world.onSql = () => undefined;
    world.onSetAlarm = () => undefined;
    expect(world.handed).toEqual([]);
    await world.shard.get(id);
    await world.settled();
    expect(world.nextHanded().id).toBe(id);
  });
});
