import { attemptName } from "../answers.ts";
import type { Life, Surroundings } from "./host.ts";
import { FAILING_PATH } from "./queues.ts";
import { ASKED_UNTIL, limited, putOff } from "./wait-hints.ts";

/** How a target behaves for a while. */
type Mood =
  | "well"
  | "flaky"
  | "erring"
  | "down"
  | "hanging"
  | "slow"
  | "limiting"
  | "locked"
  | "breaking"
  | "anything";

/** How the body of an answer breaks: its connection is cut, it cannot be decoded, or it never ends. */
type Break = "cut" | "undecodable" | "endless";
const BREAKS: readonly Break[] = ["cut", "cut", "undecodable", "endless"];

/** What a call made of it: an answer, an exception, or neither for ever. */
type Reaction =
  | { status: number; headers?: Record<string, string>; body?: string; breaks?: Break }
  | { error: string }
  | "never";

const MOODS: readonly Mood[] = [
  "well",
  "well",
  "flaky",
  "erring",
  "down",
  "hanging",
  "slow",
  "limiting",
  "locked",
  "breaking",
  "anything",
];
const MOOD_MS = 240_000;

/** Every line of the fault table, and successes. */
const REACTIONS: readonly Reaction[] = [
  ...[
    200, 201, 204, 301, 400, 401, 403, 404, 407, 408, 409, 410, 418, 422, 423, 425, 429, 489, 500, 501, 502,
  ].map((status) => ({ status })),
  ...[503, 504, 520, 521, 522, 523, 524, 525, 526, 530, 599].map((status) => ({ status, body: "edge" })),
  { status: 530, body: "error code: 1016" },
  { status: 200, body: '{"state":"done"}' },
  { status: 500, headers: { "redrive-retry": "no" } },
  { status: 400, body: '{"error":{"code":"bad","message":"no"}}' },
  { error: "getaddrinfo ENOTFOUND api" },
  { error: "connect ECONNREFUSED 192.0.2.1:443" },
  { error: "unable to verify the first certificate" },
  { error: "read ECONNRESET" },
  { error: "Network connection lost." },
  { error: "internal error; reference = 1" },
  "never",
];

