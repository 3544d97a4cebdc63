import { describe, expect, test } from "vitest";
import type { CallResult } from "../../../src/core/call/call.ts";
import { API, RETRY, states, TRUSTED } from "../../support/server/outage.ts";
import { BreakerHost } from "../../support/shard/breaker-host.ts";

const TIMED_OUT: Partial<CallResult> = { status: 0, error: { name: "TimeoutError", message: "timed out" } };
const EAGER = { ...RETRY, retry_budget: { enabled: false }, adaptive_concurrency: false };

/** A queue whose victim goes by the same breakers, and calls that time out wherever `when` says so. */
function hosts(settings: Parameters<BreakerHost["add"]>[1]) {
  const host = new BreakerHost();
  const attacker = host.add("q1-0", { ...EAGER, ...settings });
  const victim = host.add("q2-0", RETRY);
  return { host, attacker, victim };
}

describe("timeouts that are too short to be evidence", () => {
  test("of callbacks do not open the breaker of their receiver", async () => {
    const { host, attacker, victim } = hosts({});
    host.answer = ({ kind }) => (kind === "callback" ? TIMED_OUT : {});
    const callback = { url: `${API}/hook`, timeoutMs: 1, retry: { max_attempts: 100 } };
    const tasks = Array.from({ length: 60 }, () => attacker.taskTo("other", { call: { callback } }));
    await attacker.submitAll(tasks);
    await host.run(30_000);
    await host.submit(victim, "api", 20);
    await host.run(5_000);
    expect(await states(victim)).toEqual({ succeeded: 20 });
    expect(host.view(API)?.state ?? "closed").toBe("closed");
    expect(host.calls.filter(({ grant }) => grant.kind === "callback").length).toBeGreaterThan(60);
  });

  test("of a queue do not open the breaker of those that trust it", async () => {
    const host = new BreakerHost();
    const attacker = host.add("q1-0", { ...EAGER, ...TRUSTED, timeout: 1 });
    const victim = host.add("q2-0", TRUSTED);
    host.answer = ({ request }) => (request.timeoutMs === 1 ? TIMED_OUT : {});
    await host.submit(attacker, "api", 60);
    await host.run(30_000);
    await host.submit(victim, "api", 20);
    await host.run(5_000);
    expect(await states(victim)).toEqual({ succeeded: 20 });
    expect(host.view(API)).toMatchObject({ state: "closed" });
  });

  test("of a queue open its own part, which stops no other queue", async () => {
    const { host, attacker, victim } = hosts({ timeout: 1 });
    host.answer = ({ request }) => (request.timeoutMs === 1 ? TIMED_OUT : {});
    await host.submit(attacker, "api", 60);
    await host.run(30_000);
    expect(host.view(API)).toMatchObject({ state: "open" });
    await host.submit(victim, "api", 40);
    await host.run(5_000);
    expect(await states(victim)).toEqual({ succeeded: 40 });
    expect(host.view(API, [2])).toMatchObject({ state: "closed", parts: [{ part: 2, state: "closed" }] });
  });

  test("of a queue that shares with none open its own", async () => {
    const { host, attacker } = hosts({ timeout: 1_000, breaker: { share: "queue" } });
    host.answer = () => TIMED_OUT;
    await host.submit(attacker, "api", 60);
    await host.run(30_000);
    expect(host.view(`q1 ${API}`)).toMatchObject({ state: "open" });
  });

  test("of callbacks shorter than the queue's own count for nothing in the queue's own breaker either", async () => {
    const { host, attacker } = hosts({ breaker: { share: "queue" } });
    host.answer = ({ kind }) => (kind === "callback" ? TIMED_OUT : {});
    const callback = { url: `${API}/hook`, timeoutMs: 1 };
    await attacker.submitAll(
      Array.from({ length: 60 }, () => attacker.taskTo("other", { call: { callback } })),
    );
    await host.run(30_000);
    expect(host.view(`q1 ${API}`)?.state ?? "closed").toBe("closed");
  });
});
