import { z } from "zod";
import { BodyError, ErrorType, ResponseView, TaskState } from "./task.ts";

/** The signed message that tells a task's outcome: a Standard Webhooks payload. */
export const CallbackPayload = z.object({
  type: z.enum(["task.succeeded", "task.failed", "task.cancelled"]),
  timestamp: z.iso.datetime(),
  data: z.object({
    task: z.object({
      id: z.string(),
      round: z.int(),
      queue: z.string(),
      state: TaskState,
      attempts: z.int().meta({ description: "Attempts made, over all rounds" }),
      metadata: z.record(z.string(), z.json()),
      labels: z.array(z.string()),
    }),
    response: ResponseView.nullable(),
    error: z
      .object({
        error_type: ErrorType.nullable().optional().meta({ description: "0.1.0 says it in `type` only" }),
        type: ErrorType.nullable().meta({ description: "The old name of error_type", deprecated: true }),
        code: z.string().nullable(),
        message: z.string().nullable(),
        reason: z.string(),
      })
      .nullable(),
    history: z.array(
      z.object({
        attempt: z.int(),
        status: z.int().nullable(),
        error_type: ErrorType.nullable(),
        body_error: BodyError.optional().meta({
          description: "The status came, but the body could not be read",
        }),
        delay_ms: z.int().nullable(),
      }),
    ),
  }),
});
export type CallbackPayload = z.infer<typeof CallbackPayload>;
