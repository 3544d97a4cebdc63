import type { BreakerSync } from "../../protocol/breaker-api.ts";

/** The result of a probe, as its Breaker object is told. */
type Probed = NonNullable<BreakerSync["probed"]>;

/** What the Breaker objects of this shard's targets are to be told or asked. Memory only. */
export class TalkNews {
  /** Targets whose next talk must be planned anew. */
  readonly #changed: Set<string>;
  /** Results of probes that the Breaker object has not been told yet. */
  readonly #probed = new Map<string, Probed>();
  /** Targets that answered 410, and the task that they answered: operators are to be told, if no other shard has. */
  readonly #gone = new Map<string, string>();
  /** Targets about which the Breaker object is to be asked now. */
  readonly #unsure = new Set<string>();

  constructor(changed: Iterable<string>) {
    this.#changed = new Set(changed);
  }

  /** Something has changed that its Breaker object may have to be told, or asked. */
  noteChanged(key: string): void {
    this.#changed.add(key);
  }

  /** What `get` gives for each target that changed since this was asked last. */
  takeChanged<T>(get: (key: string) => T): T[] {
    // They count as changed until all are there, so that none is forgotten meanwhile.
    const changed = [...this.#changed].map(get);
    this.#changed.clear();
    return changed;
  }

  /** A probe has ended. */
  noteProbed(key: string, probed: Probed): void {
    this.#probed.set(key, probed);
    this.#changed.add(key);
  }

  /** The result of a probe that is still to be told; null: there is none. */
  probedOf(key: string): Probed | null {
    return this.#probed.get(key) ?? null;
  }

  /** The result of the probe with this lease has been told. */
  probedTold(key: string, lease: number): void {
    if (this.#probed.get(key)?.lease === lease) this.#probed.delete(key);
  }

  /** The queue's operators are to be told that the target is gone, unless another shard of the queue has told them. */
  noteGone(key: string, task: string): void {
    if (!this.#gone.has(key)) this.#gone.set(key, task);
    this.#changed.add(key);
  }

  /** The task that the target has answered that it is gone; null: that is told, or not so. */
  goneTask(key: string): string | null {
    return this.#gone.get(key) ?? null;
  }

  /** Operators have been told that the target is gone. */
  goneTold(key: string): void {
    this.#gone.delete(key);
  }

  /** Its Breaker object is to be asked about the target now, whatever is known here. */
  noteUnsure(key: string): void {
    this.#unsure.add(key);
    this.#changed.add(key);
  }

  isUnsure(key: string): boolean {
    return this.#unsure.has(key);
  }

  /** Its Breaker object has been asked. */
  asked(key: string): void {
    this.#unsure.delete(key);
  }

  /** Its Breaker object is neither told nor asked what it was to be. */
  giveUp(key: string): void {
    this.#probed.delete(key);
    this.#unsure.delete(key);
  }

  /** True if the target may be forgotten: its Breaker object need not hear of it. */
  isIdle(key: string): boolean {
    return !this.#changed.has(key) && !this.#probed.has(key);
  }

  /** How many results of probes are still to be told; for measurements. */
  get untold(): number {
    return this.#probed.size;
  }
}
