import { mostHoldMs } from "../../src/core/policy/hold.ts";
import { targetOfLane } from "../../src/core/task/lane.ts";
import { isTaskRow } from "../../src/core/task/row-id.ts";
import { isFinal } from "../../src/core/task/task.ts";
import { breakerName } from "../../src/protocol/names.ts";
import type { TaskState } from "../../src/schema/task.ts";
import type { Shard } from "../../src/shard/shard.ts";
import type { ShardRows } from "./shard-rows.ts";
import type { Host } from "./world/host.ts";
import type { RowVersion } from "./world/storage.ts";
import type { World } from "./world/world.ts";

/**
 * How much later than its max_age a task may end: the attempt that is in flight then (45 s and a margin of 10 s), a sweep
 * (30 s), an alarm that is a minute late and fails six times (2.7 minutes), clocks (6 s).
 */
const LATE_MS = 6 * 60_000;
/** A task that nothing keeps from being called is called within this time, alarms that are late or fail included. */
const STARVES_MS = 10 * 60_000;
/** Once all is well, a probe finds that within this time: its period, a lease of a runner that ended, an alarm that has yet to be tried again. */
const READY_MS = 4 * 60_000;

/** A shard that could not be told of a release asks within a minute; asking may fail, and alarms be late. */
const RELEASED_MS = 10 * 60_000;
/** Two clocks differ by up to 6 s. */
const CLOCKS_MS = 8_000;

/** Looks at every shard as a whole: what no single change of a row tells. */
export class Sweeps {
  readonly #world: World;
  /** Since when nothing has kept a row from being called. */
  readonly #freeSince = new Map<string, number>();
  #calmSince = 0;
  /** Since when rows wait for what has been let go, by shard and target. */
  #letGoSince: ReadonlyMap<string, number> = new Map();

  constructor(world: World) {
    this.#world = world;
  }

  /** Checks all shards now. */
  async run(): Promise<void> {
    const letGo = new Map<string, number>();
    for (const [name, host] of this.#world.shards) {
      const rows = this.#world.ledger.rows.get(name);
      if (rows === undefined) continue;
      this.#checkTimes(host, rows);
      this.#checkAlarm(host, rows);
      this.#checkHeld(host, rows);
      this.#checkHolds(host, rows, letGo);
      if (host.inner === null || !host.isSettled) continue;
      this.#checkMemory(host.inner, rows);
      await this.#checkCounts(host, host.inner, rows);
    }
    this.#letGoSince = letGo;
  }

  #checkTimes(host: Host<Shard>, rows: ShardRows): void {
    const { ledger } = this.#world;
    const now = host.now();
    const live = new Set<string>();
    const all = [...rows.all()];
    const shard = host.inner;
    const inFlight = all.filter(({ leaseUntil }) => leaseUntil !== null).length;
    for (const row of all) {
      if (!isFinal(row.state as TaskState) && isTaskRow(row.id) && now > row.expiresAt + LATE_MS)
        ledger.violate(
          "every acknowledged task ends within its max_age",
          `${row.id} is ${row.state}`,
          row.id,
          rows.name,
        );
      if (row.lane === null || row.state === "held" || !this.#mayRun(shard, row, now, inFlight)) continue;
      live.add(row.id);
      const since = this.#freeSince.get(row.id) ?? now;
      this.#freeSince.set(row.id, since);
      if (now - since > STARVES_MS)
        ledger.violate(
          "a task that may run does not starve",
          `${row.id} waits in ${row.lane}`,
          row.id,
          rows.name,
        );
    }
    for (const row of all) if (!live.has(row.id)) this.#freeSince.delete(row.id);
  }

