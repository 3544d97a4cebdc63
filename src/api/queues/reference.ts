import { BODY_PROBLEMS, JSON_OR_YAML, type RouteDoc } from "../http/route-doc.ts";
import { DeleteQuery } from "./delete-query.ts";

const QUEUE_NOW = { status: 200, description: "The queue as it is now", schema: "Queue" } as const;

/** The routes of queues. */
export const QUEUE_ROUTES: readonly RouteDoc[] = [
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
      "number of shards is fixed when the queue is made; `concurrency`, and the attempts that `rate` allows in an " +
      "hour, must be at least that number. A key that is limited to some queues may set what opens and closes a " +
      "breaker only with `share: queue`.",
    scope: "admin",
    request: {
      schema: "QueueSettings",
      types: JSON_OR_YAML,
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
      "Refused while a task is not final or a callback not delivered. Final tasks go with the queue. `force=true` drops " +
      "the callbacks that are not delivered; nothing else tells their receivers.",
    scope: "admin",
    query: DeleteQuery,
    responses: [{ status: 204, description: "Deleted" }],
    problems: ["invalid_request", "queue_not_found", "queue_not_empty", "queue_conflict"],
  },
  {
    method: "POST",
    path: "/v1/queues/{name}/pause",
    tag: "Queues",
    summary: "Pause a queue",
    description:
      "Stops its calls and readiness probes; callbacks are still delivered, and tasks are still taken and wait.",
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
];
