import { beforeEach, describe, expect, test } from "vitest";
import {
  FAILS_AT_ONCE_MS,
  KEPT_ALIVE_MS,
  KeptAlive,
  type LostCall,
} from "../../../src/core/call/kept-alive.ts";

const ORIGIN = "https://api.example.com";
const AT = 1_000_000;
const LOST: LostCall = {
  origin: ORIGIN,
  method: "GET",
  headers: {},
  hasBody: true,
  startedAt: AT + 1_000,
  lostAt: AT + 1_020,
};

let keptAlive = new KeptAlive();
beforeEach(() => {
  keptAlive = new KeptAlive();
  keptAlive.answered(ORIGIN, AT);
});

describe("a lost call is made once more", () => {
  test.each(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])("where it is a %s", (method) => {
    expect(keptAlive.mayRepeat({ ...LOST, method })).toBe(true);
  });

  test.each(["POST", "PATCH"])("where it is a %s only with a key that the submitter gave", (method) => {
    const withKey = (key: Record<string, string>) =>
      keptAlive.mayRepeat({
        ...LOST,
        method,
        headers: { "redrive-task-id": "tsk_1", "redrive-max-attempts": "3", ...key },
      });
    expect(withKey({ "idempotency-key": "order-7" })).toBe(true);
    expect(withKey({ "idempotency-key": "tsk_1" })).toBe(false);
    expect(withKey({})).toBe(false);
    expect(withKey({ "idempotency-key": "order-7", "redrive-max-attempts": "1" })).toBe(false);
    expect(keptAlive.mayRepeat({ ...LOST, method, headers: { "idempotency-key": "order-7" } })).toBe(false);
  });

  test("only where the origin answered just before, so that a connection may be left", () => {
    const startedAfter = (ms: number) =>
      keptAlive.mayRepeat({ ...LOST, startedAt: AT + ms, lostAt: AT + ms + 1 });
    expect(startedAfter(KEPT_ALIVE_MS)).toBe(true);
    expect(startedAfter(KEPT_ALIVE_MS + 1)).toBe(false);
    expect(keptAlive.mayRepeat({ ...LOST, origin: "https://api.example.com:8443" })).toBe(false);
    keptAlive.answered(ORIGIN, AT + 5_000);
    expect(startedAfter(KEPT_ALIVE_MS + 1)).toBe(true);
  });

  test("only where it failed at once, before the target can have worked on it for long", () => {
    const lostAfter = (ms: number) => keptAlive.mayRepeat({ ...LOST, lostAt: LOST.startedAt + ms });
    expect(lostAfter(FAILS_AT_ONCE_MS)).toBe(true);
    expect(lostAfter(FAILS_AT_ONCE_MS + 1)).toBe(false);
  });

  test("only where it has a body: the runtime repeats what has none", () => {
    expect(keptAlive.mayRepeat({ ...LOST, hasBody: false })).toBe(false);
  });

  test("of a thousand origins, those that answered last", () => {
    for (let i = 1; i < 1_000; i++) keptAlive.answered(`https://${i}.example`, AT);
    expect(keptAlive.mayRepeat(LOST)).toBe(true);
    keptAlive.answered("https://1000.example", AT);
    expect(keptAlive.mayRepeat(LOST)).toBe(false);
    expect(keptAlive.mayRepeat({ ...LOST, origin: "https://1.example" })).toBe(true);
  });
});
