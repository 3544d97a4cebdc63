import { describe, expect, test } from "vitest";
import type { AppError } from "../../../src/api/http/app-error.ts";
import { readBody } from "../../../src/api/http/read-body.ts";

const JSON_TYPE = { "content-type": "application/json" };

function request(
  body: NonNullable<RequestInit["body"]>,
  headers: Record<string, string> = JSON_TYPE,
): Request {
  return new Request("http://localhost/", { method: "POST", body, headers, duplex: "half" } as RequestInit);
}

function chunked(...chunks: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
}

async function refusal(reading: Promise<unknown>): Promise<AppError> {
  return reading.then(
    (value) => Promise.reject(new Error(`expected a refusal, got ${JSON.stringify(value)}`)),
    (error: AppError) => error,
  );
}

describe("readBody", () => {
  test("reads JSON that comes in pieces", async () => {
    expect(await readBody(request(chunked('{"a"', ":1}")), 100)).toEqual({ a: 1 });
  });

  test("reads JSON of announced length", async () => {
    const headers = { ...JSON_TYPE, "content-length": "7" };
    expect(await readBody(request('{"a":1}', headers), 7)).toEqual({ a: 1 });
  });

  test("stops reading a stream that goes over the limit", async () => {
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(1_024)),
      cancel: () => {
        cancelled = true;
      },
    });
    expect((await refusal(readBody(request(endless), 10_000))).code).toBe("body_too_large");
    expect(cancelled).toBe(true);
  });

  test("refuses an announced length over the limit without reading", async () => {
    const error = await refusal(readBody(request("{}", { ...JSON_TYPE, "content-length": "11" }), 10));
    expect(error.code).toBe("body_too_large");
    expect(error.message).toBe("expected a request body of at most 10 bytes, got 11 bytes");
  });

  test("names the place where JSON ends to be JSON", async () => {
    const error = await refusal(readBody(request('{"a":\n  oops}'), 100));
    expect(error.code).toBe("malformed_body");
    expect(error.message).toBe("expected JSON, got something else at line 2 column 3 (position 8)");
  });

  test("refuses bytes that are not UTF-8", async () => {
    expect((await refusal(readBody(request(new Uint8Array([0x22, 0xff, 0x22])), 100))).code).toBe(
      "malformed_body",
    );
  });

  test("reads YAML only where it is accepted", async () => {
    const headers = { "content-type": "application/yaml; charset=utf-8" };
    expect(await readBody(request("a: 1", headers), 100, { yaml: true })).toEqual({ a: 1 });
    expect((await refusal(readBody(request("a: 1", headers), 100))).code).toBe("unsupported_media_type");
  });

  test.each([
    ["no content type", {}],
    ["a form", { "content-type": "application/x-www-form-urlencoded" }],
    ["another charset", { "content-type": "application/json; charset=latin1" }],
    ["a content encoding", { ...JSON_TYPE, "content-encoding": "gzip" }],
  ])("refuses %s", async (_, headers: Record<string, string>) => {
    const body = new TextEncoder().encode("{}");
    expect((await refusal(readBody(request(body, headers), 100))).code).toBe("unsupported_media_type");
  });

  test("refuses nesting beyond 100 levels, and names no endless path", async () => {
    expect(await readBody(request("[".repeat(100) + "]".repeat(100)), 1_000)).toBeInstanceOf(Array);
    const error = await refusal(readBody(request("[".repeat(90_000) + "]".repeat(90_000)), 200_000));
    expect(error.code).toBe("invalid_request");
    expect(error.message).toContain("at most 100 levels");
  });

  test("refuses a number that JSON cannot write, with its path", async () => {
    const error = await refusal(readBody(request('{"a":[1,{"b":1e999}]}'), 100));
    expect(error.errors).toEqual([
      { path: "a[1].b", message: "expected a number that JSON can write, got Infinity" },
    ]);
  });
});
