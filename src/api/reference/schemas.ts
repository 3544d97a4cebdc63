import { z } from "zod";
import { SubmittedTask } from "../../intake/task-from-request.ts";
import { BreakerList, BreakerOperation, ShownBreaker } from "../../schema/breaker.ts";
import { KeyCreated, KeyList, KeyRequest, KeyView } from "../../schema/key.ts";
import { Problem } from "../../schema/problem.ts";
import { QueueList, QueueSettings, QueueView, RotatedSecret } from "../../schema/queue.ts";
import { RekeyRequest, RekeyResult, TaskRekey } from "../../schema/rekey.ts";
import { BatchRequest, TaskAccepted, TaskList, TaskSummary, TaskView } from "../../schema/task.ts";

/** Any JSON value: what the recursive schema of one says, in one word. */
const Json = z.unknown();

const BatchResults = z.object({
  results: z
    .array(z.union([z.object({ task: TaskAccepted }), z.object({ problem: Problem })]))
    .meta({ description: "Each task's answer or problem, in the order of the request" }),
});
const QueuePut = QueueView.extend({
  signing_secret: z
    .string()
    .optional()
    .meta({ description: "Of a new queue with a secret of its own; shown this once" }),
});
const Health = z.object({ status: z.literal("ok") });
const Readiness = Health.extend({
  encryption: z.enum(["on", "off"]).meta({ description: "Whether secrets are stored encrypted" }),
});
const metadata = z.record(z.string(), Json);

/** What requests carry, by the name the OpenAPI document gives it. */
export const REQUEST_SCHEMAS = {
  TaskRequest: SubmittedTask.safeExtend({
    metadata: z.custom<Record<string, z.core.util.JSONType>>().default({}).meta({ type: "object" }),
  }),
  BatchRequest,
  QueueSettings,
  KeyRequest,
  BreakerOperation,
  TaskRekey,
  RekeyRequest,
} satisfies Record<string, z.ZodType>;

/** What answers carry, by the name the OpenAPI document gives it. */
export const RESPONSE_SCHEMAS = {
  TaskAccepted,
  BatchResults,
  Task: TaskView.extend({ metadata }),
  RekeyResult,
  TaskList: TaskList.extend({ tasks: z.array(TaskSummary.extend({ metadata })) }),
  Queue: QueueView,
  QueuePut,
  QueueList,
  RotatedSecret,
  Breaker: ShownBreaker,
  BreakerList,
  KeyView,
  KeyCreated,
  KeyList,
  Health,
  Readiness,
  Problem,
} satisfies Record<string, z.ZodType>;

export type RequestSchemaName = keyof typeof REQUEST_SCHEMAS;
export type ResponseSchemaName = keyof typeof RESPONSE_SCHEMAS;
