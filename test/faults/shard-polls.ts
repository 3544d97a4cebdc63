import { mostPolls } from "../../src/core/pressure/poll.ts";
import { shareOf } from "../../src/protocol/names.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import type { SimStorage } from "./world/storage.ts";

/** A poll that is under way, as its row says. */
interface PollLease {
  url: string;
  /** Where it goes. */
  target: string;
  lease: number;
}

/** What one turn let go. */
export interface PollsOfTurn {
  /** Polls under way after it. */
  underWay: number;
  begun: readonly PollLease[];
}

/** The polls of one shard's held tasks, followed turn by turn. */
export class ShardPolls {
  readonly #storage: SimStorage;
  #underWay = new Map<string, PollLease>();

  constructor(storage: SimStorage) {
    this.#storage = storage;
  }

  /** What the turn that has just ended did. */
  turn(): PollsOfTurn {
    const before = this.#underWay;
    if (this.#storage.wrotePolls) this.#underWay = this.#read();
    const begun = [...this.#underWay.values()].filter(({ url, lease }) => before.get(url)?.lease !== lease);
    return { underWay: this.#underWay.size, begun };
  }

  /** Memory was lost, and maybe what was written last. */
  lost(): void {
    this.#underWay = this.#read();
  }

  #read(): Map<string, PollLease> {
    // It may have ended before its upgrade was committed.
    if (this.#storage.read("SELECT name FROM sqlite_master WHERE name = 'polls'").length === 0)
      return new Map();
    const rows = this.#storage.read("SELECT url, lane, lease FROM polls WHERE lease_until IS NOT NULL");
    const leases = rows.map(({ url, lane, lease }) => ({
      url: String(url),
      target: String(lane),
      lease: Number(lease),
    }));
    return new Map(leases.map((one) => [one.url, one]));
  }
}

/** The most polls that a shard may have under way by settings that may have held. */
export function mostPollsOf(held: readonly QueueConfig[], index: number): number {
  return Math.max(
    ...held.map(({ settings, shards }) => mostPolls(shareOf(settings.concurrency, shards, index))),
  );
}
