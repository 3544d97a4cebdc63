import { classify } from "../../src/core/call/classify.ts";
import { compileExpression, type ExpressionInput } from "../../src/core/expression/expression.ts";
import { MAX_EXPRESSION_LENGTH } from "../../src/schema/limits.ts";

const BODY = {
  items: Array.from({ length: 300 }, (_, i) => ({ id: i, text: "x".repeat(i) })),
  text: "a".repeat(30_000),
  a: { b: { c: [1, 2.5, null, true, "ü"] } },
  code: "x",
};
const INPUT: ExpressionInput = {
  status: 503,
  errorType: "timeout",
  errorCode: "x",
  attempt: 2,
  latencyMs: 12,
  bodyError: null,
  headers: { "x-one": "1" },
  body: () => BODY,
};
/** What one decision may cost; about a millisecond is promised, and this machine may be busy. */
const MAX_RUN_MS = 50;

/** Compiles an expression and runs it on an answer of 70 KB. Throws where a run is no verdict or costs too much. */
export function takeExpression(text: string): void {
  // Longer ones are refused by their length.
  const compiled = compileExpression(text.slice(0, MAX_EXPRESSION_LENGTH));
  if (!compiled.ok) {
    if (compiled.message.length > 500) throw new Error(`a message of ${compiled.message.length} characters`);
    return;
  }
  const costs = [1, 2, 3].map(() => runMs(compiled));
  if (Math.min(...costs) > MAX_RUN_MS) throw new Error(`a run of ${Math.min(...costs)} ms`);
}

/** Sorts an answer that a target gives: `text` is JSON of its status, headers and body. Never refuses one. */
export function takeAnswer(text: string): void {
  const answer = JSON.parse(text) as { status: number; headers: Record<string, string>; body: string };
  const result = { ...answer, bodyEncoding: "utf8", truncated: false, durationMs: 5, error: null } as const;
  const outcome = classify(result, Date.parse("2026-11-23T10:00:00Z"));
  outcome.json();
  const waitMs = outcome.retryAfterMs ?? 0;
  if (!(waitMs >= 0 && Number.isSafeInteger(waitMs))) throw new Error(`a wait of ${waitMs} ms`);
  const said = (outcome.errorMessage ?? "").length + (outcome.errorCode ?? "").length;
  if (said > 500) throw new Error(`an error of ${said} characters`);
}

function runMs(compiled: { run(input: ExpressionInput): boolean | { failed: string } }): number {
  const startedAt = performance.now();
  const verdict = compiled.run(INPUT);
  const tookMs = performance.now() - startedAt;
  const failed = typeof verdict === "object" ? verdict.failed : "";
  if (failed.length > 200) throw new Error(`a failure of ${failed.length} characters`);
  return tookMs;
}
