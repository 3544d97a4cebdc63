import { Webhook } from "standardwebhooks";
import { RedriveClient } from "../../../src/client/index.ts";
import type { CallbackPayload } from "../../../src/schema/callback.ts";
import type { QueueSettingsInput } from "../../../src/schema/queue.ts";
import type { TaskView } from "../../../src/schema/task.ts";
import { type StartOptions, startServer, type TestServer } from "./server.ts";
import { startTarget, type Target, type TargetAnswer, type TargetCall, type TargetScript } from "./target.ts";

/** One address of a world's target, with a script and calls of its own, so that stories do not meet. */
export interface Place {
  url: string;
  /** Its calls so far, oldest first. */
  calls(): TargetCall[];
  respond(script: TargetScript): void;
  /** Resolves with its calls once there are `count`; rejects after `timeoutMs`, 20 s when left out. */
  waitForCalls(count: number, timeoutMs?: number): Promise<TargetCall[]>;
}

/** The real server, a target and receiver for it, and a client with the root key. */
export interface World {
  /** A story that restarts it puts the new one here. */
  server: TestServer;
  target: Target;
  client: RedriveClient;
  /** A new address; it answers 200 when the script is left out. */
  place(script?: TargetScript): Place;
  /** Makes a queue with these settings under a name that no other story uses, and returns the name. */
  makeQueue(settings?: QueueSettingsInput): Promise<string>;
  stop(): Promise<void>;
}

/** An answer of the API as it came: its status, headers and parsed body. */
export interface RawAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers of any route, taken apart by the test's own matchers
  body: any;
}

/**
 * For stories that fail on purpose. All stories of a file share one target, so that the failures of one would open its
 * breaker, or use up the retry budget of a shard, for the others: rarely, by which of them share a shard.
 */
export const FAILS_ON_PURPOSE = {
  breaker: { enabled: false },
  retry_budget: { enabled: false },
} as const satisfies QueueSettingsInput;

/** Starts a server and a target for the stories of one file; `queue`: what its queues are set to. */
export async function openWorld(options: StartOptions & { queue?: QueueSettingsInput } = {}): Promise<World> {
  const [server, target] = await Promise.all([startServer(options), startTarget()]);
  const client = clientOf(server);
  const scripts = new Map<string, TargetScript>();
  let made = 0;
  target.respond((call) => scripts.get(placeOf(call))?.(call) ?? null);
  const world: World = {
    server,
    target,
    client,
    place: (script = () => null) => {
      const name = `/place-${++made}`;
      scripts.set(name, script);
      const isMine = (call: TargetCall) => placeOf(call) === name;
      return {
        url: `${target.url}${name}`,
        calls: () => target.calls.filter(isMine),
        respond: (next) => scripts.set(name, next),
        waitForCalls: (count, timeoutMs) => target.waitForCalls(count, isMine, timeoutMs),
      };
    },
    makeQueue: async (settings = {}) => {
      const name = `story-${++made}`;
      await client.queues.put(name, { ...options.queue, ...settings });
      return name;
    },
    stop: async () => {
      await Promise.all([world.server.stop(), target.stop()]);
    },
  };
  if (options.queue !== undefined) await client.queues.put("default", options.queue);
  return world;
}

/** A client with the server's root key that makes each call once, so that a test sees every refusal. */
export function clientOf(server: TestServer, apiKey = server.apiKey): RedriveClient {
  return new RedriveClient({ url: server.url, apiKey, retries: 0 });
}

/** Answers the nth call by the nth answer; the last one repeats. */
export function inTurn(...answers: TargetAnswer[]): TargetScript {
  let next = 0;
  return () => answers[Math.min(next++, answers.length - 1)] ?? null;
}

/** Resolves with the first value of `look` that is not null; rejects after `timeoutMs`, 15 s when left out. */
export async function eventually<T>(
  what: string,
  look: () => T | null | Promise<T | null>,
  timeoutMs = 15_000,
): Promise<T> {
  const deadlineAt = Date.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== null) return value;
    if (Date.now() >= deadlineAt) throw new Error(`expected within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The task as soon as the predicate holds for it. */
export function taskWhen(
  client: RedriveClient,
  id: string,
  isSo: (task: TaskView) => boolean,
  timeoutMs?: number,
): Promise<TaskView> {
  const look = async () => {
    const task = await client.get(id);
    return isSo(task) ? task : null;
  };
  return eventually(`${id}: ${isSo}`, look, timeoutMs);
}

/** The payload of a callback, its signature verified by the public library; throws where that fails. */
export function verified(call: TargetCall, secret: string): CallbackPayload {
  return new Webhook(secret).verify(call.body, call.headers) as CallbackPayload;
}

/** Calls the API without the client, for what the client does not say or does not let one do. */
export async function ask(
  server: TestServer,
  method: string,
  path: string,
  options: { body?: unknown; yaml?: string; key?: string; headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  const { body, yaml, key = server.apiKey, headers = {} } = options;
  const content = yaml ?? (body === undefined ? undefined : JSON.stringify(body));
  const type = yaml === undefined ? "application/json" : "application/yaml";
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(content !== undefined && { "content-type": type }),
      ...headers,
    },
    ...(content !== undefined && { body: content }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
}

/** A generator of chances in 0..1 that is the same for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function placeOf(call: TargetCall): string {
  return /^\/[^/?]+/.exec(call.path)?.[0] ?? "";
}
