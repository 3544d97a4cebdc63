import { beforeEach, describe, expect, test } from "vitest";
import { migrationsIn } from "../support/migrations.ts";
import { BreakerWorld, buildReport, buildSync, parked } from "../support/shard/breaker-world.ts";

const MIGRATION = migrationsIn("breaker")
  .map(({ sql }) => sql)
  .join("\n");
const HOUR_MS = 3_600_000;

let world: BreakerWorld;

beforeEach(() => {
  world = new BreakerWorld(MIGRATION);
  for (const shard of ["q1-0", "q1-1", "q1-2", "q2-0"]) world.breaker.sync(buildSync(shard));
});

/** What was pushed since the last time, by shard. */
const told = async () =>
  (await world.taken())
    .map(({ shard, breaker }) => ({ shard, ...("holdUntil" in breaker ? { until: breaker.holdUntil } : {}) }))
    .sort((a, b) => (a.shard < b.shard ? -1 : 1));

describe("a hold that a shard tells of", () => {
  test("is told to the other shards of its queue, and to no other queue", async () => {
    const holdUntil = world.now + 2_000;
    expect(world.breaker.sync(buildSync("q1-0", { holdUntil }))).toMatchObject({
      state: "closed",
      holdUntil,
    });
    expect(await told()).toEqual([
      { shard: "q1-1", until: holdUntil },
      { shard: "q1-2", until: holdUntil },
    ]);
    expect(world.breaker.sync(buildSync("q2-0"))).not.toHaveProperty("holdUntil");
  });

  test("is told once: those that say so again are answered, and nobody is pushed to", async () => {
    const holdUntil = world.now + 2_000;
    world.breaker.sync(buildSync("q1-0", { holdUntil }));
    await world.taken();
    for (const shard of ["q1-0", "q1-1", "q1-2"])
      expect(world.breaker.sync(buildSync(shard, { holdUntil: holdUntil - 5 }))).toMatchObject({ holdUntil });
    expect(await told()).toEqual([]);
    world.breaker.sync(buildSync("q1-1", { holdUntil: holdUntil + 5 }));
    expect((await told()).map(({ shard }) => shard)).toEqual(["q1-0", "q1-2"]);
  });

  test("is in the answer to a shard that is new, until it is over", async () => {
    world.breaker.sync(buildSync("q1-0", { holdUntil: world.now + 2_000 }));
    expect(world.breaker.sync(buildSync("q1-3"))).toHaveProperty("holdUntil", world.now + 2_000);
    world.now += 2_000;
    expect(world.breaker.sync(buildSync("q1-4"))).not.toHaveProperty("holdUntil");
  });

  test("writes one row, and none when it is told again", async () => {
    world.writes.length = 0;
    const holdUntil = world.now + 2_000;
    world.breaker.sync(buildSync("q1-0", { holdUntil }));
    world.breaker.sync(buildSync("q1-1", { holdUntil }));
    await world.settled();
    expect(world.writes).toEqual(["INSERT INTO breaker"]);
  });

  test("is over by a reset, also for a shard that tells of it after the object lost its memory", async () => {
    const hold = { holdFrom: world.now, holdUntil: world.now + 60_000 };
    world.breaker.sync(buildSync("q1-0", hold));
    await world.taken();
    world.now += 1_000;
    const view = world.breaker.reset("let go", "key-1");
    expect(view).toMatchObject({
      knownHolds: [],
      releasedHolds: [{ queueRef: 1, from: hold.holdFrom, until: hold.holdUntil }],
      audit: [{ to: "closed", by: "key-1", holds_released: 1 }],
    });
    expect((await world.taken()).map(({ breaker }) => breaker)).toEqual(
      Array.from({ length: 4 }, () => expect.objectContaining({ holdsEndedAt: world.now })),
    );
    world.evict();
    const answer = world.breaker.sync(buildSync("q1-2", hold));
    expect(answer).toHaveProperty("holdsEndedAt", world.now);
    expect(answer).not.toHaveProperty("holdUntil");
    expect(await told()).toEqual([]);
  });

  test("that came since is released by a reset that looks like a repeat, and by no repeat twice", () => {
    world.breaker.reset("let go", "key-1");
    world.now += 1_000;
    world.breaker.sync(buildSync("q1-0", { holdUntil: world.now + 60_000 }));
    world.now += 1_000;
    expect(world.breaker.reset("let go", "key-1").releasedHolds).toHaveLength(1);
    world.now += 1_000;
    const repeated = world.breaker.reset("let go", "key-1");
    expect(repeated.releasedHolds).toEqual([]);
    expect(repeated.audit).toHaveLength(2);
  });

  test("comes with a change of state, to the shards of its queue alone", async () => {
    const holdUntil = world.now + 60_000;
    world.breaker.sync(buildSync("q1-0", { holdUntil }));
    await world.taken();
    const report = buildReport("q2-0/1", world.now, { failed: 10 });
    world.breaker.sync(buildSync("q2-0", { report, ...parked() }));
    expect(await told()).toEqual([
      ...["q1-0", "q1-1", "q1-2"].map((shard) => ({ shard, until: holdUntil })),
      { shard: "q2-0" },
    ]);
    world.evict();
    expect(world.breaker.sync(buildSync("q1-0"))).toHaveProperty("holdUntil", holdUntil);
  });

  test("costs a shard that is away nothing: it is told of changes of state all the same", async () => {
    world.away.add("q1-1");
    for (let i = 1; i <= 5; i++) {
      world.breaker.sync(buildSync("q1-0", { holdUntil: world.now + i * 1_000 }));
      await world.settled();
    }
    world.away.clear();
    await world.taken();
    world.breaker.isolate("moving", "root");
    expect((await told()).map(({ shard }) => shard)).toEqual(["q1-0", "q1-1", "q1-2", "q2-0"]);
  });
});

describe("a target that is gone", () => {
  const asks = (shard: string) => world.breaker.sync(buildSync(shard, { gone: true })).tellGone;

  test("is told by the first shard of each queue that asks, once an hour", () => {
    expect(["q1-1", "q1-0", "q2-0", "q1-1", "q2-0"].map(asks)).toEqual([true, false, true, false, false]);
    world.now += HOUR_MS - 1;
    expect(asks("q1-2")).toBe(false);
    world.now += 1;
    expect(["q1-2", "q1-1"].map(asks)).toEqual([true, false]);
  });

  test("is told once an hour though the object loses its memory", () => {
    expect(asks("q1-0")).toBe(true);
    world.evict();
    expect(asks("q1-1")).toBe(false);
  });

  test("is spoken of to nobody who does not ask", () => {
    expect(world.breaker.sync(buildSync("q1-0"))).not.toHaveProperty("tellGone");
  });
});
