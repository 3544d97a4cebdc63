import type { MiddlewareHandler } from "hono";
import type { z } from "zod";
import { repeatedParameters } from "../../core/text/repeated-parameters.ts";
import { pathText } from "../../schema/issues.ts";
import { invalidRequest } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import type { AppContext, AppEnv } from "./app-env.ts";

/**
 * Lets a request on whose query names each parameter once; no route has one that may be repeated. Throws AppError
 * `invalid_request` that names those that are: of two values neither is taken silently.
 */
export const onceEach: MiddlewareHandler<AppEnv> = async (c, next) => {
  const repeated = repeatedParameters(queryOf(c));
  if (repeated.length > 0) {
    const message = "expected the query parameter once, got it again";
    throw invalidRequest(repeated.map((name) => ({ path: pathText([name]), message })));
  }
  await next();
};

/** The query as its schema gives it. Throws as `parse` does. Expects that `onceEach` let the request on. */
export function parseQuery<S extends z.ZodType>(c: AppContext, schema: S): z.output<S> {
  return parse(schema, Object.fromEntries(new URLSearchParams(queryOf(c))));
}

/** What stands after the first `?`; most requests have none. */
function queryOf(c: AppContext): string {
  const { url } = c.req;
  const at = url.indexOf("?");
  return at === -1 ? "" : url.slice(at + 1).replace(/#.*$/s, "");
}
