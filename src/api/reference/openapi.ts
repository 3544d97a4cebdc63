import { z } from "zod";
import { Problem } from "../../schema/problem.ts";
import { PROBLEM_KINDS } from "../http/app-error.ts";
import type { NamedSchema, RouteDoc } from "../http/route-doc.ts";

/** A part of the document; its shape is OpenAPI's. */
export type Json = Record<string, unknown>;

/** Named schemas, as `components.schemas` has them. */
export type Schemas = Record<string, z.core.JSONSchema.BaseSchema>;

const PROBLEM: NamedSchema = { name: "Problem", schema: Problem };

/** The API as an OpenAPI 3.1 document, made from its routes and their zod schemas. */
export function openApiDocument(routes: readonly RouteDoc[]): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Redrive",
      version: "1",
      description:
        "Submit an HTTP call; Redrive owns it until it has succeeded or cannot, and tells the outcome by a signed webhook.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: componentSchemas(routes),
      securitySchemes: { key: { type: "http", scheme: "bearer" } },
    },
  };
}

function operation(route: RouteDoc): Json {
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    description: route.description,
    ...(route.scope !== null && { security: [{ key: [] }], "x-scope": route.scope }),
    ...(route.scope === null && { security: [] }),
    ...parametersOf(route),
    ...(route.request && { requestBody: requestBody(route.request) }),
    responses: responsesOf(route),
  };
}

/** `POST /v1/tasks/{id}/cancel` is `postTasksIdCancel`. */
function operationId({ method, path }: RouteDoc): string {
  const words = path.replace("/v1", "").split(/[^a-zA-Z]+/);
  return words.reduce((id, word) => id + word.charAt(0).toUpperCase() + word.slice(1), method.toLowerCase());
}

function parametersOf({ path, query, headers = {} }: RouteDoc): Json {
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name]) => {
    return { name, in: "path", required: true, schema: { type: "string" } };
  });
  const inHeader = Object.entries(headers).map(([name, description]) => {
    return { name, in: "header", description, schema: { type: "string" } };
  });
  const schema = query === undefined ? {} : toSchema(query, "input");
  const inQuery = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const { description, ...rest } = property as Json;
    return { name, in: "query", ...(description !== undefined && { description }), schema: rest };
  });
  const parameters = [...inPath, ...inQuery, ...inHeader];
  return parameters.length === 0 ? {} : { parameters };
}

function requestBody({ schema, types, example }: NonNullable<RouteDoc["request"]>): Json {
  const content = types.map((type) => {
    const shown = type === "application/json" ? { example: JSON.parse(example) } : {};
    return [type, { schema: { $ref: `#/components/schemas/${schema.name}` }, ...shown }];
  });
  return { required: true, content: Object.fromEntries(content) };
}

function responsesOf(route: RouteDoc): Json {
  const responses: Json = {};
  for (const { status, description, schema, type } of route.responses) {
    const content = schema
      ? { "application/json": { schema: { $ref: `#/components/schemas/${schema.name}` } } }
      : type && { [type]: {} };
    responses[status] = { description, ...(content && { content }) };
  }
  const keyed =
    route.scope === null
      ? []
      : (["unauthorized", "forbidden", "not_configured", "storage_unavailable", "unavailable"] as const);
  const codes = [...new Set([...route.problems, ...keyed])];
  for (const [status, group] of Map.groupBy(codes, (code) => PROBLEM_KINDS[code].status)) {
    const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
    responses[status] = { description: `Problem: ${group.map((code) => `\`${code}\``).join(", ")}`, content };
  }
  return responses;
}

/** Throws an Error if two different schemas have one name. */
export function componentSchemas(routes: readonly RouteDoc[]): Schemas {
  const found = new Map<string, { named: NamedSchema; io: "input" | "output" }>();
  const add = (named: NamedSchema | undefined, io: "input" | "output") => {
    if (named === undefined) return;
    const other = found.get(named.name);
    if (other !== undefined && (other.named.schema !== named.schema || other.io !== io)) {
      throw new Error(`expected one schema named ${named.name}, got two`);
    }
    found.set(named.name, { named, io });
  };
  for (const { request } of routes) add(request?.schema, "input");
  for (const { responses } of routes) for (const { schema } of responses) add(schema, "output");
  add(PROBLEM, "output");
  return Object.fromEntries(Array.from(found, ([name, { named, io }]) => [name, toSchema(named.schema, io)]));
}

function toSchema(schema: z.ZodType, io: "input" | "output"): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { def } = zodSchema._zod;
      // Answers give durations as whole milliseconds, whatever way they were written.
      if (io === "output" && def.type === "pipe" && def.out._zod.def.type === "transform") {
        delete jsonSchema.examples;
        Object.assign(jsonSchema, {
          type: "integer",
          description: `${jsonSchema.description}, in milliseconds`,
        });
      }
      // zod's bound for a safe integer says nothing about the API.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return rest;
}