/** The targets of tasks and the receivers of callbacks: what they answer, and when. */
export class Targets {
  readonly #world: Surroundings;
  readonly #moods = new Map<string, { mood: Mood; until: number }>();
  /** All are well, and stay so. */
  calm = false;
  /** Calls that were made. */
  calls = 0;
  /** A message was delivered with 2xx: its webhook-id and its body. */
  onDelivered: (messageId: string, body: string) => void = () => undefined;
  /** A task's call has begun: which attempt it is, its headers and its body. */
  onCalled: (attempt: string, headers: Record<string, string>, body: Uint8Array | null) => void = () =>
    undefined;
  /** Its caller has got the status and headers. */
  onAnswered: (attempt: string, status: number) => void = () => undefined;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /** One call by somebody who may end before it is answered. Rejects as fetch does, with the reason of an abort too. */
  fetch(life: Life, url: string, init: RequestInit): Promise<Response> {
    this.calls++;
    const { origin, pathname } = new URL(url);
    const headers = init.headers as Record<string, string>;
    const messageId = headers["webhook-id"];
    const { reaction, afterMs } = this.#react(origin, pathname, messageId !== undefined);
    const id = headers["redrive-task-id"];
    const attempt = id === undefined ? null : attemptName(id, headers["redrive-attempt"] ?? "");
    const who = messageId ?? attempt ?? "probe";
    if (attempt !== null) this.onCalled(attempt, headers, init.body as Uint8Array | null);
    this.#world.note(life.name, `calls ${origin} for ${who}: ${shown(reaction)} after ${afterMs} ms`);
    return new Promise((resolve, reject) => {
      init.signal?.addEventListener("abort", () => {
        if (life.alive) reject(init.signal?.reason);
      });
      if (reaction === "never") return;
      this.#world.time.after(afterMs, () => {
        // What reached the receiver was delivered, whether its answer is heard or not.
        if (messageId !== undefined && "status" in reaction && reaction.status < 300)
          this.onDelivered(messageId, new TextDecoder().decode(init.body as Uint8Array));
        if (!life.alive) return;
        if ("error" in reaction) reject(new Error(reaction.error));
        else {
          if (attempt !== null && !init.signal?.aborted) this.onAnswered(attempt, reaction.status);
          resolve(answerOf(reaction, brokenBody(life, reaction.breaks, init.signal)));
        }
      });
    });
  }

  #react(origin: string, path: string, delivers: boolean): { reaction: Reaction; afterMs: number } {
    const { chance } = this.#world;
    const quickMs = chance.between(5, 300);
    if (this.calm) return { reaction: { status: 200 }, afterMs: quickMs };
    if (path === FAILING_PATH)
      return { reaction: chance.pick([{ status: 500 }, { status: 503 }, "never"]), afterMs: quickMs };
    switch (this.#moodOf(origin)) {
      case "well":
        return { reaction: chance.is(0.01) ? chance.pick(REACTIONS) : { status: 200 }, afterMs: quickMs };
      case "flaky":
        return { reaction: chance.is(0.3) ? chance.pick(REACTIONS) : { status: 200 }, afterMs: quickMs };
      case "erring":
        return { reaction: { status: chance.pick([500, 500, 502, 503]) }, afterMs: quickMs };
      case "down":
        return { reaction: { error: "connect ECONNREFUSED 192.0.2.1:443" }, afterMs: chance.between(1, 30) };
      case "hanging":
        return { reaction: "never", afterMs: 0 };
      case "slow":
        return { reaction: { status: 200 }, afterMs: chance.between(2_000, 25_000) };
      case "limiting":
        return { reaction: chance.is(0.3) ? { status: 200 } : this.#waiting(delivers), afterMs: quickMs };
      case "breaking":
        return { reaction: this.#breaking(delivers), afterMs: quickMs };
      case "locked":
        return { reaction: { status: chance.pick([200, 401, 403]) }, afterMs: quickMs };
      case "anything":
        return { reaction: chance.pick(REACTIONS), afterMs: chance.is(0.1) ? 15_000 : quickMs };
    }
  }

  #moodOf(origin: string): Mood {
    const { chance, time } = this.#world;
    const known = this.#moods.get(origin);
    if (known !== undefined && known.until > time.now) return known.mood;
    const mood = chance.pick(MOODS);
    this.#moods.set(origin, { mood, until: time.now + chance.gap(MOOD_MS) });
    this.#world.note("targets", `${origin} is ${mood}`);
    return mood;
  }

  /** Asks for a wait, of all calls or of this one. */
  #waiting(delivers: boolean): Exclude<Reaction, "never" | { error: string }> {
    const { chance, time } = this.#world;
    // Some ask for more than anybody would wait for: an operator has to let their targets go.
    const [least, most] = delivers ? [5, 40] : chance.is(0.15) ? [900, 3_000] : [15, 150];
    const seconds = chance.between(least, most);
    return chance.is(0.25) ? putOff(chance, seconds, time.now) : limited(chance, seconds, time.now);
  }

  /** The status and the headers come, and then something is wrong with the body. */
  #breaking(delivers: boolean): Reaction {
    const { chance } = this.#world;
    if (chance.is(0.2)) return { status: 200 };
    const status = chance.pick([200, 200, 201, 202, 400, 404, 410, 489, 500, 503]);
    const answer = chance.is(0.2) ? this.#waiting(delivers) : { status };
    return { ...answer, breaks: chance.pick(BREAKS) };
  }
}

/** What comes of reading a body that breaks; null: it does not. Only the caller's own patience ends an endless one. */
function brokenBody(
  life: Life,
  breaks: Break | undefined,
  signal?: AbortSignal | null,
): (() => Promise<never>) | null {
  switch (breaks) {
    case undefined:
      return null;
    case "cut":
      return () => Promise.reject(new Error("Network connection lost."));
    case "undecodable":
      return () => Promise.reject(new TypeError("Decompression failed: incorrect header check"));
    case "endless":
      return () =>
        new Promise((_, reject) => {
          signal?.addEventListener("abort", () => {
            if (life.alive) reject(signal.reason);
          });
        });
  }
}

/** As much of a Response as the code reads. A real one would read its body in other turns of the event loop. */
function answerOf(
  { status, headers, body }: Exclude<Reaction, "never" | { error: string }>,
  broken: (() => Promise<never>) | null,
): Response {
  const bytes = new TextEncoder().encode(broken === null ? (body ?? "") : "cut here");
  const answer = {
    status,
    headers: new Headers({ ...headers, "content-length": String(bytes.length) }),
    body: body === undefined && broken === null ? null : {},
    arrayBuffer: broken ?? (async () => bytes.buffer),
  };
  return answer as unknown as Response;
}

function shown(reaction: Reaction): string {
  if (reaction === "never") return "no answer";
  if ("error" in reaction) return reaction.error;
  const { status, headers, breaks } = reaction;
  const asked = headers?.[ASKED_UNTIL];
  const told = asked === undefined ? String(status) : `${status}, wait until ${asked}`;
  return breaks === undefined ? told : `${told}, its body ${breaks}`;
}
