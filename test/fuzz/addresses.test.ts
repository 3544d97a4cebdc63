import { describe, expect, test } from "vitest";
import { AppError, invalidRequest, refused } from "../../src/api/http/app-error.ts";
import { parse } from "../../src/api/http/parse.ts";
import { checkTargetUrl, parseAddressRules } from "../../src/core/address/target-url.ts";
import type { CallRequest } from "../../src/core/call/call.ts";
import { callbackRequest, probeRequest } from "../../src/core/task/call-request.ts";
import { checkQueueSettings } from "../../src/intake/check-call.ts";
import { SubmittedTask, taskFromRequest } from "../../src/intake/task-from-request.ts";
import type { QueueConfig } from "../../src/protocol/queue-config.ts";
import { makeCall } from "../../src/runner/make-call.ts";
import { nextHop } from "../../src/runner/redirect.ts";
import { QueueSettings } from "../../src/schema/queue.ts";
import { ACCEPTED, REFUSED } from "../core/address/target-url.corpus.ts";

const STRICT = parseAddressRules(undefined);
const PUBLIC_URL = "https://api.redrive.invalid/a";
const ALL_REFUSED = Object.values(REFUSED).flat();
/** Those that name a place, which is not a public one; what is malformed may become another URL by being resolved. */
const NOT_PUBLIC = [...REFUSED.loopback, ...REFUSED.private, ...REFUSED.never];
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const REDIRECTS = [301, 302, 303, 307, 308];

const { shards: _, ...SETTINGS } = QueueSettings.parse({});
const QUEUE: QueueConfig = {
  ...{ name: "pay", ref: 7, shards: 4, version: 1, paused: false, settings: SETTINGS, secrets: [] },
  ...{ previousSecretUntil: null, createdAt: 0, updatedAt: 0 },
};

/** Every place of the API where a URL to be called is given: where its error stands, and whether a URL is taken. */
const PLACES: Record<string, { path: string; check(url: string): Promise<boolean> }> = {
  "a task's url": taskPlace("url", (url) => ({ url })),
  "a task's callback": taskPlace("callback.url", (url) => ({ url: PUBLIC_URL, callback: { url } })),
  "a task's probe": taskPlace("retry.rules[0].until.probe.url", (url) => ({ url: PUBLIC_URL, retry: holding(url) })),
  "a queue's callback": queuePlace("callback.url", (url) => ({ callback: { url } })),
  "a queue's probe": queuePlace("retry.rules[0].until.probe.url", (url) => ({ retry: holding(url) })),
  "a queue's readiness check": queuePlace("breaker.readiness.url", (url) => ({ breaker: { readiness: { url } } })),
  "a queue's operator events": queuePlace("events.url", (url) => ({ events: { url } })),
}; // biome-ignore format: one place a line

function holding(url: string) {
  return { rules: [{ when: "status == 401", do: "hold", until: { probe: { url } } }] };
}

function taskPlace(path: string, request: (url: string) => object) {
  const situation = {
    queue: QUEUE,
    rules: STRICT,
    now: 0,
    random: () => 0.5,
    traceparent: null,
    mayEdge: true,
  };
  return placeAt(path, async (url) => {
    const routed = await taskFromRequest(parse(SubmittedTask, request(url)), situation);
    if (!routed.ok) throw refused(routed);
  });
}

function queuePlace(path: string, settings: (url: string) => object) {
  return placeAt(path, async (url) => {
    const issues = checkQueueSettings(parse(QueueSettings, settings(url)), STRICT);
    if (issues.length > 0) throw invalidRequest(issues);
  });
}

function placeAt(path: string, take: (url: string) => Promise<void>) {
  const check = async (url: string) => {
    try {
      await take(url);
      return true;
    } catch (error) {
      return refusedAt(path, error instanceof AppError ? error.errors : [], error);
    }
  };
  return { path, check };
}

/** False; throws where what was refused is something else than the URL. */
function refusedAt(path: string, issues: readonly { path: string }[], error: unknown): false {
  if (issues.length !== 1 || issues[0]?.path !== path) {
    throw new Error(`expected ${path} to be refused and nothing else, got ${JSON.stringify(issues)}`, {
      cause: error,
    });
  }
  return false;
}

async function takenBy(check: (url: string) => Promise<boolean>, urls: readonly string[]): Promise<string[]> {
  const taken = await Promise.all(urls.map(check));
  return urls.filter((_, i) => taken[i]);
}

describe.each(Object.entries(PLACES))("%s", (_, { check }) => {
  test("is refused in every spelling that is not a public address", async () => {
    expect(await takenBy(check, ALL_REFUSED)).toEqual([]);
  });

  test("is taken in every spelling of a public one", async () => {
    const urls = ACCEPTED.map(([text]) => text);
    expect(await takenBy(check, urls)).toEqual(urls);
  });
});

