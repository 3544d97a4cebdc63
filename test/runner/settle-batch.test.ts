import { describe, expect, test } from "vitest";
import type { SettleAnswer, SettleMessage } from "../../src/protocol/grant.ts";
import { SettleBatch } from "../../src/runner/settle-batch.ts";
import { answer } from "../support/shard/shard-messages.ts";

const ACCEPTED: SettleAnswer = { status: "accepted", callback: null, next: [] };

function message(id: string): SettleMessage {
  return { kind: "attempt", id, round: 1, lease: 1, result: answer(), edgeElapsedMs: null, want: 0 };
}

/** A batch whose gathering ends when the test says, and shards that note what they are asked. */
function build(inFlight: number, onAll: (ids: string[]) => (SettleAnswer | null)[]) {
  const calls: string[] = [];
  const { promise, resolve: gathered } = Promise.withResolvers<void>();
  const batch = new SettleBatch({
    inFlight: () => inFlight,
    wait: () => promise,
    shard: (name) => ({
      settle: async ({ id }) => {
        calls.push(`${name}: ${id}`);
        return ACCEPTED;
      },
      settleAll: async (messages) => {
        const ids = messages.map(({ id }) => id);
        calls.push(`${name}: ${ids.join(" ")}`);
        return onAll(ids);
      },
    }),
  });
  return { batch, calls, gathered };
}

describe("SettleBatch", () => {
  test("settles at once where nothing else is under way", async () => {
    const { batch, calls } = build(1, () => []);
    expect(await batch.shard("q1-0").settle(message("a"))).toEqual(ACCEPTED);
    expect(calls).toEqual(["q1-0: a"]);
  });

  test("sends what ends at about the same time in one call for each shard, each its own answer", async () => {
    const { batch, calls, gathered } = build(6, (ids) =>
      ids.map((id) => (id === "b" ? { ...ACCEPTED, status: "stale" as const } : ACCEPTED)),
    );
    const answers = ["a", "b"].map((id) => batch.shard("q1-0").settle(message(id)));
    const other = batch.shard("q1-1").settle(message("c"));
    gathered();
    expect((await Promise.all([...answers, other])).map(({ status }) => status)).toEqual([
      "accepted",
      "stale",
      "accepted",
    ]);
    expect(calls).toEqual(["q1-0: a b", "q1-1: c"]);
  });

  test("rejects only the settle that the shard could not take in", async () => {
    const { batch, gathered } = build(6, (ids) => ids.map((id) => (id === "a" ? null : ACCEPTED)));
    const settles = Promise.allSettled(["a", "b"].map((id) => batch.shard("q1-0").settle(message(id))));
    gathered();
    expect((await settles).map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
  });

  test("rejects all where the call fails, so that each is repeated", async () => {
    const { batch, gathered } = build(6, () => {
      throw new Error("Network connection lost.");
    });
    const settles = Promise.allSettled(["a", "b"].map((id) => batch.shard("q1-0").settle(message(id))));
    gathered();
    expect((await settles).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });
});
