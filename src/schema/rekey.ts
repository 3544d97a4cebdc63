import { z } from "zod";
import { MAX_URL_LENGTH } from "./limits.ts";
import { Label, QueueName, TaskRequest } from "./task.ts";

const BreakerKey = TaskRequest.shape.breaker_key
  .unwrap()
  .min(1)
  .nullable()
  .meta({ description: "null: the target that the task's URL belongs to" });

/** The body of `POST /v1/tasks/{id}/rekey`. */
export const TaskRekey = z.strictObject({ breaker_key: BreakerKey });
export type TaskRekey = z.infer<typeof TaskRekey>;

/** The body of `POST /v1/tasks/rekey`: which tasks of a queue get another `breaker_key`. */
export const RekeyRequest = z.strictObject({
  queue: QueueName,
  breaker_key: BreakerKey,
  target: z.string().max(MAX_URL_LENGTH).optional(),
  label: Label.optional(),
  state: z
    .enum(["pending", "running", "retrying", "held"])
    .optional()
    .meta({ description: "When left out: all four" }),
  dry_run: z.boolean().default(false).meta({ description: "Counts, and changes nothing" }),
  cursor: z.string().max(1_024).optional().meta({ description: "Where the request before left off" }),
});
export type RekeyRequest = z.infer<typeof RekeyRequest>;
/** What a caller may write. */
export type RekeyRequestInput = z.input<typeof RekeyRequest>;

/** What one request has done. */
export const RekeyResult = z.object({
  matched: z.int().meta({ description: "Tasks that the filter lets through and that are not final" }),
  changed: z.int().meta({ description: "Those of them that had another target" }),
  dry_run: z.boolean(),
  next_cursor: z
    .string()
    .nullable()
    .meta({ description: "There may be more: repeat the request with it as `cursor`; null: all are done" }),
});
export type RekeyResult = z.infer<typeof RekeyResult>;
