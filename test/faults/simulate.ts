import { HOUR_MS, MINUTE_MS, SECOND_MS } from "../../src/schema/limits.ts";
import { Violation } from "./history.ts";
import { Sweeps } from "./sweeps.ts";
import { withPatches } from "./world/patches.ts";
import { People } from "./world/people.ts";
import { CALM, drawWeather } from "./world/weather.ts";
import { World } from "./world/world.ts";

/** What goes wrong changes this often, and after so many changes everything is well for a while. */
const SPELL_MS = 20 * MINUTE_MS;
/** A stretch of trouble before a stretch in which all must come to its end. */
const TROUBLE_MS = 2 * HOUR_MS;
/** By then all that was begun in trouble is over: tasks 30 minutes, callbacks 40 minutes, and retries of those. */
const CALM_MS = 2 * HOUR_MS;
const SWEEP_MS = 30 * SECOND_MS;
/** How often people do something, on average: each spell has its own pace. */
const PACES_MS = [8, 20, 60, 240].map((seconds) => seconds * SECOND_MS);

/** What came of a run. */
export interface Outcome {
  seed: number;
  /** Who makes short calls, as `REDRIVE_CALLS` says: shards themselves, or edges and Runner objects. */
  calls: "shard" | "edge";
  /** Simulated hours that passed. */
  hours: number;
  /** Of every line of the history. */
  hash: string;
  events: number;
  totals: World["ledger"]["totals"] & { calls: number };
  /** Null: everything held. */
  violation: { invariant: string; message: string; history: string } | null;
}

/**
 * Runs one seed for so many simulated hours. The same seed, hours and slowness give the same history, line by line.
 * `slowness`: people do so many times less in an hour, so that more hours can be run.
 */
export async function simulate(seed: number, hours: number, slowness = 1): Promise<Outcome> {
  const world = new World(seed);
  const run = new Run(world, slowness);
  const beginsAt = world.time.now;
  const calls = world.callsInShards ? "shard" : "edge";
  world.note("platform", `REDRIVE_CALLS is ${calls}`);
  const log = (line: string) => world.note("worker", line);
  let violation: Outcome["violation"] = null;
  await withPatches(world.time, world.chance, log, async () => {
    try {
      await run.hours(hours);
    } catch (error) {
      const isExpected = error instanceof Violation;
      violation = {
        invariant: isExpected ? error.invariant : "the code under test does not break",
        message: isExpected ? error.message : ((error as Error).stack ?? String(error)),
        history: `--- REDRIVE_CALLS is ${calls}\n${world.history.show(isExpected ? error.about : ["no name"])}`,
      };
    }
  });
  return {
    seed,
    calls,
    hours: (world.time.now - beginsAt) / HOUR_MS,
    hash: world.history.digest(),
    events: world.history.count,
    totals: { ...world.ledger.totals, calls: world.targets.calls },
    violation,
  };
}

/** Trouble and calm in turn, with people who go on as ever. */
class Run {
  readonly #world: World;
  readonly #people: People;
  readonly #sweeps: Sweeps;
  readonly #slowness: number;
  #paceMs = SECOND_MS;

  constructor(world: World, slowness: number) {
    this.#world = world;
    this.#slowness = slowness;
    this.#people = new People(world);
    this.#sweeps = new Sweeps(world);
  }

  async hours(hours: number): Promise<void> {
    const { time } = this.#world;
    const endsAt = time.now + hours * HOUR_MS;
    this.#sweep();
    while (time.now < endsAt) {
      await this.#trouble(Math.min(TROUBLE_MS, endsAt - time.now));
      await this.#calm();
    }
  }

