import type { z } from "zod";
import type { Scope } from "../../schema/key.ts";
import type { ErrorCode } from "../../schema/problem.ts";

/** A schema with the name that the OpenAPI document gives it. */
export interface NamedSchema {
  name: string;
  schema: z.ZodType;
}

/** One route as the documentation tells it. */
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
  request?: { schema: NamedSchema; types: readonly string[]; example: string };
  responses: readonly { status: number; description: string; schema?: NamedSchema; type?: string }[];
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
