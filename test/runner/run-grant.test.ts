import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Grant, SettleAnswer, SettleMessage } from "../../src/protocol/grant.ts";
import { type RunPorts, runChain, runGrant, settleUntilAnswered } from "../../src/runner/run-grant.ts";
import { buildGrant as buildAnyGrant, type GrantOverrides } from "../support/shard/build-grant.ts";

const ACCEPTED: SettleAnswer = { status: "accepted", callback: null, next: [] };

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("settleUntilAnswered", () => {
  test("gives the answer of the first try without waiting", async () => {
    const world = fakeWorld([ACCEPTED]);

    expect(await settle(world, 10_000)).toEqual(ACCEPTED);
    expect(world.waits).toEqual([]);
  });

  test("repeats with doubled waits and a new stub each time", async () => {
    const world = fakeWorld([new Error("a"), new Error("b"), new Error("c"), ACCEPTED]);

    expect(await settle(world, 10_000)).toEqual(ACCEPTED);
    expect(world.waits).toEqual([50, 100, 200]);
    expect(world.stubs).toBe(4);
  });

  test("gives up and logs where the next try would come after the lease", async () => {
    const world = fakeWorld([], new Error("Network connection lost."));

    expect(await settle(world, 1_000)).toBeNull();
    expect(world.waits).toEqual([50, 100, 200, 400]);
    expect(vi.mocked(console.error).mock.calls.map(([line]) => JSON.parse(line))).toEqual([
      {
        event: "settle_failed",
        kind: "attempt",
        id: "tsk_1",
        round: 1,
        lease: 7,
        tries: 5,
        error: "Error: Network connection lost.",
      },
    ]);
  });

  test("repeats also where getting the stub throws", async () => {
    const world = fakeWorld([ACCEPTED]);
    let failures = 1;
    const shard = () => {
      if (failures-- > 0) throw new Error("overloaded");
      return world.ports.shard("s");
    };

    expect(await settleUntilAnswered(shard, () => MESSAGE, 10_000, world.ports)).toEqual(ACCEPTED);
  });
});

describe("runGrant", () => {
  test("settles the call's result under the grant's name", async () => {
    const world = fakeWorld([ACCEPTED]);

    expect(await runGrant(buildGrant(), world.ports, null)).toEqual([]);
    expect(world.settled).toMatchObject([
      {
        kind: "attempt",
        id: "tsk_1",
        round: 1,
        lease: 7,
        result: { status: 200, body: "fine" },
        edgeElapsedMs: null,
      },
    ]);
    expect(world.shardNames).toEqual(["default-0"]);
  });

  test("settles a call that failed as well", async () => {
    const world = fakeWorld([ACCEPTED]);
    const fetch = () => Promise.reject(new TypeError("bad"));

    await runGrant(buildGrant(), { ...world.ports, fetch }, null);

    expect(world.settled[0]?.result).toMatchObject({
      status: 0,
      error: { name: "TypeError", message: "bad" },
    });
  });

  test("delivers the callback that the settle grants, and settles it", async () => {
    const callback = buildGrant({ kind: "callback", lease: 8, url: "https://me.example.com/hook" });
    const world = fakeWorld([{ ...ACCEPTED, callback }, ACCEPTED]);

    await runGrant(buildGrant(), world.ports, null);

    expect(world.called).toEqual(["https://api.example.com/", "https://me.example.com/hook"]);
    expect(world.settled).toMatchObject([
      { kind: "attempt", lease: 7 },
      { kind: "callback", lease: 8 },
    ]);
  });

  test("ends where a settle is stale or never answered", async () => {
    const stale = fakeWorld([{ ...ACCEPTED, status: "stale" }]);
    const silent = fakeWorld([], new Error("lost"));

    expect(await runGrant(buildGrant(), stale.ports, null)).toEqual([]);
    expect(await runGrant(buildGrant(), silent.ports, null)).toEqual([]);
    expect(silent.called).toHaveLength(1);
  });

  test("repeats a settle until the lease ends by its own clock, whatever the shard's says", async () => {
    const world = fakeWorld([], new Error("lost"));

    await runGrant(buildGrant({ leaseMs: 500, leaseUntil: 9_999_999_999_999 }), world.ports, null);

    expect(world.waits).toEqual([50, 100, 200]);
  });

  test("tells at each try how long ago the edge answered", async () => {
    const world = fakeWorld([new Error("lost"), new Error("lost"), ACCEPTED]);

    await runGrant(buildGrant(), world.ports, { answeredAt: -40 });

    expect(world.settled.map((message) => message.edgeElapsedMs)).toEqual([40, 90, 190]);
  });

  test("returns the grants that came with the answers", async () => {
    const next = buildGrant({ id: "tsk_2" });
    const world = fakeWorld([{ ...ACCEPTED, next: [next] }]);

    expect(await runGrant(buildGrant(), world.ports, null)).toEqual([next]);
    expect(world.called).toHaveLength(1);
  });

  test("wants no further grant with a callback's settle where the attempt's brought one", async () => {
    const callback = buildGrant({ kind: "callback", lease: 8 });
    const next = buildGrant({ id: "tsk_2" });
    const world = fakeWorld([{ ...ACCEPTED, callback, next: [next] }, ACCEPTED]);

    expect(await runGrant(buildGrant(), world.ports, null)).toEqual([next]);
    expect(world.settled.map((message) => message.want)).toEqual([1, 0]);
  });

  test("asks for what it wants only when it settles", async () => {
    const world = fakeWorld([ACCEPTED]);
    let asked = 0;
    const want = () => {
      expect(world.called).toHaveLength(1);
      return asked++;
    };

    await runGrant(buildGrant(), { ...world.ports, want }, null);

    expect(world.settled[0]?.want).toBe(0);
    expect(asked).toBe(1);
  });
});