  async #trouble(ms: number): Promise<void> {
    const { time, targets } = this.#world;
    const endsAt = time.now + ms;
    targets.calm = false;
    this.#changeWeather(endsAt);
    this.#goOnActing(endsAt);
    await this.#until(() => time.now >= endsAt);
  }

  /** Everything is well: what was begun comes to its end, and what is begun now does so at once. */
  async #calm(): Promise<void> {
    const world = this.#world;
    const { time } = world;
    world.note("weather", "all is well");
    world.weather = CALM;
    world.targets.calm = true;
    this.#people.makeWell();
    const endsAt = time.now + CALM_MS;
    await this.#until(() => this.#isQuiet() || time.now >= endsAt);
    this.#checkEnds();
    await this.#checkService();
    world.ledger.tidy();
  }

  /** Runs events until it is enough. Something is always still to happen: the sweeps. */
  async #until(enough: () => boolean): Promise<void> {
    do if (!(await this.#world.step())) throw new Error("nothing is left to happen");
    while (!enough());
  }

  #sweep(): void {
    this.#world.time.after(SWEEP_MS, () => {
      // Not waited for: what it reads is there at once.
      void this.#sweeps
        .run()
        .catch((error) => this.#world.ledger.violate("the checks can be made", String(error)));
      this.#sweep();
    });
  }

  #changeWeather(endsAt: number): void {
    const world = this.#world;
    if (world.time.now >= endsAt) return;
    world.weather = drawWeather(world.chance);
    this.#paceMs = world.chance.pick(PACES_MS) * this.#slowness;
    world.note("weather", JSON.stringify(world.weather));
    if (world.chance.is(0.3)) world.deploy();
    world.time.after(SPELL_MS, () => this.#changeWeather(endsAt));
  }

  #goOnActing(endsAt: number): void {
    const { time, chance } = this.#world;
    if (time.now >= endsAt) return;
    this.#people.act();
    time.after(chance.gap(this.#paceMs), () => this.#goOnActing(endsAt));
  }

  #isQuiet(): boolean {
    for (const rows of this.#world.ledger.rows.values())
      for (const { lane, leaseUntil } of rows.all()) if (lane !== null || leaseUntil !== null) return false;
    return true;
  }

  #checkEnds(): void {
    const { ledger } = this.#world;
    if (!this.#isQuiet()) {
      const open = [...ledger.rows.values()].flatMap((rows) => [...rows.all()]);
      const ids = open
        .filter(({ lane, leaseUntil }) => lane !== null || leaseUntil !== null)
        .map(({ id }) => id);
      ledger.violate(
        "everything comes to its end",
        `${ids.length} rows wait: ${ids.slice(0, 5).join(", ")}`,
        ...ids.slice(0, 3),
      );
    }
    for (const task of ledger.tasks.values()) {
      const row = ledger.rows.get(task.shard)?.get(task.id);
      if (task.acked && task.ends.size === 0)
        ledger.violate(
          "every acknowledged task ends within its max_age",
          `${task.id} is ${row?.state}`,
          task.id,
        );
      for (const [round, end] of task.ends)
        if (end.wanted && !end.delivered && !end.failed)
          ledger.violate(
            "every wanted callback is delivered or visibly failed",
            `${task.id}, round ${round}`,
            task.id,
          );
    }
    ledger.raise();
  }

  /** With everything well, new tasks are taken in, called and told of within a minute. */
  async #checkService(): Promise<void> {
    const { ledger, time } = this.#world;
    const submitted: string[] = [];
    for (let i = 0; i < 6; i++) {
      let answered = false;
      void this.#people.submit(2).then((results) => {
        answered = true;
        for (const result of results ?? []) if (result.ok) submitted.push(result.task.id);
        const refused = results?.find((result) => !result.ok);
        if (refused !== undefined)
          ledger.violate("with all well, tasks are taken in", JSON.stringify(refused));
      });
      const from = time.now;
      await this.#until(() => answered || time.now > from + MINUTE_MS);
      if (!answered) ledger.violate("with all well, tasks are taken in", "a submit is not answered");
      ledger.raise();
    }
    const from = time.now;
    await this.#until(() => this.#isQuiet() || time.now > from + 15 * MINUTE_MS);
    this.#checkEnds();
    for (const id of submitted) {
      const state = ledger.tasks.get(id)?.ends.get(1)?.state;
      if (state !== undefined && state !== "succeeded")
        ledger.violate("with all well, tasks succeed", `${id} has ${state}`, id);
    }
    ledger.raise();
  }
}
