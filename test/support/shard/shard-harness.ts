import { expect } from "vitest";
import { ownerId } from "../../../src/core/task/row-id.ts";
import type { Grant, SettleAnswer, SettleMessage } from "../../../src/protocol/grant.ts";
import { checkCounts, checkFlights, checkRows } from "./shard-checks.ts";
import { HOOK, settleMessage } from "./shard-messages.ts";
import { overloaded, ShardWorld } from "./shard-world.ts";

/** What a random run can do to a shard. Numbers pick one of what there is, modulo how many there are. */
export type Step =
  | {
      do: "submit";
      host: number;
      priority: number;
      delayMs: number;
      edge: boolean;
      callback: boolean;
      count: number;
    }
  | { do: "settle"; pick: number; status: number; want: number }
  | { do: "repeat"; pick: number }
  | { do: "stale"; pick: number }
  | { do: "die"; pick: number }
  | { do: "wait"; ms: number }
  | { do: "operate"; pick: number; action: "cancel" | "retry" | "resume"; force: boolean }
  | { do: "rekey"; pick: number; key: string | null }
  | { do: "rekeyAll"; host: number; key: string | null }
  | { do: "restart" }
  | { do: "runners"; take: "all" | "none" | "one" | "overloaded" | "unknown" }
  | { do: "pause"; paused: boolean };

const PROBE = {
  url: "https://probe.example.com/ready",
  period: 10_000,
  timeout: 5_000,
  success_threshold: 1,
};

/**
 * Drives a shard through steps as its callers would (edge Workers and Runners that hold grants, repeat, die), and
 * checks after each what must always hold.
 */
export class ShardHarness {
  readonly world: ShardWorld;
  /** Message ids of callbacks that a receiver has taken. */
  readonly delivered = new Set<string>();
  readonly ids: string[] = [];
  readonly #capacity: number;
  /** Grants that somebody works on. */
  #held: Grant[] = [];
  /** All grants ever given, for late and repeated settles. */
  #given: Grant[] = [];
  #settled: { message: SettleMessage; answer: SettleAnswer }[] = [];

  constructor(concurrency: number) {
    this.#capacity = concurrency;
    this.world = new ShardWorld({
      concurrency,
      retry: {
        max_attempts: 4,
        rules: [
          { when: "status == 401", do: "hold", until: { probe: PROBE } },
          { when: "status == 403", do: "hold", until: "signal" },
        ],
      },
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      await this.#step(step);
      this.#collect();
      await this.check();
    }
  }

  /** Lets the clock run with runners and targets that answer, until nothing is left to do. */
  async quiet(): Promise<void> {
    const { world } = this;
    world.onRun = (grants) => grants.length;
    await world.configure({ paused: false });
    for (let i = 0; i < 2_000; i++) {
      this.#collect();
      for (const id of this.ids) await world.operate(id, "resume");
      while (this.#held.length > 0) {
        await this.#settle(this.#held[0], 200, 0);
        this.#collect();
        await this.check();
      }
      if (this.#isQuiet()) return;
      await world.advance(Math.max(1, (world.alarmAt ?? world.now) - world.now));
    }
    const open = world.rows("SELECT * FROM tasks WHERE lane IS NOT NULL OR lease_until IS NOT NULL");
    throw new Error(`the shard does not come to rest: ${JSON.stringify(open)}`);
  }

  /** What must hold after every step. */
  async check(): Promise<void> {
    checkRows(this.world);
    checkFlights(this.world, this.#capacity);
    await checkCounts(this.world);
    this.#collect();
  }

  async #step(step: Step): Promise<void> {
    const { world } = this;
    switch (step.do) {
      case "submit":
        return this.#submit(step);
      case "settle":
        return this.#settle(picked(this.#held, step.pick), step.status, step.want);
      case "repeat":
        return this.#repeat(picked(this.#settled, step.pick));
      case "stale":
        return this.#settleStale(picked(this.#given, step.pick));
      case "die": {
        const grant = picked(this.#held, step.pick);
        this.#drop(grant);
        return;
      }
      case "wait":
        return world.advance(step.ms);
      case "operate": {
        const id = picked(this.ids, step.pick);
        if (id !== undefined) await world.operate(id, step.action, step.force);
        return;
      }
      case "rekey": {
        const id = picked(this.ids, step.pick);
        if (id !== undefined) await world.shard.rekeyTask(id, step.key);
        return world.settled();
      }
      case "rekeyAll":
        await world.shard.rekey({
          ...{ before: null, state: null, label: null, limit: 200, dryRun: false },
          target: `https://host-${step.host}.example.com`,
          breakerKey: step.key,
        });
        return world.settled();
      case "restart":
        world.restart();
        return;
      case "runners":
        world.onRun = (grants) => RUNNERS[step.take](grants.length);
        return;
      case "pause":
        return world.configure({ paused: step.paused });
    }
  }

  async #submit(step: Extract<Step, { do: "submit" }>): Promise<void> {
    const { priority, delayMs, edge } = step;
    const call = step.callback ? { callback: HOOK } : {};
    const tasks = Array.from({ length: step.count }, () =>
      this.world.taskTo(`host-${step.host}`, { priority, delayMs, edge, call }),
    );
    for (const result of await this.world.submitAll(tasks)) {
      if (!result.ok) throw new Error(result.detail);
      this.ids.push(result.task.id);
      if (result.grant !== null) this.#take(result.grant);
    }
  }

  async #settle(grant: Grant | undefined, status: number, want: number): Promise<void> {
    if (grant === undefined) return;
    const error = status === 0 ? { name: "Error", message: "Network connection lost." } : null;
    const message = settleMessage(grant, { status, error }, { want });
    this.#drop(grant);
    const live = this.#isLive(grant);
    const answer = await this.world.shard.settle(message);
    await this.world.settled();
    expect(answer.status, `${grant.kind} lease ${grant.lease} of ${grant.id}`).toBe(
      live ? "accepted" : "stale",
    );
    expect(answer.next.length).toBeLessThanOrEqual(want);
    this.#settled.push({ message, answer });
    if (answer.callback !== null) this.#take(answer.callback);
    for (const next of answer.next) this.#take(next);
    if (grant.kind === "callback" && status === 200 && live)
      this.delivered.add(`${ownerId(grant.id)}_${grant.round}`);
  }

  async #repeat(last: { message: SettleMessage; answer: SettleAnswer } | undefined): Promise<void> {
    if (last === undefined || last.answer.status === "stale") return;
    const before = this.#rowOf(last.message.id);
    const again = await this.world.shard.settle({ ...last.message, want: 0 });
    await this.world.settled();
    // The same callback again while its delivery is under way, and never another.
    if (again.callback !== null) {
      expect(again.callback).toMatchObject({
        id: last.answer.callback?.id,
        lease: last.answer.callback?.lease,
      });
    }
    expect(this.#rowOf(last.message.id)?.lease).toBe(before?.lease);
  }

  async #settleStale(grant: Grant | undefined): Promise<void> {
    if (grant === undefined || this.#isLive(grant)) return;
    const before = this.world.rows("SELECT * FROM tasks ORDER BY id");
    await this.world.shard.settle(settleMessage(grant, { status: 500 }));
    await this.world.settled();
    // Nothing of the task has changed by it; time has not moved, so nothing else has either.
    const after = this.world.rows("SELECT * FROM tasks ORDER BY id");
    expect(after.find(({ id }) => id === grant.id)).toEqual(before.find(({ id }) => id === grant.id));
  }

  /** Takes over what was handed to Runner objects meanwhile. */
  #collect(): void {
    for (const { grant } of this.world.handed.splice(0)) this.#take(grant);
  }

