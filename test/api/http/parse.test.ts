import { describe, expect, test } from "vitest";
import type { AppError } from "../../../src/api/http/app-error.ts";
import { parse } from "../../../src/api/http/parse.ts";
import { SubmittedTask } from "../../../src/intake/task-from-request.ts";
import { pathText } from "../../../src/schema/issues.ts";
import { TaskQuery } from "../../../src/schema/task.ts";
import { cpuMs } from "../../support/server/cpu-time.ts";

const URL = "https://api.example.com/x";

function errorsOf(value: unknown, schema: Parameters<typeof parse>[0] = SubmittedTask): AppError["errors"] {
  try {
    parse(schema, value);
  } catch (error) {
    return (error as AppError).errors;
  }
  throw new Error("expected a refusal");
}

describe("parse", () => {
  test.each([
    [{}, "url", "expected a string, got nothing"],
    [{ url: 5 }, "url", "expected a string, got a number"],
    [[], "", "expected an object, got an empty array"],
    [null, "", "expected an object, got null"],
    [
      { url: URL, method: "get" },
      "method",
      /^expected one of "GET", "HEAD", .*, got a string of 3 characters, did you mean "GET"\?$/,
    ],
    [{ url: URL, priority: 1.5 }, "priority", "expected a whole number, got 1.5"],
    [{ url: URL, priority: 10 }, "priority", "expected at most 9, got 10"],
    [{ url: URL, retry: { max_attempts: 0 } }, "retry.max_attempts", "expected at least 1, got 0"],
    [{ url: URL, retry: { max_attempts: 101 } }, "retry.max_attempts", "expected at most 100, got 101"],
    [{ url: URL, labels: ["a", ""] }, "labels[1]", "expected at least 1 characters, got 0"],
    [{ url: URL, labels: Array(17).fill("a") }, "labels", "expected at most 16 items, got 17"],
    [{ url: URL, body_base64: "%" }, "body_base64", "expected base64, got a string of 1 character"],
    [{ url: URL, queue: "No Such" }, "queue", /^expected 1 to 64 of .*, got a string of 7 characters$/],
    [
      { url: URL, retry: { rules: [{ when: "", do: "fail" }] } },
      "retry.rules[0].when",
      /at least 1 characters/,
    ],
    [
      { url: URL, retry: { rules: [{ when: "true", do: "hold" }] } },
      "retry.rules[0].until",
      /^expected "signal"/,
    ],
    [{ url: URL, headers: { "x y": 1 } }, 'headers["(3 characters)"]', "expected a string"],
    [{ url: URL, delay: "soon" }, "delay", /^expected a duration .*, got a string of 4 characters$/],
    [{ url: URL, delay: "31d" }, "delay", 'expected a duration between 0ms and 30d, got "31d"'],
  ])("of %j names %s", (value, path, message) => {
    const [error, ...others] = errorsOf(value);
    expect(others).toEqual([]);
    expect(error?.path).toBe(path);
    if (typeof message === "string") expect(error?.message).toBe(message);
    else expect(error?.message).toMatch(message);
  });

  const hold = (until: unknown) => ({ url: URL, retry: { rules: [{ when: "true", do: "hold", until }] } });
  const probe = { url: URL };

  test.each<[unknown, string, string | RegExp]>([
    [
      { probe: { ...probe, period: "200ms" } },
      "probe.period",
      /^expected a duration between 1s and 1h, got "200ms"$/,
    ],
    [
      { probe: { ...probe, timeout: "2m" } },
      "probe.timeout",
      /^expected a duration between 1ms and 1m, got "2m"$/,
    ],
    [{ probe: { period: "5s" } }, "probe.url", "expected a string, got nothing"],
    [{ probe: { ...probe, perid: "5s" } }, "probe.perid", 'unknown field "perid", did you mean "period"?'],
    [{ probe: [] }, "probe", "expected an object, got an empty array"],
    [{ probe, signal: true }, "signal", 'unknown field "signal"'],
    [{}, "probe", "expected an object, got nothing"],
    ["signl", "", 'expected "signal" or { "probe": { "url": ... } }, got a string of 5 characters'],
    [7, "", 'expected "signal" or { "probe": { "url": ... } }, got a number'],
  ])("names in until: %j the wrong field of what was meant", (until, path, message) => {
    const [error, ...others] = errorsOf(hold(until));
    expect(others).toEqual([]);
    expect(error?.path).toBe(path === "" ? "retry.rules[0].until" : `retry.rules[0].until.${path}`);
    if (typeof message === "string") expect(error?.message).toBe(message);
    else expect(error?.message).toMatch(message);
  });

  test("refuses an object that passes for an array by a length which cannot be compared", () => {
    const labels = { length: { toString: true } };
    expect(errorsOf({ url: URL, labels })).toMatchObject([
      { message: expect.stringContaining("with a length") },
    ]);
  });

  test("does not repeat a long name", () => {
    expect(pathText(["headers", "x".repeat(10_000), "a"])).toBe('headers["(10000 characters)"].a');
  });

  test.each([
    [{ authorization: ["Bearer secret"] }, "headers.authorization", "expected a string"],
    [{ authorization: { a: "secret" } }, "headers.authorization", "expected a string"],
    [["authorization: secret"], "headers", "expected an object"],
    ["authorization: secret", "headers", "expected an object"],
  ])("repeats nothing of wrong headers: %j", (headers, path, message) => {
    expect(errorsOf({ url: URL, headers })).toEqual([{ path, message }]);
  });

  test("takes well under a second for a body full of unknown fields", () => {
    const fields = Array.from({ length: 150_000 }, (_, i) => [`retrz${i}`, 1] as const);
    const startedAt = cpuMs();
    expect(errorsOf({ url: URL, ...Object.fromEntries(fields) })).toHaveLength(150_000);
    expect(cpuMs() - startedAt).toBeLessThan(1_000);
  });

  test("takes well under a second for thousands of objects of long unknown fields", () => {
    const rule = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${"ab".repeat(32)}${i}`, 0]));
    const startedAt = cpuMs();
    for (let i = 0; i < 400; i++) errorsOf({ url: URL, ...rule, retry: { rules: Array(20).fill(rule) } });
    expect(cpuMs() - startedAt).toBeLessThan(1_000);
  });

  test("names every unknown field, with the known one that is close", () => {
    const value = { url: URL, bodi: 1, zzz: 2, retry: { max_attemps: 3, backoff: { jiter: "full" } } };
    expect(errorsOf(value)).toEqual([
      {
        path: "retry.backoff.jiter",
        message: 'unknown field "jiter", did you mean "jitter"?',
      },
      { path: "retry.max_attemps", message: 'unknown field "max_attemps", did you mean "max_attempts"?' },
      { path: "bodi", message: 'unknown field "bodi", did you mean "body"?' },
      { path: "zzz", message: 'unknown field "zzz"' },
    ]);
  });

  test("says of a query what was expected", () => {
    expect(errorsOf({ limit: "many" }, TaskQuery)).toEqual([{ path: "limit", message: "expected a number" }]);
    expect(errorsOf({ limit: "201" }, TaskQuery)).toEqual([
      { path: "limit", message: "expected at most 200, got 201" },
    ]);
  });

  test("keeps a body whole, whatever its fields are called", () => {
    const body = JSON.parse('{"__proto__":{"a":1},"z":1,"a":[null]}');
    expect(JSON.stringify(parse(SubmittedTask, { url: URL, body }).body)).toBe(JSON.stringify(body));
  });
});

describe("pathText", () => {
  test.each([
    [[], ""],
    [["retry", "rules", 0, "when"], "retry.rules[0].when"],
    [["headers", 'a"b'], 'headers["(3 characters)"]'],
    [["headers", "x-amz-sha256"], "headers.x-amz-sha256"],
    [["headers", "X.Api"], 'headers["X.Api"]'],
    [["headers", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"], 'headers["(32 characters)"]'],
    [[0, "url"], "[0].url"],
  ])("writes %j as %s", (path, text) => {
    expect(pathText(path)).toBe(text);
  });
});
