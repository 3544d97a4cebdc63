import type { MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { AppError, problemOf } from "./app-error.ts";
import type { AppContext, AppEnv } from "./app-env.ts";
import { methodsOf } from "./routes.ts";

/** Gives every request its id, and every answer the header that tells it. */
export const withRequestId: MiddlewareHandler<AppEnv> = async (c, next) => {
  const id = crypto.randomUUID();
  c.set("requestId", id);
  await next();
  c.res.headers.set("x-request-id", id);
};

/** Makes every problem+json answer. What is not an AppError is our fault: logged, and not shown. */
export function answerProblem(error: unknown, c: AppContext): Response {
  const known = error instanceof AppError ? error : internal(error, c);
  const problem = problemOf(known, c.get("requestId"));
  return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
    ...known.headers,
    "content-type": "application/problem+json",
  });
}

/** Answers a path that has no route: 405 with Allow where it has other methods, else 404. */
export function answerNoRoute(c: AppContext): Response {
  const { path } = c.req;
  const allowed = methodsOf(path);
  if (allowed.length === 0) return answerProblem(new AppError("not_found", `there is nothing at ${path}`), c);
  const allow = allowed.join(", ");
  const detail = `expected ${allow} for ${path}, got ${c.req.method}`;
  return answerProblem(new AppError("method_not_allowed", detail, { headers: { allow } }), c);
}

function internal(error: unknown, c: AppContext): AppError {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const requestId = c.get("requestId");
  const line = { event: "request_failed", request_id: requestId, method: c.req.method, path: c.req.path };
  console.error(JSON.stringify({ ...line, error: message, stack }));
  return new AppError("internal", "something went wrong on our side; quote request_id when you report it");
}
