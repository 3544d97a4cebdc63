import { z } from "zod";
import { duration } from "../schema/duration.ts";

/** What the target does for one attempt: a status to answer, or a way to fail. */
export type Step = number | "timeout" | "reset";

export const MAX_STEPS = 100;
/** The longest delay, and the longest that a `timeout` keeps its caller waiting. */
const MAX_WAIT_MS = 30_000;
/** How much longer than its caller's patience a `timeout` takes. */
const BEYOND_DEADLINE_MS = 1_000;
const MAX_RETRY_AFTER_MS = 3_600_000;
const MAX_BODY_LENGTH = 8_192;
const EXPECTED = 'expected statuses from 200 to 599, "timeout" and "reset", separated by commas';

const Script = z.string().transform((text, context): Step[] => {
  const parts = text.split(",").map((part) => part.trim());
  const steps = parts.map(parseStep);
  const wrong = steps.indexOf(null);
  const fault = wrong === -1 ? null : `${EXPECTED}, got another at step ${wrong + 1}`;
  const tooMany =
    steps.length > MAX_STEPS ? `expected at most ${MAX_STEPS} steps, got ${steps.length}` : null;
  const message = fault ?? tooMany;
  if (message !== null) {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return steps.filter((step) => step !== null);
});

/** A query has no numbers, so a text of digits is one. */
const queryDuration = (maxMs: number) =>
  z.preprocess(
    (text) => (typeof text === "string" && /^\d+$/.test(text) ? Number(text) : text),
    duration(0, maxMs),
  );

/** The query of `/sandbox/target`; durations are milliseconds once parsed. */
export const TargetQuery = z.strictObject({
  script: Script.default([200]),
  delay: queryDuration(MAX_WAIT_MS).default(0),
  retry_after: queryDuration(MAX_RETRY_AFTER_MS).optional(),
  body: z.string().max(MAX_BODY_LENGTH).optional(),
});
export type TargetQuery = z.infer<typeof TargetQuery>;

/** The step for an attempt, from 1; the last one repeats. */
export function stepFor(script: readonly Step[], attempt: number): Step {
  return script[Math.min(attempt, script.length) - 1] ?? 200;
}

/** The attempt that the request's `redrive-attempt` says; 1 where it says none. */
export function attemptOf(header: string | undefined): number {
  return header !== undefined && /^[1-9]\d{0,8}$/.test(header) ? Number(header) : 1;
}

/**
 * How long a `timeout` keeps its caller waiting: beyond the request's `redrive-deadline` (ISO 8601), 30 s at
 * most or where it says none. Not for ever, since the runtime does not tell that a caller has left.
 */
export function hangMs(deadline: string | undefined, now: number): number {
  const leftMs = Date.parse(deadline ?? "") - now;
  return Number.isNaN(leftMs) ? MAX_WAIT_MS : Math.min(Math.max(leftMs, 0) + BEYOND_DEADLINE_MS, MAX_WAIT_MS);
}

function parseStep(text: string): Step | null {
  if (text === "timeout" || text === "reset") return text;
  return /^[2-5]\d\d$/.test(text) ? Number(text) : null;
}
