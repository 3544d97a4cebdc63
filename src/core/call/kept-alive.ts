import { putLast } from "../bounded-map.ts";

/**
 * How long after an answer a call may have got the same connection: workerd keeps an idle one for 5 s, from the end of
 * a body on that may take as long again.
 */
export const KEPT_ALIVE_MS = 10_000;
/**
 * A connection that its other end has closed fails within one round trip: round the world in under half a second, and
 * as much again is for a busy machine. What takes longer was being worked on.
 */
export const FAILS_AT_ONCE_MS = 1_000;
/** Origins that are remembered; the one that answered longest ago goes first. */
const MAX_ORIGINS = 1_000;
const ONCE = "1";
/** Methods that mean the same when they are sent twice (RFC 9110 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);

/** A call whose connection was lost before an answer came. */
export interface LostCall {
  origin: string;
  method: string;
  /** By lower-case name. */
  headers: Readonly<Record<string, string>>;
  /** A call without one is made once more by the runtime itself. */
  hasBody: boolean;
  startedAt: number;
  lostAt: number;
}

/**
 * Which origins have just answered, and so may have left a connection that the next call goes by: where such a one
 * dies at once, its other end had closed it before the call came, as servers do with idle connections. No runtime says
 * which connection a call got.
 */
export class KeptAlive {
  readonly #answeredAt = new Map<string, number>();

  /** An answer came from this origin. */
  answered(origin: string, now: number): void {
    putLast(this.#answeredAt, MAX_ORIGINS, origin, now);
  }

  /**
   * Whether a lost call is to be made once more, at once and as the same attempt: it has a body, failed as one by a
   * connection of before does, and does no harm where the target did see it: by its method, or since the submitter gave
   * it an `Idempotency-Key` of its own and more attempts than one. A key that Redrive made up does not say that the
   * target knows it.
   */
  mayRepeat({ origin, method, headers, hasBody, startedAt, lostAt }: LostCall): boolean {
    const answeredAt = this.#answeredAt.get(origin);
    if (!hasBody || answeredAt === undefined || answeredAt + KEPT_ALIVE_MS < startedAt) return false;
    return lostAt - startedAt <= FAILS_AT_ONCE_MS && (IDEMPOTENT.has(method) || isKeyed(headers));
  }
}

function isKeyed(headers: LostCall["headers"]): boolean {
  const { "idempotency-key": key, "redrive-task-id": taskId, "redrive-max-attempts": most } = headers;
  return key !== undefined && taskId !== undefined && key !== taskId && most !== ONCE;
}
