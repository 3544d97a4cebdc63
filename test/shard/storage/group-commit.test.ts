import { describe, expect, test } from "vitest";
import { GroupCommit } from "../../../src/shard/storage/group-commit.ts";
import { settleMessage } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";
import { memorySql } from "../../support/shard/sqlite.ts";

/** A group on a real table, with everything that happens written down in order. */
function buildGroup() {
  const { sql, transaction } = memorySql();
  sql.exec("CREATE TABLE notes (text TEXT)");
  const events: string[] = [];
  const world = { now: 1_000, waits: [] as number[], beforeCommit: () => {} };
  const group = new GroupCommit({
    transaction,
    now: () => world.now,
    wait: async (ms) => {
      world.waits.push(ms);
    },
    beforeCommit: () => {
      events.push("before commit");
      world.beforeCommit();
    },
  });
  const write = (text: string) => sql.exec("INSERT INTO notes (text) VALUES (?)", text);
  const notes = () =>
    sql
      .exec("SELECT text FROM notes ORDER BY rowid")
      .toArray()
      .map(({ text }) => text);
  return { group, events, world, write, notes };
}

describe("GroupCommit", () => {
  test("runs what came together in the order given, in one commit", async () => {
    const { group, events, write, notes } = buildGroup();
    const order = ["a", "b", "c", "d"];
    const answers = await Promise.all(
      order.map((text) =>
        group.run(() => {
          events.push(text);
          write(text);
          return text.toUpperCase();
        }),
      ),
    );
    expect(answers).toEqual(["A", "B", "C", "D"]);
    expect(notes()).toEqual(order);
    expect(events).toEqual([...order, "before commit"]);
    expect(group.commits).toBe(1);
  });

  test("answers nobody before the work before the commit is done", async () => {
    const { group, events } = buildGroup();
    await Promise.all([
      group.run(() => "first").then((text) => events.push(text)),
      group.run(() => "second").then((text) => events.push(text)),
    ]);
    expect(events).toEqual(["before commit", "first", "second"]);
  });

  test("rolls back and rejects alone an operation that throws", async () => {
    const { group, write, notes } = buildGroup();
    const memory: string[] = [];
    const note = (text: string, fails = false) =>
      group.run((tx) => {
        write(text);
        tx.after(() => memory.push(text));
        if (fails) throw new Error(`${text} fails`);
        return text;
      });
    const results = await Promise.allSettled([note("one"), note("two", true), note("three")]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[1]).toMatchObject({ reason: new Error("two fails") });
    expect(notes()).toEqual(["one", "three"]);
    expect(memory).toEqual(["one", "three"]);
  });

  test("changes memory before the next operation runs", async () => {
    const { group } = buildGroup();
    let memory = 0;
    const add = () =>
      group.run((tx) => {
        const seen = memory;
        tx.after(() => {
          memory++;
        });
        return seen;
      });
    expect(await Promise.all([add(), add(), add()])).toEqual([0, 1, 2]);
  });

  test("rejects the whole group where the work before the commit fails, and goes on with the next", async () => {
    const { group, world } = buildGroup();
    world.beforeCommit = () => {
      throw new Error("the alarm cannot be set");
    };
    const failing = await Promise.allSettled([group.run(() => 1), group.run(() => 2)]);
    expect(failing.map((result) => result.status === "rejected" && result.reason.message)).toEqual([
      "the alarm cannot be set",
      "the alarm cannot be set",
    ]);
    world.beforeCommit = () => {};
    expect(await group.run(() => 3)).toBe(3);
  });

  test("commits at once while operations come one by one, as those of a single task do", async () => {
    const { group, world } = buildGroup();
    for (const gapMs of [80, 3, 2, 80, 3, 2, 80]) {
      await group.run(() => 1);
      world.now += gapMs;
    }
    expect(world.waits).toEqual([]);
  });

  test("gathers for 8 ms once operations keep coming closer together than 4 ms", async () => {
    const { group, world } = buildGroup();
    for (let i = 0; i < 60; i++) {
      await group.run(() => i);
      world.now += 2;
    }
    expect(new Set(world.waits)).toEqual(new Set([8]));
    const busy = world.waits.length;
    for (let i = 0; i < 5; i++) {
      world.now += 100;
      await group.run(() => i);
    }
    expect(world.waits.length).toBe(busy);
  });

  test("leaves to the next group what comes while one runs", async () => {
    const { group } = buildGroup();
    let later: Promise<number> = Promise.resolve(0);
    await group.run(() => {
      later = group.run(() => 2);
    });
    expect(await later).toBe(2);
    expect(group.commits).toBe(2);
  });
});

