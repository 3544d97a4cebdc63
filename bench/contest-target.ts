/**
 * The target of a contest, in a process of its own: calls are worked on by a fixed number of workers and wait in a queue
 * with an end, past which they are answered 503. The model is `SimTarget` of the simulation, in real time. Its argument
 * is the model as JSON; it prints its port, answers `GET /counts` with what it got, and ends with its standard input.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A target of limited capacity. */
export interface ContestModel {
  /** Calls that are worked on at a time. */
  workers: number;
  /** Calls that may wait for a worker; one more is refused. */
  queue: number;
  /** Mean work for a call while none waits; exponentially distributed. */
  serviceMs: number;
  /** By how much more work a call is when the queue is full (1: twice); in between, by its share. */
  slowdown: number;
  /** Work to refuse a call, as a share of `serviceMs`. */
  refusalCost: number;
}

/** What it got. */
export interface ContestCounts {
  calls: number;
  refused: number;
}

const KEEP_ALIVE_MS = 300_000;
const model: ContestModel = JSON.parse(process.argv[2] ?? "");
const counts: ContestCounts = { calls: 0, refused: 0 };
const waiting: ServerResponse[] = [];
let busy = 0;
/** Work of refusals that no worker has done yet. */
let refusalMs = 0;

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
  request.resume().once("end", () => {
    if (request.url === "/counts") response.end(JSON.stringify(counts));
    else arrive(response);
  });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume().once("end", () => process.exit(0));

function arrive(response: ServerResponse): void {
  counts.calls++;
  if (busy < model.workers) {
    work(response);
  } else if (waiting.length < model.queue) {
    waiting.push(response);
  } else {
    counts.refused++;
    refusalMs += model.refusalCost * model.serviceMs;
    response.writeHead(503).end();
  }
}

function work(response: ServerResponse): void {
  const slower = 1 + model.slowdown * (waiting.length / model.queue);
  const workMs = -Math.log(1 - Math.random()) * model.serviceMs * slower + refusalMs;
  refusalMs = 0;
  busy++;
  setTimeout(() => {
    busy--;
    response.writeHead(200).end();
    const next = waiting.shift();
    if (next !== undefined) work(next);
  }, workMs);
}
