import { z } from "zod";
import { BreakerState, BreakerView, HoldView } from "../../schema/breaker.ts";
import { QueueName } from "../../schema/task.ts";

/** The most breakers one answer lists. */
export const MAX_BREAKERS_SHOWN = 100;
const DEFAULT_BREAKERS_SHOWN = 50;

/** The query of `GET /v1/breakers`. */
export const BreakersQuery = z.strictObject({
  state: BreakerState.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_BREAKERS_SHOWN).default(DEFAULT_BREAKERS_SHOWN),
});
export type BreakersQuery = z.infer<typeof BreakersQuery>;

/** The query of the routes of one breaker. */
export const BreakerQuery = z.strictObject({
  queue: QueueName.optional().meta({ description: "For a queue that shares with no other" }),
});

/** A breaker as the API shows it, with the queue it is for. */
export const ShownBreaker = BreakerView.extend({
  queue: z.string().nullable().meta({ description: "The only queue that goes by it; null: all queues" }),
  released_holds: z
    .array(HoldView)
    .optional()
    .meta({ description: "Of a reset: the holds that it released" }),
});
export type ShownBreaker = z.infer<typeof ShownBreaker>;

export const BreakerList = z.object({ breakers: z.array(ShownBreaker) });
