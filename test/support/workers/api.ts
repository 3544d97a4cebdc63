import { exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { Problem } from "../../../src/schema/problem.ts";
import type { TaskAccepted, TaskView } from "../../../src/schema/task.ts";

/** The root key of the test deployment; see vitest.config.ts. */
export const ROOT_KEY = "root-key-for-tests";

/** One request of the API; `body` is sent as JSON unless it is text. `key: null` sends none. */
export interface CallOptions {
  body?: unknown;
  headers?: Record<string, string>;
  key?: string | null;
}

/** The Worker under test; its type is known to the configuration only. */
const worker = (exports as unknown as { default: Fetcher }).default;

/** Calls the API of the deployment under test, as a client over HTTP would. */
export function call(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  return worker.fetch(makeRequest(method, path, options));
}

/** The request that `call` makes. */
export function makeRequest(method: string, path: string, options: CallOptions = {}): Request {
  const { body, key = ROOT_KEY } = options;
  const headers = new Headers(options.headers);
  if (key !== null && !headers.has("authorization")) headers.set("authorization", `Bearer ${key}`);
  if (body !== undefined && !headers.has("content-type")) headers.set("content-type", "application/json");
  const init: RequestInit = { method, headers, redirect: "manual" };
  if (body !== undefined) init.body = typeof body === "string" ? body : JSON.stringify(body);
  return new Request(`http://redrive.test${path}`, init);
}

/** Calls the API and gives status and parsed answer (null where it is empty). */
export async function callJson<T = Record<string, unknown>>(
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<{ status: number; headers: Headers; json: T }> {
  const response = await call(method, path, options);
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    json: (text === "" ? null : JSON.parse(text)) as T,
  };
}

/** Calls the API and gives its problem, with the header fields that belong to it. */
export async function callProblem(method: string, path: string, options: CallOptions = {}) {
  const { status, headers, json } = await callJson<Problem>(method, path, options);
  return { status, headers, problem: json };
}

/** Submits a task and gives what the API said of it. Throws where it was refused. */
export async function submitTask(task: object, options: CallOptions = {}): Promise<TaskAccepted> {
  const { status, json } = await callJson<TaskAccepted>("POST", "/v1/tasks", { ...options, body: task });
  if (status !== 202 && status !== 200)
    throw new Error(`expected 202, got ${status}: ${JSON.stringify(json)}`);
  return json;
}

/** The task as it is now. */
export async function readTask(id: string): Promise<TaskView> {
  return (await callJson<TaskView>("GET", `/v1/tasks/${id}`)).json;
}

/** The task once it is in one of these states; asks again until then. */
export function taskIn(id: string, ...states: TaskView["state"][]): Promise<TaskView> {
  return vi.waitFor(
    async () => {
      const task = await readTask(id);
      if (!states.includes(task.state)) throw new Error(`expected ${states.join(" or ")}, got ${task.state}`);
      return task;
    },
    { timeout: 4_000, interval: 10 },
  );
}

/** A request that reached a target. */
export interface Received {
  url: string;
  method: string;
  headers: Headers;
  body: string;
}

/** Stands in for every target: answers what `answer` says, and keeps what came. Undone by `vi.unstubAllGlobals`. */
export function stubTargets(answer: (request: Received) => Response | Promise<Response>): Received[] {
  const received: Received[] = [];
  vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    const { url, method, headers } = request;
    const came = { url, method, headers, body: await request.text() };
    received.push(came);
    return answer(came);
  });
  return received;
}
