import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { ContestCounts, ContestModel } from "./contest-target.ts";

const PROGRAM = fileURLToPath(new URL("./contest-target.ts", import.meta.url));

/** The process of a contest's target. */
export interface ContestTarget {
  url: string;
  counts(): Promise<ContestCounts>;
  stop(): Promise<void>;
}

/** Starts the target on a free port. */
export async function startContestTarget(model: ContestModel): Promise<ContestTarget> {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(model)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [port] = await once(createInterface({ input: child.stdout }), "line");
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    counts: async () => (await (await fetch(`${url}/counts`)).json()) as ContestCounts,
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
