import type { Outcome } from "../../../src/core/call/classify.ts";
import type { Decision, FailReason } from "../../../src/core/policy/decide.ts";
import { HELD_LANE, retryLane } from "../../../src/core/task/lane.ts";
import type { Attempt, Callback, CallbackAttempt, Task, TaskCall } from "../../../src/core/task/task.ts";

/** The instant that built tasks live at. */
export const NOW = Date.parse("2026-11-23T10:00:00Z");
export const TARGET = "https://api.example.com";
/** Where its retries wait. */
export const RETRY_LANE = "<https://api.example.com";
export const CALLBACK_URL = "https://me.example.com/hook";
export const CALLBACK_LANE = ">https://me.example.com";
const DAY_MS = 86_400_000;

/** What a test says of a task; the rest follows from its state. */
export type TaskOverrides = Partial<Omit<Task, "call" | "callback">> & {
  call?: Partial<TaskCall>;
  callback?: Partial<Callback> | null;
};

/**
 * A task that could be a row: pending and due, unless the overrides say otherwise. Lane, lease, history and the
 * fields of a final task fit the state, the attempt and the callback, as far as they are not overridden.
 */
export function buildTask({ call, callback, ...overrides }: TaskOverrides = {}): Task {
  const state = overrides.state ?? "pending";
  const started = state !== "pending" && state !== "cancelled";
  const attempt = overrides.attempt ?? (started ? 1 : 0);
  return {
    id: "tsk_1",
    state,
    target: TARGET,
    priority: 5,
    dueAt: NOW,
    expiresAt: NOW + DAY_MS,
    round: 1,
    attempt,
    attemptsBefore: 0,
    lease: attempt,
    settledLease: 0,
    trigger: "submit",
    createdAt: NOW - 60_000,
    history: historyOf(state, attempt, overrides.round ?? 1),
    attemptsOmitted: 0,
    response: null,
    ...byState(state, callback ? buildCallback(callback) : null),
    ...overrides,
    call: buildCall(call),
  };
}

/** A plain POST without headers and body. */
export function buildCall(overrides: Partial<TaskCall> = {}): TaskCall {
  return {
    url: `${TARGET}/charge`,
    method: "POST",
    headers: {},
    body: null,
    bodyEncoding: "utf8",
    timeoutMs: null,
    maxRedirects: 0,
    retry: null,
    labels: [],
    metadata: {},
    idempotencyKey: null,
    traceparent: null,
    ...overrides,
  };
}

/** An attempt that failed with 503 a minute ago and was retried after a second. */
export function buildAttempt(overrides: Partial<Attempt> = {}): Attempt {
  return {
    number: 1,
    round: 1,
    trigger: "submit",
    startedAt: NOW - 60_000,
    durationMs: 40,
    status: 503,
    errorType: "server_error",
    errorCode: "server_error",
    errorMessage: null,
    bodyError: null,
    faultClass: "transient",
    decision: "retry",
    rule: "table",
    delayMs: 1_000,
    nextAt: NOW - 58_960,
    ...overrides,
  };
}

/** An attempt as it stands in the history while it is in flight. */
export function buildOpenAttempt(overrides: Partial<Attempt> = {}): Attempt {
  return buildAttempt({
    startedAt: NOW,
    durationMs: null,
    status: null,
    errorType: null,
    errorCode: null,
    faultClass: null,
    decision: null,
    rule: null,
    delayMs: null,
    nextAt: null,
    ...overrides,
  });
}

/** A callback that waits for its first delivery; with `attempt`, as many deliveries were tried. */
export function buildCallback(overrides: Partial<Callback> = {}): Callback {
  const state = overrides.state ?? "pending";
  const attempt = overrides.attempt ?? (state === "pending" ? 0 : 1);
  const numbers = Array.from({ length: attempt }, (_, i) => i + 1);
  return {
    url: CALLBACK_URL,
    lane: CALLBACK_LANE,
    state,
    handedWith: null,
    attempt,
    startedAt: NOW,
    attempts: numbers.map((number) => buildDelivery({ number })),
    ...overrides,
  };
}

/** One delivery attempt that failed with 500. */
export function buildDelivery(overrides: Partial<CallbackAttempt> = {}): CallbackAttempt {
  return {
    number: 1,
    startedAt: NOW,
    durationMs: 20,
    status: 500,
    errorType: "server_error",
    bodyError: null,
    nextAt: null,
    ...overrides,
  };
}

/** What came of an attempt: a 200, unless the overrides say otherwise. */
export function buildOutcome(overrides: Partial<Outcome> = {}): Outcome {
  return {
    ok: true,
    status: 200,
    errorType: null,
    errorCode: null,
    errorMessage: null,
    faultClass: null,
    retryAfterMs: null,
    noRetry: false,
    bodyError: null,
    headers: {},
    bodyText: null,
    durationMs: 40,
    json: () => null,
    ...overrides,
  };
}

/** A 503 from the target. */
export function buildFault(overrides: Partial<Outcome> = {}): Outcome {
  return buildOutcome({
    ok: false,
    status: 503,
    errorType: "server_error",
    errorCode: "server_error",
    faultClass: "transient",
    ...overrides,
  });
}

export const SUCCEED: Decision = { do: "succeed", rule: null, log: false, faultClass: null };
export const HOLD: Decision = {
  do: "hold",
  until: "signal",
  rule: "rules[0]: status == 401",
  log: true,
  faultClass: "conditional",
};

export function retryIn(delayMs: number): Decision {
  return { do: "retry", delayMs, rule: "table", log: true, faultClass: "transient" };
}

export function failFor(reason: FailReason): Decision {
  return { do: "fail", reason, rule: "table", log: true, faultClass: "permanent" };
}

type ByState = Pick<Task, "lane" | "leaseUntil" | "finalizedAt" | "reason" | "until" | "callback">;

function byState(state: Task["state"], callback: Callback | null): ByState {
  const base: ByState = {
    lane: null,
    leaseUntil: null,
    finalizedAt: null,
    reason: null,
    until: null,
    callback: null,
  };
  switch (state) {
    case "pending":
      return { ...base, lane: TARGET };
    case "retrying":
      return { ...base, lane: retryLane(TARGET) };
    case "running":
      return { ...base, leaseUntil: NOW + 30_000 };
    case "held":
      return { ...base, lane: HELD_LANE, until: "signal" };
    case "succeeded":
      return { ...base, ...delivery(callback), finalizedAt: NOW, reason: "succeeded" };
    case "failed":
      return { ...base, ...delivery(callback), finalizedAt: NOW, reason: "permanent" };
    case "cancelled":
      return { ...base, ...delivery(callback), finalizedAt: NOW, reason: "cancelled" };
  }
}

function delivery(callback: Callback | null): Pick<Task, "lane" | "leaseUntil" | "callback"> {
  const waits = callback?.state === "pending" || callback?.state === "retrying";
  return {
    callback,
    lane: waits ? callback.lane : null,
    leaseUntil: callback?.state === "running" ? NOW + 20_000 : null,
  };
}

function historyOf(state: Task["state"], count: number, round: number): Attempt[] {
  return Array.from({ length: count }, (_, i) => {
    const number = i + 1;
    if (number < count) return buildAttempt({ number, round });
    if (state === "running") return buildOpenAttempt({ number, round });
    if (state === "succeeded") {
      const success = { status: 200, errorType: null, errorCode: null, faultClass: null } as const;
      return buildAttempt({ number, round, ...success, decision: "succeed", delayMs: null, nextAt: null });
    }
    return buildAttempt({ number, round });
  });
}
