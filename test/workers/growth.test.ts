import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import type { SqlPort } from "../../src/platform/sql-port.ts";
import { LaneRows } from "../../src/shard/storage/lane-rows.ts";
import { copyTask } from "../support/shard/copy-task.ts";
import { buildNewTask, HOOK, settleMessage } from "../support/shard/shard-messages.ts";
import { countedRows } from "../support/workers/counted-rows.ts";
import { RemoteShard } from "../support/workers/remote-shard.ts";
import { stubWorld } from "../support/workers/stub-world.ts";

/** Far from the real clock, so that only the tests run alarms. */
const START = Date.parse("2042-01-01T00:00:00Z");
const DAY_MS = 24 * 3_600_000;
const END = START + DAY_MS;
const MANY = 20_000;
/** The copies' first target. */
const TARGET = "https://h0.example.com";
const FIRST_OF_LANE = "SELECT id FROM tasks WHERE lane = ? LIMIT ?";
const CALL = { call: { url: `${TARGET}/`, callback: HOOK } };
const LIST = { before: null, state: null, label: null, target: null, createdAfter: null, limit: 50 };

stubWorld(START);

describe("rows read, by the platform's own counter", () => {
  test("by a task's way do not grow with what waits for the same target, or for a thousand others", async () => {
    const empty = await rowsReadOnTheWay(await shardWith(1, 1));
    for (const targets of [1, 1_000]) {
      const full = await rowsReadOnTheWay(await shardWith(MANY, targets));
      expect(full.submit).toBeLessThanOrEqual(empty.submit);
      expect(full.settle).toBeLessThanOrEqual(empty.settle);
      expect(full.deliver).toBeLessThanOrEqual(empty.deliver);
      expect(full.claim).toBeLessThanOrEqual(empty.claim + 3);
    }
  });

  test("are none for tasks that are parked, until the first max_age can be over", async () => {
    const shard = await shardWith(MANY, 1);
    await shard.stub.configure({ ...shard.config, version: 2, paused: true });
    await shard.rows("UPDATE tasks SET due_at = ?, expires_at = ? WHERE lane = ?", START, 2 * END, TARGET);
    await shard.rows(`UPDATE tasks SET expires_at = ? WHERE id IN (${FIRST_OF_LANE})`, END, TARGET, 3);
    await evictDurableObject(shard.stub);
    expect(await rowsReadBy(shard, () => sweep(shard))).toBeGreaterThan(MANY);
    expect(await rowsReadBy(shard, () => sweep(shard))).toBeLessThan(20);
    vi.setSystemTime(END);
    await sweep(shard);
    expect(await shard.rows("SELECT count(*) AS n FROM tasks WHERE state = 'failed'")).toEqual([{ n: 3 }]);
  });

  test("by the choice of a probe are those that it chooses from, though most wait for later", async () => {
    const shard = await shardWith(MANY, 1);
    await shard.rows(`UPDATE tasks SET due_at = ? WHERE id IN (${FIRST_OF_LANE})`, START, TARGET, 3);
    let sampled: unknown[] = [];
    const read = await rowsReadBy(shard, () =>
      runInDurableObject(shard.stub, (_, { storage }) => {
        sampled = new LaneRows(storage.sql as SqlPort).sampleDue(TARGET, Date.now(), 50);
      }),
    );
    expect(sampled).toHaveLength(3);
    expect(read).toBeLessThan(50);
  });

  test("by a page are bounded, with each filter", async () => {
    const shard = await shardWith(MANY, 10);
    const filters = [
      {},
      { state: "failed" },
      { label: "rare" },
      { target: "https://none.example.com" },
    ] as const;
    // 5,000 rows are examined, once each and twice more in memory.
    for (const filter of filters) {
      const read = await rowsReadBy(shard, () => shard.stub.list({ ...LIST, ...filter }));
      expect(read, JSON.stringify(filter)).toBeLessThanOrEqual(15_100);
    }
    expect(await rowsReadBy(shard, () => shard.stub.list(LIST))).toBeLessThanOrEqual(1_000);
  });
});

/** A shard in which so many tasks wait for next month, which has been up for a while. */
async function shardWith(waiting: number, targets: number): Promise<RemoteShard> {
  const shard = new RemoteShard({ concurrency: 1_000, retention: { succeeded: "90d", failed: "90d" } });
  const first = buildNewTask(Date.now(), { ...CALL, edge: false, delayMs: 30 * DAY_MS });
  await shard.submit(first);
  await runInDurableObject(shard.stub, (_, { storage }) => {
    copyTask(storage.sql as SqlPort, { id: first.id, copies: waiting - 1, targets });
  });
  await onTheWay(shard, async (_, run) => void (await run()));
  return shard;
}

type Step = "submit" | "settle" | "deliver" | "claim";

async function rowsReadOnTheWay(shard: RemoteShard): Promise<Record<Step, number>> {
  const read: Partial<Record<Step, number>> = {};
  await onTheWay(shard, async (step, run) => {
    read[step] = await rowsReadBy(shard, run);
  });
  return { submit: 0, settle: 0, deliver: 0, claim: 0, ...read };
}

/** A task that is called at once and told, and one that is claimed a second later; step by step. */
async function onTheWay(
  shard: RemoteShard,
  step: (name: Step, run: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const message = { queueVersion: 1, tasks: [buildNewTask(Date.now(), CALL)] };
  let results: Awaited<ReturnType<typeof shard.stub.submit>> = [];
  await step("submit", async () => {
    results = await shard.stub.submit(message);
  });
  const [result] = results;
  if (!result?.ok || result.grant === null) throw new Error("no grant");
  const attempt = settleMessage(result.grant);
  let delivery: Awaited<ReturnType<typeof shard.stub.settle>>["callback"] = null;
  await step("settle", async () => {
    delivery = (await shard.stub.settle(attempt)).callback;
  });
  if (delivery === null) throw new Error("no callback grant");
  const delivered = settleMessage(delivery);
  await step("deliver", () => shard.stub.settle(delivered));
  await shard.submit(buildNewTask(Date.now(), { ...CALL, edge: false, delayMs: 1_000 }));
  await step("claim", async () => {
    await shard.alarmAfter(1_000);
    await vi.waitFor(async () => expect(await shard.rows("SELECT seq FROM flights")).toEqual([]));
  });
}

/** Any call makes a shard look after what is due, twice a minute. */
async function sweep(shard: RemoteShard): Promise<void> {
  vi.setSystemTime(Date.now() + 31_000);
  await shard.stub.get("tsk_none");
}

/** Rows that the shard's own statements read meanwhile. */
async function rowsReadBy(shard: RemoteShard, run: () => Promise<unknown>): Promise<number> {
  return (await countedRows(shard, run)).read;
}
