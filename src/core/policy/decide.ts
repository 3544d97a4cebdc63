import type { Rule, Until } from "../../schema/policy.ts";
import type { FaultClass } from "../../schema/task.ts";
import type { Outcome } from "../call/classify.ts";
import { FAULTS } from "../call/fault-facts.ts";
import { compileExpression, type ExpressionInput, stepBudget } from "../expression/expression.ts";
import { type Meter, Unreadable } from "../expression/value.ts";
import { cleanText } from "../text/clean-text.ts";
import { backoffDelayMs, withRetryAfter } from "./backoff.ts";
import { type BackoffPolicy, mergeBackoff, type Policy } from "./policy.ts";
import { type AdaptiveSituation, stretchedDelayMs } from "./stretch.ts";

/** Why a decision ends a round as failed. */
export type FailReason = "permanent" | "rule" | "no_retry" | "max_attempts" | "max_age";

/** What follows from an attempt, and what decided it. */
export type Decision = {
  /** Such as `rules[1]: status == 401`, `conditions: none holds`, `table`; null: a plain success. */
  rule: string | null;
  /** Whether the attempt is worth a log line: unless a rule says, faults are, and what ends as failed. */
  log: boolean;
  /** The class that the fault was decided by; null where it is a success. */
  faultClass: FaultClass | null;
} & (
  | { do: "succeed" }
  | { do: "retry"; delayMs: number }
  | { do: "hold"; until: Until }
  /** `waitMs`: the wait that a next try would have had, which goes beyond the round's end. */
  | { do: "fail"; reason: FailReason; waitMs?: number }
);

export interface DecideInput {
  outcome: Outcome;
  policy: Policy;
  /** The attempt's number in its round, from 1. */
  attempt: number;
  now: number;
  /** The end of the round's `max_age`: nothing is tried from then on. */
  expiresAt: number;
  /** What of the target a wait may depend on; absent: nothing is known. */
  situation?: AdaptiveSituation;
  /** The wait before this attempt; null: it was the round's first. */
  previousDelayMs: number | null;
}

const MAX_RULE_LENGTH = 300;

/**
 * Decides what follows from an attempt. First the target's own word that no retry can help, then the rules (they
 * see successes too), then a success is one; a fault is retried if any of the conditions holds, or, where there
 * are none, by its class. A retry or hold needs an attempt left, and must begin before the round's end.
 */
export function decide(input: DecideInput, random: () => number): Decision {
  const { outcome, policy } = input;
  if (outcome.noRetry) return outcome.ok ? succeed(input, "no_retry") : fail("no_retry", "no_retry");
  const inquiry: Inquiry = { facts: factsOf(input), budget: stepBudget(), failures: [] };
  const rule = firstMatch("rules", policy.rules, inquiry);
  if (rule !== null) return byRule(input, rule.found, note(rule.text, inquiry), random);
  if (outcome.ok) return succeed(input, inquiry.failures.length === 0 ? null : note("table", inquiry));
  if (policy.conditions === null) return byTable(input, note("table", inquiry), random);
  const conditions = policy.conditions.map((when) => ({ when }));
  const condition = firstMatch("conditions", conditions, inquiry);
  if (condition === null) return fail("permanent", note("conditions: none holds", inquiry));
  return retry(input, termsFor(input, null), note(condition.text, inquiry), random);
}

/**
 * Decides what follows from a delivery attempt of a callback: every failure is tried again, but for a receiver
 * that is gone (410), an address that is refused, and a receiver that says it wants no retry.
 */
export function decideCallback(input: DecideInput, random: () => number): Decision {
  const { outcome } = input;
  if (outcome.ok) return succeed(input, null);
  if (outcome.noRetry) return fail("no_retry", "no_retry");
  if (outcome.errorType !== null && FAULTS[outcome.errorType].endsCallback) return fail("permanent", "table");
  return retry(input, input.policy, "table", random);
}

/** What the expressions of one decision share: what they are about, their steps, and which of them failed. */
interface Inquiry {
  facts: ExpressionInput;
  budget: Meter;
  failures: string[];
}

function factsOf({ outcome, attempt }: DecideInput): ExpressionInput {
  return {
    status: outcome.status,
    errorType: outcome.errorType,
    errorCode: outcome.errorCode,
    attempt,
    latencyMs: outcome.durationMs,
    headers: outcome.headers,
    body:
      outcome.bodyError === null
        ? outcome.json
        : () => new Unreadable(`the body broke: ${outcome.bodyError}`),
    bodyError: outcome.bodyError,
  };
}

