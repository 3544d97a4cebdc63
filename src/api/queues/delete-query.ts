import { z } from "zod";

/** The switches of `DELETE /v1/queues/{name}`. */
export const DeleteQuery = z.strictObject({
  force: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "`true`: callbacks that are not delivered are dropped" }),
});
