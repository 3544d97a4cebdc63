import { describe, expect, test, vi } from "vitest";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import { buildNewTask, HOOK, settleMessage } from "../support/shard/shard-messages.ts";
import { countedRows } from "../support/workers/counted-rows.ts";
import { RemoteShard } from "../support/workers/remote-shard.ts";
import { stubWorld } from "../support/workers/stub-world.ts";

/** Far from the real clock, so that only the tests run alarms. */
const START = Date.parse("2041-01-01T00:00:00Z");
const CALLED = { call: { callback: HOOK } };
/** What tests' tasks call. */
const TARGET = "https://api.example.com";
/** For a runner: its submitter does not call it. */
const WAITING = { ...CALLED, edge: false };

/** Longer than a busy machine takes. */
const WITHIN = { timeout: 20_000 };

stubWorld(START);

// Rows are the bill. Each figure stands in docs/operations.md ("What things cost"); alarms come on top.
describe("rows written, by the platform's own counter", { timeout: 60_000 }, () => {
  test("are three for a task that succeeds at once with a callback, and one more to prune it", async () => {
    const shard = await startedShard();
    expect(await writtenBy(shard, () => deliverAtOnce(shard, 10))).toBe(30);
    const prune = "DELETE FROM tasks WHERE state = 'succeeded'";
    const before = (await shard.rows("SELECT id FROM tasks")).length;
    expect(await writtenBy(shard, () => shard.rows(prune))).toBe(before);
  });

  test("are three with the pruning of another, whose place it takes once that one's retention is over", async () => {
    const shard = await startedShard({ retention: { succeeded: "1h" } });
    await deliverAtOnce(shard, 9);
    vi.setSystemTime(START + 3_600_000 + 120_000);
    expect(await shard.rows("SELECT id FROM tasks")).toHaveLength(10);
    expect(await writtenBy(shard, () => deliverAtOnce(shard, 10))).toBe(30);
    expect(await shard.rows("SELECT id FROM tasks")).toHaveLength(10);
  });

  test("are two without a callback", async () => {
    const shard = await startedShard();
    const written = await writtenBy(shard, async () => {
      for (let i = 0; i < 10; i++) await shard.stub.settle(settleMessage(await shard.submitGranted()));
    });
    expect(written).toBe(20);
  });

  test("are two more, and two shared by a commit, for a delay", async () => {
    const shard = await startedShard();
    const written = await writtenBy(shard, async () => {
      await shard.submit(...tasks(10, { ...WAITING, delayMs: 1_000 }));
      await shard.alarmAfter(1_000);
      await allSucceed(shard, 10);
    });
    // The row that lists the leases, its removal, and the watermark.
    expect(written).toBe(50 + 3);
  });

  test("are the same for tasks of a batch that runners call", async () => {
    const shard = await startedShard();
    const written = await writtenBy(shard, async () => {
      await shard.submit(...tasks(10, WAITING));
      await allSucceed(shard, 10);
    });
    expect(written).toBe(50 + 2);
  });

  test("are three more for each retry", async () => {
    const shard = await startedShard({ breaker: { enabled: false }, retry_budget: { enabled: false } });
    let calls = 0;
    vi.stubGlobal("fetch", async (url: string) => {
      const fails = url !== HOOK.url && calls++ < 10;
      return new Response("", { status: fails ? 503 : 200 });
    });
    const written = await writtenBy(shard, async () => {
      for (let i = 0; i < 10; i++) {
        await shard.stub.settle(settleMessage(await shard.submitGranted(CALLED), { status: 503 }));
      }
      for (const attempts of [2, 3]) {
        await shard.alarmAfter(60_000);
        await vi.waitFor(
          async () => expect(await countOf(shard, `attempt = ${attempts} AND state <> 'running'`)).toBe(10),
          WITHIN,
        );
      }
      await allSucceed(shard, 10);
    });
    // And, shared by all: the watermark as it goes on, and rows of leases that it does not cover.
    expect(written).toBeGreaterThanOrEqual(90);
    expect(written).toBeLessThanOrEqual(90 + 8);
  });

  test("are shared by all who wait for a URL, for each poll of it", async () => {
    const shard = await startedShard({
      breaker: { enabled: false },
      retry: {
        rules: [
          { when: "status == 401", do: "hold", until: { probe: { url: `${TARGET}/ready`, period: "10s" } } },
        ],
      },
    });
    let ready = 503;
    let polls = 0;
    vi.stubGlobal("fetch", async (url: string) => {
      const isPoll = url.endsWith("/ready");
      if (isPoll) polls++;
      return new Response("", { status: isPoll ? ready : 200 });
    });
    const poll = async () => {
      const before = polls;
      await shard.alarmAfter(15_000);
      await vi.waitFor(async () => {
        expect(polls).toBe(before + 1);
        expect(await shard.rows("SELECT url FROM polls WHERE lease_until IS NOT NULL")).toEqual([]);
      }, WITHIN);
    };
    const holds = await writtenBy(shard, async () => {
      for (let i = 0; i < 10; i++)
        await shard.stub.settle(settleMessage(await shard.submitGranted(CALLED), { status: 401 }));
    });
    // Submit, and the hold with its places by lane and by probe; for all of them the URL and its place in line.
    expect(holds).toBe(40 + 2);
    const polled = await writtenBy(shard, poll);
    // The lease, its row and the removal of that, the end: and out of the line and into it.
    expect(polled).toBe(6);
    ready = 200;
    const freed = await writtenBy(shard, async () => {
      await poll();
      await allSucceed(shard, 10);
    });
    // The poll; of each task the resume, the attempt and the delivery.
    expect(freed).toBeLessThanOrEqual(6 + 50);
  });

  test("are those of a delay for tasks that a breaker parks, however long", async () => {
    const shard = await startedShard();
    const outage = { version: START + 1, since: START, reason: "moving" };
    const written = await writtenBy(shard, async () => {
      await shard.stub.breakerChanged(TARGET, { ...outage, state: "isolated" }, null);
      await shard.submit(...tasks(10, CALLED));
      vi.setSystemTime(START + 3_600_000);
      await shard.stub.get("tsk_none");
      const news = { state: "closed", version: START + 2, since: START + 3_600_000, ramp: false } as const;
      await shard.stub.breakerChanged(TARGET, news, null);
      await allSucceed(shard, 10);
    });
    // And, shared by all: the breaker as the shard knows it (2), leases (2), the watermark.
    expect(written).toBeGreaterThanOrEqual(50);
    expect(written).toBeLessThanOrEqual(50 + 6);
  });
});

