import { BREAKER_ROUTES } from "../breakers/reference.ts";
import type { RouteDoc } from "../http/route-doc.ts";
import { QUEUE_ROUTES } from "../queues/reference.ts";
import { TASK_ROUTES } from "../tasks/reference.ts";
import { SERVICE_ROUTES } from "./service.ts";

/** Every route, in the order the documentation shows them. */
export const ROUTES: readonly RouteDoc[] = [
  ...TASK_ROUTES,
  ...QUEUE_ROUTES,
  ...BREAKER_ROUTES,
  ...SERVICE_ROUTES,
];

/** Paths that serve `/docs` and are no part of the API. */
const INTERNAL_PATHS = ["/", "/docs/app.js"];

const MATCHERS = [
  ...ROUTES.map(({ method, path }) => ({
    method,
    shape: new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`),
  })),
  ...INTERNAL_PATHS.map((path) => ({ method: "GET", shape: new RegExp(`^${path}$`) })),
];

/** The methods that a path answers, in alphabetical order; none where there is nothing at it. */
export function methodsOf(path: string): string[] {
  const methods = MATCHERS.filter(({ shape }) => shape.test(path)).map(({ method }) => method);
  if (methods.includes("GET")) methods.push("HEAD");
  return methods.sort();
}
