import { describe, expect, test } from "vitest";
import type { NewTask } from "../../../src/core/task/new-task.ts";
import { HOUR_MS, MINUTE_MS } from "../../../src/schema/limits.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const KEPT_AN_HOUR = { retention: { succeeded: "1h", failed: "1h" } };
const DELETE = "DELETE FROM tasks";

async function succeeded(world: ShardWorld, overrides = {}): Promise<string> {
  const grant = await world.submitGranted(overrides);
  await world.settle(grant);
  return grant.id;
}

/** A world with so many tasks whose retention is over, before any pass of pruning. */
async function withOver(count: number, settings = KEPT_AN_HOUR) {
  const world = new ShardWorld(settings);
  const over: string[] = [];
  for (let i = 0; i < count; i++) over.push(await succeeded(world));
  world.now += HOUR_MS + 2 * MINUTE_MS;
  return { world, over };
}

function ids(world: ShardWorld): string[] {
  return world.rows("SELECT id FROM tasks ORDER BY id").map(({ id }) => String(id));
}

describe("a new task", () => {
  test("takes the place of one whose retention is over, the oldest first", async () => {
    const { world, over } = await withOver(3);
    const first = await succeeded(world);
    expect(ids(world)).toEqual([over[1], over[2], first]);
    const more = await world.submitAll([world.task(), world.task(), world.task()]);
    expect(ids(world)).toEqual([first, ...more.map((result) => (result.ok ? result.task.id : ""))]);
    expect(await world.shard.get(over[0] ?? "")).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.counts()).toMatchObject({ succeeded: 1, running: 3 });
  });

  test("keeps the counts that were made before right", async () => {
    const { world } = await withOver(3);
    expect(await world.counts()).toMatchObject({ succeeded: 3 });
    await world.submitGranted();
    expect(await world.counts()).toMatchObject({ succeeded: 2, running: 1 });
  });

  test("leaves nothing of the row that it takes over", async () => {
    const taken = new ShardWorld(KEPT_AN_HOUR);
    const grant = await taken.submitGranted({
      priority: 9,
      idempotencyKey: "order-1",
      requestHash: "hash",
      call: { callback: HOOK, labels: ["eu"], metadata: { a: 1 } },
    });
    const { callback } = await taken.settle(grant);
    if (callback === null) throw new Error("no callback grant");
    await taken.settle(callback);
    taken.now += HOUR_MS + 2 * MINUTE_MS;
    const task: NewTask = taken.task();
    const fresh = new ShardWorld(KEPT_AN_HOUR);
    fresh.now = taken.now;
    await taken.submit(task);
    await fresh.submit(task);
    expect(ids(taken)).toEqual([task.id]);
    expect(taken.rows("SELECT * FROM tasks")).toEqual(fresh.rows("SELECT * FROM tasks"));
  });

  test("frees the idempotency key of the row that it takes over", async () => {
    const world = new ShardWorld(KEPT_AN_HOUR);
    const key = { idempotencyKey: "order-1", requestHash: "hash" };
    await succeeded(world, key);
    world.now += HOUR_MS + 2 * MINUTE_MS;
    await world.submitGranted();
    const [again] = await world.submitAll([world.task(key)]);
    expect(again).toMatchObject({ ok: true, task: { duplicate: false } });
  });

  test("is there once, and takes one place, where it is submitted twice", async () => {
    const { world, over } = await withOver(3);
    const task = world.task();
    const results = [...(await world.submitAll([task])), ...(await world.submitAll([task]))];
    expect(results).toMatchObject([{ ok: true }, { ok: true }]);
    expect(ids(world)).toEqual([over[1], over[2], task.id]);
  });

  test("has its bodies apart as any other", async () => {
    const { world } = await withOver(1);
    const { id } = await world.submit(world.task({ call: { body: "x".repeat(10_000) } }));
    expect(world.rows("SELECT id, part FROM bodies")).toEqual([{ id, part: "request" }]);
    expect(ids(world)).toEqual([id]);
  });

  test("that is rolled back with its batch leaves the other in place", async () => {
    const { world, over } = await withOver(2);
    let inserts = 0;
    world.onSql = (query) => {
      if (/^(UPDATE OR IGNORE|INSERT)/.test(query) && ++inserts === 2) throw new Error("storage is away");
    };
    await expect(world.submitAll([world.task(), world.task()])).rejects.toThrow("storage is away");
    expect(inserts).toBe(2);
    expect(ids(world)).toEqual(over);
    expect(await world.counts()).toMatchObject({ succeeded: 2, running: 0 });
  });
});

