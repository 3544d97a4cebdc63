import { Agent } from "node:http";
import type { RouteDoc } from "../../src/api/http/route-doc.ts";
import { ROUTES } from "../../src/api/routes.ts";
import { restingMemoryMb } from "../crashes/memory.ts";
import { startServer, type TestServer } from "../support/server/server.ts";
import { ask } from "../support/server/stories.ts";
import { type Finding, MAX_INPUT_MS } from "./in-process.ts";
import { NOWHERE } from "./kinds/bases.ts";
import { chanceOf } from "./kinds/chance.ts";
import { type FuzzAnswer, type FuzzRequest, hostileRequest, type Known, send } from "./kinds/requests.ts";
import { minimise } from "./minimise.ts";

/** What came of a run of requests on the real server. */
export interface HttpReport {
  requests: number;
  /** How many answers had each status. */
  countByStatus: Record<number, number>;
  findings: Finding[];
  slowestMs: number;
  slowest: string;
  /** workerd's resident set once a part of the requests was through, and at the end; MB at rest. */
  memoryBeforeMb: number;
  memoryAfterMb: number;
}

/** How many requests a run makes, after how many of them memory is first looked at, and how long it rests for that. */
export interface HttpEffort {
  count: number;
  warmUp: number;
  restMs: number;
}

const AT_A_TIME = 4;
const MAX_FINDINGS = 10;
/** A seed's requests are others than its inputs. */
const REQUESTS = 0x5eed;

/** Starts the real server, its queues paused, and sends it requests of every route. */
export async function fuzzServer(seed: number, effort: HttpEffort): Promise<HttpReport> {
  const server = await startServer();
  const agent = new Agent({ keepAlive: true, maxSockets: AT_A_TIME });
  try {
    return await fuzzRunning(server, agent, seed, effort);
  } finally {
    agent.destroy();
    await server.stop();
  }
}

/** Whether memory has grown beyond what load alone makes of V8's heap: a quarter and 64 MB. */
export function hasGrown({ memoryBeforeMb, memoryAfterMb }: HttpReport): boolean {
  return memoryAfterMb > memoryBeforeMb * 1.25 + 64;
}

/** Routes that no request of the seed has reached in so many. */
export function routesMissed(seed: number, count: number): RouteDoc[] {
  const known = { apiKey: "x", ids: ["tsk_1"] };
  const paths = Array.from({ length: count }, (_, i) => hostileRequest(chanceOf(seed ^ REQUESTS, i), known));
  return ROUTES.filter(({ method, path }) => {
    const shape = new RegExp(`^${path.replace(/\{\w+\}/g, "[^/?]+")}(\\?|$)`);
    return !paths.some((request) => request.method === method && shape.test(request.path));
  });
}

async function fuzzRunning(
  server: TestServer,
  agent: Agent,
  seed: number,
  effort: HttpEffort,
): Promise<HttpReport> {
  const known = await prepare(server);
  const report: HttpReport = {
    ...{ requests: 0, countByStatus: {}, findings: [], slowestMs: 0, slowest: "" },
    ...{ memoryBeforeMb: 0, memoryAfterMb: 0 },
  };
  const span = async (from: number, to: number) => {
    let next = from;
    const sender = async () => {
      while (next < to && report.findings.length < MAX_FINDINGS) {
        const index = next++;
        const fuzz = hostileRequest(chanceOf(seed ^ REQUESTS, index), known);
        await tryRequest(agent, server, { index, fuzz }, report);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, sender));
  };
  await span(0, effort.warmUp);
  report.memoryBeforeMb = await restingMemoryMb(server.pid, effort.restMs);
  await span(effort.warmUp, effort.count);
  report.memoryAfterMb = await restingMemoryMb(server.pid, effort.restMs);
  return report;
}

/** Two paused queues, so that nothing is called; a task, a key and a cursor that requests can name. */
async function prepare(server: TestServer): Promise<Known> {
  await ask(server, "PUT", "/v1/queues/fuzzed", { body: { shards: 2 } });
  for (const name of ["fuzzed", "default"]) await ask(server, "POST", `/v1/queues/${name}/pause`);
  const task = { url: NOWHERE, queue: "fuzzed", callback: null };
  const made = [
    await ask(server, "POST", "/v1/tasks", { body: task }),
    await ask(server, "POST", "/v1/tasks", { body: { ...task, breaker_key: "pay" } }),
    await ask(server, "POST", "/v1/keys", { body: { name: "of a fuzz", scopes: ["read"] } }),
  ];
  const ids = made.map(({ body }) => String(body.id));
  if (ids.includes("undefined")) throw new Error("expected two tasks and a key to start with, got a refusal");
  return { apiKey: server.apiKey, ids };
}

async function tryRequest(
  agent: Agent,
  server: TestServer,
  { index, fuzz }: { index: number; fuzz: FuzzRequest },
  report: HttpReport,
): Promise<void> {
  const fault = await faultOf(agent, server, fuzz, (answer) => {
    report.countByStatus[answer.status] = (report.countByStatus[answer.status] ?? 0) + 1;
    const where = `${fuzz.method} ${fuzz.path.slice(0, 60)}, request ${index}`;
    if (answer.tookMs > report.slowestMs) Object.assign(report, { slowestMs: answer.tookMs, slowest: where });
  });
  report.requests++;
  if (fault === null) return;
  const fails = async (body: string) => (await faultOf(agent, server, { ...fuzz, body }, () => {})) !== null;
  const input = fuzz.body === null ? "" : await minimise(fuzz.body, fails, 100);
  const { method, path, headers } = fuzz;
  const shown = JSON.stringify({ ...headers, authorization: "..." });
  report.findings.push({ index, where: `${method} ${path} ${shown}`, fault, input });
}

/** What a request did that none may, on each of three tries: the machine may have been busy. Null: nothing. */
async function faultOf(
  agent: Agent,
  server: TestServer,
  fuzz: FuzzRequest,
  tell: (answer: FuzzAnswer) => void,
): Promise<string | null> {
  let fault: string | null = null;
  for (let tries = 0; tries < 3; tries++) {
    try {
      const answer = await send(agent, server.url, fuzz);
      fault = faultIn(answer, server.apiKey);
      if (fault === null && answer.tookMs > MAX_INPUT_MS) fault = `took ${answer.tookMs.toFixed(0)} ms`;
      else tell(answer);
      if (fault === null) return null;
      // What the server says is no matter of how busy the machine is.
      if (answer.tookMs <= MAX_INPUT_MS) return fault;
    } catch (error) {
      fault = `no answer: ${String(error)}`;
    }
  }
  return fault;
}

function faultIn({ status, headers, body }: FuzzAnswer, apiKey: string): string | null {
  if (status >= 500) return `status ${status}: ${body.slice(0, 200)}`;
  if (body.includes(apiKey)) return `the root key in an answer of status ${status}`;
  // A URL that is too long, alone or with the headers, is refused by workerd itself.
  if (status >= 400 && status !== 414 && status !== 431 && headers["x-request-id"] === undefined)
    return `status ${status} without x-request-id`;
  return null;
}