  #take(grant: Grant): void {
    const work = workOf(grant);
    const others = this.#held.filter((held) => workOf(held) === work && this.#mayBeOverlapped(held));
    expect(others, `two leases of ${work}`).toEqual([]);
    this.#held.push(grant);
    this.#given.push(grant);
  }

  #mayBeOverlapped(held: Grant): boolean {
    return held.leaseUntil > this.world.now;
  }

  #drop(grant: Grant | undefined): void {
    this.#held = this.#held.filter((held) => held !== grant);
  }

  /** True where the shard still waits for this grant's settle. */
  #isLive(grant: Grant): boolean {
    const row =
      grant.kind === "probe"
        ? this.world.rows("SELECT lease, lease_until FROM polls WHERE url = ?", grant.id)[0]
        : this.#rowsOf(grant).find(({ lease, lease_until }) => lease === grant.lease && lease_until !== null);
    return row !== undefined && row.lease === grant.lease && row.lease_until !== null;
  }

  #rowsOf(grant: Grant) {
    const ids = [grant.id, `${grant.id}~${grant.round}`];
    return ids.flatMap((id) => {
      const row = this.#rowOf(id);
      return row === undefined ? [] : [row];
    });
  }

  #rowOf(id: string) {
    return this.world.rows("SELECT * FROM tasks WHERE id = ?", id)[0];
  }

  #isQuiet(): boolean {
    const open = this.world.rows(
      "SELECT id FROM tasks WHERE lane IS NOT NULL OR lease_until IS NOT NULL UNION ALL SELECT url FROM polls",
    );
    return open.length === 0;
  }
}

const RUNNERS: Record<Extract<Step, { do: "runners" }>["take"], (offered: number) => number | Error> = {
  all: (offered) => offered,
  none: () => 0,
  one: () => 1,
  overloaded: () => overloaded(),
  unknown: () => new Error("Network connection lost."),
};

/** The piece of work that a grant is for: of each, only one may be under way. */
function workOf(grant: Grant): string {
  if (grant.kind === "attempt") return `attempt of ${grant.id}`;
  return grant.kind === "probe" ? `probe ${grant.id}` : `callback of ${ownerId(grant.id)}, ${grant.round}`;
}

function picked<T>(from: readonly T[], pick: number): T | undefined {
  return from[pick % Math.max(1, from.length)];
}
