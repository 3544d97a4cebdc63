import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("./outage-target.ts", import.meta.url));

/** A call began, or was answered; `at` is epoch milliseconds. */
export interface ProcessEvent {
  type: "begun" | "answered";
  /** The id of the task whose call it is. */
  task: string;
  at: number;
}

/** A target in a process of its own. */
export interface TargetProcess {
  url: string;
  port: number;
  /** What has happened so far, in order. */
  events: ProcessEvent[];
  /** SIGKILL: its port is closed, and its connections are gone. Resolves once it has ended. */
  kill(): Promise<void>;
}

/** Starts it on a port, a free one when left out; resolves once it listens. */
export async function startTargetProcess(port = 0): Promise<TargetProcess> {
  const child = spawn(process.execPath, [PROGRAM, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  const ended = exited.then(() => Promise.reject(new Error("the target ended before it listened")));
  const [first] = await Promise.race([once(lines, "line"), ended]);
  ended.catch(() => undefined);
  const listening = JSON.parse(first) as { port: number };
  const events: ProcessEvent[] = [];
  lines.on("line", (line) => events.push(JSON.parse(line)));
  return {
    url: `http://127.0.0.1:${listening.port}`,
    port: listening.port,
    events,
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
