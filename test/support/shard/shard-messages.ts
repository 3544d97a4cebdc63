import type { CallResult } from "../../../src/core/call/call.ts";
import type { NewTask } from "../../../src/core/task/new-task.ts";
import type { TaskCall } from "../../../src/core/task/task.ts";
import { makeTaskId } from "../../../src/core/task/task-id.ts";
import type { Grant, SettleMessage } from "../../../src/protocol/grant.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import { QueueSettings, type QueueSettingsInput } from "../../../src/schema/queue.ts";
import { buildCall } from "./build-task.ts";

/** The receiver of callbacks in tests. */
export const HOOK = { url: "https://me.example.com/hook" };

/** What of a new task a test may set. */
export type TaskOverrides = Partial<Omit<NewTask, "call">> & { call?: Partial<TaskCall> };

let made = 0;

/** A task with only what matters to the test. Ids of one millisecond are in the order in which they were made. */
export function buildNewTask(createdAt: number, overrides: TaskOverrides = {}): NewTask {
  const { call, ...rest } = overrides;
  const url = call?.url ?? "https://api.example.com/charge";
  const digits = [...(made++).toString(32).padStart(12, "0")];
  const noise = () => Number.parseInt(digits.shift() ?? "0", 32) / 32;
  return {
    id: makeTaskId({ createdAt, shard: 0, queueRef: 1 }, noise),
    target: new URL(url).origin,
    priority: 5,
    delayMs: 0,
    runAt: null,
    idempotencyKey: null,
    requestHash: null,
    edge: true,
    ...rest,
    call: buildCall({ url, ...call }),
  };
}

/** A queue of one shard with these settings, as the catalog tells it. */
export function buildConfig(
  settings: QueueSettingsInput = {},
  overrides: Partial<QueueConfig> = {},
): QueueConfig {
  const { shards = 1, ...rest } = QueueSettings.parse(settings);
  return {
    name: "default",
    ref: 1,
    shards,
    version: 1,
    paused: false,
    settings: rest,
    secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    previousSecretUntil: null,
    createdAt: 0,
    updatedAt: 0,
    ...overrides,
  };
}

/** The message that settles a grant, 200 unless the test says otherwise. */
export function settleMessage(
  grant: Grant,
  result: Partial<CallResult> = {},
  more: Partial<SettleMessage> = {},
): SettleMessage {
  const { kind, id, round, lease } = grant;
  return { kind, id, round, lease, result: answer(result), edgeElapsedMs: null, want: 0, ...more };
}

/** What came of a call: 200 unless the test says otherwise. */
export function answer(result: Partial<CallResult> = {}): CallResult {
  return {
    status: 200,
    headers: {},
    body: "",
    bodyEncoding: "utf8",
    truncated: false,
    durationMs: 5,
    error: null,
    ...result,
  };
}
