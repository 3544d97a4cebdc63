import type { MiddlewareHandler } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { loggedError, loggedStack } from "../core/text/logged-error.ts";
import type { AppContext, AppEnv } from "./access/app-env.ts";
import { AppError, PROBLEM_KINDS, problemOf } from "./http/app-error.ts";
import { methodsOf, routeOf } from "./routes.ts";

/** Gives every request its id, and every answer the header that tells it; no answer is kept by caches or guessed at. */
export const withRequestId: MiddlewareHandler<AppEnv> = async (c, next) => {
  const id = crypto.randomUUID();
  c.set("requestId", id);
  await next();
  c.res.headers.set("x-request-id", id);
  c.res.headers.set("cache-control", "no-store");
  c.res.headers.set("x-content-type-options", "nosniff");
};

/** Makes every problem+json answer. What is not an AppError is our fault: logged, and not shown. */
export function answerProblem(error: unknown, c: AppContext): Response {
  const known = error instanceof AppError ? error : internal();
  if (known !== error || known.cause !== undefined)
    logFailure(known, known === error ? known.cause : error, c);
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
  if (allowed.length === 0)
    return answerProblem(new AppError("not_found", "there is nothing at this path"), c);
  const allow = allowed.join(", ");
  const detail = `expected ${allow} for this path, got ${c.req.method}`;
  return answerProblem(new AppError("method_not_allowed", detail, { headers: { allow } }), c);
}

function internal(): AppError {
  return new AppError("internal", "something went wrong on our side; quote request_id when you report it");
}

function logFailure(problem: AppError, cause: unknown, c: AppContext): void {
  if (PROBLEM_KINDS[problem.code].status < 500) return;
  const request = { request_id: c.get("requestId"), method: c.req.method, route: routeOf(c.req.path) };
  const fault = { error: loggedError(cause), stack: loggedStack(cause) };
  console.error(JSON.stringify({ event: "request_failed", code: problem.code, ...request, ...fault }));
}
