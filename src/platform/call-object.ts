import { clock } from "./clock.ts";

/** Waits before the second, third and fourth try. */
const REPEAT_AFTER_MS = [20, 60, 180];

/**
 * Why a call of a Durable Object got no answer. `overloaded`: it was not even begun, and more calls do harm.
 * `storage_unavailable`: what it wrote could not be stored, a disk is full or fails. `unavailable`: anything else.
 */
export type ObjectCallFailure = "overloaded" | "storage_unavailable" | "unavailable";

/** What a caller is told of it. */
export const FAILURE_DETAILS: Record<ObjectCallFailure, string> = {
  overloaded: "too many requests for this storage; try again in a second",
  storage_unavailable: "storage takes no writes: the disk is full or fails; try again in a while",
  unavailable: "storage did not answer; try again in a second",
};

/** A call of a Durable Object that got no answer. */
export class ObjectCallError extends Error {
  override name = "ObjectCallError";
  readonly kind: ObjectCallFailure;

  constructor(kind: ObjectCallFailure, cause: unknown) {
    super(`A storage object failed (${kind}): ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.kind = kind;
  }
}

/**
 * Calls an object's method, and again up to three times where the call fails: what it does must be harmless to
 * repeat. `call` has to get a new stub each time, as one that threw may be broken. What a full disk fails is not
 * repeated: each try makes the platform restart the object. Throws ObjectCallError.
 */
export async function callObject<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if (isOverloaded(error)) throw new ObjectCallError("overloaded", error);
      if (isStorageFailure(error)) throw new ObjectCallError("storage_unavailable", error);
      const waitMs = REPEAT_AFTER_MS[tries];
      if (waitMs === undefined) throw new ObjectCallError("unavailable", error);
      await clock.wait(waitMs * (0.5 + clock.random()));
    }
  }
}

/** The platform's own mark: the object has too much queued, and repeating at once makes it worse. */
function isOverloaded(error: unknown): boolean {
  return error instanceof Error && "overloaded" in error && error.overloaded === true;
}

/** workerd lets SQLite's own name of the failure stand in the message of whatever waited for the commit. */
function isStorageFailure(error: unknown): boolean {
  return error instanceof Error && /\bSQLITE_(?:FULL|IOERR|CANTOPEN|READONLY)/.test(error.message);
}
