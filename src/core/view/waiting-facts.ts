import type { WaitingOn } from "../../schema/task.ts";
import type { Breaker } from "../breaker/breaker.ts";
import type { Task } from "../task/task.ts";
import { span } from "./span.ts";
import type { ShutGate } from "./waiting.ts";

/** What a sentence tells of a wait. */
export interface Wait {
  task: Task;
  /** What is to be called: the task's target, or that of the poll which a held task waits for. */
  target: string;
  /** What keeps that target from being called; null: nothing does. */
  gate: ShutGate | null;
  now: number;
}

/** What is to be known of a reason to wait. */
interface WaitingFacts {
  /**
   * What opens: `time` alone, the task's own `hold`, its `queue`, the `server` it is on, or what is known of its
   * `target`, which may be in the way of a held task's poll as well.
   */
  gate: "time" | "hold" | "queue" | "server" | "target";
  /** The reason as a clause: a capital at its start, no full stop. */
  sentence(wait: Wait): string;
}

/** Every reason to wait: whoever adds one is led here by the compiler. */
export const WAITING: Readonly<Record<WaitingOn, WaitingFacts>> = {
  schedule: { gate: "time", sentence: inTime },
  backoff: { gate: "time", sentence: inTime },
  probe: { gate: "hold", sentence: ({ task }) => `Held until ${pollUrl(task)} is ready` },
  signal: { gate: "hold", sentence: () => "Held until it is resumed" },
  paused: { gate: "queue", sentence: () => "Due, and waiting for its queue to be resumed" },
  capacity: {
    gate: "server",
    sentence: () => "Due, and waiting for other calls of this server to end",
  },
  breaker: {
    gate: "target",
    sentence: ({ target, gate, now }) =>
      `Waiting for the breaker of ${target}${gate?.breaker ? downBy(gate.breaker, now) : ""}`,
  },
  budget: {
    gate: "target",
    sentence: (wait) =>
      `Waiting for the retry budget of ${wait.target}, which is used up; there may be more${again(wait)}`,
  },
  concurrency: {
    gate: "target",
    sentence: ({ target, gate }) =>
      gate === null
        ? "Due, and waiting for a free slot"
        : `Due, and waiting for other calls of ${target} to end`,
  },
  rate: {
    gate: "target",
    sentence: (wait) =>
      wait.gate?.isAsked === true
        ? `Waiting since ${wait.target} asked for it; it may be called again${again(wait)}`
        : `Due, and waiting for the rate of its queue; the next call may go${again(wait)}`,
  },
};

/** The try that a task waits for, as a sentence begins. */
export function nextTry(task: Task): string {
  return task.history.length === 0 ? "First try" : "Next try";
}

/** The URL whose poll a held task waits for; null: it waits for a signal. */
export function pollUrl({ until }: Task): string | null {
  return until === null || until === "signal" ? null : until.probe.url;
}

function inTime({ task, now }: Wait): string {
  return `${nextTry(task)} in ${span(task.dueAt - now)}`;
}

function again({ gate, now }: Wait): string {
  return gate?.until == null ? "" : ` in ${span(gate.until - now)}`;
}

/** What a breaker says of an outage, after the target's name. */
function downBy(breaker: Breaker, now: number): string {
  switch (breaker.state) {
    case "closed":
      return "";
    case "isolated":
      return ` (isolated since ${span(now - breaker.since)}: ${breaker.reason})`;
    case "open":
    case "half_open": {
      const since = span(now - breaker.downSince);
      return ` (open since ${since}, ${breaker.reason.replace(/ in \d+ s$/, "")}); ${nextProbe(breaker, now)}`;
    }
  }
}

function nextProbe(breaker: Extract<Breaker, { state: "open" | "half_open" }>, now: number): string {
  if (breaker.state === "half_open")
    return breaker.probe === null ? "next probe is due now" : "it is being probed";
  return breaker.until > now ? `next probe in ${span(breaker.until - now)}` : "next probe is due now";
}
