import { z } from "zod";
import { SubmittedTask } from "../../intake/task-from-request.ts";
import { Problem } from "../../schema/problem.ts";
import { RekeyRequest, RekeyResult, TaskRekey } from "../../schema/rekey.ts";
import { BatchRequest, TaskAccepted, TaskList, TaskSummary, TaskView } from "../../schema/task.ts";
import type { NamedSchema } from "../http/route-doc.ts";

/** Any JSON: what the recursive schema of one says, in one word. */
const metadata = z.record(z.string(), z.unknown());

const Task = TaskView.extend({ metadata });
const Tasks = TaskList.extend({ tasks: z.array(TaskSummary.extend({ metadata })) });
const Request = SubmittedTask.safeExtend({
  metadata: z.custom<Record<string, z.core.util.JSONType>>().default({}).meta({ type: "object" }),
});
const BatchResults = z.object({
  results: z
    .array(z.union([z.object({ task: TaskAccepted }), z.object({ problem: Problem })]))
    .meta({ description: "Each task's answer or problem, in the order of the request" }),
});

/** What requests and answers of tasks carry, by the names that the OpenAPI document gives them. */
export const TASK_REQUEST: NamedSchema = { name: "TaskRequest", schema: Request };
export const TASK_ACCEPTED: NamedSchema = { name: "TaskAccepted", schema: TaskAccepted };
export const BATCH_REQUEST: NamedSchema = { name: "BatchRequest", schema: BatchRequest };
export const BATCH_RESULTS: NamedSchema = { name: "BatchResults", schema: BatchResults };
export const TASK: NamedSchema = { name: "Task", schema: Task };
export const TASK_LIST: NamedSchema = { name: "TaskList", schema: Tasks };
export const TASK_REKEY: NamedSchema = { name: "TaskRekey", schema: TaskRekey };
export const REKEY_REQUEST: NamedSchema = { name: "RekeyRequest", schema: RekeyRequest };
export const REKEY_RESULT: NamedSchema = { name: "RekeyResult", schema: RekeyResult };
