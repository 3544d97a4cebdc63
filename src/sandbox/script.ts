import { z } from "zod";
import { duration, show } from "../schema/duration.ts";

/** What the target does for one attempt: a status to answer, or a way to fail. */
export type Step = number | "timeout" | "reset";

export const MAX_STEPS = 100;
/** The longest delay, and how long a `timeout` keeps its caller waiting. */
export const MAX_WAIT_MS = 30_000;
const MAX_BODY_LENGTH = 8_192;
const EXPECTED = 'expected statuses from 200 to 599, "timeout" and "reset", separated by commas';

const Script = z.string().transform((text, context): Step[] => {
  const parts = text.split(",").map((part) => part.trim());
  const steps = parts.map(parseStep);
  const wrong = steps.indexOf(null);
  const fault = wrong === -1 ? null : `${EXPECTED}, got ${show(parts[wrong])}`;
  const tooMany =
    steps.length > MAX_STEPS ? `expected at most ${MAX_STEPS} steps, got ${steps.length}` : null;
  const message = fault ?? tooMany;
  if (message !== null) {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  }
  return steps.filter((step) => step !== null);
});

/** The query of `/sandbox/target`; durations are milliseconds once parsed. */
export const TargetQuery = z.strictObject({
  script: Script.default([200]),
  delay: duration(0, MAX_WAIT_MS).default(0),
  retry_after: duration(0, 3_600_000).optional(),
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

function parseStep(text: string): Step | null {
  if (text === "timeout" || text === "reset") return text;
  return /^[2-5]\d\d$/.test(text) ? Number(text) : null;
}
