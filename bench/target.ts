/**
 * The loopback target, in a process of its own: answers the tasks' calls, receives their callbacks, and tells
 * what it has counted. Prints its port, and ends with its standard input. Control routes: `PUT /runs/<run>/<plan>`
 * begins a run, `GET /runs/<run>/<ms>/<count>` waits until so many tasks have finished but at most so long,
 * `GET /runs/<run>/times` tells when each callback arrived.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Run } from "./run.ts";
import { monotonicMs } from "./stats.ts";

/** Longer than any pause of a case, so that no idle connection is closed under a caller. */
const KEEP_ALIVE_MS = 300_000;
const OK = JSON.stringify({ ok: true });

const runs = new Map<string, Run>();

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  request.resume().once("end", () => route(request, response));
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume().once("end", () => process.exit(0));

/** `/call/<run>/<n>` and `/callback/<run>/<n>`; all else is control. */
function route(request: IncomingMessage, response: ServerResponse): void {
  const [, kind = "", runName = "", rest = "", count = ""] = (request.url ?? "").split("/");
  const run = runs.get(runName);
  if (kind === "runs" && request.method === "PUT") begin(runName, rest, response);
  else if (run === undefined) answer(response, 404, "");
  else if (kind === "call") answerCall(run, Number(rest), response);
  else if (kind === "callback") answerCallback(run, Number(rest), response);
  else if (rest === "times") answer(response, 200, JSON.stringify([...run.callbackAt]));
  else
    run.whenFinished(Number(count), Number(rest), (counts) => answer(response, 200, JSON.stringify(counts)));
}

function begin(runName: string, plan: string, response: ServerResponse): void {
  runs.set(runName, new Run(JSON.parse(decodeURIComponent(plan))));
  answer(response, 200, OK);
}

function answerCall(run: Run, n: number, response: ServerResponse): void {
  const status = run.receiveCall(n, monotonicMs());
  if (run.plan.delayMs === 0) answer(response, status, OK);
  else setTimeout(answer, run.plan.delayMs, response, status, OK);
}

function answerCallback(run: Run, n: number, response: ServerResponse): void {
  run.receiveCallback(n, monotonicMs());
  answer(response, 200, OK);
}

function answer(response: ServerResponse, status: number, body: string): void {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  response.writeHead(status, headers).end(body);
}
