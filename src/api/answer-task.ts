import { parseTaskId } from "../core/id.ts";
import type { TaskAnswer } from "../core/messages.ts";
import { ANSWER_FIELD } from "../core/sealed.ts";
import type { Env } from "../env.ts";
import type { TaskView } from "../schema/task.ts";
import { keyringOf } from "../sealing/env-keyring.ts";
import { UnsealError } from "../sealing/keyring.ts";
import { unseal } from "../sealing/seal.ts";
import { cachedQueueByRef } from "./catalog-cache.ts";
import { refused } from "./find-task.ts";
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
