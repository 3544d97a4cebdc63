import { describe, expect, test } from "vitest";
import type { Grant, RunMessage, SettleAnswer, SettleMessage } from "../../src/protocol/grant.ts";
import type { SubmitResult } from "../../src/protocol/shard-api.ts";
import { LocalRunner } from "../../src/runner/local-runner.ts";
import { buildGrant } from "../support/shard/build-grant.ts";

const ACCEPTED: SettleAnswer = { status: "accepted", callback: null, next: [] };
const TARGET = "https://api.example.com/";
const OTHER = "https://other.example.com/";
const RECEIVER = "https://me.example.com/hook";

describe("take", () => {
  test("makes the call of a submit's grant, and the caller gets the result without it", async () => {
    const world = fakeWorld();

    expect(world.runner.take(submitted(buildGrant()))).toEqual(submitted(null));
    await world.ended();
    expect(world.called).toEqual([TARGET]);
    expect(world.settled).toMatchObject([
      { kind: "attempt", id: "tsk_1", lease: 1, result: { status: 200 } },
    ]);
  });

  test("answers while the call is still under way", async () => {
    const world = fakeWorld({ hold: true });

    expect(world.runner.take(submitted(buildGrant()))).toEqual(submitted(null));
    expect(world.settled).toEqual([]);
    world.letGo(TARGET);
    await world.ended();
    expect(world.settled).toHaveLength(1);
  });

  test("passes a result without a grant, and a refusal, as they are", () => {
    const world = fakeWorld();
    const waiting = submitted(null);
    const refusal: SubmitResult = { ok: false, code: "queue_not_found", detail: "no such queue" };

    expect(world.runner.take(waiting)).toBe(waiting);
    expect(world.runner.take(refusal)).toBe(refusal);
    expect(world.called).toEqual([]);
    expect(world.kept).toEqual([]);
  });

  test("makes one call where a repeated submit is granted the same lease again", async () => {
    const world = fakeWorld({ hold: true });
    world.runner.take(submitted(buildGrant()));

    expect(world.runner.take(submitted(buildGrant()))).toEqual(submitted(null));
    world.letGo(TARGET);
    await world.ended();
    expect(world.called).toEqual([TARGET]);
  });

  test("makes the call of a newer lease while the older one's is under way, and then no second one", async () => {
    const world = fakeWorld({ hold: true });
    const newer = buildGrant({ lease: 2, url: OTHER });
    world.runner.take(submitted(buildGrant({ lease: 1 })));
    world.runner.take(submitted(newer));
    await world.calledTimes(2);
    expect(world.called).toEqual([TARGET, OTHER]);
    world.letGo(TARGET);
    await world.kept[0];
    world.runner.take(submitted(newer));
    world.letGo(OTHER);
    await world.ended();

    expect(world.settled.map(({ lease }) => lease)).toEqual([1, 2]);
  });

  test("remembers no lease once its call has ended", async () => {
    const world = fakeWorld();
    world.runner.take(submitted(buildGrant()));
    await world.ended();
    world.runner.take(submitted(buildGrant()));
    await world.ended();

    expect(world.called).toEqual([TARGET, TARGET]);
  });

  test("calls two tasks with the same lease number", async () => {
    const world = fakeWorld({ hold: true });
    world.runner.take(submitted(buildGrant({ id: "tsk_1" })));
    world.runner.take(submitted(buildGrant({ id: "tsk_2" })));
    world.letGo(TARGET);
    await world.ended();

    expect(world.settled.map(({ id }) => id)).toEqual(["tsk_1", "tsk_2"]);
  });
});

describe("inPlaceOf", () => {
  test("answers that all of a run's grants were started, and makes their calls at once", async () => {
    const world = fakeWorld({ hold: true });
    const grants = Array.from({ length: 8 }, (_, i) => buildGrant({ id: `tsk_${i}` }));

    expect(await world.run(grants)).toEqual({ started: 8 });
    await world.calledTimes(8);
    expect(world.settled).toEqual([]);
    world.letGo(TARGET);
    await world.ended();
    expect(world.settled.map(({ id }) => id)).toEqual(grants.map(({ id }) => id));
    expect(world.remote).toEqual([]);
  });

  test("calls itself up to a lease of 40 s, and hands a batch with a longer one over as a whole", async () => {
    const world = fakeWorld();
    const short = buildGrant({ id: "tsk_1", leaseMs: 40_000 });
    const long = buildGrant({ id: "tsk_2", leaseMs: 40_001 });

    expect(await world.run([short])).toEqual({ started: 1 });
    await world.ended();
    expect(world.settled.map(({ id }) => id)).toEqual(["tsk_1"]);
    expect(await world.run([short, long])).toEqual({ started: 77 });
    expect(world.remote).toEqual([{ grants: [short, long] }]);
    expect(world.called).toHaveLength(1);
    expect(world.kept).toHaveLength(1);
  });

  test("rejects as the remote runner does", async () => {
    const world = fakeWorld({ remote: () => Promise.reject(new Error("overloaded")) });

    await expect(world.run([buildGrant({ leaseMs: 190_000 })])).rejects.toThrow("overloaded");
  });

  test("makes no second call for a lease that a submit brought", async () => {
    const world = fakeWorld({ hold: true });
    world.runner.take(submitted(buildGrant()));

    expect(await world.run([buildGrant()])).toEqual({ started: 1 });
    world.letGo(TARGET);
    await world.ended();
    expect(world.called).toEqual([TARGET]);
  });
});

