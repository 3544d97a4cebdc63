import { describe, expect, test } from "vitest";
import { AppError } from "../../src/api/http/app-error.ts";
import { fuzzServer, hasGrown, routesMissed } from "./http.ts";
import { findingOf, inputOf, MAX_HEAP_GROWTH } from "./in-process.ts";
import { chanceOf } from "./kinds/chance.ts";
import { SURFACES } from "./kinds/surfaces.ts";
import { minimise } from "./minimise.ts";
import { fuzzParsersWatched } from "./watched.ts";

/** `npm run fuzz` does the same with more. */
const SEED = 1;
const INPUTS = 20_000;
const REQUESTS = 3_000;

describe("hostile inputs", () => {
  test("are refused or taken by every parser, quickly and without leaving anything", {
    timeout: 120_000,
  }, async () => {
    const report = await fuzzParsersWatched(SEED, 0, INPUTS);
    expect(report.findings).toEqual([]);
    expect(report.inputs).toBe(INPUTS);
    expect(report.heapAfter - report.heapBefore).toBeLessThan(MAX_HEAP_GROWTH);
    // An input that gets nowhere finds nothing.
    expect(report.accepted).toBeGreaterThan(INPUTS / 5);
    expect(report.refused).toBeGreaterThan(INPUTS / 5);
  });

  test("get no server error from any route, and an answer within a second", {
    timeout: 120_000,
  }, async () => {
    const report = await fuzzServer(SEED, { count: REQUESTS, warmUp: REQUESTS / 2, restMs: 3_000 });
    expect(report.findings).toEqual([]);
    expect(report.requests).toBe(REQUESTS);
    expect(hasGrown(report)).toBe(false);
    const statuses = Object.keys(report.countByStatus).map(Number);
    expect(statuses).toEqual(expect.arrayContaining([200, 201, 202, 204, 400, 401, 404, 405, 409, 415]));
  });
});

describe("the generator", () => {
  test("makes the same input of the same seed and number", () => {
    expect(inputOf(7, 99).text).toBe(inputOf(7, 99).text);
    expect(inputOf(7, 99).text).not.toBe(inputOf(8, 99).text);
    expect(chanceOf(1, 2).below(1_000_000)).not.toBe(chanceOf(1, 3).below(1_000_000));
  });

  test("reaches every parser and every route but the one that would let a paused queue call", () => {
    const reached = new Set(Array.from({ length: 1_000 }, (_, index) => inputOf(SEED, index).where));
    expect([...reached].sort()).toEqual(Object.keys(SURFACES).sort());
    expect(routesMissed(SEED, REQUESTS).map(({ path }) => path)).toEqual(["/v1/queues/{name}/resume"]);
  });
});

describe("minimise", () => {
  test("leaves what the fault needs and no more", async () => {
    const fails = async (text: string) => text.includes("[") && text.indexOf(",", text.indexOf("[")) > -1;
    expect(await minimise("some [text, that is] long", fails)).toBe("[,");
  });
});

describe("findingOf", () => {
  test("takes a refusal in good order for none", async () => {
    const refusing = () =>
      Promise.reject(new AppError("malformed_body", "expected JSON, got something else"));
    expect(await findingOf({ take: refusing }, "x")).toBeNull();
  });

  test.each([
    [
      "an exception of any other kind",
      () => Promise.reject(new TypeError("x is not a function")),
      "TypeError",
    ],
    [
      "what would be a server error",
      () => Promise.reject(new AppError("unavailable", "no answer")),
      "status 503",
    ],
    ["a problem that multiplies its input", refuseAtLength, "a problem of"],
  ])("tells of %s", async (_, take, fault) => {
    expect(await findingOf({ take }, "abc")).toMatchObject({
      fault: expect.stringContaining(fault),
      input: "",
    });
  });

  test("tells of an input that takes over a second, each time", async () => {
    // Of processor time: on a busy machine a second of the clock holds less.
    const busyMs = (since: NodeJS.CpuUsage) => process.threadCpuUsage(since).user / 1_000;
    const take = (text: string) => {
      for (const since = process.threadCpuUsage(); text !== "" && busyMs(since) < 1_050; );
    };
    expect(await findingOf({ take }, "ab")).toMatchObject({ fault: expect.stringMatching(/^took \d+ ms$/) });
  }, 180_000);
});

function refuseAtLength(): Promise<never> {
  return Promise.reject(new AppError("malformed_body", "x".repeat(30_000)));
}
