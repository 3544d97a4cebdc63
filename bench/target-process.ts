import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Connections } from "./http.ts";
import type { RunCounts, RunPlan } from "./run.ts";

const PROGRAM = fileURLToPath(new URL("./target.ts", import.meta.url));
/** A wait at the target that is shorter than any client's patience. */
const WAIT_STEP_MS = 30_000;

/** The target's process, as the bench sees it. */
export interface Target {
  url: string;
  /** Begins a run, under a name of its own. */
  begin(plan: RunPlan): Promise<TargetRun>;
  stop(): Promise<void>;
}

/** One run at the target. */
export interface TargetRun {
  plan: RunPlan;
  callUrl(n: number): string;
  callbackUrl(n: number): string;
  /** Waits until so many tasks have finished, or for `withinMs`; tells what has arrived. */
  finished(count: number, withinMs: number): Promise<RunCounts>;
  /** Waits until everything has arrived. Throws IncompleteError where something is missing after `withinMs`. */
  complete(withinMs: number): Promise<RunCounts>;
  /** When each task's callback arrived, in monotonic milliseconds. */
  callbackTimes(): Promise<number[]>;
}

/** A run in which something that was owed never arrived: whatever was measured is worth nothing. */
export class IncompleteError extends Error {
  override name = "IncompleteError";
}

/** Starts the target on a free port. */
export async function startTarget(): Promise<Target> {
  const child = spawn(process.execPath, [PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const [port] = await once(createInterface({ input: child.stdout }), "line");
  const url = `http://127.0.0.1:${port}`;
  const connections = new Connections(url, 4);
  let runs = 0;
  return {
    url,
    begin: async (plan) => {
      const name = String(++runs);
      await connections.send("PUT", `/runs/${name}/${encodeURIComponent(JSON.stringify(plan))}`, {});
      return targetRun(url, name, plan, connections);
    },
    stop: async () => {
      connections.close();
      child.stdin.end();
      await exited;
    },
  };
}

function targetRun(url: string, name: string, plan: RunPlan, connections: Connections): TargetRun {
  const get = async (what: string) =>
    JSON.parse((await connections.send("GET", `/runs/${name}/${what}`, {})).body);
  const finished = (count: number, withinMs: number): Promise<RunCounts> => get(`${withinMs}/${count}`);
  return {
    plan,
    callUrl: (n) => `${url}/call/${name}/${n}`,
    callbackUrl: (n) => `${url}/callback/${name}/${n}`,
    finished,
    complete: async (withinMs) => {
      for (let leftMs = withinMs; ; leftMs -= WAIT_STEP_MS) {
        const counts = await finished(plan.tasks, Math.min(leftMs, WAIT_STEP_MS));
        if (counts.finished === plan.tasks) return counts;
        if (leftMs <= WAIT_STEP_MS) throw new IncompleteError(missing(plan, counts, withinMs));
      }
    },
    callbackTimes: () => get("times"),
  };
}

function missing({ tasks, callbacks }: RunPlan, counts: RunCounts, withinMs: number): string {
  const owed = callbacks ? `${tasks} callbacks` : `${tasks} successful calls`;
  return `expected ${owed} within ${withinMs / 1_000} s, got ${JSON.stringify(counts)}`;
}