describe("runChain", () => {
  test("goes on with the grants of each settle, one after the other, until none come", async () => {
    const second = buildGrant({ id: "tsk_2", url: "https://two.example.com/" });
    const third = buildGrant({ id: "tsk_3", url: "https://three.example.com/" });
    const world = fakeWorld([{ ...ACCEPTED, next: [second] }, { ...ACCEPTED, next: [third] }, ACCEPTED]);

    await runChain(buildGrant(), world.ports);

    expect(world.settled.map((message) => message.id)).toEqual(["tsk_1", "tsk_2", "tsk_3"]);
    expect(world.called).toEqual([
      "https://api.example.com/",
      "https://two.example.com/",
      "https://three.example.com/",
    ]);
  });
});

const MESSAGE: SettleMessage = {
  kind: "attempt",
  id: "tsk_1",
  round: 1,
  lease: 7,
  result: {
    status: 200,
    headers: {},
    body: "",
    bodyEncoding: "utf8",
    truncated: false,
    durationMs: 1,
    error: null,
  },
  edgeElapsedMs: null,
  want: 0,
};

function settle(world: ReturnType<typeof fakeWorld>, until: number): Promise<SettleAnswer | null> {
  return settleUntilAnswered(
    () => world.ports.shard("s"),
    () => MESSAGE,
    until,
    world.ports,
  );
}

/** A clock that only waiting moves, a target that answers "fine", and a shard that answers by the script. */
function fakeWorld(
  script: (SettleAnswer | Error)[],
  otherwise: SettleAnswer | Error = new Error("script ended"),
) {
  const answers = [...script];
  const settled: SettleMessage[] = [];
  const shardNames: string[] = [];
  const called: string[] = [];
  const waits: number[] = [];
  let now = 0;
  const ports: RunPorts = {
    fetch: async (input) => {
      called.push(String(input));
      return new Response("fine");
    },
    now: () => now,
    wait: async (ms) => {
      waits.push(ms);
      now += ms;
    },
    checkUrl: () => ({ ok: true }),
    want: () => 1,
    shard: (name) => {
      shardNames.push(name);
      return {
        settle: async (message) => {
          settled.push(message);
          const answer = answers.shift() ?? otherwise;
          if (answer instanceof Error) throw answer;
          return answer;
        },
      };
    },
  };
  return {
    ports,
    settled,
    shardNames,
    called,
    waits,
    get stubs() {
      return shardNames.length;
    },
  };
}

function buildGrant(overrides: GrantOverrides = {}): Grant {
  return buildAnyGrant({ lease: 7, ...overrides });
}
