import type { Hono } from "hono";
import type { AppEnv } from "../access/app-env.ts";
import type { Route } from "../access/route.ts";
import { JSON_TYPE, type RouteDoc } from "../http/route-doc.ts";
import { openApiDocument } from "./openapi.ts";
import { docsPage } from "./page.ts";
import { DOCS_SCRIPT } from "./script.ts";

const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

/** What serves `/docs` and is no part of the API. */
export const INTERNAL_PATHS = ["/", "/docs/app.js"];

/** The OpenAPI document and the reference made from it, of all routes; each is built at its first request. */
export function referenceRoutes(all: () => readonly RouteDoc[]): readonly Route[] {
  const openApiText = once(() => JSON.stringify(openApiDocument(all())));
  const page = once(() => docsPage(all()));
  return [
    {
      method: "GET",
      path: "/openapi.json",
      tag: "Service",
      summary: "This API as OpenAPI 3.1",
      description: "Made from the schemas that requests are checked by.",
      scope: null,
      responses: [{ status: 200, description: "The document", type: JSON_TYPE }],
      problems: [],
      handle: (c) => c.body(openApiText(), 200, { "content-type": "application/json" }),
    },
    {
      method: "GET",
      path: "/docs",
      tag: "Service",
      summary: "This reference",
      description: "The same for people; works without the internet.",
      scope: null,
      responses: [{ status: 200, description: "A page", type: "text/html" }],
      problems: [],
      handle: (c) => c.html(page(), 200, { "content-security-policy": CONTENT_POLICY }),
    },
  ];
}

/** Serves the paths of INTERNAL_PATHS. */
export function serveReference(app: Hono<AppEnv>): void {
  app.get("/", (c) => c.redirect("/docs"));
  app.get("/docs/app.js", (c) => c.body(DOCS_SCRIPT, 200, { "content-type": "text/javascript" }));
}

function once(make: () => string): () => string {
  let made: string | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
