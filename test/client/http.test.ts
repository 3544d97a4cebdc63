import { afterEach, describe, expect, test, vi } from "vitest";
import { RedriveClient, RedriveError } from "../../src/client/index.ts";
import { fakeApi, json, problem } from "./fake-api.ts";

const accepted = {
  id: "tsk_1",
  state: "pending",
  queue: "default",
  waiting_on: null,
  due_at: null,
  duplicate: false,
};
const task = { url: "https://api.example.com/charge" };

async function failureOf(promise: Promise<unknown>): Promise<RedriveError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof RedriveError) return error;
  throw new Error(`expected a RedriveError, got ${String(error)}`);
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("RedriveClient", () => {
  test.each(["ftp://redrive.test", "redrive.test"])("refuses the url %s", (url) => {
    expect(() => new RedriveClient({ url, apiKey: "k" })).toThrow(TypeError);
  });

  test.each(["", "a b", "a\nb"])("refuses the key %j and does not show it", (apiKey) => {
    expect(() => new RedriveClient({ url: "http://redrive.test", apiKey })).toThrow(
      "expected apiKey to be printable ASCII without spaces, and not empty",
    );
  });

  test("calls the runtime's fetch as a plain function by default", async () => {
    const fetch = vi.fn(async () => json({ id: "tsk_1" }));
    vi.stubGlobal("fetch", fetch);
    const client = new RedriveClient({ url: "http://redrive.test", apiKey: "k" });
    expect(await client.get("tsk_1")).toEqual({ id: "tsk_1" });
    expect(fetch.mock.contexts).toEqual([undefined]);
  });

  test("keeps the path of its url", async () => {
    const { client, requests } = fakeApi([json({})], { url: "https://me.example.com/redrive/" });
    await client.get("tsk_1");
    expect(requests[0]?.path).toBe("/redrive/v1/tasks/tsk_1");
  });
});

