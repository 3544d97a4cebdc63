import { Hono } from "hono";
import type { AppEnv } from "../access/app-env.ts";
import { openApiDocument } from "./openapi.ts";
import { docsPage } from "./page.ts";
import { DOCS_SCRIPT } from "./script.ts";

const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

const openApiText = once(() => JSON.stringify(openApiDocument()));
const page = once(() => docsPage(openApiDocument()));

/** The OpenAPI document and the reference made from it; each is built at its first request. */
export const docs = new Hono<AppEnv>();

docs.get("/", (c) => c.redirect("/docs"));

docs.get("/openapi.json", (c) => {
  return c.body(openApiText(), 200, { "content-type": "application/json" });
});

docs.get("/docs", (c) => {
  return c.html(page(), 200, {
    "content-security-policy": CONTENT_POLICY,
  });
});

docs.get("/docs/app.js", (c) => {
  return c.body(DOCS_SCRIPT, 200, { "content-type": "text/javascript" });
});

function once(make: () => string): () => string {
  let made: string | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
