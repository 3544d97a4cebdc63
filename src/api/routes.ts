import type { z } from "zod";
import type { Scope } from "../schema/key.ts";
import type { ErrorCode } from "../schema/problem.ts";
import { TaskQuery } from "../schema/task.ts";
import { RetryQuery } from "./retry-query.ts";
import type { RequestSchemaName, ResponseSchemaName } from "./schemas.ts";

const JSON_TYPE = "application/json";
const WITH_YAML = [JSON_TYPE, "application/yaml"];

/** One route as the documentation tells it; a test holds the router to this list. */
export interface RouteDoc {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Parameters in braces. */
  path: string;
  tag: "Tasks" | "Queues" | "Keys" | "Service";
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

const TASK_OPERATED = { status: 200, description: "The task as it is now", schema: "Task" } as const;
const QUEUE_NOW = { status: 200, description: "The queue as it is now", schema: "Queue" } as const;
const BODY_PROBLEMS = [
  "invalid_request",
  "malformed_body",
  "body_too_large",
  "unsupported_media_type",
] as const;

/** Every route, in the order the documentation shows them. */
export const ROUTES: readonly RouteDoc[] = [
  {
    method: "POST",
    path: "/v1/tasks",
    tag: "Tasks",
    summary: "Submit a task",
    description:
      "Takes one HTTP call and owns it until it has succeeded or cannot. 202 means it is stored. With an " +
      "idempotency key, a repeat of the same request answers 200 with the first task and `duplicate: true`, and " +
      "another request under the same key is refused.",
    scope: "submit",
    headers: { "Idempotency-Key": "The same as the field `idempotency_key`" },
    request: {
      schema: "TaskRequest",
      types: WITH_YAML,
      example: JSON.stringify({
        url: "https://api.example.com/charge",
        body: { amount: 5 },
        idempotency_key: "order-991",
        retry: { max_attempts: 3 },
        callback: { url: "https://me.example.com/hook" },
      }),
    },
    responses: [
      { status: 202, description: "Stored", schema: "TaskAccepted" },
      { status: 200, description: "A repeat of a task that is here already", schema: "TaskAccepted" },
    ],
    problems: [...BODY_PROBLEMS, "queue_not_found", "idempotency_conflict", "overloaded"],
  },
  {
    method: "POST",
    path: "/v1/tasks/batch",
    tag: "Tasks",
    summary: "Submit many tasks",
    description:
      "Up to 1,000 tasks in 8 MB of JSON. Each is checked and stored by itself: the results stand in the order of " +
      "the tasks, each with its task or its problem, whose paths begin at the task.",
    scope: "submit",
    request: {
      schema: "BatchRequest",
      types: [JSON_TYPE],
      example: JSON.stringify({
        tasks: [{ url: "https://api.example.com/a" }, { url: "https://api.example.com/b" }],
      }),
    },
    responses: [{ status: 202, description: "A result for each task", schema: "BatchResults" }],
    problems: BODY_PROBLEMS,
  },
  {
    method: "GET",
    path: "/v1/tasks",
    tag: "Tasks",
    summary: "List tasks",
    description:
      "Newest first, over one queue or all. A page may come back short, even empty, with a `next_cursor`: go on " +
      "until it is null. A cursor is good only with the filters it came from.",
    scope: "read",
    query: TaskQuery,
    responses: [{ status: 200, description: "One page", schema: "TaskList" }],
    problems: ["invalid_request", "invalid_cursor", "queue_not_found"],
  },
  {
    method: "GET",
    path: "/v1/tasks/{id}",
    tag: "Tasks",
    summary: "Read a task",
    description: "The task with every attempt, what it waits for, its callback, and a one-sentence summary.",
    scope: "read",
    responses: [{ status: 200, description: "The task", schema: "Task" }],
    problems: ["task_not_found"],
  },
  {
    method: "POST",
    path: "/v1/tasks/{id}/cancel",
    tag: "Tasks",
    summary: "Cancel a task",
    description:
      "Ends a task that is not final. The late result of an attempt in flight is noted, nothing else.",
    scope: "operate",
    responses: [TASK_OPERATED],
    problems: ["task_not_found", "invalid_state"],
  },
  {
    method: "POST",
    path: "/v1/tasks/{id}/retry",
    tag: "Tasks",
    summary: "Retry a task",
    description:
      "A failed or cancelled task starts a new round with its history kept; a waiting one goes now.",
    scope: "operate",
    query: RetryQuery,
    responses: [TASK_OPERATED],
    problems: ["task_not_found", "invalid_state", "invalid_request"],
  },
  {
    method: "POST",
    path: "/v1/tasks/{id}/resume",
    tag: "Tasks",
    summary: "Resume a held task",
    description:
      "The signal that a task held with `until: signal` waits for; works for one held on a probe too.",
    scope: "operate",
    responses: [TASK_OPERATED],
    problems: ["task_not_found", "invalid_state"],
  },
  {
    method: "GET",
    path: "/v1/queues",
    tag: "Queues",
    summary: "List queues",
    description: "All queues that the key may see, by name, without counts.",
    scope: "read",
    responses: [{ status: 200, description: "The queues", schema: "QueueList" }],
    problems: [],
  },
  {
    method: "PUT",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Make or change a queue",
    description:
      "Replaces all settings; what is left out gets its default. Waiting tasks follow the new settings too. The " +
      "number of shards is fixed when the queue is made, and `concurrency` must be at least that number.",
    scope: "admin",
    request: {
      schema: "QueueSettings",
      types: WITH_YAML,
      example: JSON.stringify({
        retry: { max_attempts: 3, backoff: { initial_interval: "1s" } },
        concurrency: 64,
      }),
    },
    responses: [
      { status: 200, description: "Changed", schema: "QueuePut" },
      { status: 201, description: "Made", schema: "QueuePut" },
    ],
    problems: [...BODY_PROBLEMS, "queue_conflict"],
  },
  {
    method: "GET",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Read a queue",
    description:
      "Settings (durations in milliseconds), tasks by state, and the age of the oldest that waits.",
    scope: "read",
    responses: [{ status: 200, description: "The queue", schema: "Queue" }],
    problems: ["queue_not_found"],
  },
  {
    method: "DELETE",
    path: "/v1/queues/{name}",
    tag: "Queues",
    summary: "Delete a queue",
    description:
      "Refused while a task is not final or a callback not delivered. Final tasks go with the queue.",
    scope: "admin",
    responses: [{ status: 204, description: "Deleted" }],
    problems: ["queue_not_found", "queue_not_empty", "queue_conflict"],
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/pause",
    tag: "Queues",
    summary: "Pause a queue",
    description: "Stops its calls and callbacks; tasks are still taken and wait.",
    scope: "operate",
    responses: [QUEUE_NOW],
    problems: ["queue_not_found"],
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/resume",
    tag: "Queues",
    summary: "Resume a queue",
    description: "Lets a paused queue go on.",
    scope: "operate",
    responses: [QUEUE_NOW],
    problems: ["queue_not_found"],
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/rotate-secret",
    tag: "Queues",
    summary: "Rotate a queue's signing secret",
    description: "Makes a new secret. For 24 hours callbacks carry the signature of the one before it too.",
    scope: "admin",
    responses: [{ status: 200, description: "The new secret, shown this once", schema: "RotatedSecret" }],
    problems: ["queue_not_found"],
  },
  {
    method: "POST",
    path: "/v1/keys",
    tag: "Keys",
    summary: "Make an API key",
    description:
      "With scopes (`submit`, `read`, `operate`, `admin`, which has all) and, if wished, for some queues only.",
    scope: "admin",
    request: {
      schema: "KeyRequest",
      types: [JSON_TYPE],
      example: JSON.stringify({ name: "shop", scopes: ["submit", "read"], queues: ["payments"] }),
    },
    responses: [{ status: 201, description: "The key, shown this once", schema: "KeyCreated" }],
    problems: BODY_PROBLEMS,
  },
  {
    method: "GET",
    path: "/v1/keys",
    tag: "Keys",
    summary: "List API keys",
    description: "Oldest first, without the keys themselves. The root key is not among them.",
    scope: "admin",
    responses: [{ status: 200, description: "The keys", schema: "KeyList" }],
    problems: [],
  },
  {
    method: "DELETE",
    path: "/v1/keys/{id}",
    tag: "Keys",
    summary: "Revoke an API key",
    description: "The key stops working within 10 seconds.",
    scope: "admin",
    responses: [{ status: 204, description: "Revoked" }],
    problems: ["key_not_found"],
  },
  {
    method: "GET",
    path: "/healthz",
    tag: "Service",
    summary: "Liveness",
    description: "Answers while the Worker runs.",
    scope: null,
    responses: [{ status: 200, description: "Alive", schema: "Health" }],
    problems: [],
  },
  {
    method: "GET",
    path: "/readyz",
    tag: "Service",
    summary: "Readiness",
    description: "Answers 200 while the deployment is configured and its storage answers.",
    scope: null,
    responses: [{ status: 200, description: "Ready", schema: "Health" }],
    problems: ["not_configured", "unavailable"],
  },
  {
    method: "GET",
    path: "/openapi.json",
    tag: "Service",
    summary: "This API as OpenAPI 3.1",
    description: "Made from the schemas that requests are checked by.",
    scope: null,
    responses: [{ status: 200, description: "The document", type: JSON_TYPE }],
    problems: [],
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
  },
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
