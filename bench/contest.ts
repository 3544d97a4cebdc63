import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { startContestTarget } from "./contest-process.ts";
import type { ContestCounts, ContestModel } from "./contest-target.ts";
import { warmUp } from "./measure.ts";
import { NO_PROTECTION, type Redrive, startRedrive } from "./redrive.ts";
import { monotonicMs } from "./stats.ts";
import { TASK_BODY } from "./subject.ts";
import type { Target } from "./target-process.ts";

/** Submitters and a target. Each submitter has one task out at a time, and hands in the next when it is final. */
interface Contest {
  name: string;
  submitters: number;
  /** Mean time from one task's end to the next; exponentially distributed. */
  thinkMs: number;
  model: ContestModel;
  retry: { max_attempts: number; initial_interval: string; max_interval: string };
  durationMs: number;
}

/** Settings of the queue, and of the wait between attempts. */
interface Mode {
  name: string;
  settings: object;
  backoff: object;
}

interface Tally {
  succeeded: number;
  failed: number;
  /** Between submit and end; those that have not ended, up to the contest's end. */
  spentMs: number;
}

interface Outcome extends Tally, ContestCounts {}

const START_SPREAD_MS = 1_000;
/** Each contest is run so often in each mode, in turn, so that a machine that changes its pace treats all alike. */
const ROUNDS = 2;
const NOTHING: Outcome = { succeeded: 0, failed: 0, spentMs: 0, calls: 0, refused: 0 };
const MODEL: ContestModel = { workers: 8, queue: 32, serviceMs: 20, slowdown: 1, refusalCost: 0.1 };

/** The simulation's contests, with an eighth (a quarter) of the submitters and of the target, the first five times as slow. */
const CONTESTS: readonly Contest[] = [
  {
    name: "high concurrency",
    submitters: 125,
    thinkMs: 0,
    model: MODEL,
    retry: { max_attempts: 100, initial_interval: "500ms", max_interval: "5s" },
    durationMs: 15_000,
  },
  {
    name: "overloaded target",
    submitters: 400,
    thinkMs: 1_000,
    model: MODEL,
    retry: { max_attempts: 5, initial_interval: "500ms", max_interval: "5m" },
    durationMs: 15_000,
  },
];

const MODES: readonly Mode[] = [
  {
    name: "all off, fixed interval",
    settings: NO_PROTECTION,
    backoff: { strategy: "fixed", jitter: "none", adaptive: "off" },
  },
  { name: "all off", settings: NO_PROTECTION, backoff: { adaptive: "off" } },
  { name: "defaults", settings: {}, backoff: { adaptive: "load" } },
];

/**
 * The two contests of the simulation for real, on loopback: the same submitters and the same target with all that
 * protects a target switched off, and with the defaults. Rows of a table; ratios are to the first row of each contest.
 */
export async function contest(target: Target): Promise<string[][]> {
  const head = [
    "contest",
    "mean response",
    "ratio",
    "completed/s",
    "ratio",
    "failed",
    "calls",
    "of them 503",
  ];
  const rows = [head];
  for (const one of CONTESTS) {
    const outcomes = MODES.map(() => NOTHING);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const [i, mode] of MODES.entries()) {
        process.stderr.write(`contest: ${one.name}, ${mode.name}, round ${round} of ${ROUNDS}\n`);
        outcomes[i] = sum(outcomes[i] ?? NOTHING, await runContest(target, one, mode));
      }
    }
    const [first = NOTHING] = outcomes;
    rows.push(...MODES.map((mode, i) => rowOf(one, mode, outcomes[i] ?? NOTHING, first)));
  }
  return rows;
}

