import type { Backoff, RetryPolicy } from "../../schema/policy.ts";
import type { ProblemIssue } from "../../schema/problem.ts";
import { compileExpression } from "../expression/expression.ts";

/**
 * What is wrong with a policy beyond its shape: expressions that do not compile (with the column), strategies
 * and intervals that do not go together, an initial interval over the maximum. Paths begin with `path`, such as
 * `retry.rules[1].when`. `inherited` is the backoff under it (a task's queue's, a callback's default): a strategy
 * `schedule` may take its intervals from there. An empty list: nothing is wrong.
 */
export function checkPolicy(policy: RetryPolicy, path: string, inherited?: Backoff): ProblemIssue[] {
  const { backoff = {}, conditions = [], rules = [] } = policy;
  const hasIntervals = (backoff.intervals ?? inherited?.intervals) !== undefined;
  return [
    ...checkBackoff(backoff, `${path}.backoff`, hasIntervals),
    ...conditions.flatMap((text, i) => checkExpression(text, `${path}.conditions[${i}]`)),
    ...rules.flatMap((rule, i) => [
      ...checkExpression(rule.when, `${path}.rules[${i}].when`),
      ...checkBackoff(rule.backoff ?? {}, `${path}.rules[${i}].backoff`, hasIntervals),
    ]),
  ];
}

function checkExpression(text: string, path: string): ProblemIssue[] {
  const compiled = compileExpression(text);
  return compiled.ok ? [] : [{ path, message: `at column ${compiled.position}: ${compiled.message}` }];
}

function checkBackoff(backoff: Backoff, path: string, inheritsIntervals: boolean): ProblemIssue[] {
  const { strategy, intervals, initial_interval: initial, max_interval: max, jitter } = backoff;
  const issues: ProblemIssue[] = [];
  const refuse = (field: string, message: string) => issues.push({ path: `${path}.${field}`, message });
  if (strategy === "schedule" && intervals === undefined && !inheritsIntervals) {
    refuse("intervals", 'expected intervals where strategy is "schedule", got none');
  }
  if (strategy !== undefined && strategy !== "schedule" && intervals !== undefined) {
    refuse("intervals", `only strategy "schedule" has intervals, got strategy "${strategy}"`);
  }
  if (jitter === "decorrelated" && (strategy === "schedule" || intervals !== undefined)) {
    refuse("jitter", 'expected "none", "full" or "equal" with a schedule, got "decorrelated"');
  }
  if (initial !== undefined && max !== undefined && initial > max) {
    refuse("initial_interval", `expected at most max_interval (${max} ms), got ${initial} ms`);
  }
  return issues;
}
