import { describe, expect, test } from "vitest";
import { type Breaker, newBreaker } from "../../../src/core/breaker/breaker.ts";
import { countCall, type LocalBreaker, newLocalBreaker } from "../../../src/core/breaker/local-breaker.ts";
import { mayTalk, NO_TALK, nextTalkAt, type TalkSituation } from "../../../src/core/breaker/next-talk.ts";
import { DEFAULT_BREAKER_POLICY } from "../../../src/core/breaker/policy.ts";
import { NO_HOLD } from "../../../src/core/policy/hold.ts";

const NOW = 1_700_000_000_000;
const ENDED = NOW - 10_000;
const LATER = NOW + 5_000;
const CONTEXT = { now: NOW, policy: DEFAULT_BREAKER_POLICY, random: () => 0.5 };
const OFF = { ...CONTEXT, policy: { ...DEFAULT_BREAKER_POLICY, enabled: false } };
const CLOSED: LocalBreaker = { ...newLocalBreaker("q1-0", "q1-0@1", null), toldVersion: 1 };
const OUTAGE = { version: NOW, since: NOW, trips: 1, downSince: NOW, reason: "20 of 20 failed" };
const FAILED = countCall(CLOSED, { ok: false, slow: false, reach: "answered" }, NOW, CONTEXT).local;
/** It was told, and nothing has happened since. */
const LAST = { ...NO_TALK, endedAt: ENDED, notBefore: ENDED + 1_000, limit: 10 };
const UNREACHED = { ...LAST, failures: 1, notBefore: LATER };
const QUIET: TalkSituation = {
  local: CLOSED,
  hold: NO_HOLD,
  heldTold: 0,
  last: LAST,
  parked: "none",
  limit: 10,
  unsure: false,
  gone: false,
  probed: null,
};

function down(breaker: Breaker, askAt: number | null = null): LocalBreaker {
  return { ...CLOSED, breaker, askAt };
}

const OPEN = down({ ...OUTAGE, state: "open", until: NOW + 30_000 }, NOW + 30_000);
const HALF_OPEN = down({ ...OUTAGE, state: "half_open", successes: 0, probe: null }, NOW + 60_000);
const HELD = { heldFrom: ENDED, heldUntil: NOW + 300_000 };

describe("when a target's Breaker object is told or asked next", () => {
  test.each<[string, Partial<TalkSituation>, number | null]>([
    ["is never, if there is nothing to say", {}, null],
    ["is now for a target that it has not told of", { local: { ...CLOSED, toldVersion: 0 } }, NOW],
    ["is now if it is to be asked in any case", { unsure: true }, NOW],
    ["is now for a failure", { local: FAILED }, NOW],
    [
      "waits after a talk with the report of a failure",
      { local: FAILED, last: { ...LAST, notBefore: LATER } },
      LATER,
    ],
    ["is at once for what a target that is down says", { local: { ...OPEN, toldVersion: 0 } }, NOW],
    ["is now for a limit that was cut", { limit: 9 }, NOW],
    ["is never for a limit that was raised", { limit: 11 }, null],
    ["is now for a target that is gone", { gone: true }, NOW],
    ["waits for an object that is away, even for who is gone", { gone: true, last: UNREACHED }, LATER],
    ["is now for the result of a probe", { local: HALF_OPEN, probed: { ok: true } }, NOW],
    [
      "waits for an object that is away with that of a probe",
      { probed: { ok: false }, last: UNREACHED },
      LATER,
    ],
    [
      "is a moment after the last talk for a lease that goes back",
      { local: HALF_OPEN, probed: { ok: null }, last: { ...LAST, endedAt: NOW } },
      NOW + 250,
    ],
    [
      "is when a target that is open and waited for may be probed",
      { local: OPEN, parked: "some", last: { ...LAST, parked: "some" } },
      NOW + 30_000,
    ],
    ["is now if rows wait of which it has not heard", { local: OPEN, parked: "some" }, NOW],
    [
      "is now if better probes wait than it has heard of",
      { local: OPEN, parked: "firsts", last: { ...LAST, parked: "some" } },
      NOW,
    ],
    [
      "does not change with rows of which it has heard the best",
      { local: OPEN, parked: "some", last: { ...LAST, parked: "firsts" } },
      NOW + 30_000,
    ],
    ["is never, while nothing waits for a target that is open", { local: OPEN }, null],
    [
      "is never by time for a target that stays isolated",
      { local: down({ ...OUTAGE, state: "isolated" }), parked: "some", last: { ...LAST, parked: "some" } },
      null,
    ],
    [
      "is some seconds after the last talk while another shard probes",
      { local: HALF_OPEN, parked: "some", last: { ...LAST, endedAt: NOW, parked: "some" } },
      NOW + 5_000,
    ],
    ["is now for a new hold", { hold: HELD }, NOW],
    [
      "is before the hold ends that others know of, for one that lasts longer",
      { hold: HELD, heldTold: NOW + 2_000, last: { ...LAST, notBefore: LATER } },
      NOW + 1_750,
    ],
    ["is never for a hold that it knows of", { hold: HELD, heldTold: HELD.heldUntil }, null],
    [
      "is each minute while rows wait for the end of a hold",
      { hold: HELD, heldTold: HELD.heldUntil, parked: "some" },
      ENDED + 60_000,
    ],
  ])("%s", (_, change, at) => {
    expect(nextTalkAt({ ...QUIET, ...change }, CONTEXT)).toBe(at);
  });

  test("is never for a queue without breakers, whoever is gone", () => {
    expect(nextTalkAt({ ...QUIET, gone: true, unsure: true }, OFF)).toBeNull();
  });

  test("is for nothing but who is gone, once an object has been away for long and all is well", () => {
    const last = { ...UNREACHED, failures: 8 };
    expect(nextTalkAt({ ...QUIET, last, unsure: true }, CONTEXT)).toBeNull();
    expect(nextTalkAt({ ...QUIET, last, unsure: true, gone: true }, CONTEXT)).toBe(LATER);
    expect(nextTalkAt({ ...QUIET, last, unsure: true, local: OPEN }, CONTEXT)).toBe(LATER);
  });
});

describe("mayTalk", () => {
  test("is false without breakers, and for a closed one whose object is away for long", () => {
    expect(mayTalk(CLOSED, LAST, CONTEXT)).toBe(true);
    expect(mayTalk(OPEN, LAST, OFF)).toBe(false);
    expect(mayTalk(CLOSED, { ...LAST, failures: 8 }, CONTEXT)).toBe(false);
    expect(mayTalk(OPEN, { ...LAST, failures: 8 }, CONTEXT)).toBe(true);
  });

  test("is true of a target that nobody has asked about", () => {
    expect(mayTalk({ ...CLOSED, breaker: newBreaker(0) }, NO_TALK, CONTEXT)).toBe(true);
  });
});
