import { expect } from "vitest";
import { mayCall } from "../../../src/core/breaker/local-breaker.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import { allowedCalls } from "../../../src/shard/targets/target.ts";
import { BreakerHost } from "./breaker-host.ts";
import { checkCounts, checkFlights, checkRows } from "./shard-checks.ts";
import { HOOK } from "./shard-messages.ts";
import type { ShardWorld } from "./shard-world.ts";

/** What can happen to shards, their targets and what they tell each other. Numbers pick one of what there is. */
export type OutageStep =
  | {
      do: "submit";
      shard: number;
      host: number;
      count: number;
      edge: boolean;
      callback: boolean;
      delayMs: number;
    }
  | { do: "run"; ms: number }
  | { do: "down" | "up"; host: number }
  | { do: "refuse"; host: number; after: number }
  | { do: "lose"; percent: number }
  | { do: "restart" | "kill" | "pause" | "resume"; shard: number }
  | { do: "isolate" | "reset"; host: number }
  | { do: "cancel" | "retry"; shard: number; task: number };

const HOSTS = ["a", "b", "me"];
const CAPACITY = 12;
const SETTINGS: QueueSettingsInput = {
  concurrency: CAPACITY,
  retry: { max_attempts: 4, max_age: "2h" },
  callback: { retry: { max_attempts: 3, backoff: { strategy: "fixed", initial_interval: "5s" } } },
};

/** Two queues of two shards each, whose tasks go to three targets, of which one takes their callbacks too. */
export class BreakerHarness {
  readonly host = new BreakerHost();
  readonly #ids: string[][] = [];
  readonly #refused = new Map<string, number>();
  #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    for (const name of ["q1-0", "q1-1", "q2-0", "q2-1"]) {
      const world = this.host.add(name, { ...SETTINGS, shards: 2 });
      world.random = () => this.#chance();
      watchGrants(world);
      this.#ids.push([]);
    }
    this.host.answer = (_, to) => this.#answer(to);
  }

  async run(steps: readonly OutageStep[]): Promise<void> {
    for (const step of steps) {
      await this.#step(step);
      await this.check();
    }
  }

  /** Everything is up, and nothing is lost: all that is open must end. Returns how long that took. */
  async quiet(): Promise<number> {
    const { host } = this;
    host.loses = () => false;
    host.down.clear();
    this.#refused.clear();
    for (const world of host.shards) await world.configure({ paused: false });
    for (const name of HOSTS) await host.reset(originOf(name));
    return host.runUntil(
      () => host.shards.every((world) => openRows(world).length === 0),
      3 * 3_600_000,
      5_000,
    );
  }

  /** What must hold after every step. */
  async check(): Promise<void> {
    for (const world of this.host.shards) {
      checkRows(world);
      checkFlights(world, Math.ceil(CAPACITY / 2));
      await checkCounts(world);
    }
    await this.host.settled();
  }

  async #step(step: OutageStep): Promise<void> {
    const { host } = this;
    switch (step.do) {
      case "run":
        return host.run(step.ms);
      case "down":
        host.down.add(originOf(nameOf(step.host)));
        return;
      case "up":
        host.down.delete(originOf(nameOf(step.host)));
        return;
      case "refuse":
        this.#refused.set(originOf(nameOf(step.host)), step.after);
        return;
      case "lose":
        host.loses = () => this.#chance() * 100 < step.percent;
        return;
      case "isolate":
        return host.isolate(originOf(nameOf(step.host)));
      case "reset":
        return host.reset(originOf(nameOf(step.host)));
      default:
        return this.#stepOf(step, picked(host.shards, step.shard), picked(this.#ids, step.shard));
    }
  }

  async #stepOf(
    step: Extract<OutageStep, { shard: number }>,
    world: ShardWorld,
    ids: string[],
  ): Promise<void> {
    switch (step.do) {
      case "submit":
        ids.push(...(await this.#submit(world, step)));
        return;
      case "restart":
        world.restart();
        watchGrants(world);
        return;
      case "kill":
        this.host.kill(world);
        return;
      case "pause":
      case "resume":
        await world.configure({ paused: step.do === "pause" });
        return this.host.settled();
      case "cancel":
      case "retry":
        if (ids.length > 0) await world.operate(picked(ids, step.task), step.do);
        return this.host.settled();
    }
  }

  async #submit(world: ShardWorld, step: Extract<OutageStep, { do: "submit" }>): Promise<string[]> {
    const { count, edge, delayMs } = step;
    const overrides = { edge, delayMs, call: step.callback ? { callback: HOOK } : { callback: null } };
    const tasks = Array.from({ length: count }, () => world.taskTo(nameOf(step.host), overrides));
    await this.host.submitTasks(world, tasks);
    return tasks.map(({ id }) => id);
  }

  #answer(to: string) {
    const durationMs = 1 + Math.floor(this.#chance() * 400);
    if (this.host.down.has(to))
      return { status: 0, durationMs, error: { name: "Error", message: "connect ECONNREFUSED" } };
    const after = this.#refused.get(to);
    if (after === undefined) return { status: 200, durationMs };
    this.#refused.delete(to);
    return { status: 429, durationMs, headers: { "retry-after": String(after) } };
  }

  /** Numbers in [0, 1), the same ones for the same seed. */
  #chance(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (this.#seed >>> 8) / 2 ** 23;
  }
}

/** Lets no grant go unnoticed that the target's breaker, its limit or its Retry-After does not allow. */
function watchGrants(world: ShardWorld): void {
  const { ctx } = world.shard;
  const { targets } = ctx;
  const granted = targets.granted.bind(targets);
  targets.granted = (flight) => {
    const key = flight.lane.replace(/^[<>]/, "");
    if (flight.kind !== "probe") {
      const target = targets.get(key);
      const about = `${flight.id} to ${key} (${target.local.breaker.state})`;
      const may = mayCall(target.local, targets.policy, world.now);
      expect(may === "yes" || flight.probe !== null, about).toBe(true);
      expect(target.heldUntil <= world.now, about).toBe(true);
      const limit =
        flight.probe === null ? allowedCalls(target, ctx.queue.settings, ctx.slots.capacity) : CAPACITY;
      expect(ctx.flights.callsTo(key), about).toBeLessThanOrEqual(limit);
    }
    granted(flight);
  };
}

function openRows(world: ShardWorld): unknown[] {
  return world.rows("SELECT id FROM tasks WHERE lane IS NOT NULL OR lease_until IS NOT NULL");
}

function nameOf(pick: number): string {
  return picked(HOSTS, pick);
}

function originOf(name: string): string {
  return `https://${name}.example.com`;
}

function picked<T>(from: readonly T[], pick: number): T {
  const one = from[pick % from.length];
  if (one === undefined) throw new Error("nothing to pick from");
  return one;
}
