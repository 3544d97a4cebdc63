import type { z } from "zod";
import type { Scope } from "../../schema/key.ts";
import type { ErrorCode } from "../../schema/problem.ts";
import type { RequestSchemaName, ResponseSchemaName } from "../reference/schemas.ts";

/** One route as the documentation tells it; a test holds the router to this list. */
export interface RouteDoc {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Parameters in braces. */
  path: string;
  tag: "Tasks" | "Queues" | "Breakers" | "Keys" | "Service";
  summary: string;
  description: string;
  /** What the key must be allowed; null: no key is asked for. */
  scope: Scope | null;
  query?: z.ZodObject;
  /** Request headers that have a meaning of their own here. */
  headers?: Record<string, string>;
  request?: { schema: RequestSchemaName; types: readonly string[]; example: string };
  responses: readonly { status: number; description: string; schema?: ResponseSchemaName; type?: string }[];
  problems: readonly ErrorCode[];
}

export const JSON_TYPE = "application/json";
/** Where a policy may be written. */
export const JSON_OR_YAML = [JSON_TYPE, "application/yaml"];
/** What may be wrong with any body. */
export const BODY_PROBLEMS = [
  "invalid_request",
  "malformed_body",
  "body_too_large",
  "unsupported_media_type",
] as const satisfies readonly ErrorCode[];
