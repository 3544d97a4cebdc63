import type { Route } from "./access/route.ts";
import { BREAKER_ROUTES } from "./breakers/routes.ts";
import { KEY_ROUTES } from "./keys/routes.ts";
import { QUEUE_ROUTES } from "./queues/routes.ts";
import { INTERNAL_PATHS, referenceRoutes } from "./reference/routes.ts";
import { SERVICE_ROUTES } from "./service/routes.ts";
import { TASK_ROUTES } from "./tasks/routes.ts";

/** Every route, in the order the documentation shows them. */
export const ROUTES: readonly Route[] = [
  ...TASK_ROUTES,
  ...QUEUE_ROUTES,
  ...BREAKER_ROUTES,
  ...KEY_ROUTES,
  ...SERVICE_ROUTES,
  ...referenceRoutes(() => ROUTES),
];

const MATCHERS = [
  ...ROUTES.map(({ method, path }) => ({
    method,
    path,
    shape: new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`),
  })),
  ...INTERNAL_PATHS.map((path) => ({ method: "GET", path, shape: new RegExp(`^${path}$`) })),
];

/** The methods that a path answers, in alphabetical order; none where there is nothing at it. */
export function methodsOf(path: string): string[] {
  const methods = MATCHERS.filter(({ shape }) => shape.test(path)).map(({ method }) => method);
  if (methods.includes("GET")) methods.push("HEAD");
  return methods.sort();
}

/** The route of a path as the documentation writes it, without what its parameters hold; null: there is nothing at it. */
export function routeOf(path: string): string | null {
  return MATCHERS.find(({ shape }) => shape.test(path))?.path ?? null;
}
