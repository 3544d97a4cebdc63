import { loggedError } from "../core/text/logged-error.ts";
import { isPlatformError } from "../platform/platform-error.ts";
import type { SiblingPort } from "../protocol/shard-api.ts";
import { SECOND_MS } from "../schema/limits.ts";
import type { ShardAlarm } from "./alarm.ts";
import { claimDue } from "./claim/claim.ts";
import { claimPolls } from "./claim/claim-polls.ts";
import { assign, type Batch, handOver, type Taker } from "./claim/hand-over.ts";
import { buryPoisoned } from "./lease/bury.ts";
import type { EachRow } from "./lease/claim-row.ts";
import { lapseLeases } from "./settle/lapse-leases.ts";
import { takeBack } from "./settle/take-back.ts";
import { callableLanes, callablePollLanes, couldGo, hasDue } from "./state/callable-lanes.ts";
import type { ShardContext } from "./state/context.ts";
import { forgetClaims } from "./state/note-lanes.ts";
import type { ShardPorts } from "./state/ports.ts";
import type { GroupCommit } from "./storage/group-commit.ts";
import { type BreakerSyncPorts, BreakerSyncs } from "./tell/breaker-talks.ts";
import { StalledWatch } from "./tell/stalled.ts";
import { PathMerges } from "./upkeep/path-merges.ts";
import { EXPIRE_EVERY_MS, ParkedSweep } from "./upkeep/sweep.ts";

/** A grant that no runner took is offered again after this long, so that a refusal makes no busy loop. */
const TAKE_BACK_MS = 250;
/** A Runner object that refused grants is not asked for this long. */
const FULL_MS = SECOND_MS;

/** What a turn needs of the world. */
type TurnPorts = BreakerSyncPorts & Pick<ShardPorts, "transaction" | "runner" | "shard" | "log">;

/** What a shard does after the operations of each group, in its commit: sweeps, claims, hand-over, the alarm. */
export class ShardTurn {
  readonly #ctx: ShardContext;
  readonly #group: GroupCommit;
  readonly #alarm: ShardAlarm;
  readonly #ports: TurnPorts;
  readonly #syncs: BreakerSyncs;
  readonly #stalled: StalledWatch;
  readonly #sweep = new ParkedSweep();
  readonly #merges = new PathMerges();
  #takers: Taker[] = [];
  /** When parked tasks are looked through next. */
  #sweepAt = 0;

  constructor(ctx: ShardContext, group: GroupCommit, alarm: ShardAlarm, ports: TurnPorts) {
    this.#ctx = ctx;
    this.#group = group;
    this.#alarm = alarm;
    this.#ports = ports;
    this.#syncs = new BreakerSyncs(ctx, group, ports);
    this.#stalled = new StalledWatch(ctx, group, ports);
  }

  /** A runner that has settled in this group takes grants with its answer. */
  offer(taker: Taker): void {
    this.#takers.push(taker);
  }

  /** Claims, sweeps, talks with Breaker objects, and arms the alarm. Throws where storage or the alarm does not take it. */
  run(): void {
    if (this.#ctx.own.config === null) return;
    const takers = this.#takers.splice(0);
    const batches = this.#claim(takers);
    this.#ctx.slots.wereFull = this.#ctx.slots.free === 0;
    this.#passPlaceOn();
    this.#ctx.retention.store();
    this.#ctx.rate.store();
    this.#syncs.run();
    try {
      this.#alarm.arm(this.#sweepAt, this.#syncs.nextAt());
    } finally {
      // Their leases are written, whatever becomes of the alarm.
      for (const batch of batches) this.#ports.keepAlive(this.#handOver(batch));
      for (const line of this.#ctx.logLines.splice(0)) this.#ports.log(line);
    }
  }

  /** Waits for a place where calls could go but for that, and wakes the shard whose turn it is where there is one. */
  #passPlaceOn(): void {
    const ctx = this.#ctx;
    const next = ctx.slots.passPlaceOn(() => hasCallsToMake(ctx));
    // One that cannot be woken looks by itself within half a minute.
    if (next !== null) this.#ports.keepAlive(wake(() => this.#ports.shard(next)));
  }

  #claim(takers: readonly Taker[]): Batch[] {
    const ctx = this.#ctx;
    const now = ctx.now();
    const lapsesAt = ctx.flights.nextLapseAt();
    if (lapsesAt !== null && lapsesAt <= now) lapseLeases(ctx, this.#eachRow);
    this.#merges.run(ctx, this.#eachRow);
    const batches = this.#assignDue(takers);
    if (this.#sweepAt <= now && hasDue(ctx, now)) this.#sweepDue(now);
    return batches;
  }

  /** Looks after the rows that are due and not called. */
  #sweepDue(now: number): void {
    const ctx = this.#ctx;
    const more = this.#sweep.expire(ctx, this.#eachRow);
    this.#sweepAt = now + (more ? 1 : EXPIRE_EVERY_MS);
    if (more) return;
    this.#stalled.run(this.#eachRow);
    // Whatever kept a parked lane from being woken, it has its turn twice a minute.
    ctx.lanes.wakeAll();
    ctx.polls.lanes.wakeAll();
  }

  /** What is claimed and not assigned would be lost until a restart: where that fails, nothing is claimed. */
  #assignDue(takers: readonly Taker[]): Batch[] {
    const ctx = this.#ctx;
    ctx.weights.begin((lane) => couldGo(ctx, lane));
    try {
      const batches = this.#ports.transaction(() => {
        const claimed = claimPolls(ctx, [], this.#eachRow, true);
        claimed.push(...claimDue(ctx, this.#eachRow, claimed));
        claimed.push(...claimPolls(ctx, claimed, this.#eachRow, false));
        ctx.weights.mark();
        return assign(ctx, claimed, takers);
      });
      ctx.weights.assigned();
      return batches;
    } catch (error) {
      forgetClaims(ctx);
      throw error;
    }
  }

  /** Runs one row's work in a transaction of its own, inside a group. */
  readonly #eachRow: EachRow = (id, work) => {
    const changes: (() => void)[] = [];
    try {
      const value = this.#ports.transaction(() => work({ after: (change) => changes.push(change) }));
      for (const change of changes) change();
      return value;
    } catch (error) {
      if (isPlatformError(error)) throw error;
      if (!buryPoisoned(this.#ctx, error))
        this.#ctx.log("row.failed", { task: id, error: loggedError(error) });
      return "failed";
    }
  };

  async #handOver(batch: Batch): Promise<void> {
    const refused = await handOver(batch, () => this.#ports.runner(batch.runner));
    if (refused.length === 0) return;
    await this.#group.run(() => {
      const now = this.#ctx.now();
      this.#ctx.flights.noteFull(batch.runner, now + FULL_MS);
      for (const grant of refused) {
        this.#eachRow(grant.id, (tx) => takeBack(this.#ctx, tx, grant, now + TAKE_BACK_MS));
      }
    });
  }
}

/** True where something is due whose target may be called. */
function hasCallsToMake(ctx: ShardContext): boolean {
  return (
    callableLanes(ctx, 1).length > 0 ||
    callablePollLanes(ctx, 1).length > 0 ||
    ctx.targets.leased().length > 0
  );
}

/** Never throws: what is not woken wakes by its alarm. */
async function wake(shard: () => SiblingPort): Promise<void> {
  try {
    await shard().wake();
  } catch {
    // It is away, or of a release that does not know the message.
  }
}