async function runContest(warmUpTarget: Target, contest: Contest, mode: Mode): Promise<Outcome> {
  const redrive = await startRedrive();
  const target = await startContestTarget(contest.model);
  const receiver = await startReceiver();
  try {
    await warmUp(redrive, warmUpTarget);
    // As many as there are submitters, so that this setting is not what protects the target.
    const settings = { ...mode.settings, concurrency: contest.submitters };
    await redrive.request("PUT", "/v1/queues/contest", settings);
    const { max_attempts, ...intervals } = contest.retry;
    const one = async (n: number) => {
      const ended = receiver.next(n);
      await redrive.request("POST", "/v1/tasks", {
        url: target.url,
        body: TASK_BODY,
        queue: "contest",
        retry: { max_attempts, backoff: { ...mode.backoff, ...intervals } },
        callback: { url: `${receiver.url}/${n}`, on: ["succeeded", "failed"] },
      });
      return ended;
    };
    const tally = await play(contest, one);
    return { ...tally, ...(await target.counts()) };
  } finally {
    await stopAll(redrive, target, receiver);
  }
}

/** Lets all submitters work for the contest's time. `one` hands in a task and tells how it ended. */
async function play(contest: Contest, one: (n: number) => Promise<"succeeded" | "failed">): Promise<Tally> {
  const { submitters, thinkMs, durationMs } = contest;
  const tally: Tally = { succeeded: 0, failed: 0, spentMs: 0 };
  const beganAt = new Map<number, number>();
  const endAt = monotonicMs() + durationMs;
  const submitter = async (n: number) => {
    await delay((START_SPREAD_MS * n) / submitters);
    for (;;) {
      const began = monotonicMs();
      beganAt.set(n, began);
      const how = await one(n);
      const now = monotonicMs();
      if (now >= endAt) return;
      beganAt.delete(n);
      tally[how]++;
      tally.spentMs += now - began;
      if (thinkMs > 0) await delay(-Math.log(1 - Math.random()) * thinkMs);
      if (monotonicMs() >= endAt) return;
    }
  };
  const all = Promise.all(Array.from({ length: submitters }, (_, n) => submitter(n)));
  // What is refused ends the contest at once; tasks that are still out at its end are not waited for.
  await Promise.race([all, delay(durationMs)]);
  all.catch(() => undefined);
  const result = { ...tally };
  for (const began of beganAt.values()) result.spentMs += endAt - began;
  return result;
}

/** Takes callbacks and tells, for each submitter, how its task ended. */
interface Receiver {
  url: string;
  /** Resolves with the next end told to this submitter. */
  next(n: number): Promise<"succeeded" | "failed">;
  stop(): Promise<void>;
}

async function startReceiver(): Promise<Receiver> {
  const waiters = new Map<number, (how: "succeeded" | "failed") => void>();
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part;
    });
    request.once("end", () => {
      const n = Number(request.url?.slice(1));
      waiters.get(n)?.(JSON.parse(body).type === "task.succeeded" ? "succeeded" : "failed");
      waiters.delete(n);
      response.end();
    });
  });
  const url = await listen(server);
  return {
    url,
    next: (n) => new Promise((resolve) => waiters.set(n, resolve)),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function stopAll(redrive: Redrive, ...others: { stop(): Promise<void> }[]): Promise<void> {
  await redrive.stop();
  for (const other of others) await other.stop();
}

function sum(a: Outcome, b: Outcome): Outcome {
  return {
    succeeded: a.succeeded + b.succeeded,
    failed: a.failed + b.failed,
    spentMs: a.spentMs + b.spentMs,
    calls: a.calls + b.calls,
    refused: a.refused + b.refused,
  };
}

function rowOf({ name, durationMs }: Contest, mode: Mode, outcome: Outcome, first: Outcome): string[] {
  const perSecond = ({ succeeded }: Outcome) => (succeeded * 1_000) / (durationMs * ROUNDS);
  const meanMs = ({ spentMs, succeeded, failed }: Outcome) => spentMs / (succeeded + failed);
  return [
    `${name}: ${mode.name}`,
    `${Math.round(meanMs(outcome))} ms`,
    (meanMs(outcome) / meanMs(first)).toFixed(2),
    perSecond(outcome).toFixed(0),
    (perSecond(outcome) / perSecond(first)).toFixed(2),
    `${((100 * outcome.failed) / (outcome.succeeded + outcome.failed)).toFixed(1)} %`,
    String(outcome.calls),
    String(outcome.refused),
  ];
}
