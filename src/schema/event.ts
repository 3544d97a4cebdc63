import { z } from "zod";
import { MAX_URL_LENGTH } from "./limits.ts";

/** What a queue's operators can be told of. */
export const OperatorEvent = z.enum(["breaker.opened", "breaker.closed", "target.gone", "queue.stalled"]);
export type OperatorEvent = z.infer<typeof OperatorEvent>;

/** Where a queue's operator events go; they are signed as its callbacks are. */
export const EventSettings = z.strictObject({
  url: z.string().max(MAX_URL_LENGTH),
  on: z
    .array(OperatorEvent)
    .min(1)
    .max(4)
    .default(["breaker.opened", "breaker.closed", "target.gone", "queue.stalled"]),
});
export type EventSettings = z.infer<typeof EventSettings>;
