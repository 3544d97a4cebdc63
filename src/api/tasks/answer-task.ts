import { ANSWER_FIELD } from "../../core/call/sealed.ts";
import { parseTaskId } from "../../core/task/task-id.ts";
import type { Env } from "../../platform/env.ts";
import type { TaskAnswer } from "../../protocol/shard-api.ts";
import type { TaskView } from "../../schema/task.ts";
import { keyringOf } from "../../sealing/env-keyring.ts";
import { UnsealError } from "../../sealing/keyring.ts";
import { unseal } from "../../sealing/seal.ts";
import { cachedQueueByRef } from "../access/catalog-cache.ts";
import { refused } from "../http/app-error.ts";
import { taskAnswer } from "./task-json.ts";

/** Stands for a body that is stored encrypted and cannot be decrypted. */
export const ENCRYPTED = "[encrypted]";

/**
 * A shard's answer about a task as the API's: metadata as it was given, and the body of its response opened where that is
 * stored encrypted. Throws AppError where the shard refused.
 */
export async function answerTask(env: Env, answer: TaskAnswer): Promise<Response> {
  if (!answer.ok) throw refused(answer);
  return taskAnswer(await openView(env, answer));
}

async function openView(env: Env, answer: TaskAnswer & { ok: true }): Promise<TaskView> {
  const { task, sealed } = answer;
  if (sealed === undefined || task.response === null) return task;
  const body = await openBody(env, task.id, task.response.body);
  return { ...task, response: { ...task.response, body } };
}

async function openBody(env: Env, id: string, sealed: string): Promise<string> {
  const queue = await cachedQueueByRef(env, parseTaskId(id)?.queueRef ?? 0);
  try {
    const keys = { queue: queue?.name ?? "", keys: queue?.dataKeys ?? [] };
    return await unseal(sealed, ANSWER_FIELD, keyringOf(env), keys);
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error;
    return ENCRYPTED;
  }
}