describe("a call made in the shard's object", () => {
  test("is settled as by an edge that has just answered, at each try, and wants no further grant", async () => {
    const world = fakeWorld({ answers: [new Error("storage"), new Error("storage"), ACCEPTED] });
    world.runner.take(submitted(buildGrant()));
    await world.ended();

    expect(world.waits).toEqual([50, 100]);
    expect(world.settled.map(({ edgeElapsedMs, want }) => [edgeElapsedMs, want])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
  });

  test("is followed by the delivery that its settle grants, settled alike", async () => {
    const callback = buildGrant({ kind: "callback", lease: 2, url: RECEIVER });
    const world = fakeWorld({ answers: [{ ...ACCEPTED, callback }, ACCEPTED] });
    world.runner.take(submitted(buildGrant()));
    await world.ended();

    expect(world.called).toEqual([TARGET, RECEIVER]);
    expect(world.settled).toMatchObject([
      { kind: "attempt", lease: 1 },
      { kind: "callback", lease: 2, edgeElapsedMs: 0 },
    ]);
  });

  test("is in one promise with its delivery that keeps the object up, one for each grant", async () => {
    const callback = buildGrant({ kind: "callback", lease: 2, url: RECEIVER });
    const world = fakeWorld({ hold: true, answers: [{ ...ACCEPTED, callback }] });
    world.runner.take(submitted(buildGrant()));
    await world.run([buildGrant({ id: "tsk_2" }), buildGrant({ id: "tsk_3" })]);
    expect(world.kept).toHaveLength(3);
    let isOver = false;
    const over = world.kept[0]?.then(() => {
      isOver = true;
    });
    world.letGo(TARGET);
    await world.calledTimes(4);

    expect(world.called.at(-1)).toBe(RECEIVER);
    expect(isOver).toBe(false);
    world.letGo(RECEIVER);
    await over;
    await world.ended();
    expect(world.settled).toHaveLength(4);
  });
});

/** Targets that answer "fine" (with `hold`, once they are let go) and a shard that answers by the list, then accepts. */
function fakeWorld({
  hold = false,
  answers = [],
  remote: answerRemote = async () => ({ started: 77 }),
}: {
  hold?: boolean;
  answers?: (SettleAnswer | Error)[];
  remote?: () => Promise<{ started: number }>;
} = {}) {
  const settled: SettleMessage[] = [];
  const called: string[] = [];
  const waits: number[] = [];
  const kept: Promise<unknown>[] = [];
  const remote: RunMessage[] = [];
  const watchers = new Set<() => void>();
  const gateByUrl = new Map<string, PromiseWithResolvers<void>>();
  const gateOf = (url: string) => {
    const gate = gateByUrl.get(url) ?? Promise.withResolvers<void>();
    gateByUrl.set(url, gate);
    return gate;
  };
  const runner = new LocalRunner({
    fetch: async (input) => {
      called.push(String(input));
      for (const check of watchers) check();
      if (hold) await gateOf(String(input)).promise;
      return new Response("fine");
    },
    now: () => 0,
    wait: async (ms) => void waits.push(ms),
    checkUrl: () => ({ ok: true }),
    shard: {
      settle: async (message) => {
        settled.push(message);
        const answer = answers.shift() ?? ACCEPTED;
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
    keepAlive: (promise) => void kept.push(promise),
  });
  const remoteRunner = {
    run: (message: RunMessage) => {
      remote.push(message);
      return answerRemote();
    },
  };
  return {
    runner,
    settled,
    called,
    waits,
    kept,
    remote,
    run: (grants: Grant[]) => runner.inPlaceOf(() => remoteRunner).run({ grants }),
    /** From now on the target at this URL answers. */
    letGo: (url: string) => gateOf(url).resolve(),
    calledTimes: (count: number) =>
      new Promise<void>((resolve) => {
        const check = () => called.length >= count && resolve();
        watchers.add(check);
        check();
      }),
    ended: () => Promise.all(kept),
  };
}

function submitted(grant: Grant | null): SubmitResult {
  const task = {
    id: "tsk_1",
    state: "running" as const,
    queue: "default",
    waiting_on: null,
    due_at: null,
    duplicate: false,
  };
  return { ok: true, task, grant };
}