/** The first of the list whose expression holds. One that fails while running does not hold, and is noted. */
function firstMatch<T extends { readonly when: string }>(
  name: string,
  list: readonly T[],
  inquiry: Inquiry,
): { found: T; text: string } | null {
  for (const [i, found] of list.entries()) {
    const compiled = compileExpression(found.when);
    const result = compiled.ok ? compiled.run(inquiry.facts, inquiry.budget) : { failed: compiled.message };
    if (result === true) return { found, text: `${name}[${i}]: ${found.when}` };
    if (result !== false) inquiry.failures.push(`${name}[${i}] failed: ${result.failed}`);
  }
  return null;
}

function note(text: string, { failures }: Inquiry): string {
  const room = failures.length === 0 ? MAX_RULE_LENGTH : MAX_RULE_LENGTH / 2;
  const shown = cleanText(text, 2 * MAX_RULE_LENGTH);
  const head = shown.length > room ? `${shown.slice(0, room - 3)}...` : shown;
  return failures.length === 0 ? head : cleanText(`${head} (${failures.join("; ")})`, MAX_RULE_LENGTH);
}

function byRule(input: DecideInput, rule: Rule, text: string, random: () => number): Decision {
  const log = rule.log === undefined ? {} : { log: rule.log };
  switch (rule.do) {
    case "succeed":
      return { ...succeed(input, text), ...log };
    case "fail":
      return { ...fail("rule", text), ...log };
    case "hold":
      return { ...hold(input, rule.until ?? "signal", text), ...log };
    case "retry":
      return { ...retry(input, termsFor(input, rule), text, random), ...log };
  }
}

function byTable(input: DecideInput, text: string, random: () => number): Decision {
  if (input.outcome.faultClass === "permanent") return fail("permanent", text);
  return retry(input, termsFor(input, null), text, random);
}

function succeed(input: DecideInput, rule: string | null): Decision {
  return { do: "succeed", rule, log: !input.outcome.ok, faultClass: null };
}

function fail(reason: FailReason, rule: string, faultClass: FaultClass = "permanent"): Decision {
  return { do: "fail", reason, rule, log: true, faultClass };
}

function hold(input: DecideInput, until: Until, rule: string): Decision {
  if (input.attempt >= input.policy.maxAttempts) return fail("max_attempts", rule, "conditional");
  if (input.now >= input.expiresAt) return fail("max_age", rule, "conditional");
  return { do: "hold", until, rule, log: !input.outcome.ok, faultClass: "conditional" };
}

/** What a retry is bound by. */
type Terms = Pick<Policy, "maxAttempts" | "backoff">;

function retry(input: DecideInput, terms: Terms, rule: string, random: () => number): Decision {
  const { outcome, policy, attempt } = input;
  if (attempt >= terms.maxAttempts) return fail("max_attempts", rule, "transient");
  const plainMs = backoffDelayMs(terms.backoff, attempt, input.previousDelayMs, random);
  const stretchedMs =
    input.situation === undefined
      ? plainMs
      : stretchedDelayMs(plainMs, terms.backoff.adaptive, input.situation);
  const delayMs = withRetryAfter(stretchedMs, outcome.retryAfterMs, policy.maxRetryAfterMs, random);
  if (input.now + delayMs >= input.expiresAt) {
    return { do: "fail", reason: "max_age", waitMs: delayMs, rule, log: true, faultClass: "transient" };
  }
  return { do: "retry", delayMs, rule, log: !outcome.ok, faultClass: "transient" };
}

/**
 * The policy's terms, with a rule's laid over. A conflict is about someone else's work, which does not end
 * sooner for being asked less often: by default its wait is fixed.
 */
function termsFor({ outcome, policy }: DecideInput, rule: Rule | null): Terms {
  const waitsFixed = outcome.errorType !== null && FAULTS[outcome.errorType].waitsFixed;
  const isFixed = waitsFixed && policy.backoffIsDefault;
  const backoff: BackoffPolicy = isFixed ? { ...policy.backoff, strategy: "fixed" } : policy.backoff;
  return {
    maxAttempts: rule?.max_attempts ?? policy.maxAttempts,
    backoff: mergeBackoff(backoff, rule?.backoff),
  };
}
