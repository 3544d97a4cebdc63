import type { OperateAction } from "../../protocol/shard-api.ts";
import { TaskQuery } from "../../schema/task.ts";
import { type AppContext, callShard, readShard } from "../access/app-env.ts";
import { parseQuery } from "../access/parse-query.ts";
import { pathParam, type Route } from "../access/route.ts";
import { answerTask } from "./answer-task.ts";
import { shardOfTask } from "./find-task.ts";
import { listTasks } from "./list.ts";
import { REKEY_ROUTES } from "./rekey.ts";
import { RetryQuery } from "./retry-query.ts";
import { TASK, TASK_LIST } from "./schemas.ts";
import { SUBMIT_ROUTES } from "./submit.ts";
import { listAnswer } from "./task-json.ts";

const TASK_OPERATED = { status: 200, description: "The task as it is now", schema: TASK } as const;

/** Submit, read, list and operate tasks. */
export const TASK_ROUTES: readonly Route[] = [
  ...SUBMIT_ROUTES,
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
    responses: [{ status: 200, description: "One page", schema: TASK_LIST }],
    problems: ["invalid_request", "invalid_cursor", "queue_not_found", "rate_limited"],
    handle: async (c) => {
      return listAnswer(await listTasks(c, parseQuery(c, TaskQuery)));
    },
  },
  {
    method: "GET",
    path: "/v1/tasks/{id}",
    tag: "Tasks",
    summary: "Read a task",
    description: "The task with every attempt, what it waits for, its callback, and a one-sentence summary.",
    scope: "read",
    responses: [{ status: 200, description: "The task", schema: TASK }],
    problems: ["task_not_found"],
    handle: async (c) => {
      const id = pathParam(c, "id");
      const answer = await readShard(c.env, await shardOfTask(c, id), (shard, quiet) => shard.get(id, quiet));
      return answerTask(c.env, answer);
    },
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
    handle: (c) => operate(c, pathParam(c, "id"), "cancel", false),
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
    handle: (c) => {
      const { force } = parseQuery(c, RetryQuery);
      return operate(c, pathParam(c, "id"), "retry", force === "true");
    },
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
    handle: (c) => operate(c, pathParam(c, "id"), "resume", false),
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
    handle: (c) => {
      return operate(c, pathParam(c, "id"), "stop-callback", false);
    },
  },
  ...REKEY_ROUTES,
];

async function operate(c: AppContext, id: string, action: OperateAction, force: boolean): Promise<Response> {
  const name = await shardOfTask(c, id);
  const answer = await callShard(c.env, name, (shard) => shard.operate(id, action, force));
  return answerTask(c.env, answer);
}
