import { describe, expect, test } from "vitest";
import { DEFAULT_CALLBACK_POLICY } from "../../../src/core/policy/policy.ts";
import {
  boundCallback,
  callbackHeaders,
  DEFAULT_CALLBACK_TIMEOUT_MS,
  effectiveCallback,
} from "../../../src/core/task/callback-settings.ts";
import type { TaskCallback } from "../../../src/core/task/task.ts";
import type { CallbackSettings } from "../../../src/schema/task.ts";
import { seededRandom } from "../../support/server/stories.ts";

const own = { url: "https://task.example.com/hook" };
const queue: CallbackSettings = {
  url: "https://queue.example.com/hook",
  on: ["failed"],
  timeout: 3_000,
  headers: { "x-from": "queue" },
  retry: { max_attempts: 4, max_age: 60_000 },
};

describe("effectiveCallback", () => {
  test("is the queue's where the task says nothing", () => {
    expect(effectiveCallback(undefined, queue)).toEqual({
      url: "https://queue.example.com/hook",
      on: ["failed"],
      timeoutMs: 3_000,
      policy: { ...DEFAULT_CALLBACK_POLICY, maxAttempts: 4, maxAgeMs: 60_000 },
    });
  });

  test("has the defaults where only a URL is known", () => {
    expect(effectiveCallback(own, null)).toEqual({
      url: "https://task.example.com/hook",
      on: ["succeeded", "failed", "cancelled"],
      timeoutMs: DEFAULT_CALLBACK_TIMEOUT_MS,
      policy: DEFAULT_CALLBACK_POLICY,
    });
  });

  test("takes each field from the task first", () => {
    const all = {
      ...own,
      on: ["cancelled" as const],
      timeoutMs: 9_000,
      headers: { "x-from": "task" },
      retry: { max_attempts: 2 },
    };

    expect(effectiveCallback(all, queue)).toMatchObject({
      url: "https://task.example.com/hook",
      on: ["cancelled"],
      timeoutMs: 9_000,
      policy: { maxAttempts: 2, maxAgeMs: 60_000 },
    });
  });

  test("takes what the task leaves out from the queue", () => {
    expect(effectiveCallback(own, queue)).toMatchObject({
      url: "https://task.example.com/hook",
      on: ["failed"],
      timeoutMs: 3_000,
    });
    expect(effectiveCallback({ on: ["succeeded"] }, queue)?.url).toBe("https://queue.example.com/hook");
  });

  test.each([
    ["the task wants none", null, queue],
    ["neither names a URL", { on: ["failed" as const] }, { timeout: 3_000 }],
    ["neither says anything", undefined, null],
  ])("is null where %s", (_, task, settings) => {
    expect(effectiveCallback(task, settings)).toBeNull();
  });
});

describe("callbackHeaders", () => {
  const settled = "https://queue.example.com/hook";

  test("are the queue's for the queue's own URL", () => {
    expect(callbackHeaders(undefined, queue, settled)).toEqual({ "x-from": "queue" });
    expect(callbackHeaders({ on: ["failed"] }, queue, settled)).toEqual({ "x-from": "queue" });
    expect(callbackHeaders(undefined, { url: settled }, settled)).toEqual({});
  });

  test.each([
    settled,
    "HTTPS://Queue.Example.COM:443/hook",
    "https://queue.example.com/a/../hook",
    "https://queue.example.com/hook#part",
  ])("are the queue's where the task repeats the queue's very URL as %s", (url) => {
    expect(callbackHeaders({ url }, queue, url)).toEqual({ "x-from": "queue" });
  });

  test.each([
    own.url,
    "http://queue.example.com/hook",
    "https://queue.example.com/",
    "https://queue.example.com/hook/",
    "https://queue.example.com/hook?to=me",
    "https://queue.example.com:8443/hook",
    "https://queue.example.com.evil.example/hook",
    "https://queue.example.com/HOOK",
    "",
  ])("are none of the queue's where the task names %s", (url) => {
    expect(callbackHeaders({ url }, queue, url)).toEqual({});
  });

  test("are none where the queue's URL has changed since the round ended, or is gone", () => {
    expect(callbackHeaders(undefined, { ...queue, url: "https://new.example.com/" }, settled)).toEqual({});
    expect(callbackHeaders(undefined, { headers: { "x-from": "queue" } }, settled)).toEqual({});
    expect(callbackHeaders(undefined, null, settled)).toEqual({});
  });

  test("are the task's own where it gives any, and then none of the queue's", () => {
    const task = { url: settled, headers: { "x-from": "task" } };
    expect(callbackHeaders(task, queue, settled)).toEqual({ "x-from": "task" });
    expect(callbackHeaders({ ...task, headers: {} }, queue, settled)).toEqual({});
  });

  test("give nobody a header that was set for another URL, whatever changes before the delivery", () => {
    const random = seededRandom(20);
    const urls = [
      "https://a.example/x",
      "https://a.example/y",
      "https://b.example/x",
      "https://A.example/x#1",
    ];
    const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
    /** Its header tells for which URL it was set. */
    const settings = (isTask: boolean): CallbackSettings => {
      const url = pick([...urls, undefined]);
      const headers = random() < 0.7 ? { authorization: `${isTask ? "task" : "queue"} ${url}` } : undefined;
      return { ...(url !== undefined && { url }), ...(headers !== undefined && { headers }) };
    };
    let sent = 0;
    for (let run = 0; run < 20_000; run++) {
      const [submitted, ended, now] = [settings(false), settings(false), pick([null, settings(false)])];
      const given: TaskCallback | undefined = pick([undefined, settings(true)]);
      const task = boundCallback(given, submitted);
      const receiver = effectiveCallback(task, ended)?.url;
      if (receiver === undefined) continue;
      const { authorization } = callbackHeaders(task, now, receiver);
      if (authorization === undefined) continue;
      sent += 1;
      const [owner, setFor] = authorization.split(" ");
      // A task that gives headers alone means the URL of its queue as it was then, if that had one.
      const meant = setFor === "undefined" ? (submitted.url ?? ended.url) : setFor;
      expect({ owner, to: plain(receiver) }).toEqual({ owner, to: plain(meant ?? "") });
      if (owner === "queue") expect(setFor).toBe(now?.url);
    }
    expect(sent).toBeGreaterThan(5_000);
  });
});

describe("boundCallback", () => {
  test("binds headers that come without a URL to the queue's URL of now", () => {
    const headers = { authorization: "task" };
    expect(boundCallback({ headers }, queue)).toEqual({ headers, url: "https://queue.example.com/hook" });
  });

  test.each<TaskCallback | null | undefined>([undefined, null, { on: ["failed"] }, { ...own, headers: {} }])(
    "leaves %j as it is",
    (callback) => {
      expect(boundCallback(callback, queue)).toBe(callback);
    },
  );

  test("leaves headers unbound where the queue has no URL", () => {
    const callback = { headers: { authorization: "task" } };
    expect(boundCallback(callback, null)).toBe(callback);
    expect(boundCallback(callback, {})).toBe(callback);
  });
});

function plain(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
