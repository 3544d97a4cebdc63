import type { ErrorCode } from "../schema/problem.ts";

/** A refusal that is expected: crosses RPC as a value, since error classes do not survive the trip. */
export interface Refusal {
  ok: false;
  code: ErrorCode;
  detail: string;
}