function call(maxRedirects: number): CallRequest {
  const headers = { authorization: "secret" };
  return { url: PUBLIC_URL, method: "GET", headers, body: null, timeoutMs: 5_000, maxRedirects, sign: null };
}

/** Makes the call where every answer is a redirect to the next location, and tells what was fetched. */
async function follow(request: CallRequest, status: number, ...locations: string[]) {
  const fetched: string[] = [];
  const fetchStub: typeof fetch = async (input) => {
    fetched.push(String(input));
    const location = locations[fetched.length - 1];
    return location === undefined ? new Response() : new Response(null, { status, headers: { location } });
  };
  const ports = { fetch: fetchStub, now: () => 0, checkUrl: (url: string) => checkTargetUrl(url, STRICT) };
  return { fetched, result: await makeCall(request, ports) };
}

/** What a header can hold. */
const isAscii = (text: string) => /^[\x21-\x7e]*$/.test(text);

describe("a redirect", () => {
  test.each(REDIRECTS)("of status %i is not followed to any spelling that is not public", async (status) => {
    const followed: string[] = [];
    for (const location of NOT_PUBLIC.filter(isAscii)) {
      const { fetched, result } = await follow(call(5), status, location);
      if (fetched.length !== 1 || result.error?.name !== "RedirectRefusedError") followed.push(location);
    }
    expect(followed).toEqual([]);
  });

  test("is not followed there after one that was public", async () => {
    const followed: string[] = [];
    for (const location of NOT_PUBLIC.filter(isAscii)) {
      const { fetched, result } = await follow(call(5), 302, "https://other.redrive.invalid/b", location);
      if (fetched.length !== 2 || result.error?.name !== "RedirectRefusedError") followed.push(location);
    }
    expect(followed).toEqual([]);
  });

  test("that is malformed, or not ASCII, leads to a public address or nowhere", async () => {
    const called: string[] = [];
    const refused: string[] = [];
    // A header is bytes: what is not ASCII arrives as the bytes of its UTF-8.
    const locations = ALL_REFUSED.map((text) => Buffer.from(text, "utf8").toString("latin1"));
    for (const location of locations.filter((text) => !/[\0\r\n]/.test(text))) {
      const { fetched, result } = await follow(call(5), 302, location);
      called.push(...fetched.slice(1));
      if (result.error !== null) refused.push(location);
    }
    expect(called.filter((url) => !checkTargetUrl(url, STRICT).ok)).toEqual([]);
    expect(called.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(NOT_PUBLIC.filter(isAscii).length);
  });

  test.each(["strict", "loose"] as const)(
    "is checked as what it becomes, not as what it says: %s",
    (mode) => {
      const hop = { url: PUBLIC_URL, method: "GET", headers: {}, body: null };
      const wrong = NOT_PUBLIC.filter(
        (text) => checkTargetUrl(nextHop(hop, 302, text, mode)?.url ?? "", STRICT).ok,
      );
      expect(wrong).toEqual([]);
    },
  );

  test.each(["strict", "loose"] as const)(
    "takes no secret to another origin, whatever its spelling: %s",
    (mode) => {
      const hop = {
        url: PUBLIC_URL,
        method: "GET",
        headers: { authorization: "x", "x-one": "1" },
        body: null,
      };
      const kept = ACCEPTED.filter(
        ([text]) => "authorization" in (nextHop(hop, 307, text, mode)?.headers ?? {}),
      );
      expect(kept).toEqual([]);
    },
  );
});

describe("a callback, a probe and an operator event", () => {
  const delivery = {
    url: PUBLIC_URL,
    headers: {},
    body: "{}",
    messageId: "msg_1",
    secrets: [SECRET],
    timeoutMs: 5_000,
  };

  test.each([
    ["callback or event", callbackRequest(delivery)],
    ["probe", probeRequest(PUBLIC_URL, 5_000)],
  ])("never follows a redirect: %s", async (_, request) => {
    const answers = ALL_REFUSED.filter(isAscii).map((location) => follow(request, 302, location));
    const fetched = (await Promise.all(answers)).map((answer) => answer.fetched);
    expect(new Set(fetched.flat())).toEqual(new Set([PUBLIC_URL]));
    expect(fetched.every(({ length }) => length === 1)).toBe(true);
  });
});

test("the corpus is of at least 300 spellings that are refused", () => {
  expect(new Set(ALL_REFUSED).size).toBeGreaterThanOrEqual(300);
  expect(NOT_PUBLIC.filter(isAscii).length).toBeGreaterThanOrEqual(300);
});
