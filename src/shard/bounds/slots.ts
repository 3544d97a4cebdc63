import { mostPolls } from "../../core/pressure/poll.ts";
import { shareOf } from "../../protocol/names.ts";
import type { QueueConfig } from "../../protocol/queue-config.ts";
import type { Places } from "./places.ts";

/** What the slots need of their shard. */
export interface SlotsPort {
  readonly name: string;
  readonly index: number;
  queue(): QueueConfig;
  /** Grants in flight. */
  inFlight(): number;
}

/** How many calls this shard may have in flight: its share of the queue's `concurrency`, and what the process has places for. */
export class Slots {
  /** True if the last turn left no slot free: those that were freed since are for who waited for one. */
  wereFull = false;
  readonly #port: SlotsPort;
  /** The places for calls of the whole process; null: nothing bounds them. */
  readonly #places: Places | null;

  constructor(port: SlotsPort, places: Places | null) {
    this.#port = port;
    this.#places = places;
  }

  /** How many grants may be in flight in this shard. */
  get capacity(): number {
    const { settings, shards } = this.#port.queue();
    return shareOf(settings.concurrency, shards, this.#port.index);
  }

  /** Slots that are free now, as far as the process has places for calls. */
  get free(): number {
    return Math.min(this.ownFree, this.placesLeft);
  }

  /** Slots that are free now by the queue's `concurrency` alone. */
  get ownFree(): number {
    return Math.max(0, this.capacity - this.#port.inFlight());
  }

  /** How many polls may be in flight in this shard: a part of its slots, and of the places of the process. */
  get mostPolls(): number {
    return mostPolls(Math.min(this.capacity, this.#places?.total ?? this.capacity));
  }

  /** The most slots that one lane may hold while another waits. */
  get mostOfOneLane(): number {
    return Math.max(1, Math.floor(this.capacity / 2));
  }

  /** Calls that the process has places for, as far as they are this queue's; Infinity if nothing bounds them. */
  get placesLeft(): number {
    if (this.#places === null) return Number.POSITIVE_INFINITY;
    const { name } = this.#port.queue();
    this.#places.has(this.#port.name, name, this.#port.inFlight());
    return this.#places.left(name);
  }

  /**
   * Waits for a place if calls could be made but for that. Returns the shard whose turn it is to have one, if any is:
   * it is to be woken.
   */
  passPlaceOn(hasCallsToMake: () => boolean): string | null {
    if (this.#places === null) return null;
    // Asked in any case: it tells how many calls this shard has.
    const left = this.placesLeft;
    const waits = left === 0 && this.ownFree > 0 && hasCallsToMake();
    this.#places.waits(this.#port.name, this.#port.queue().name, waits);
    return this.#places.next();
  }
}