describe("a row is not written over", () => {
  test("before its retention is over", async () => {
    const world = new ShardWorld(KEPT_AN_HOUR);
    const id = await succeeded(world);
    world.now += HOUR_MS - 1;
    await world.submitGranted();
    expect(ids(world)).toContain(id);
  });

  test("where each state has its own time and this one's is not over", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h", failed: "3h" } });
    const grant = await world.submitGranted();
    await world.settle(grant, { status: 400 });
    world.now += HOUR_MS + 2 * MINUTE_MS;
    await world.submitGranted();
    expect(ids(world)).toContain(grant.id);
  });

  test("once it was found and then redriven", async () => {
    const { world, over } = await withOver(3);
    await world.submitGranted();
    await world.operate(over[1] ?? "", "retry", true);
    await world.submitGranted();
    await world.submitGranted();
    expect(ids(world)).toContain(over[1]);
    expect(ids(world)).toHaveLength(4);
    expect(await world.view(over[1] ?? "")).toMatchObject({ round: 2 });
  });

  test("once it was found and its queue keeps it for longer", async () => {
    const { world, over } = await withOver(3);
    await world.submitGranted();
    await world.configure({}, { retention: { succeeded: 3 * HOUR_MS, failed: 3 * HOUR_MS } });
    await world.submitGranted();
    expect(ids(world)).toEqual(expect.arrayContaining([over[1], over[2]]));
  });

  test("while its callback is on its way", async () => {
    const world = new ShardWorld(KEPT_AN_HOUR);
    const attempt = await world.submitGranted({ call: { callback: HOOK } });
    await world.settle(attempt);
    world.now += HOUR_MS + 2 * MINUTE_MS;
    await world.submitGranted();
    expect(ids(world)).toContain(attempt.id);
  });

  test("where bodies are kept apart for it: a pass deletes it with them", async () => {
    const world = new ShardWorld(KEPT_AN_HOUR);
    const id = await succeeded(world, { call: { body: "x".repeat(10_000) } });
    world.now += HOUR_MS + 2 * MINUTE_MS;
    await world.submitGranted();
    expect(ids(world)).toContain(id);
    await world.alarm();
    expect(ids(world)).not.toContain(id);
    expect(world.rows("SELECT * FROM bodies")).toEqual([]);
  });

  test("that a pass has deleted: the new task gets a row of its own", async () => {
    const { world } = await withOver(3);
    await world.submitGranted();
    await world.alarm();
    expect(ids(world)).toHaveLength(1);
    await world.submitGranted();
    expect(ids(world)).toHaveLength(2);
  });
});

describe("under steady load", () => {
  test("next to nothing is left for pruning to delete", async () => {
    const world = new ShardWorld(KEPT_AN_HOUR);
    let deleted = 0;
    let submitted = 0;
    for (let minute = 0; minute < 240; minute++) {
      if (minute === 90) {
        world.onSql = (query) => {
          if (query.startsWith(DELETE)) deleted++;
        };
      }
      for (let i = 0; i < 6; i++) {
        await succeeded(world);
        if (minute >= 90) submitted++;
        await world.advance(10_000);
      }
    }
    expect(ids(world).length).toBeLessThan(6 * 75);
    expect(deleted).toBeLessThan(submitted / 5);
  });

  test("rows are looked at once, and not at all while none can be over", async () => {
    const { world } = await withOver(1_200);
    const looks: number[] = [];
    world.onSql = (query) => {
      if (query.includes("AS bodies")) looks.push(world.now);
    };
    for (let i = 0; i < 1_500; i++) await world.submit(world.task());
    // 500, 500 and 200 rows; the instant is the same for all.
    expect(looks).toHaveLength(3);
    world.now += 1_000;
    await world.submit(world.task());
    expect(looks).toHaveLength(4);
  });

  test("rows that are not over are read by one look, and by none after a pass has left them", async () => {
    const world = new ShardWorld({ retention: { succeeded: "1h", failed: "90d" } });
    for (let i = 0; i < 20; i++) await world.settle(await world.submitGranted(), { status: 400 });
    const read = countLooked(world);
    world.now += HOUR_MS + 2 * MINUTE_MS;
    for (let i = 0; i < 5; i++) {
      await world.submitGranted();
      world.now += 2_000;
    }
    expect(read()).toBe(20);
    world.now += HOUR_MS;
    world.restart();
    await world.submitGranted();
    expect(read()).toBe(20);
  });
});

/** How many rows were read so far to find some that may be written over. */
function countLooked({ storage: { sql } }: ShardWorld): () => number {
  let read = 0;
  const { exec } = sql;
  sql.exec = (query, ...bindings) => {
    const cursor = exec(query, ...bindings);
    if (!query.includes("AS bodies")) return cursor;
    const rows = cursor.toArray();
    read += rows.length;
    return { ...cursor, toArray: () => rows };
  };
  return () => read;
}
