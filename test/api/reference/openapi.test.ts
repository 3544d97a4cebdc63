import { describe, expect, test } from "vitest";
import { z } from "zod";
import { componentSchemas, openApiDocument } from "../../../src/api/reference/openapi.ts";
import { docsPage } from "../../../src/api/reference/page.ts";
import { methodsOf, ROUTES } from "../../../src/api/routes.ts";
import { SubmittedTask } from "../../../src/intake/task-from-request.ts";

const document = openApiDocument(ROUTES) as {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; responses: object; requestBody?: object }>>;
  components: {
    schemas: Record<string, { type?: string; properties?: Record<string, object>; required?: string[] }>;
  };
};
const operations = Object.values(document.paths).flatMap((path) => Object.values(path));

describe("openApiDocument", () => {
  test("is OpenAPI 3.1 with every route once", () => {
    expect(document.openapi).toBe("3.1.0");
    expect(operations).toHaveLength(ROUTES.length);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(ROUTES.length);
  });

  test("refers only to schemas that it has", () => {
    const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map(([, ref]) => ref);
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
    expect(refs.length).toBeGreaterThan(20);
    expect(refs.filter((ref) => ref !== undefined && !known.includes(ref))).toEqual([]);
  });

  test("has the fields of a task as callers may write them", () => {
    const { TaskRequest } = document.components.schemas;
    expect(TaskRequest?.required).toEqual(["url"]);
    expect(TaskRequest?.properties?.delay).toMatchObject({ type: ["string", "number"] });
    expect(TaskRequest?.properties?.method).toMatchObject({ default: "POST" });
    expect(Object.keys(TaskRequest?.properties ?? {})).toEqual(Object.keys(SubmittedTask.shape));
  });

  test("shows a queue's durations as whole milliseconds", () => {
    const settings = document.components.schemas.Queue?.properties?.settings as {
      properties: Record<string, object>;
    };
    expect(settings.properties.timeout).toMatchObject({ type: "integer" });
  });

  test("has an example for every request that its own schema accepts", () => {
    for (const { request } of ROUTES) {
      if (request === undefined) continue;
      expect(request.schema.schema.safeParse(JSON.parse(request.example)).success).toBe(true);
    }
  });
});

describe("componentSchemas", () => {
  test("refuses two schemas of one name", () => {
    const [route] = ROUTES.filter(({ request }) => request !== undefined);
    if (route?.request === undefined) throw new Error("expected a route with a request");
    const other = {
      ...route,
      request: { ...route.request, schema: { name: "TaskRequest", schema: z.object({}) } },
    };
    expect(() => componentSchemas([...ROUTES, other])).toThrow("one schema named TaskRequest");
  });
});

describe("docsPage", () => {
  const page = docsPage(ROUTES);

  test("shows every route and every field of a task", () => {
    for (const { summary, path } of ROUTES) {
      expect(page).toContain(summary);
      expect(page).toContain(path);
    }
    for (const field of Object.keys(SubmittedTask.shape)) {
      expect(page).toContain(`<code>${field}</code>`);
    }
  });

  test("loads nothing from elsewhere", () => {
    const loaded = [...page.matchAll(/(?:src|<link[^>]*href)="([^"]*)"/g)].map(([, url]) => url);
    expect(loaded).toEqual(["data:,", "/docs/app.js"]);
  });

  test("links only to places that it has", () => {
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    const links = [...page.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id);
    expect(links.length).toBeGreaterThanOrEqual(ROUTES.length);
    expect(links.filter((link) => !ids.includes(link))).toEqual([]);
  });
});

describe("methodsOf", () => {
  test.each([
    ["/v1/tasks", ["GET", "HEAD", "POST"]],
    ["/v1/tasks/tsk_1", ["GET", "HEAD"]],
    ["/v1/tasks/batch", ["GET", "HEAD", "POST"]],
    ["/v1/queues/a/pause", ["POST"]],
    ["/docs/app.js", ["GET", "HEAD"]],
    ["/v1/nothing", []],
    ["/v1/tasks/", []],
  ])("%s: %j", (path, methods) => {
    expect(methodsOf(path)).toEqual(methods);
  });
});
