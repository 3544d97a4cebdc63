import { TaskQuery } from "../../schema/task.ts";
import { BODY_PROBLEMS, JSON_OR_YAML, JSON_TYPE, type RouteDoc } from "../http/route-doc.ts";
import { RetryQuery } from "./retry-query.ts";

const TASK_OPERATED = { status: 200, description: "The task as it is now", schema: "Task" } as const;

/** The routes of tasks. */
export const TASK_ROUTES: readonly RouteDoc[] = [
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
      types: JSON_OR_YAML,
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
    problems: ["invalid_request", "invalid_cursor", "queue_not_found", "rate_limited"],
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
      "A failed or cancelled task starts a new round with its history kept; a waiting one is due now. What else keeps " +
      "it from being called (a pause, its target's breaker or hold, a limit) does so still: see `waiting_on`.",
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
    method: "DELETE",
    path: "/v1/tasks/{id}/callback",
    tag: "Tasks",
    summary: "Stop a task's callback",
    description:
      "No more deliveries of it are tried, nor of callbacks of earlier rounds that are still on their way: `callback.state` is " +
      "`failed` and its `reason` `stopped`. One under way may still arrive, and the callback is `delivered` then. To repeat it changes nothing more.",
    scope: "operate",
    responses: [TASK_OPERATED],
    problems: ["task_not_found", "invalid_state"],
  },
  {
    method: "POST",
    path: "/v1/tasks/{id}/rekey",
    tag: "Tasks",
    summary: "Give a task another breaker_key",
    description:
      "It stands in the line of its new target at once; one that is running goes by it from its next attempt on.",
    scope: "operate",
    request: {
      schema: "TaskRekey",
      types: [JSON_TYPE],
      example: JSON.stringify({ breaker_key: "alice" }),
    },
    responses: [TASK_OPERATED],
    problems: [...BODY_PROBLEMS, "task_not_found", "invalid_state"],
  },
  {
    method: "POST",
    path: "/v1/tasks/rekey",
    tag: "Tasks",
    summary: "Give many tasks another breaker_key",
    description:
      "Those of a queue that the filter lets through and that are not final. Some thousand are looked at with each " +
      "request: repeat it with `next_cursor` as `cursor` until that is null. To repeat one changes nothing more.",
    scope: "operate",
    request: {
      schema: "RekeyRequest",
      types: [JSON_TYPE],
      example: JSON.stringify({
        queue: "webhooks",
        target: "https://api.example.com",
        label: "customer:alice",
        breaker_key: "alice",
      }),
    },
    responses: [{ status: 200, description: "What was done", schema: "RekeyResult" }],
    problems: [...BODY_PROBLEMS, "queue_not_found", "invalid_cursor"],
  },
];