describe("a shard's group", () => {
  test("stores what the others asked where one operation of the group throws", async () => {
    const world = new ShardWorld();
    const [first, broken, last] = [world.taskTo("a"), world.taskTo("b"), world.taskTo("c")];
    world.onSql = (query, bindings) => {
      if (query.startsWith("INSERT OR IGNORE INTO tasks") && bindings.includes(broken.id))
        throw new Error("this row cannot be written");
    };
    const results = await Promise.allSettled(
      [first, broken, last].map((task) => world.shard.submit({ queueVersion: 1, tasks: [task] })),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(world.shard.group.commits).toBeLessThanOrEqual(2);
    expect(await world.shard.get(broken.id)).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await world.view(last.id)).toMatchObject({ id: last.id });
    expect((await world.counts()).pending + (await world.counts()).running).toBe(2);
  });

  test("stores nothing of a batch one of whose tasks cannot be written", async () => {
    const world = new ShardWorld();
    const tasks = [world.task(), world.task(), world.task()];
    world.onSql = (query, bindings) => {
      if (query.startsWith("INSERT OR IGNORE INTO tasks") && bindings.includes(tasks[2]?.id ?? ""))
        throw new Error("this row cannot be written");
    };
    await expect(world.submitAll(tasks)).rejects.toThrow("this row cannot be written");
    expect(world.rows("SELECT id FROM tasks")).toEqual([]);
    expect(await world.shard.stats()).toMatchObject({ inFlight: 0, counts: { running: 0, pending: 0 } });
  });

  test("rejects all where the alarm cannot be set, and makes it good when they ask again", async () => {
    const world = new ShardWorld();
    await world.configure({});
    world.onSetAlarm = () => {
      throw new Error("storage is away");
    };
    const task = world.task();
    const other = world.taskTo("other", { delayMs: 5_000 });
    const failing = await Promise.allSettled(
      [task, other].map((one) => world.shard.submit({ queueVersion: 1, tasks: [one] })),
    );
    expect(failing.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(world.alarmAt).toBeNull();
    world.onSetAlarm = () => undefined;
    const { grant } = await world.submit(task);
    expect(grant).toMatchObject({ id: task.id, lease: 1 });
    await world.submit(other);
    expect(world.alarmAt).toBe(world.now + 5_000);
  });

  test("hands over what it claimed even where the alarm cannot be set then", async () => {
    const world = new ShardWorld();
    await world.configure({});
    world.onSetAlarm = () => {
      throw new Error("storage is away");
    };
    const task = world.taskTo("a");
    await expect(world.submitAll([task])).rejects.toThrow("storage is away");
    await world.settled();
    expect(world.nextHanded()).toMatchObject({ id: task.id, lease: 1 });
  });

  test("claims nothing where it cannot be kept which leases are in flight", async () => {
    const world = new ShardWorld();
    await world.configure({});
    world.onSql = (query) => {
      if (query.startsWith("INSERT INTO flights")) throw new Error("storage is full");
    };
    const task = world.taskTo("a");
    await expect(world.submitAll([task])).rejects.toThrow("storage is full");
    expect(world.rows("SELECT state, lease_until FROM tasks")).toEqual([
      { state: "pending", lease_until: null },
    ]);
    world.onSql = () => undefined;
    await world.submit(task);
    expect(world.nextHanded()).toMatchObject({ id: task.id, lease: 1 });
    expect(await world.counts()).toMatchObject({ running: 1, pending: 0 });
  });

  test("answers settles and submits of one group from one commit", async () => {
    const world = new ShardWorld();
    const grants = [await world.submitGranted(), await world.submitGranted()];
    const before = world.shard.group.commits;
    const answers = await Promise.all([
      ...grants.map((grant) => world.shard.settle(settleMessage(grant))),
      world.shard.submit({ queueVersion: 1, tasks: [world.task()] }),
    ]);
    expect(world.shard.group.commits).toBe(before + 1);
    expect(answers.slice(0, 2)).toMatchObject([{ status: "accepted" }, { status: "accepted" }]);
  });
});
