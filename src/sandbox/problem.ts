import type { ErrorCode, Problem, ProblemIssue } from "../schema/problem.ts";

const TITLE_BY_STATUS = { 400: "Bad Request", 404: "Not Found", 413: "Content Too Large" } as const;

/** A refusal of the sandbox as `application/problem+json`. */
export function problem(
  status: keyof typeof TITLE_BY_STATUS,
  code: ErrorCode,
  detail: string,
  errors?: ProblemIssue[],
): Response {
  const body: Problem = {
    type: "about:blank",
    title: TITLE_BY_STATUS[status],
    status,
    code,
    detail,
    ...(errors && { errors }),
    request_id: crypto.randomUUID(),
  };
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}
