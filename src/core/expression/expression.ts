import { Environment, type ParseError } from "@marcbachmann/cel-js";
import { ERROR_TYPES } from "../../schema/task.ts";
import { putLast } from "../bounded-map.ts";
import { cleanText } from "../text/clean-text.ts";
import { hideOddWords } from "../text/odd-words.ts";
import { asBool, Refused, type Run, readyToRun } from "./tree.ts";
import { EXHAUSTED, Fault, type Meter, type Value } from "./value.ts";

/** The facts that an expression is about. */
export interface ExpressionInput {
  /** 0: there was no answer. */
  status: number;
  /** Null, for a success, is the empty text to an expression, as is errorCode's. */
  errorType: string | null;
  errorCode: string | null;
  /** The attempt's number in its round, from 1. */
  attempt: number;
  latencyMs: number;
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>;
  /**
   * The answer's JSON; null where it has none, or more than 64 KB; Unreadable where it could not be read. Asked for only
   * where the expression does.
   */
  body(): Value | Fault;
  /** How the body broke; null, the empty text to an expression: it did not. */
  bodyError: string | null;
}

/** An expression ready to run, or why it is refused and the column (from 1) where. */
export type Compiled =
  | { ok: true; run(input: ExpressionInput, budget?: Meter): boolean | { failed: string } }
  | { ok: false; message: string; position: number };

/** The steps of one decision. A step is some 30 ns: the worst expressions on the worst answer take a millisecond. */
const MAX_STEPS = 20_000;
/** What a run always has, so that a plain comparison works after an expression that took all. */
const MIN_STEPS = 500;
const MAX_CACHED = 500;
const MAX_FAILURE_LENGTH = 120;
const MAX_REFUSAL_LENGTH = 200;

const READERS: Readonly<Record<string, { type: string; read(input: ExpressionInput): Value | Fault }>> = {
  status: { type: "int", read: (input) => toInt(input.status) },
  error_type: { type: "string", read: (input) => input.errorType ?? "" },
  error_code: { type: "string", read: (input) => input.errorCode ?? "" },
  attempt: { type: "int", read: (input) => toInt(input.attempt) },
  latency_ms: { type: "int", read: (input) => toInt(input.latencyMs) },
  headers: { type: "map<string, string>", read: (input) => input.headers },
  body: { type: "dyn", read: (input) => input.body() },
  body_error: { type: "string", read: (input) => input.bodyError ?? "" },
};
const VARIABLES: ReadonlySet<string> = new Set(Object.keys(READERS));

const environment = new Environment({
  limits: { maxAstNodes: 500, maxDepth: 24, maxListElements: 100, maxMapEntries: 100, maxCallArguments: 4 },
});
for (const [name, { type }] of Object.entries(READERS)) environment.registerVariable(name, type);
for (const errorType of ERROR_TYPES) environment.registerConstant(errorType, "string", errorType);

const cache = new Map<string, Compiled & { ok: true }>();

/**
 * Compiles a CEL expression over `status`, `error_type`, `error_code`, `attempt`, `latency_ms`, `headers`, `body`
 * and `body_error`, with every error type as a constant. Its type must be bool, or not known before it runs. The library
 * parses and checks it; it runs here, on a budget of steps, because what a target answers must never cost more
 * than a millisecond. An expression that fails while running (a missing key, too many steps) says why.
 *
 * Whole numbers of `body` past 2^53 are ints, compared exactly; its other numbers are doubles and go together with ints: `body.code == 5` and `body.code + 1 > 5` are as
 * one expects, and `7 / 2` is 3 but `body.seven / 2` is 3.5. `has(body.a.b)` is false where any part is missing.
 * Not available: `matches` and everything else but the operators, `has`, `size`, `int`, `double`, `string`,
 * `dyn`, `contains`, `startsWith`, `endsWith`, `lowerAscii`, `upperAscii`, `trim`, and the comprehensions
 * `all`, `exists`, `exists_one`, `filter`, `map`, which cannot stand inside one another.
 *
 * Runs that are given the same budget share its steps; without one, a run has its own. The last 500 compiled
 * expressions are kept.
 */
export function compileExpression(text: string): Compiled {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const compiled = compile(text);
  if (!compiled.ok) return compiled;
  putLast(cache, MAX_CACHED, text, compiled);
  return compiled;
}

/** A budget that the expressions of one decision share. */
export function stepBudget(): Meter {
  return { left: MAX_STEPS };
}

function compile(text: string): Compiled {
  try {
    const parsed = environment.parse(text);
    const { error, type } = parsed.check();
    if (error !== undefined) throw error;
    if (type !== "bool" && type !== "dyn")
      throw new Refused(`expected an expression that is true or false, got ${type}`, 0);
    const run = readyToRun(parsed.ast, VARIABLES);
    return { ok: true, run: (input, budget = stepBudget()) => runOnce(run, input, budget) };
  } catch (error) {
    return refusal(error as Refused | ParseError);
  }
}

function refusal(error: Refused | ParseError): Compiled {
  if (error instanceof Refused) {
    return { ok: false, message: hideOddWords(error.message), position: error.position + 1 };
  }
  const { code, message, range } = error;
  const line = message.charAt(0).toLowerCase() + message.slice(1).replace(/\n.*/s, "");
  // A message may name what it found, which is up to the whole expression, and no expression where a secret stands in its place.
  const summary = hideOddWords(cleanText(line, MAX_REFUSAL_LENGTH));
  const hint =
    code === "unknown_variable" ? `; known are ${[...VARIABLES].join(", ")} and the error types` : "";
  return { ok: false, message: summary + hint, position: (range?.start ?? 0) + 1 };
}

function runOnce(run: Run, input: ExpressionInput, budget: Meter): boolean | { failed: string } {
  const scope = {
    left: Math.max(budget.left, MIN_STEPS),
    item: null,
    read: (name: string) => READERS[name]?.read(input) ?? null,
  };
  const verdict = asBool(run(scope));
  budget.left = scope.left;
  // Steps that ran out may have been absorbed by an `||`: half a run decides nothing.
  const result = scope.left < 0 ? EXHAUSTED : verdict;
  return result instanceof Fault ? { failed: cleanText(result.reason, MAX_FAILURE_LENGTH) } : result;
}

/** JavaScript's number as an int. */
function toInt(value: number): bigint {
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}
