import type { SettleMessage } from "../../src/protocol/grant.ts";

/** What the calls of one attempt were answered, as its target knows it. */
interface Answered {
  calls: number;
  /** Of the headers that its caller got; null: it got none. */
  status: number | null;
}

/** What they are held against. */
interface Watch {
  violate(invariant: string, detail: string, ...about: string[]): void;
}

/** What targets have answered to attempts, held against what is settled: the status that came is the one that counts. */
export class Answers {
  readonly #watch: Watch;
  readonly #byAttempt = new Map<string, Answered>();

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** An attempt's call has begun. A grant that was handed over twice is called twice. */
  called(attempt: string): void {
    const known = this.#byAttempt.get(attempt);
    this.#byAttempt.set(attempt, { calls: (known?.calls ?? 0) + 1, status: null });
  }

  /** Its caller has the status and the headers, whatever becomes of the body. */
  answered(attempt: string, status: number): void {
    const known = this.#byAttempt.get(attempt);
    if (known !== undefined) known.status = status;
  }

  /** A settle of the attempt was taken in; `state`: of its task from then on. */
  settled(attempt: string, { id, result }: SettleMessage, state: string): void {
    const known = this.#byAttempt.get(attempt);
    this.#byAttempt.delete(attempt);
    // Which of two calls it is about is not known here.
    if (known === undefined || known.calls > 1) return;
    const { status } = known;
    if (status === null) return;
    if (result.status !== status)
      this.#watch.violate(
        "the status that came counts",
        `${attempt}: ${status} is settled as ${result.status}`,
        id,
      );
    if (status < 300 && state !== "succeeded" && state !== "cancelled")
      this.#watch.violate(
        "what was done is not done again",
        `${attempt}: after its ${status} it is ${state}`,
        id,
      );
  }

  /** Forgets the attempts of a task. */
  forget(id: string): void {
    for (const attempt of this.#byAttempt.keys()) if (attempt.startsWith(id)) this.#byAttempt.delete(attempt);
  }
}

/** How a call of a task tells which attempt it is. */
export function attemptName(id: string, number: number | string): string {
  return `${id} #${number}`;
}
