import { show } from "../../schema/duration.ts";
import { PROBLEM_KINDS } from "../http/app-error.ts";
import type { RouteDoc } from "../http/route-doc.ts";
import { componentSchemas } from "./openapi.ts";
import { DOCS_STYLE } from "./style.ts";

/** What the page reads of a JSON schema. */
interface Schema {
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  minimum?: number;
  maximum?: number;
}

const INTRO = `
<p>Redrive takes a task (an HTTP call) and owns it until it has succeeded or cannot. Send your key as
<code>Authorization: Bearer &lt;key&gt;</code>. Requests are JSON; a task and a queue may be YAML too
(<code>content-type: application/yaml</code>). Durations are <code>"250ms"</code>, <code>"90s"</code>,
<code>"1d10h"</code> or a number of milliseconds; unknown fields are refused by name.</p>
<p>Errors are <code>application/problem+json</code> (RFC 9457) with a stable <code>code</code>, the wrong places in
<code>errors</code>, and a <code>request_id</code>, which every answer has in <code>x-request-id</code> too.
The same as <a href="/openapi.json">OpenAPI 3.1</a>.</p>`;

/** The reference as one page of HTML that loads nothing from elsewhere but its own script. */
export function docsPage(all: readonly RouteDoc[]): string {
  const schemas = componentSchemas(all) as Record<string, Schema>;
  const tags = [...new Set(all.map(({ tag }) => tag))];
  const groups = tags.map((tag) => ({ tag, routes: all.filter((route) => route.tag === tag) }));
  const menu = groups.map(
    ({ tag, routes }) => `<strong>${tag}</strong><ul>${routes.map(menuEntry).join("")}</ul>`,
  );
  const parts = groups.map(({ tag, routes }) => {
    return `<h2>${tag}</h2>${routes.map((route) => operation(route, schemas)).join("")}`;
  });
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Redrive API</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>${DOCS_STYLE}</style></head><body>
<nav><input id="filter" type="search" placeholder="Filter" aria-label="Filter" hidden><p></p>${menu.join("")}
<ul><li><a href="#problems">Problem codes</a></li></ul></nav>
<main><h1>Redrive API</h1>${INTRO}${parts.join("")}${problemTable()}</main>
<script src="/docs/app.js" defer></script></body></html>`;
}

function menuEntry(route: RouteDoc): string {
  return `<li data-search="${searchText(route)}"><a href="#${anchor(route)}">${verb(route)} ${escapeHtml(route.summary)}</a></li>`;
}

function operation(route: RouteDoc, schemas: Record<string, Schema>): string {
  const { request, responses, query } = route;
  const scope = route.scope === null ? "No key needed" : `Scope <code>${route.scope}</code>`;
  const answers = responses.map(({ status, description, schema }) => {
    return `<tr><td>${status}</td><td>${inline(description)}${schema ? fold(schema.name, schemas[schema.name]) : ""}</td></tr>`;
  });
  const problems = route.problems.map((code) => {
    return `<tr><td>${PROBLEM_KINDS[code].status}</td><td><a href="#problems"><code>${code}</code></a></td></tr>`;
  });
  return `<section id="${anchor(route)}" data-search="${searchText(route)}">
<h3>${verb(route)} <code>${escapeHtml(route.path)}</code></h3><p>${inline(route.description)} <span class="soft">${scope}.</span></p>
<pre data-copy><code>${escapeHtml(curl(route))}</code></pre>
${
  query
    ? `<p>Query: ${Object.keys(query.shape)
        .map((name) => `<code>${name}</code>`)
        .join(", ")}</p>`
    : ""
}
${request ? `<details open><summary>Request body</summary>${fields(schemas[request.schema.name])}</details>` : ""}
<table><tbody>${answers.join("")}${problems.join("")}</tbody></table></section>`;
}

function fold(name: string, schema: Schema | undefined): string {
  return `<details><summary><code>${name}</code></summary>${fields(schema)}</details>`;
}

/** The fields of an object as a table; fields of fields fold out below their row. */
function fields(schema: Schema | undefined): string {
  const { properties = {}, required = [] } = schema ?? {};
  const rows = Object.entries(properties).map(([name, field]) => {
    const inner = innerObject(field);
    const nested = inner ? `<details><summary>fields</summary>${fields(inner)}</details>` : "";
    const need = required.includes(name) ? "" : " <small>optional</small>";
    const fallback =
      field.default === undefined ? "" : ` <small>default ${escapeHtml(show(field.default))}</small>`;
    const said = field.description ? ` ${inline(field.description)}.` : "";
    return `<tr><td><code>${escapeHtml(name)}</code>${need}</td><td><small>${escapeHtml(typeText(field))}</small>${said}${fallback}${nested}</td></tr>`;
  });
  return `<table><tbody>${rows.join("")}</tbody></table>`;
}

/** The object that a field is, may be, or is a list of. */
function innerObject(schema: Schema): Schema | undefined {
  if (schema.properties) return schema;
  const options = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.items ? [schema.items] : [])];
  return options.map(innerObject).find((found) => found !== undefined);
}

function typeText(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => show(value)).join(" | ");
  if (schema.const !== undefined) return show(schema.const);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeText).join(" | ");
  if (schema.type === "array") return `list of ${typeText(schema.items ?? {})}`;
  const { minimum, maximum } = schema;
  const range = minimum === undefined && maximum === undefined ? "" : ` ${minimum ?? ""}..${maximum ?? ""}`;
  return `${[schema.type ?? "any"].flat().join(" | ")}${range}`;
}

function curl({ method, path, scope, request }: RouteDoc): string {
  const lines = [`curl${method === "GET" ? "" : ` -X ${method}`} "$REDRIVE_URL${path}"`];
  if (scope !== null) lines.push(`-H "authorization: Bearer $REDRIVE_API_KEY"`);
  if (request) lines.push('-H "content-type: application/json"', `-d '${request.example}'`);
  return lines.join(" \\\n  ");
}

function problemTable(): string {
  const rows = Object.entries(PROBLEM_KINDS).map(([code, { status, title }]) => {
    return `<tr><td><code>${code}</code></td><td>${status}</td><td>${title}</td></tr>`;
  });
  return `<h2 id="problems">Problem codes</h2><table><tbody>${rows.join("")}</tbody></table>`;
}

function verb({ method }: RouteDoc): string {
  return `<span class="verb ${method.toLowerCase()}">${method}</span>`;
}

function anchor({ method, path }: RouteDoc): string {
  return `${method}${path}`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/-$/, "");
}

function searchText({ method, path, summary, tag }: RouteDoc): string {
  return escapeHtml(`${method} ${path} ${summary} ${tag}`.toLowerCase());
}

/** Text with its `code` marked as such. */
function inline(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
