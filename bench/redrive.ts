import { type StartOptions, startServer } from "../test/support/server/server.ts";
import { Connections } from "./http.ts";
import { IN_FLIGHT } from "./load.ts";
import { type Subject, TASK_BODY } from "./subject.ts";
import type { TargetRun } from "./target-process.ts";

/** The most tasks that one batch may have. */
export const BATCH = 1_000;

/** Settings of a queue that calls a target as if nothing were known of it. */
export const NO_PROTECTION = {
  breaker: { enabled: false },
  retry_budget: { enabled: false },
  adaptive_concurrency: false,
};

/** Calls are made as on Cloudflare: by the submitting Worker and by Runner objects. */
export const EDGE: StartOptions = { env: { REDRIVE_CALLS: "edge" } };

/** A queue for tasks that fail on purpose. */
export const UNPROTECTED = {
  name: "unprotected",
  settings: NO_PROTECTION,
};

/** Fields of a task beyond its URL, its body and its callback. */
export interface TaskFields {
  retry?: object;
  run_at?: string;
  delay?: string;
  queue?: string;
}

/** The standalone server, and what only it can do. */
export interface Redrive extends Subject {
  pid: number;
  /** The same, with fields of one's own. */
  submitWith(run: TargetRun, n: number, fields: TaskFields): Promise<void>;
  /** Hands in all tasks of a run in batches, one after the other. Rejects where any task is refused. */
  submitAll(run: TargetRun, fields: TaskFields): Promise<void>;
  /** Makes a request of the API. Rejects where it is refused. */
  request(method: string, path: string, body?: object): Promise<unknown>;
}

/** The server that `npm start` starts, on a free port and a temporary folder, with settings of its own. */
export async function startRedrive(options: StartOptions = {}): Promise<Redrive> {
  const server = await startServer({ ...options, env: { REDRIVE_SANDBOX: "off", ...options.env } });
  const onExit = () => process.kill(server.launcherPid, "SIGINT");
  process.once("exit", onExit);
  const connections = new Connections(server.url, IN_FLIGHT);
  const headers = { "content-type": "application/json", authorization: `Bearer ${server.apiKey}` };
  const request = async (method: string, path: string, body?: object): Promise<unknown> => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const answer = await connections.send(method, path, headers, text);
    if (answer.status >= 300)
      throw new Error(`${method} ${path} was answered ${answer.status}: ${answer.body}`);
    return JSON.parse(answer.body);
  };
  const submitWith = async (run: TargetRun, n: number, fields: TaskFields) => {
    await request("POST", "/v1/tasks", task(run, n, fields));
  };
  return {
    pid: server.pid,
    request,
    submitWith,
    submit: (run, n) => submitWith(run, n, {}),
    submitAll: async (run, fields) => {
      for (let from = 0; from < run.plan.tasks; from += BATCH) {
        const size = Math.min(BATCH, run.plan.tasks - from);
        const tasks = Array.from({ length: size }, (_, i) => task(run, from + i, fields));
        checkAccepted(await request("POST", "/v1/tasks/batch", { tasks }), size);
      }
    },
    stop: async () => {
      connections.close();
      process.off("exit", onExit);
      await server.stop();
    },
  };
}

function task(run: TargetRun, n: number, fields: TaskFields): object {
  const callback = run.plan.callbacks ? { callback: { url: run.callbackUrl(n) } } : {};
  return { url: run.callUrl(n), body: TASK_BODY, ...callback, ...fields };
}

function checkAccepted(answer: unknown, size: number): void {
  const { results } = answer as { results: { task?: object }[] };
  const refused = results.find(({ task }) => task === undefined);
  if (refused === undefined && results.length === size) return;
  throw new Error(`expected ${size} accepted tasks, got ${results.length}, one: ${JSON.stringify(refused)}`);
}
