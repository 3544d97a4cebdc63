import { BreakerHost, type Call } from "../shard/breaker-host.ts";
import type { ShardWorld } from "../shard/shard-world.ts";

/** The target of these tests, as a key. */
export const API = "https://api.example.com";
/** Retries after a second, without chance. */
export const RETRY = {
  retry: { backoff: { strategy: "fixed", initial_interval: "1s", jitter: "none" } },
} as const;

/** The same, of a queue that believes at once what others of its kind say of a target. */
export const TRUSTED = { ...RETRY, breaker: { share: "trusted" } } as const;

/** A queue whose target has just gone down: five calls could not connect, and its breaker is open. */
export async function outage(settings: Parameters<BreakerHost["add"]>[1] = {}) {
  const host = new BreakerHost();
  const world = host.add("q1-0", { ...RETRY, ...settings });
  host.down.add(API);
  const failed = await host.submit(world, "api", 5);
  await host.run(100);
  return { host, world, failed };
}

/** The most calls that were under way at the same time. */
export function mostAtOnce(calls: readonly Call[]): number {
  return Math.max(
    0,
    ...calls.map(
      (one) =>
        calls.filter(({ startedAt, endedAt }) => startedAt <= one.startedAt && endedAt > one.startedAt)
          .length,
    ),
  );
}

/** How many calls began together, from now on for so long. */
export async function waves(host: BreakerHost, forMs: number): Promise<number[]> {
  const since = host.now - 10;
  await host.run(forMs);
  const calls = host.callsTo(API, since).filter(({ isProbe }) => !isProbe);
  return [...Map.groupBy(calls, ({ startedAt }) => startedAt).values()].map((wave) => wave.length);
}

/** The states that tasks of the shard are in, and how many. */
export async function states(world: ShardWorld): Promise<Record<string, number>> {
  return Object.fromEntries(Object.entries(await world.counts()).filter(([, count]) => count > 0));
}