async function startedShard(settings: QueueSettingsInput = {}): Promise<RemoteShard> {
  const shard = new RemoteShard(settings);
  await deliverAtOnce(shard, 1);
  return shard;
}

function tasks(count: number, overrides: Parameters<typeof buildNewTask>[1]) {
  return Array.from({ length: count }, () => buildNewTask(Date.now(), overrides));
}

async function deliverAtOnce(shard: RemoteShard, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const attempt = await shard.submitGranted(CALLED);
    const { callback } = await shard.stub.settle(settleMessage(attempt));
    if (callback === null) throw new Error("no callback grant");
    await shard.stub.settle(settleMessage(callback));
  }
}

/** Waits until so many more tasks than the first have succeeded and told it. */
async function allSucceed(shard: RemoteShard, count: number): Promise<void> {
  await vi.waitFor(async () => {
    expect(await countOf(shard, "callback ->> '$.state' = 'delivered'")).toBe(count + 1);
    expect(await shard.rows("SELECT seq FROM flights")).toEqual([]);
  }, WITHIN);
}

async function countOf(shard: RemoteShard, where: string): Promise<number> {
  return (await shard.rows(`SELECT id FROM tasks WHERE ${where}`)).length;
}

async function writtenBy(shard: RemoteShard, run: () => Promise<unknown>): Promise<number> {
  return (await countedRows(shard, run)).written;
}
