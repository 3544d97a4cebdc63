import { z } from "zod";

/** The switches of `POST /v1/tasks/{id}/retry`. */
export const RetryQuery = z.strictObject({
  force: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "`true`: a task that succeeded starts a new round too" }),
});
