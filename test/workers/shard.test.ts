import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { GroupCommit } from "../../src/shard/storage/group-commit.ts";
import { buildNewTask, HOOK, settleMessage } from "../support/shard/shard-messages.ts";
import { RemoteShard } from "../support/workers/remote-shard.ts";
import { stubWorld } from "../support/workers/stub-world.ts";

/** Far from the real clock, so that only the tests run alarms. */
const START = Date.parse("2040-01-01T00:00:00Z");

stubWorld(START);

describe("a shard in workerd", () => {
  test("takes a task from submit to callback, and keeps it over evictions on the way", async () => {
    const shard = new RemoteShard();
    const attempt = await shard.submitGranted({ call: { callback: HOOK } });
    await evictDurableObject(shard.stub);
    const { status, callback } = await shard.stub.settle(settleMessage(attempt, { body: "paid" }));
    expect(status).toBe("accepted");
    if (callback === null) throw new Error("no callback grant");
    await evictDurableObject(shard.stub);
    // The first answer was lost on its way.
    const repeated = await shard.stub.settle(settleMessage(attempt));
    expect(repeated.callback).toMatchObject({ lease: callback.lease, leaseUntil: callback.leaseUntil });
    await shard.stub.settle(settleMessage(callback, { status: 204 }));
    await evictDurableObject(shard.stub);
    expect(await shard.view(attempt.id)).toMatchObject({
      state: "succeeded",
      response: { body: "paid" },
      callback: { state: "delivered", attempts: [{ number: 1, status: 204 }] },
    });
  });

  test("loses nothing that was answered when every object stops at once", async () => {
    const shard = new RemoteShard();
    const edge = await shard.submitGranted({ call: { callback: HOOK } });
    const [waiting] = await shard.submit(buildNewTask(Date.now(), { delayMs: 60_000 }));
    await abortAllDurableObjects();
    expect(await shard.alarmAt()).toBe(START + 30_000);
    await shard.alarmAfter(30_000);
    expect((await shard.view(edge.id)).attempts).toMatchObject([{ error_type: "interrupted" }]);
    expect(await shard.stub.settle(settleMessage(edge))).toMatchObject({ status: "stale" });
    await shard.alarmAfter(60_000);
    if (!waiting?.ok) throw new Error("refused");
    for (const id of [edge.id, waiting.task.id]) {
      await vi.waitFor(async () => expect(await shard.view(id)).toMatchObject({ state: "succeeded" }));
    }
    await vi.waitFor(async () =>
      expect((await shard.view(edge.id)).callback).toMatchObject({ state: "delivered" }),
    );
  });

  test("hands what is due to Runner objects, which settle it and its callback", async () => {
    const called: string[] = [];
    vi.stubGlobal("fetch", async (input: RequestInfo | URL) => {
      called.push(new Request(input).url);
      return new Response("ok");
    });
    const shard = new RemoteShard({ concurrency: 8 });
    const tasks = Array.from({ length: 20 }, () =>
      buildNewTask(Date.now(), { delayMs: 1_000, call: { callback: HOOK } }),
    );
    await shard.submit(...tasks);
    await shard.alarmAfter(1_000);
    await vi.waitFor(async () => {
      const stats = await shard.stub.stats();
      expect(stats).toMatchObject({ counts: { succeeded: 20 }, inFlight: 0, callbacksWaiting: 0 });
    });
    expect(called.filter((url) => url === HOOK.url)).toHaveLength(20);
    expect(called).toHaveLength(40);
    expect(await shard.rows("SELECT * FROM flights")).toEqual([]);
  });

  test("lets one shard in an hour tell that the queue is stalled, over evictions", async () => {
    const shard = new RemoteShard();
    await shard.submit(buildNewTask(Date.now(), { delayMs: 60_000 }));
    expect(await shard.stub.mayTellStalled()).toBe(true);
    await evictDurableObject(shard.stub);
    expect(await shard.stub.mayTellStalled()).toBe(false);
    vi.setSystemTime(START + 3_600_000);
    expect(await shard.stub.mayTellStalled()).toBe(true);
  });

  test("gives a repeated submit the same grant, after an eviction too", async () => {
    const shard = new RemoteShard();
    const task = buildNewTask(Date.now());
    const [first] = await shard.submit(task);
    await evictDurableObject(shard.stub);
    const [again] = await shard.submit(task);
    expect(again).toEqual(first);
  });

  test("commits calls that come together as one, in order, each all or nothing", async () => {
    const shard = new RemoteShard();
    await shard.submit();
    await runInDurableObject(shard.stub, async (_, { storage }) => {
      storage.sql.exec("CREATE TABLE notes (text TEXT)");
      const note = (text: string) => storage.sql.exec("INSERT INTO notes (text) VALUES (?)", text);
      const group = new GroupCommit({
        transaction: (run) => storage.transactionSync(run),
        now: () => Date.now(),
        wait: () => Promise.resolve(),
        // As a shard's claims: transactions inside the group's work, one inside another.
        beforeCommit: () =>
          storage.transactionSync(() => {
            note("claims");
            try {
              storage.transactionSync(() => {
                note("a claim that fails");
                throw new Error("poisoned");
              });
            } catch {
              note("goes on");
            }
          }),
      });
      const write = (text: string, fails = false) =>
        group.run(() => {
          note(text);
          if (fails) throw new Error(`${text} fails`);
          return text;
        });
      const results = await Promise.allSettled([write("one"), write("two", true), write("three")]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      const texts = storage.sql
        .exec("SELECT text FROM notes ORDER BY rowid")
        .toArray()
        .map(({ text }) => text);
      expect(texts).toEqual(["one", "three", "claims", "goes on"]);
      expect(group.commits).toBe(1);
    });
  });

  test("makes one commit of submits that come together, and one task of those with one key", async () => {
    const shard = new RemoteShard();
    await shard.submit();
    const key = { idempotencyKey: "order-1", requestHash: "hash" };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        shard.stub.submit({ queueVersion: 1, tasks: [buildNewTask(Date.now(), key)] }),
      ),
    );
    const ids = new Set(answers.flat().map((result) => (result.ok ? result.task.id : "refused")));
    expect(ids.size).toBe(1);
    expect(answers.flat().filter((result) => result.ok && result.grant !== null)).toHaveLength(1);
    expect(await shard.stub.stats()).toMatchObject({ counts: { running: 1 } });
  });

  test("never overlaps two leases where a running task is cancelled and retried", async () => {
    const shard = new RemoteShard();
    const old = await shard.submitGranted();
    await shard.stub.operate(old.id, "cancel", false);
    await shard.stub.operate(old.id, "retry", false);
    await evictDurableObject(shard.stub);
    expect(await shard.view(old.id)).toMatchObject({ state: "pending", waiting_on: "concurrency" });
    await shard.alarmAfter(30_000);
    expect((await shard.view(old.id)).attempts).toMatchObject([
      { number: 1, round: 1, decision: "late" },
      { number: 2, round: 2 },
    ]);
    await vi.waitFor(async () => expect(await shard.view(old.id)).toMatchObject({ state: "succeeded" }));
  });

  test("is stopped by no poisoned row, and shows it as failed", async () => {
    const shard = new RemoteShard();
    const tasks = [1, 2, 3].map(() => buildNewTask(Date.now(), { delayMs: 1_000 }));
    await shard.submit(...tasks);
    const poisoned = tasks[1]?.id ?? "";
    await shard.rows("UPDATE tasks SET history = ? WHERE id = ?", '[{"broken', poisoned);
    await shard.alarmAfter(1_000);
    await vi.waitFor(async () =>
      expect(await shard.stub.stats()).toMatchObject({ counts: { succeeded: 2, failed: 1 } }),
    );
    expect(await shard.view(poisoned)).toMatchObject({ state: "failed", reason: "corrupt" });
  });

  test("arms its alarm again after one that failed", async () => {
    const shard = new RemoteShard();
    const [result] = await shard.submit(buildNewTask(Date.now(), { delayMs: 1_000 }));
    if (!result?.ok) throw new Error("refused");
    await shard.rows("ALTER TABLE flights RENAME TO flights_away");
    await shard.alarmAfter(1_000);
    expect(await shard.alarmAt()).toBe(Date.now() + 5_000);
    expect(await shard.view(result.task.id).catch(() => null)).toBeNull();
    await shard.rows("ALTER TABLE flights_away RENAME TO flights");
    await shard.alarmAfter(5_000);
    await vi.waitFor(async () =>
      expect(await shard.view(result.task.id)).toMatchObject({ state: "succeeded", attempt_count: 1 }),
    );
  });

  test("lapses leases below the watermark on time after an eviction", async () => {
    const shard = new RemoteShard();
    let answerTarget = (_: Response) => {};
    const called = new Promise<void>((resolve) => {
      vi.stubGlobal("fetch", () => {
        resolve();
        return new Promise<Response>((answer) => {
          answerTarget = answer;
        });
      });
    });
    const task = buildNewTask(Date.now(), { delayMs: 600_000 });
    await shard.submit(task);
    await shard.alarmAfter(600_000);
    await called;
    const [row] = await shard.rows("SELECT watermark FROM shard");
    expect(String(row?.watermark) > task.id).toBe(true);
    await evictDurableObject(shard.stub);
    expect(await shard.stub.stats()).toMatchObject({ inFlight: 1 });
    await shard.alarmAfter(30_000);
    expect(await shard.view(task.id)).toMatchObject({
      state: "retrying",
      attempts: [{ error_type: "interrupted" }],
    });
    answerTarget(new Response("late"));
  });

  test("applies its migrations once, whatever the number of starts", async () => {
    const shard = new RemoteShard();
    const { id } = await shard.submitGranted();
    const before = await shard.rows("SELECT * FROM _migrations");
    vi.setSystemTime(START + 1_000);
    await evictDurableObject(shard.stub);
    expect(await shard.rows("SELECT * FROM _migrations")).toEqual(before);
    expect(before).toEqual([
      { name: "0001_init", applied_at: START },
      { name: "0002_targets", applied_at: START },
      { name: "0003_polls", applied_at: START },
      { name: "0004_held_from", applied_at: START },
      { name: "0005_heavy", applied_at: START },
      { name: "0006_splits", applied_at: START },
    ]);
    expect(await shard.view(id)).toMatchObject({ state: "running" });
  });

  test("understands an API of another release: what it lacks, and what it has beyond", async () => {
    const shard = new RemoteShard();
    await shard.submit();
    const { traceparent: _, ...olderCall } = buildNewTask(Date.now()).call;
    const older = {
      ...buildNewTask(Date.now()),
      call: olderCall as typeof olderCall & { traceparent: null },
    };
    const newer = Object.assign(buildNewTask(Date.now()), { weight: 3, hints: { region: "weur" } });
    const message = { queueVersion: 1, tasks: [older, newer], sentBy: "a later release" };
    const results = await shard.stub.submit(message);
    const grants = results.flatMap((result) => (result.ok && result.grant !== null ? [result.grant] : []));
    expect(grants).toHaveLength(2);
    for (const grant of grants) {
      const { want: _want, ...olderSettle } = settleMessage(grant);
      const answer = await shard.stub.settle({ ...olderSettle, note: "beyond" } as never);
      expect(answer).toMatchObject({ status: "accepted", next: [] });
      expect(await shard.view(grant.id)).toMatchObject({ state: "succeeded" });
    }
  });

  test("takes several settles in one call, each with its own answer", async () => {
    const shard = new RemoteShard();
    const first = await shard.submitGranted();
    const second = await shard.submitGranted();
    const answers = await shard.stub.settleAll([
      settleMessage(first),
      settleMessage({ ...first, lease: 9 }),
      settleMessage(second, { status: 503 }),
    ]);
    expect(answers.map((answer) => answer?.status)).toEqual(["accepted", "stale", "accepted"]);
    expect(await shard.view(first.id)).toMatchObject({ state: "succeeded" });
    expect(await shard.view(second.id)).toMatchObject({ state: "retrying" });
  });

  test("is empty after destroy, and answers like a shard that never was", async () => {
    const shard = new RemoteShard();
    const { id } = await shard.submitGranted();
    await shard.stub.destroy();
    expect(await shard.stub.get(id)).toMatchObject({ ok: false, code: "task_not_found" });
    expect(await shard.alarmAt()).toBeNull();
  });
});
