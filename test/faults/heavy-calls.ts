import type { RowVersion } from "./world/storage.ts";

const MIB = 1_048_576;
/** Bytes that a shard may have in flight, with and without a mark on disk that says so. */
const MOST_BYTES = 8 * MIB;
const MOST_UNMARKED_BYTES = 2 * MIB;
/** A body of so much weighs nothing. */
const LIGHT_BYTES = 16 * 1_024;

/** What the bytes are held against. */
interface Watch {
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** The bodies that one shard has in flight, as far as this life of its memory let them go. */
export class HeavyCalls {
  readonly #shard: string;
  readonly #watch: Watch;
  readonly #isMarked: () => boolean;
  readonly #bytes = new Map<string, number>();
  #grew = false;

  /** `isMarked`: a row on disk says that much is in flight. */
  constructor(shard: string, watch: Watch, isMarked: () => boolean) {
    this.#shard = shard;
    this.#watch = watch;
    this.#isMarked = isMarked;
  }

  /** A row was written; `bytes`: of the body of the call that it was let go for, null: it was not. */
  follow({ id, gone, leaseUntil }: RowVersion, bytes: number | null): void {
    if (gone || leaseUntil === null || bytes !== null) this.#bytes.delete(id);
    if (bytes === null || bytes <= LIGHT_BYTES) return;
    this.#bytes.set(id, bytes);
    this.#grew = true;
  }

  /** A turn is over: one body goes alone, however large; more only within the bound. */
  turned(): void {
    const grew = this.#grew;
    this.#grew = false;
    if (!grew || this.#bytes.size < 2) return;
    const sum = [...this.#bytes.values()].reduce((all, bytes) => all + bytes, 0);
    if (sum <= MOST_UNMARKED_BYTES) return;
    if (sum <= MOST_BYTES && this.#isMarked()) return;
    this.#watch.violate(
      "no more bytes are in flight than there may be",
      `${this.#shard} has ${sum} in flight${this.#isMarked() ? "" : ", and no mark on disk"}`,
      this.#shard,
      ...this.#bytes.keys(),
    );
  }

  /** Memory was lost: what is in flight weighs nothing from now on. */
  lost(): void {
    this.#bytes.clear();
    this.#grew = false;
  }
}
