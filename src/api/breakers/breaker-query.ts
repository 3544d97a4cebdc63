import { z } from "zod";
import { QueueName } from "../../schema/task.ts";

/** The query of the routes of one breaker. */
export const BreakerQuery = z.strictObject({
  queue: QueueName.optional().meta({ description: "For a queue that shares with no other" }),
});
