import { MAX_BATCH, MAX_BATCH_BYTES } from "../schema/limits.ts";
import type { Problem } from "../schema/problem.ts";
import type { TaskAccepted, TaskRequestInput } from "../schema/task.ts";

/** The answer for one task of a batch: it was taken, or refused for what the problem says. */
export type BatchResult = { task: TaskAccepted } | { problem: Problem };

/** One call of `POST /v1/tasks/batch`: its JSON and how many tasks are in it. */
export interface BatchPart {
  body: string;
  count: number;
}

const OPENING = '{"tasks":[';
const CLOSING = "]}";

/**
 * Cuts tasks, in order, into calls that keep to the limits of a batch (1,000 tasks, 8 MB). A task that is
 * too large by itself gets a call of its own, which the server refuses.
 */
export function* batchParts(tasks: readonly TaskRequestInput[]): Generator<BatchPart> {
  const encoder = new TextEncoder();
  const emptyBytes = OPENING.length + CLOSING.length;
  let part: string[] = [];
  let partBytes = emptyBytes;
  for (const task of tasks) {
    const json = JSON.stringify(task);
    const bytes = encoder.encode(json).length + 1;
    if (part.length > 0 && (part.length === MAX_BATCH || partBytes + bytes > MAX_BATCH_BYTES)) {
      yield toPart(part);
      part = [];
      partBytes = emptyBytes;
    }
    part.push(json);
    partBytes += bytes;
  }
  if (part.length > 0) yield toPart(part);
}

function toPart(tasks: string[]): BatchPart {
  return { body: `${OPENING}${tasks.join(",")}${CLOSING}`, count: tasks.length };
}

/** The task with an idempotency key of its own, so that repeating its submit cannot make a second task. */
export function withKey(task: TaskRequestInput): TaskRequestInput {
  return task.idempotency_key === undefined ? { ...task, idempotency_key: crypto.randomUUID() } : task;
}
