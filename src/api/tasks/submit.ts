import type { TaskSource } from "../../core/json/task-source.ts";
import { slotOrder } from "../../core/pressure/ageing.ts";
import type { NewTask } from "../../core/task/new-task.ts";
import { isTraceparent } from "../../intake/check-headers.ts";
import { sealTask } from "../../intake/seal-task.ts";
import { type Submission, type SubmitPorts, submit } from "../../intake/submit.ts";
import { type SubmitSituation, SubmittedTask, taskFromRequest } from "../../intake/task-from-request.ts";
import { clock } from "../../platform/clock.ts";
import type { SubmitResult } from "../../protocol/shard-api.ts";
import { runPorts } from "../../runner/run-ports.ts";
import { MAX_BATCH_BYTES, MAX_TASK_BYTES } from "../../schema/limits.ts";
import type { Problem } from "../../schema/problem.ts";
import { BatchRequest, type TaskAccepted } from "../../schema/task.ts";
import { keyringOf } from "../../sealing/env-keyring.ts";
import { rulesOf } from "../access/address-rules.ts";
import type { AppContext } from "../access/app-env.ts";
import { mayUse } from "../access/auth.ts";
import { cachedQueue, forgetQueue } from "../access/catalog-cache.ts";
import { noQueue } from "../access/find-queue.ts";
import type { Route } from "../access/route.ts";
import { AppError, invalidRequest, problemOf, refused } from "../http/app-error.ts";
import { parse } from "../http/parse.ts";
import { readRequest } from "../http/read-body.ts";
import { BODY_PROBLEMS, JSON_OR_YAML, JSON_TYPE } from "../http/route-doc.ts";
import { countTaskValues, MAX_TASK_VALUES } from "../http/task-values.ts";
import { BATCH_REQUEST, BATCH_RESULTS, TASK_ACCEPTED, TASK_REQUEST } from "./schemas.ts";

/** How many tasks of one request have their first attempt made by it: its connections are few. */
const MAX_EDGE_TASKS = 5;

/** Once the tasks of a batch that were refused have so many values together, the others are not looked at any more. */
const MAX_REFUSED_VALUES = 100_000;

/** Submit tasks. */
export const SUBMIT_ROUTES: readonly Route[] = [
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
      schema: TASK_REQUEST,
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
      { status: 202, description: "Stored", schema: TASK_ACCEPTED },
      { status: 200, description: "A repeat of a task that is here already", schema: TASK_ACCEPTED },
    ],
    problems: [...BODY_PROBLEMS, "queue_not_found", "idempotency_conflict", "overloaded"],
    handle: async (c) => {
      const { value, tasks } = await readRequest(c.req.raw, MAX_TASK_BYTES, { yaml: true, kind: "task" });
      const submission = await submissionOf(c, value, tasks?.[0] ?? null, c.req.header("idempotency-key"));
      const [result] = await submit(submitPorts(c), [submission]);
      const task = acceptedOf(result);
      // Not c.json: it makes the headers three times.
      return new Response(JSON.stringify(task), {
        status: task.duplicate ? 200 : 202,
        headers: { "content-type": "application/json", location: `/v1/tasks/${task.id}` },
      });
    },
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
      schema: BATCH_REQUEST,
      types: [JSON_TYPE],
      example: JSON.stringify({
        tasks: [{ url: "https://api.example.com/a" }, { url: "https://api.example.com/b" }],
      }),
    },
    responses: [{ status: 202, description: "A result for each task", schema: BATCH_RESULTS }],
    problems: BODY_PROBLEMS,
    handle: async (c) => {
      if (c.req.header("idempotency-key") !== undefined) {
        throw new AppError(
          "invalid_request",
          "a batch takes no Idempotency-Key: set idempotency_key in each task",
        );
      }
      const read = await readRequest(c.req.raw, MAX_BATCH_BYTES, { yaml: false, kind: "batch" });
      const batch = parse(BatchRequest, read.value);
      const results: ({ task: TaskAccepted } | { problem: Problem })[] = [];
      const submissions: Submission[] = [];
      const indexes: number[] = [];
      let refusedValues = 0;
      for (const [index, raw] of batch.tasks.entries()) {
        const submission = await orProblem(c, () => {
          if (refusedValues > MAX_REFUSED_VALUES) throw notLookedAt();
          return submissionOf(c, raw, read.tasks?.[index] ?? null, undefined);
        });
        if ("problem" in submission) {
          results[index] = submission;
          refusedValues += countTaskValues(raw);
        } else indexes[submissions.push(submission) - 1] = index;
      }
      offerFirstAttempts(submissions.map(({ task }) => task));
      const answers = await submit(submitPorts(c), submissions);
      for (const [i, index] of indexes.entries()) {
        results[index] = await orProblem(c, async () => ({ task: acceptedOf(answers[i]) }));
      }
      return c.json({ results }, 202);
    },
  },
];

