import { describe, expect, test } from "vitest";
import { FULL_WEIGHT, PLAIN_WEIGHT } from "../../../src/core/pressure/weight.ts";
import type { Grant } from "../../../src/protocol/grant.ts";
import { HOOK } from "../../support/shard/shard-messages.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

const MIB = 1_048_576;
/** With its row, and what stands around it, under 1 MB. */
const BODY = "x".repeat(MIB - 4_096);

const LIST = { before: null, state: null, label: null, target: null, createdAfter: null, limit: 50 };

/** Bytes of the bodies that are in flight. */
function inFlight(world: ShardWorld): number {
  return world.handed.reduce((sum, { grant }) => sum + (grant.request.body?.length ?? 0), 0);
}

/** A shard in which so many tasks with a body of 1 MB fall due in a second, each for another target. */
async function dueTogether(count: number, body = BODY): Promise<ShardWorld> {
  const world = new ShardWorld({ concurrency: 256 });
  const tasks = Array.from({ length: count }, (_, i) =>
    world.taskTo(`host-${i}`, { delayMs: 1_000, call: { body } }),
  );
  for (const task of tasks) await world.submit(task);
  return world;
}

/** Serves what is in flight, one by one, until nothing is; gives what was served, and the most bytes at once. */
async function serve(world: ShardWorld): Promise<{ served: Grant[]; most: number }> {
  const served: Grant[] = [];
  let most = 0;
  for (;;) {
    await world.advance(10);
    most = Math.max(most, inFlight(world));
    const grant = world.handed[0]?.grant;
    if (grant === undefined) return { served, most };
    served.push(grant);
    await world.settle(grant);
  }
}

describe("40 bodies of 1 MB that are due together", () => {
  test("are never in flight beyond what a shard may have, and all are called, whole", async () => {
    const world = await dueTogether(40);
    await world.advance(1_000);
    expect(inFlight(world)).toBeGreaterThan(0);
    const { served, most } = await serve(world);
    expect(new Set(served.map(({ id }) => id)).size).toBe(40);
    expect(served.every(({ request }) => request.body === BODY)).toBe(true);
    expect(most).toBeLessThanOrEqual(FULL_WEIGHT);
    expect(most).toBeGreaterThan(FULL_WEIGHT - 2 * MIB);
  });

  test("go beyond a little only once a row on disk says so, which is gone when they are", async () => {
    const world = await dueTogether(40);
    let markedWith: number | null = null;
    world.onSql = (query) => {
      if (query.startsWith("UPDATE shard SET heavy") && markedWith === null) markedWith = inFlight(world);
    };
    await world.advance(1_000);
    expect(markedWith).toBe(0);
    expect(inFlight(world)).toBeLessThanOrEqual(FULL_WEIGHT);
    await serve(world);
    expect(world.rows("SELECT heavy FROM shard")).toEqual([{ heavy: null }]);
  });

  test("go by half as much at a time after each time that the object has ended with them", async () => {
    const world = await dueTogether(40);
    await world.advance(1_010);
    const weight = () => world.shard.ctx.flights.weight;
    const most: number[] = [weight()];
    for (let ended = 0; ended < 4; ended++) {
      world.restart();
      world.handed = [];
      await world.alarm();
      await world.advance(10);
      most.push(weight());
    }
    expect(most.map((bytes) => Math.round(bytes / MIB))).toEqual([8, 4, 2, 2, 2]);
    const { served } = await serve(world);
    expect(served.length).toBeGreaterThan(0);
    expect(world.rows("SELECT heavy FROM shard")).toEqual([{ heavy: null }]);
  });

  test("do not run the alarm in a loop while they wait", async () => {
    const world = await dueTogether(40);
    await world.advance(2_000);
    const before = world.alarmsRun;
    await world.advance(8_000);
    expect(world.alarmsRun - before).toBeLessThanOrEqual(1);
  });

  test("say that they wait for calls to end", async () => {
    const world = await dueTogether(40);
    await world.advance(2_000);
    const { tasks } = await world.shard.list({ ...LIST, state: "pending" });
    expect(new Set(tasks.map(({ waiting_on }) => waiting_on))).toEqual(new Set(["concurrency"]));
  });

  test("leave plain tasks their slots", async () => {
    const world = await dueTogether(40);
    await world.advance(2_000);
    const { id } = await world.submit(world.taskTo("plain"));
    expect(world.handed.map(({ grant }) => grant.id)).toContain(id);
  });
});

describe("a body that is heavier than all that may go", () => {
  test("goes alone", async () => {
    const body = "x".repeat(FULL_WEIGHT + 1);
    const world = await dueTogether(3, body);
    await world.advance(1_000);
    const { served, most } = await serve(world);
    expect(served).toHaveLength(3);
    expect(most).toBe(body.length);
  });
});

describe("a submit with a heavy body", () => {
  test("gets no grant beyond what may be in flight, and is called later", async () => {
    const world = new ShardWorld({ concurrency: 256 });
    const results = await world.submitAll(
      Array.from({ length: 5 }, (_, i) =>
        world.task({ call: { url: `https://h${i}.example.com/`, body: BODY } }),
      ),
    );
    const grants = results.flatMap((result) => (result.ok && result.grant !== null ? [result.grant] : []));
    expect(grants).toHaveLength(PLAIN_WEIGHT / MIB);
    for (const grant of grants) await world.settle(grant);
    expect((await serve(world)).served).toHaveLength(3);
  });
});

describe("what does not make the call", () => {
  test("reads no body of a request: settles, deliveries, lists, cancels", async () => {
    const world = new ShardWorld();
    const read: string[] = [];
    const grant = await world.submitGranted({ call: { body: BODY, callback: HOOK } });
    const { id: cancelled } = await world.submit(world.taskTo("b", { delayMs: 1_000, call: { body: BODY } }));
    world.onSql = (query, bindings) => {
      if (query.startsWith("SELECT data FROM bodies")) read.push(`${bindings[0]} ${bindings[1]}`);
    };
    const { callback } = await world.settle(grant, { body: "y".repeat(60_000) });
    if (callback !== null) await world.settle(callback, { status: 500 });
    await world.operate(cancelled, "cancel");
    await world.shard.list(LIST);
    expect(read.filter((one) => one.includes("request"))).toEqual([]);
    await world.advance(10_000);
    expect(world.nextHanded().request.body).toContain("y".repeat(60_000));
    await world.settle(world.nextHanded());
    expect(read.filter((one) => one.includes("request"))).toEqual([]);
    expect(await world.view(grant.id)).toMatchObject({ response: { body: "y".repeat(60_000) } });
  });

  test("leaves the bodies as they are for a later round", async () => {
    const world = new ShardWorld({ retry: { max_attempts: 1 } });
    const grant = await world.submitGranted({ call: { body: BODY } });
    await world.settle(grant, { status: 500, body: "z".repeat(50_000) });
    await world.operate(grant.id, "retry");
    expect(world.nextHanded().request.body).toBe(BODY);
  });

  test("keeps a body that reads like the mark of one that is kept apart", async () => {
    const world = new ShardWorld();
    const { id } = await world.submit(world.taskTo("a", { delayMs: 10, call: { body: "\u0000apart" } }));
    await world.advance(10);
    expect(world.nextHanded()).toMatchObject({ id, request: { body: "\u0000apart" } });
  });
});
