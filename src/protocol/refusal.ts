import type { ErrorCode, ProblemIssue } from "../schema/problem.ts";

/** A refusal that is expected: crosses RPC as a value, since error classes do not survive the trip. */
export interface Refusal {
  ok: false;
  code: ErrorCode;
  detail: string;
  /** The wrong places of the request, where it names some. */
  errors?: ProblemIssue[];
}

/** The `invalid_request` whose detail is its first wrong place. Expects at least one. */
export function invalid(errors: ProblemIssue[]): Refusal {
  const [first] = errors;
  const where = first === undefined || first.path === "" ? "" : `${first.path}: `;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  const detail = `${where}${first?.message ?? "invalid request"}${more}`;
  return { ok: false, code: "invalid_request", detail, errors };
}
