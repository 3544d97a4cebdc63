import type { Hono } from "hono";
import type { RouteDoc } from "../http/route-doc.ts";
import type { AppContext, AppEnv } from "./app-env.ts";
import { needs, needsAllQueues } from "./auth.ts";

/** One route, whole: what the documentation says of it, who may call it, and what it does. */
export interface Route extends RouteDoc {
  /** Only keys that are not limited to some queues may call it. */
  allQueues?: true;
  /** Answers a request whose key has the route's scope. Throws AppError. */
  handle(c: AppContext): Response | Promise<Response>;
}

/** Adds routes to an app, each behind the scope that it names. */
export function serve(app: Hono<AppEnv>, routes: readonly Route[]): void {
  for (const { method, path, scope, allQueues, handle } of routes) {
    const guards = [...(scope === null ? [] : [needs(scope)]), ...(allQueues ? [needsAllQueues] : [])];
    app.on([method], [path.replace(/\{(\w+)\}/g, ":$1")], ...guards, (c) => handle(c));
  }
}

/** A parameter that stands in braces in the route's path. */
export function pathParam(c: AppContext, name: string): string {
  const value = c.req.param(name);
  if (value === undefined) throw new Error(`expected the path parameter ${name}, got none`);
  return value;
}
