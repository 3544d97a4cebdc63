import { shardName } from "../../protocol/names.ts";
import type { EachRow } from "../lease/claim-row.ts";
import type { ShardContext } from "../state/context.ts";
import type { ShardPorts } from "../state/ports.ts";
import type { GroupCommit, Tx } from "../storage/group-commit.ts";
import type { OldestDue } from "../view/oldest-due.ts";
import { announceStalled, noteStalledTold, stalledRow } from "./operator-events.ts";

/**
 * Tells the queue's operators, once an hour for the queue, where a task has been due for long and is not called. The
 * queue's first shard says who tells; where it cannot be asked, a shard tells by itself: better twice than not at all.
 */
export class StalledWatch {
  readonly #ctx: ShardContext;
  readonly #group: GroupCommit;
  readonly #ports: Pick<ShardPorts, "shard" | "keepAlive">;
  #isAsking = false;
  /** The first shard has said that this one is to tell, and that is not stored yet. */
  #isChosen = false;

  constructor(ctx: ShardContext, group: GroupCommit, ports: Pick<ShardPorts, "shard" | "keepAlive">) {
    this.#ctx = ctx;
    this.#group = group;
    this.#ports = ports;
  }

  /** Looks at the row that has been due for longest; called twice a minute while rows are due and not called. */
  run(eachRow: EachRow): void {
    const ctx = this.#ctx;
    const stalled = this.#isAsking ? null : stalledRow(ctx);
    if (stalled === null) return;
    if (ctx.index > 0) this.#ports.keepAlive(this.#ask(stalled));
    else eachRow(stalled.lane, (tx) => this.#store(tx, stalled));
  }

  /** Never throws: what could not be stored is stored after the next look. */
  async #ask(stalled: OldestDue): Promise<void> {
    this.#isAsking = true;
    try {
      this.#isChosen ||= await this.#mayTell();
      await this.#group.run((tx) => this.#store(tx, this.#isChosen ? stalled : null));
      this.#isChosen = false;
    } catch {
      // The storage does not take it; who waits for an answer of this group hears so.
    } finally {
      this.#isAsking = false;
    }
  }

  async #mayTell(): Promise<boolean> {
    try {
      return await this.#ports.shard(shardName(this.#ctx.queue.ref, 0)).mayTellStalled();
    } catch {
      // It is away, or of a release that does not know the question.
      return true;
    }
  }

  /** `stalled` null: another shard has told. */
  #store(tx: Tx, stalled: OldestDue | null): void {
    if (stalled !== null) announceStalled(this.#ctx, tx, stalled);
    noteStalledTold(this.#ctx, tx);
  }
}