  /** True where a row is due and nothing that is meant to keeps it from being called. */
  #mayRun(shard: Shard | null, row: RowVersion, now: number, inFlight: number): boolean {
    if (row.dueAt > now || shard === null) return row.dueAt <= now && this.#freeSince.has(row.id);
    const { ctx } = shard;
    const delivers = isFinal(row.state as TaskState);
    const target = delivers ? (row.lane ?? "").slice(1) : row.target;
    if (ctx.own.config === null || (ctx.own.config.paused && !delivers)) return false;
    const isDown = ctx.sql.exec("SELECT key FROM targets WHERE key = ?", target).toArray().length > 0;
    return !isDown && inFlight < ctx.slots.capacity;
  }

  /** Once all is well, what is held on a probe goes on. */
  #checkHeld({ inner }: Host<Shard>, rows: ShardRows): void {
    const { targets, time, ledger } = this.#world;
    if (!targets.calm) this.#calmSince = time.now;
    if (inner === null || time.now - this.#calmSince < READY_MS) return;
    const [held] = inner.ctx.sql.exec("SELECT id FROM tasks WHERE probe IS NOT NULL LIMIT 1").toArray();
    if (held !== undefined)
      ledger.violate(
        "a task that may run does not starve",
        `${held.id} is held on`,
        String(held.id),
        rows.name,
      );
  }

  /** What a target asked for holds it no longer than its queue allows, and not once an operator has let it go. */
  #checkHolds(host: Host<Shard>, rows: ShardRows, letGo: Map<string, number>): void {
    const { ledger, resetAt, time } = this.#world;
    const { inner } = host;
    if (inner === null || inner.ctx.own.config === null || !host.isSettled) return;
    const { ctx } = inner;
    const held = ctx.sql.exec("SELECT * FROM targets WHERE held_until > ?", host.now()).toArray();
    for (const { key, held_from, held_until } of held) {
      const [target, from, until] = [String(key), Number(held_from), Number(held_until)];
      const { settings, ref, paused } = ctx.queue;
      if (until - from > mostHoldMs(settings.retry))
        ledger.violate(
          "a hold is no longer than its queue allows",
          `${rows.name} holds ${target} for ${until - from} ms`,
          rows.name,
          target,
        );
      const letGoAt = resetAt.get(breakerName(target, settings.breaker.share, ref)) ?? 0;
      const isLetGo = !paused && from + CLOCKS_MS < letGoAt && rowsWait(rows, target, host.now());
      const since = isLetGo ? (this.#letGoSince.get(`${rows.name} ${target}`) ?? time.now) : null;
      if (since !== null) letGo.set(`${rows.name} ${target}`, since);
      if (since !== null && time.now - since > RELEASED_MS)
        ledger.violate(
          "a hold that is released is over",
          `${rows.name} holds ${target}, which was let go ${time.now - letGoAt} ms ago`,
          rows.name,
          target,
        );
    }
  }

  /** Where anything waits, an alarm is armed, rings, or will ring again. */
  #checkAlarm(host: Host<Shard>, rows: ShardRows): void {
    if (!host.isSettled || host.alarmAt !== null || host.ringing !== null) return;
    const waiting = [...rows.all()].find(({ lane, leaseUntil }) => lane !== null || leaseUntil !== null);
    if (waiting !== undefined)
      this.#world.ledger.violate(
        "what waits has an alarm",
        `${waiting.id} waits in ${rows.name}`,
        waiting.id,
        rows.name,
      );
  }

  /** Memory has the leases of the rows, and each would be found after a restart. */
  #checkMemory({ ctx }: Shard, rows: ShardRows): void {
    const { ledger } = this.#world;
    const leased = new Map(
      [...rows.all()].flatMap((row) => (row.leaseUntil === null ? [] : [[row.id, row.lease]])),
    );
    const listed = ctx.sql.exec("SELECT seq, ids FROM flights").toArray();
    for (const flight of ctx.flights.all()) {
      if (flight.kind === "probe") continue;
      if (leased.get(flight.id) !== flight.lease)
        ledger.violate(
          "slots are those of the leases",
          `${flight.id}, lease ${flight.lease}`,
          flight.id,
          rows.name,
        );
      leased.delete(flight.id);
      const row = listed.find(({ seq }) => Number(seq) === flight.seq);
      const isFound =
        flight.seq === null ? flight.id >= ctx.own.watermark : String(row?.ids).includes(`"${flight.id}"`);
      if (!isFound) ledger.violate("a restart finds every lease", flight.id, flight.id, rows.name);
    }
    for (const [id, lease] of leased)
      ledger.violate(
        "slots are those of the leases",
        `${id}, lease ${lease}, is not in memory`,
        id,
        rows.name,
      );
    for (const { seq } of listed)
      if (![...ctx.flights.all()].some((flight) => flight.seq === Number(seq)))
        ledger.violate(
          "a restart finds every lease",
          `row ${seq} of flights lists none in flight`,
          rows.name,
        );
  }

  async #checkCounts(host: Host<Shard>, shard: Shard, rows: ShardRows): Promise<void> {
    if (shard.ctx.own.config === null) return;
    const { counts } = await shard.stats(true);
    if (!host.isSettled || host.inner !== shard) return;
    const seen = new Map<string, number>();
    for (const { id, state } of rows.all()) if (isTaskRow(id)) seen.set(state, (seen.get(state) ?? 0) + 1);
    for (const [state, count] of Object.entries(counts))
      if (count !== (seen.get(state) ?? 0))
        this.#world.ledger.violate(
          "counts add up",
          `${rows.name} says ${count} ${state}, it has ${seen.get(state) ?? 0}`,
          rows.name,
        );
  }
}

/** Whether a row is due to call the target. */
function rowsWait(rows: ShardRows, target: string, now: number): boolean {
  for (const { lane, dueAt } of rows.all())
    if (lane !== null && dueAt <= now && targetOfLane(lane) === target) return true;
  return false;
}