describe("send", () => {
  test("sends the key, and JSON with its content type", async () => {
    const { client, requests } = fakeApi([json(accepted, 202)]);
    await client.submit(task);
    expect(requests[0]?.headers.get("authorization")).toBe("Bearer key-1");
    expect(requests[0]?.headers.get("content-type")).toBe("application/json");
  });

  test.each([429, 502, 503, 504])("repeats a call after %i", async (status) => {
    const { client, requests } = fakeApi([new Response("busy", { status }), json(accepted, 202)]);
    expect(await client.submit(task)).toEqual(accepted);
    expect(requests).toHaveLength(2);
  });

  test("repeats a call after a network error", async () => {
    const { client } = fakeApi([new TypeError("fetch failed"), json(accepted, 202)]);
    expect(await client.submit(task)).toEqual(accepted);
  });

  test("repeats a call whose answer breaks off", async () => {
    const broken = new ReadableStream({
      pull: (controller) => controller.error(new TypeError("terminated")),
    });
    const { client } = fakeApi([new Response(broken, { status: 202 }), json(accepted, 202)]);
    expect(await client.submit(task)).toEqual(accepted);
  });

  test.each([400, 401, 404, 409, 500])("does not repeat a call after %i", async (status) => {
    const { client, requests } = fakeApi([new Response("no", { status })]);
    expect((await failureOf(client.submit(task))).status).toBe(status);
    expect(requests).toHaveLength(1);
  });

  test("does not repeat a call to a deployment without a key", async () => {
    const { client, requests } = fakeApi([problem(503, "not_configured")]);
    expect((await failureOf(client.submit(task))).code).toBe("not_configured");
    expect(requests).toHaveLength(1);
  });

  test("doubles the bound of the jitter between tries, and gives up after 3 repeats", async () => {
    const { client, waits } = fakeApi([1, 2, 3, 4].map(() => new TypeError("fetch failed")));
    const error = await failureOf(client.submit(task));
    expect(waits).toEqual([100, 200, 400]);
    expect(error).toMatchObject({ status: 0, code: "unavailable", tries: 4, requestId: null });
    expect(error.message).toBe("POST /v1/tasks got no answer: fetch failed");
  });

  test("caps the bound of the jitter at 10 s", async () => {
    const script = Array.from({ length: 9 }, () => new TypeError("fetch failed"));
    const { client, waits } = fakeApi(script, { retries: 8, random: () => 1 });
    await failureOf(client.submit(task));
    expect(waits.slice(-3)).toEqual([6_400, 10_000, 10_000]);
  });

  test("tries once where retries is 0", async () => {
    const { client, requests } = fakeApi([problem(503, "overloaded")], { retries: 0 });
    expect((await failureOf(client.submit(task))).tries).toBe(1);
    expect(requests).toHaveLength(1);
  });

  test("waits no less than Retry-After asks for in seconds", async () => {
    const { client, waits } = fakeApi([
      problem(503, "overloaded", { "retry-after": "7" }),
      json(accepted, 202),
    ]);
    await client.submit(task);
    expect(waits).toEqual([7_100]);
  });

  test("waits until the date that Retry-After names", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.parse("2026-11-23T10:00:00Z") });
    const headers = { "retry-after": "Mon, 23 Nov 2026 10:00:05 GMT" };
    const { client, waits } = fakeApi([problem(429, "overloaded", headers), json(accepted, 202)]);
    await client.submit(task);
    expect(waits).toEqual([5_100]);
  });

  test("leaves a Retry-After over a minute to the caller", async () => {
    const { client, waits } = fakeApi([problem(429, "overloaded", { "retry-after": "61" })]);
    expect((await failureOf(client.submit(task))).retryAfterMs).toBe(61_000);
    expect(waits).toEqual([]);
  });

  test("tells a problem's code, errors and request id", async () => {
    const errors = [{ path: "retry.max_attempts", message: "expected 1 to 100, got 0" }];
    const body = {
      type: "about:blank",
      title: "t",
      status: 400,
      code: "invalid_request",
      detail: "d",
      errors,
    };
    const { client } = fakeApi([json({ ...body, request_id: "req-9" }, 400)]);
    const error = await failureOf(client.submit(task));
    expect(error).toMatchObject({
      status: 400,
      code: "invalid_request",
      errors,
      requestId: "req-9",
      tries: 1,
    });
    expect(error.message).toBe("400 invalid_request: d");
  });

  test("keeps the detail of a problem whose code it does not know", async () => {
    const { client } = fakeApi([problem(409, "made_up_later")]);
    const error = await failureOf(client.submit(task));
    expect(error).toMatchObject({ code: "invalid_request", requestId: "req-7" });
    expect(error.message).toContain("the made_up_later case");
  });

  test.each([
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "not_found"],
    [405, "method_not_allowed"],
    [421, "misdirected_request"],
    [413, "body_too_large"],
    [415, "unsupported_media_type"],
    [429, "overloaded"],
    [504, "unavailable"],
    [500, "internal"],
    [302, "internal"],
  ])("gives a %i that is no problem the code %s", async (status, code) => {
    const { client } = fakeApi([new Response("<html>", { status })], { retries: 0 });
    expect((await failureOf(client.submit(task))).code).toBe(code);
  });

  test("refuses an answer that is no JSON", async () => {
    const { client } = fakeApi([new Response("<html>")]);
    const error = await failureOf(client.get("tsk_1"));
    expect(error.message).toBe("GET /v1/tasks/tsk_1: expected JSON, got 200 with something else");
  });

  test("repeats a call that is not answered within timeoutMs", async () => {
    vi.useFakeTimers();
    const { client } = fakeApi(["hang", json(accepted, 202)], { timeoutMs: 1_000 });
    const submitted = client.submit(task);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await submitted).toEqual(accepted);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("throws the signal's reason when it aborts a call, and does not repeat it", async () => {
    const { client, requests } = fakeApi(["hang"]);
    const controller = new AbortController();
    const submitted = client.submit(task, { signal: controller.signal });
    controller.abort(new Error("left"));
    await expect(submitted).rejects.toThrow("left");
    expect(requests).toHaveLength(1);
  });

  test("throws the signal's reason when it aborts the wait between two tries", async () => {
    const controller = new AbortController();
    const wait = async () => controller.abort(new Error("left"));
    const { client, requests } = fakeApi([problem(503, "unavailable")], { wait });
    await expect(client.submit(task, { signal: controller.signal })).rejects.toThrow("left");
    expect(requests).toHaveLength(1);
  });

  test("waits on the runtime's timer by default, and breaks off when aborted", async () => {
    vi.useFakeTimers();
    const fetch = async () => problem(503, "unavailable");
    const client = new RedriveClient({ url: "http://redrive.test", apiKey: "k", fetch, random: () => 0.5 });
    const controller = new AbortController();
    const failed = client.get("tsk_1", { signal: controller.signal }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(150);
    controller.abort("left");
    expect(await failed).toBe("left");
    expect(vi.getTimerCount()).toBe(0);
  });
});
