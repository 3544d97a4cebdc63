import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A call as the target got it; header names are lower case. */
export interface TargetCall {
  method: string;
  /** With its query. */
  path: string;
  headers: Record<string, string>;
  body: string;
  /** Epoch milliseconds, once the body was whole. */
  receivedAt: number;
}

/** What the target does: answer, keep the caller waiting for ever, or break the connection. */
export type TargetAnswer =
  | { status: number; headers?: Record<string, string>; body?: string; delayMs?: number }
  | "hang"
  | "reset";

/** Decides the answer to a call; null is a plain 200. */
export type TargetScript = (call: TargetCall) => TargetAnswer | null | Promise<TargetAnswer | null>;

/** A target and callback receiver on a free port of loopback. What the server asks of one that resets is no call. */
export interface Target {
  url: string;
  /** The last 10,000 calls, oldest first. */
  calls: TargetCall[];
  /** How many calls came in all. */
  callCount: number;
  /** Answers by another script from now on. */
  respond(script: TargetScript): void;
  /** Resolves with the calls the predicate holds for once there are `count`; rejects after `timeoutMs`. */
  waitForCalls(
    count: number,
    predicate?: (call: TargetCall) => boolean,
    timeoutMs?: number,
  ): Promise<TargetCall[]>;
  stop(): Promise<void>;
}

const MAX_CALLS_KEPT = 10_000;
const WAIT_TIMEOUT_MS = 20_000;

/** Starts a target that answers by the script, 200 when left out. */
export async function startTarget(script: TargetScript = () => null): Promise<Target> {
  let current = script;
  const waiters = new Set<() => void>();
  const server = createServer(async (request, response) => {
    try {
      const call = await readCall(request);
      if (isQuestion(call)) {
        response.writeHead(204).end();
        return;
      }
      target.calls.push(call);
      if (target.calls.length > MAX_CALLS_KEPT) target.calls.shift();
      target.callCount++;
      for (const check of waiters) check();
      await answer(response, await current(call));
    } catch (error) {
      // A caller that left; what a script throws shows in the test as this answer.
      if (!response.headersSent) response.writeHead(500).end(String(error));
    }
  });
  const target: Target = {
    url: await listen(server),
    calls: [],
    callCount: 0,
    respond: (next) => {
      current = next;
    },
    waitForCalls: (count, predicate = () => true, timeoutMs = WAIT_TIMEOUT_MS) =>
      new Promise((resolve, reject) => {
        const found = () => target.calls.filter(predicate);
        const timer = setTimeout(() => {
          waiters.delete(check);
          reject(new Error(`expected ${count} calls within ${timeoutMs} ms, got ${found().length}`));
        }, timeoutMs);
        const check = () => {
          const calls = found();
          if (calls.length < count) return;
          waiters.delete(check);
          clearTimeout(timer);
          resolve(calls);
        };
        waiters.add(check);
        check();
      }),
    stop: () => close(server),
  };
  return target;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

async function readCall(request: IncomingMessage): Promise<TargetCall> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(", ")]);
  return {
    method: request.method ?? "",
    path: request.url ?? "",
    headers: Object.fromEntries(headers),
    body: Buffer.concat(chunks).toString("utf8"),
    receivedAt: Date.now(),
  };
}

function isQuestion({ method, headers }: TargetCall): boolean {
  return method === "OPTIONS" && headers["user-agent"] === "Redrive" && headers.connection === "close";
}

async function answer(response: ServerResponse, decided: TargetAnswer | null): Promise<void> {
  if (decided === "hang") return;
  if (decided === "reset") {
    response.destroy();
    return;
  }
  const { status, headers = {}, body = "", delayMs = 0 } = decided ?? { status: 200 };
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  response.writeHead(status, headers).end(body);
}
