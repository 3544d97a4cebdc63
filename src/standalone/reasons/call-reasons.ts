import { putLast } from "../../core/bounded-map.ts";

/** Reasons kept; the oldest goes first. Each is asked for within a second, or never. */
const MAX_REASONS = 1_000;
const MAX_REASON_LENGTH = 300;
/** What is kept of a log entry that has not ended yet. */
const MAX_PENDING_LENGTH = 16_384;
/** An exception that workerd hides from the Worker: its first line, then where it was thrown, then its reference. */
const HIDDEN = /\berror: e = [^\n]*?failed: ([^\n]*)(?:\nstack:[^\n]*)?; wdErrId = ([0-9a-z]+)/g;

/**
 * Why calls failed, by the reference that workerd gives the Worker in place of the reason (`internal error; reference
 * = ...`). The reason itself stands only in workerd's log. Bounded: what is not asked for is forgotten.
 */
export class CallReasons {
  #pending = "";
  readonly #reasons = new Map<string, string>();
  readonly #waiting = new Map<string, (reason: string) => void>();

  /** Takes the next piece of workerd's stderr, cut anywhere. */
  read(text: string): void {
    this.#pending += text;
    let readUpTo = 0;
    for (const match of this.#pending.matchAll(HIDDEN)) {
      const [whole, reason = "", reference = ""] = match;
      const end = match.index + whole.length;
      // A reference that ends where the text does may go on in the next piece.
      if (end === this.#pending.length) break;
      this.#keep(reference, reason.trim().slice(0, MAX_REASON_LENGTH));
      readUpTo = end;
    }
    this.#pending = this.#pending.slice(readUpTo).slice(-MAX_PENDING_LENGTH);
  }

  /** Gives a reason once, and waits up to `patienceMs` for one that was not read yet. Null: there is none. */
  async take(reference: string, patienceMs: number): Promise<string | null> {
    const reason = this.#reasons.get(reference) ?? (await this.#wait(reference, patienceMs));
    this.#reasons.delete(reference);
    return reason;
  }

  #keep(reference: string, reason: string): void {
    putLast(this.#reasons, MAX_REASONS, reference, reason);
    this.#waiting.get(reference)?.(reason);
  }

  async #wait(reference: string, patienceMs: number): Promise<string | null> {
    const { promise, resolve } = Promise.withResolvers<string | null>();
    const timer = setTimeout(resolve, patienceMs, null);
    this.#waiting.set(reference, resolve);
    const reason = await promise;
    clearTimeout(timer);
    this.#waiting.delete(reference);
    return reason;
  }
}