/** The tasks of a batch whose first attempts this request offers to make: those of the highest priority. */
function offerFirstAttempts(tasks: readonly NewTask[]): void {
  let left = MAX_EDGE_TASKS;
  for (const index of slotOrder(tasks)) {
    const task = tasks[index];
    if (task?.edge) task.edge = left-- > 0;
  }
}

/** One task of a request, checked whole. */
async function submissionOf(
  c: AppContext,
  raw: unknown,
  source: TaskSource | null,
  headerKey: string | undefined,
): Promise<Submission> {
  if (countTaskValues(raw) > MAX_TASK_VALUES) throw tooManyValues();
  const request = withKey(parse(SubmittedTask, raw), headerKey);
  const queue = mayUse(c, request.queue) ? await cachedQueue(c.env, request.queue) : null;
  if (queue === null) throw noQueue(request.queue, "queue");
  const traceparent = c.req.header("traceparent");
  const situation: SubmitSituation = {
    queue,
    rules: rulesOf(c.env),
    now: clock.now(),
    random: clock.random,
    traceparent: traceparent !== undefined && isTraceparent(traceparent) ? traceparent : null,
    mayEdge: true,
  };
  const routed = await taskFromRequest(request, situation, source);
  if (!routed.ok) throw refused(routed);
  const sealed = await sealTask(routed.task, queue, keyringOf(c.env));
  if (!sealed.ok) throw new AppError(sealed.code, sealed.detail, { cause: sealed.detail });
  return { ...routed, task: sealed.task, queue };
}

function submitPorts(c: AppContext): SubmitPorts {
  return {
    shard: (name) => c.env.SHARD.getByName(name),
    queueGone: forgetQueue,
    waitUntil: (promise) => c.executionCtx.waitUntil(promise),
    runPorts: () => runPorts(c.env, () => 0),
    now: clock.now,
  };
}

function tooManyValues(): AppError {
  const message = `expected at most ${MAX_TASK_VALUES} fields and items beside the body, got more`;
  return invalidRequest([{ path: "", message }]);
}

/** A batch that is wrong throughout must not keep others waiting for all of its faults. */
function notLookedAt(): AppError {
  const message = "expected fewer faults in the tasks before: this one was not looked at";
  return invalidRequest([{ path: "", message }]);
}

/** The header `Idempotency-Key` says the same as the field; both may stand where they agree. */
function withKey(request: SubmittedTask, headerKey: string | undefined): SubmittedTask {
  if (headerKey === undefined) return request;
  const { idempotency_key: key = headerKey } = request;
  const path = "idempotency_key";
  if (key !== headerKey) {
    throw invalidRequest([
      { path, message: "expected the same key as in the header Idempotency-Key, got another" },
    ]);
  }
  return { ...request, idempotency_key: parse(SubmittedTask.shape.idempotency_key, key) };
}

function acceptedOf(result: SubmitResult | undefined): TaskAccepted {
  if (result === undefined) throw new Error("expected an answer for every task of a submit, got fewer");
  if (!result.ok) throw refused(result);
  return result.task;
}

async function orProblem<T>(c: AppContext, run: () => Promise<T>): Promise<T | { problem: Problem }> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { problem: problemOf(error, c.get("requestId")) };
  }
}
