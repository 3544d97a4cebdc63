import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { classify, interrupted, type Outcome } from "../../../src/core/call/classify.ts";
import { checkPolicy } from "../../../src/core/policy/check-policy.ts";
import { type DecideInput, type Decision, decide, decideCallback } from "../../../src/core/policy/decide.ts";
import { DEFAULT_CALLBACK_POLICY, type Policy, resolvePolicy } from "../../../src/core/policy/policy.ts";
import { RetryPolicy } from "../../../src/schema/policy.ts";

const NOW = 1_700_000_000_000;
const HALF = () => 0.5;

function answer(status: number, over: { headers?: Record<string, string>; body?: unknown } = {}): Outcome {
  const body = over.body === undefined ? "" : JSON.stringify(over.body);
  const headers = over.headers ?? {};
  const rest = { bodyEncoding: "utf8", truncated: false, durationMs: 5, error: null } as const;
  return classify({ status, headers, body, ...rest }, NOW);
}

function thrown(name: string): Outcome {
  const rest = { headers: {}, body: "", bodyEncoding: "utf8", truncated: false, durationMs: 5 } as const;
  return classify({ status: 0, ...rest, error: { name, message: "" } }, NOW);
}

const policyOf = (text: string): Policy => resolvePolicy(RetryPolicy.parse(parse(text)), {});

function build(over: Partial<DecideInput> = {}): DecideInput {
  return {
    outcome: answer(503),
    policy: resolvePolicy(null, {}),
    attempt: 1,
    now: NOW,
    expiresAt: NOW + 86_400_000,
    previousDelayMs: null,
    ...over,
  };
}

const by = (text: string, outcome: Outcome, over: Partial<DecideInput> = {}): Decision =>
  decide(build({ policy: policyOf(text), outcome, ...over }), HALF);

describe("decide, where the body broke", () => {
  const broken = { ...answer(200), bodyError: "timeout" } as const;

  test("lets no expression about the body hold, whichever way it asks, and says why", () => {
    for (const when of ["body == null", "body != null", "body.state == 'queued'", "!has(body.state)"]) {
      const decision = by(`rules: [{when: "${when}", do: fail}]`, broken);
      expect(decision).toMatchObject({
        do: "succeed",
        rule: "table (rules[0] failed: the body broke: timeout)",
      });
    }
  });

  test("lets rules ask how it broke, and see the status", () => {
    expect(by("rules: [{when: body_error == timeout, do: retry}]", broken)).toMatchObject({ do: "retry" });
    expect(by("rules: [{when: status == 200, do: retry}]", broken)).toMatchObject({ do: "retry" });
    expect(by("rules: [{when: body_error != '', do: retry}]", answer(200))).toMatchObject({ do: "succeed" });
  });
});

describe("decide, where something is known of the target", () => {
  const backoff = "backoff: {strategy: fixed, initial_interval: 10s, jitter: none";
  const situation = { loadFactor: 0.5, stretch: { factor: 4, lookedAt: NOW } };

  test.each([
    ["off", 10_000],
    ["load", 15_000],
    ["queue", 40_000],
  ])("stretches the wait by the policy's mode: %s", (mode, delayMs) => {
    const text = `${backoff}, adaptive: ${mode}}`;
    expect(by(text, answer(503), { situation })).toMatchObject({ do: "retry", delayMs });
    expect(by(text, answer(503))).toMatchObject({ do: "retry", delayMs: 10_000 });
  });

  test("stretches by load where nobody says anything else, in rules and conditions too", () => {
    expect(by(`${backoff}}`, answer(503), { situation })).toMatchObject({ delayMs: 15_000 });
    const rule = `${backoff}, adaptive: off}\nrules: [{when: "status == 503", do: retry, backoff: {adaptive: queue}}]`;
    expect(by(rule, answer(503), { situation })).toMatchObject({ delayMs: 40_000 });
    const condition = `${backoff}}\nconditions: ["status == 503"]`;
    expect(by(condition, answer(503), { situation })).toMatchObject({ delayMs: 15_000 });
  });

  test("waits no less than the target asked for, and no longer for being stretched less", () => {
    const asked = answer(429, { headers: { "retry-after": "60" } });
    const decision = decide(build({ policy: policyOf(`${backoff}}`), outcome: asked, situation }), () => 0);
    expect(decision).toMatchObject({ do: "retry", delayMs: 60_000 });
  });

  test("ends the round where the stretched wait would", () => {
    const expiresAt = NOW + 14_000;
    expect(by(`${backoff}}`, answer(503), { situation, expiresAt })).toMatchObject({
      do: "fail",
      reason: "max_age",
    });
    expect(by(`${backoff}}`, answer(503), { expiresAt })).toMatchObject({ do: "retry" });
  });
});

describe("decide, by the table", () => {
  test("succeeds on a success, which no rule decided", () => {
    expect(decide(build({ outcome: answer(200) }), HALF)).toEqual({
      do: "succeed",
      rule: null,
      log: false,
      faultClass: null,
    });
  });

  test("retries a transient fault after the backoff", () => {
    expect(decide(build({ attempt: 3 }), HALF)).toEqual({
      do: "retry",
      delayMs: 2_000,
      rule: "table",
      log: true,
      faultClass: "transient",
    });
  });

  test("retries an interrupted attempt", () => {
    expect(decide(build({ outcome: interrupted() }), HALF)).toMatchObject({ do: "retry", rule: "table" });
  });

  test("fails on a permanent fault", () => {
    expect(decide(build({ outcome: answer(404) }), HALF)).toEqual({
      do: "fail",
      reason: "permanent",
      rule: "table",
      log: true,
      faultClass: "permanent",
    });
  });

  test("retries a conflict at a fixed interval, unless somebody has set a backoff", () => {
    const conflict = build({ outcome: answer(409), attempt: 4 });
    expect(decide(conflict, HALF)).toMatchObject({ do: "retry", delayMs: 500 });
    const policy = policyOf("backoff: { multiplier: 2 }");
    expect(decide({ ...conflict, policy }, HALF)).toMatchObject({ do: "retry", delayMs: 4_000 });
  });

  test("passes the previous wait on to decorrelated jitter", () => {
    const decision = by("backoff: { jitter: decorrelated }", answer(503), { previousDelayMs: 3_000 });
    expect(decision).toMatchObject({ delayMs: 5_000 });
  });
});

describe("decide, at the bounds of a round", () => {
  test.each([
    [4, "retry"],
    [5, "fail"],
    [6, "fail"],
  ])("after attempt %d of 5 does: %s", (attempt, does) => {
    const decision = decide(build({ attempt }), HALF);
    expect(decision.do).toBe(does);
    if (decision.do === "fail")
      expect(decision).toMatchObject({ reason: "max_attempts", faultClass: "transient" });
  });

  test.each([
    [500, { do: "fail", reason: "max_age", faultClass: "transient", rule: "table" }],
    [501, { do: "retry", delayMs: 500 }],
  ])("with %d ms left and a wait of 500 decides %j", (leftMs, expected) => {
    expect(decide(build({ expiresAt: NOW + leftMs }), HALF)).toMatchObject(expected);
  });

  test("fails where the target asks to wait past the end", () => {
    const outcome = answer(429, { headers: { "retry-after": "60" } });
    expect(decide(build({ outcome, expiresAt: NOW + 61_000 }), HALF)).toMatchObject({
      reason: "max_age",
      waitMs: 63_000,
    });
    expect(decide(build({ outcome, expiresAt: NOW + 64_000 }), HALF)).toMatchObject({ delayMs: 63_000 });
  });

  test("honours Retry-After up to max_retry_after", () => {
    const outcome = answer(503, { headers: { "retry-after": "3600" } });
    expect(by("max_retry_after: 10s", outcome)).toMatchObject({ do: "retry", delayMs: 10_500 });
  });

  test("lets a target ask for a day by default without ending the task, at every attempt", () => {
    const outcome = answer(503, { headers: { "retry-after": "86400" } });
    let now = NOW;
    for (let attempt = 1; attempt < 5; attempt++) {
      const decision = decide(build({ outcome, attempt, now }), () => 1);
      expect(decision).toMatchObject({ do: "retry", delayMs: 14_410_000 });
      now += 14_410_000;
    }
  });

  test("holds no task past its attempts or its end", () => {
    const text = 'rules: [{ when: "status == 401", do: hold, until: signal }]';
    const rule = "rules[0]: status == 401";
    const fail = { do: "fail", rule, faultClass: "conditional" };
    expect(by(text, answer(401), { attempt: 5 })).toMatchObject({ ...fail, reason: "max_attempts" });
    expect(by(text, answer(401), { expiresAt: NOW })).toMatchObject({ ...fail, reason: "max_age" });
    expect(by(text, answer(401))).toEqual({
      do: "hold",
      until: "signal",
      rule,
      log: true,
      faultClass: "conditional",
    });
  });
});

describe("decide, by the target's word", () => {
  const headers = { "redrive-retry": "no" };

  test("fails a fault before any rule is asked", () => {
    const text = 'rules: [{ when: "true", do: retry }]';
    const expected = { do: "fail", reason: "no_retry", rule: "no_retry", log: true, faultClass: "permanent" };
    expect(by(text, answer(503, { headers }))).toEqual(expected);
    expect(by(text, answer(489))).toEqual(expected);
  });

  test("lets a success be one", () => {
    expect(by('rules: [{ when: "true", do: retry }]', answer(200, { headers }))).toMatchObject({
      do: "succeed",
      rule: "no_retry",
    });
  });
});

describe("decide, by rules", () => {
  test("takes the first that matches", () => {
    const text = `
      rules:
        - { when: "status == 500", do: fail }
        - { when: "status >= 500", do: succeed }
        - { when: "status == 503", do: fail }`;
    expect(by(text, answer(503))).toEqual({
      do: "succeed",
      rule: "rules[1]: status >= 500",
      log: true,
      faultClass: null,
    });
  });

  test("fails what a rule says is failed, even a success", () => {
    const text = `rules: [{ when: 'has(body.error)', do: fail }]`;
    expect(by(text, answer(200, { body: { error: "x" } }))).toEqual({
      do: "fail",
      reason: "rule",
      rule: "rules[0]: has(body.error)",
      log: true,
      faultClass: "permanent",
    });
    expect(by(text, answer(200, { body: {} }))).toMatchObject({ do: "succeed", rule: null });
  });

  test("retries a success that is not finished", () => {
    const text = `rules: [{ when: 'status == 200 && body.state == "processing"', do: retry }]`;
    expect(by(text, answer(200, { body: { state: "processing" } }), { attempt: 2 })).toEqual({
      do: "retry",
      delayMs: 1_000,
      rule: 'rules[0]: status == 200 && body.state == "processing"',
      log: false,
      faultClass: "transient",
    });
    expect(by(text, answer(200, { body: { state: "done" } }))).toMatchObject({ do: "succeed", rule: null });
  });

  test("retries a permanent fault, with the rule's own attempts and backoff over the policy's", () => {
    const text = `
      max_attempts: 2
      backoff: { jitter: none, initial_interval: 3s }
      rules: [{ when: "status == 404", do: retry, max_attempts: 7, backoff: { strategy: linear } }]`;
    expect(by(text, answer(404), { attempt: 6 })).toMatchObject({ do: "retry", delayMs: 18_000 });
    expect(by(text, answer(404), { attempt: 7 })).toMatchObject({ do: "fail", reason: "max_attempts" });
    expect(by(text, answer(503), { attempt: 2 })).toMatchObject({ do: "fail", reason: "max_attempts" });
  });

  test.each([
    ["succeed", "false", false],
    ["fail", "false", false],
    ["retry", "false", false],
    ["retry", "true", true],
  ])("logs as the rule says: %s, %s", (does, log, expected) => {
    expect(by(`rules: [{ when: "true", do: ${does}, log: ${log} }]`, answer(503)).log).toBe(expected);
  });

  test("holds for a signal where a stored rule does not say for what", () => {
    const policy = { ...resolvePolicy(null, {}), rules: [{ when: "true", do: "hold" }] } as const;
    expect(decide(build({ policy }), HALF)).toMatchObject({ do: "hold", until: "signal" });
  });

  test("notes the expressions that failed while running, and goes on", () => {
    const text = `
      rules:
        - { when: "body.code == 5", do: fail }
        - { when: "body.why", do: fail }
        - { when: "status == 503", do: retry }`;
    const note = "(rules[0] failed: no such key: code; rules[1] failed: expected bool, got string)";
    expect(by(text, answer(503, { body: { why: "x" } })).rule).toBe(`rules[2]: status == 503 ${note}`);
    expect(by(text, answer(500, { body: { why: "x" } })).rule).toBe(`table ${note}`);
    expect(by(text, answer(200, { body: { why: "x" } })).rule).toBe(`table ${note}`);
  });

  test("takes an expression that no longer compiles for one that failed", () => {
    const policy = { ...resolvePolicy(null, {}), rules: [{ when: "statsu == 1", do: "fail" }] } as const;
    const { rule } = decide(build({ policy }), HALF);
    expect(rule).toContain("table (rules[0] failed: unknown variable: statsu");
  });

  test("cuts a long text, and leaves room for the notes", () => {
    const long = `status == 503${" || status == 503".repeat(50)}`;
    const plain = by(`rules: [{ when: "${long}", do: fail }]`, answer(503)).rule ?? "";
    expect(plain).toHaveLength(300);
    expect(plain).toMatch(/^rules\[0\]: status == 503 .*\.\.\.$/);
    const noted = by(
      `rules: [{ when: "body.a", do: fail }, { when: "${long}", do: fail }]`,
      answer(503),
    ).rule;
    expect(noted).toContain("... (rules[0] failed: no such key: a of null)");
  });
});

describe("decide, by conditions", () => {
  const text = 'conditions: ["status == 404", "body.code == 5"]';

  test("retries when any holds, whatever the table says", () => {
    expect(by(text, answer(404))).toMatchObject({ do: "retry", rule: "conditions[0]: status == 404" });
    expect(by(text, answer(400, { body: { code: 5 } }))).toMatchObject({
      do: "retry",
      rule: "conditions[1]: body.code == 5",
    });
  });

  test("fails when none holds, though the fault is transient", () => {
    expect(by(text, answer(503, { body: { code: 6 } }))).toEqual({
      do: "fail",
      reason: "permanent",
      rule: "conditions: none holds",
      log: true,
      faultClass: "permanent",
    });
    expect(by(text, answer(503)).rule).toBe(
      "conditions: none holds (conditions[1] failed: no such key: code of null)",
    );
  });

  test("are not asked about a success", () => {
    expect(by('conditions: ["true"]', answer(200))).toMatchObject({ do: "succeed", rule: null });
  });
});

const DESIGN_POLICY = `
retry:
  max_attempts: 3
  max_age: 24h
  backoff:
    strategy: exponential        # fixed | linear | exponential | schedule (with intervals: [1s, 10s, 1m]; the last repeats)
    initial_interval: 1s
    multiplier: 2.0
    max_interval: 10s
    jitter: full                 # none | full | equal | decorrelated
  conditions:                    # retry when any holds; left out = the table above
    - "status == 503"
    - "error_type == timeout"
    - "error_code == rate_limited"
  rules:                         # first match wins; overrides class, backoff, attempts, logging
    - when: "error_type == timeout"
      do: retry
      max_attempts: 3
      backoff: { strategy: exponential }
      log: true
    - when: "error_type == conflict"
      do: retry
      max_attempts: 2
      backoff: { strategy: fixed, initial_interval: 5s }
      log: false
    - when: "status == 401"
      do: hold
      until: { probe: { url: "https://api.example.com/ready", period: 10s, timeout: 5s, success_threshold: 1 } }
`;

describe("the policy of the documentation", () => {
  const own = RetryPolicy.parse(parse(DESIGN_POLICY).retry);
  const policy = resolvePolicy(own, {});
  const decided = (outcome: Outcome, attempt: number) => decide(build({ policy, outcome, attempt }), HALF);

  test("is accepted", () => {
    expect(checkPolicy(own, "retry")).toEqual([]);
    expect(policy).toMatchObject({ maxAttempts: 3, maxAgeMs: 86_400_000, backoffIsDefault: false });
    expect(policy.backoff).toMatchObject({ initialIntervalMs: 1_000, maxIntervalMs: 10_000, multiplier: 2 });
  });

  test("retries a timeout exponentially, up to its third attempt", () => {
    const rule = "rules[0]: error_type == timeout";
    expect(decided(thrown("TimeoutError"), 1)).toMatchObject({ do: "retry", delayMs: 500, rule, log: true });
    expect(decided(thrown("TimeoutError"), 2)).toMatchObject({ do: "retry", delayMs: 1_000, rule });
    expect(decided(thrown("TimeoutError"), 3)).toMatchObject({ do: "fail", reason: "max_attempts", rule });
  });

  test("retries a conflict once, at a fixed interval, without a log line", () => {
    const rule = "rules[1]: error_type == conflict";
    expect(decided(answer(409), 1)).toMatchObject({ do: "retry", delayMs: 2_500, rule, log: false });
    expect(decided(answer(423), 2)).toMatchObject({ do: "fail", reason: "max_attempts", rule, log: false });
  });

  test("holds a 401 for its probe", () => {
    const probe = {
      url: "https://api.example.com/ready",
      period: 10_000,
      timeout: 5_000,
      success_threshold: 1,
    };
    expect(decided(answer(401), 1)).toMatchObject({
      do: "hold",
      until: { probe },
      rule: "rules[2]: status == 401",
      faultClass: "conditional",
    });
  });

  test("retries what a condition names, and nothing else", () => {
    expect(decided(answer(503), 1)).toMatchObject({
      do: "retry",
      delayMs: 500,
      rule: "conditions[0]: status == 503",
    });
    expect(decided(answer(429), 2)).toMatchObject({
      do: "retry",
      rule: "conditions[2]: error_code == rate_limited",
    });
    for (const outcome of [answer(500), answer(404), interrupted()]) {
      expect(decided(outcome, 1)).toMatchObject({
        do: "fail",
        reason: "permanent",
        rule: "conditions: none holds",
      });
    }
  });
});

describe("decideCallback", () => {
  const decided = (outcome: Outcome, over: Partial<DecideInput> = {}) =>
    decideCallback(build({ policy: DEFAULT_CALLBACK_POLICY, outcome, ...over }), HALF);

  test("succeeds on any 2xx", () => {
    expect(decided(answer(204))).toMatchObject({ do: "succeed", rule: null, log: false });
  });

  test.each([301, 400, 401, 404, 409, 429, 500])("tries again after %d", (status) => {
    expect(decided(answer(status))).toMatchObject({ do: "retry", delayMs: 3_750, faultClass: "transient" });
  });

  test("gives up where the receiver is gone, refused, or wants no retry", () => {
    expect(decided(answer(410))).toMatchObject({ do: "fail", reason: "permanent", rule: "table" });
    expect(decided(thrown("RedirectRefusedError"))).toMatchObject({ do: "fail", reason: "permanent" });
    expect(decided(answer(489))).toMatchObject({ do: "fail", reason: "no_retry" });
  });

  test("gives up at the last attempt or the end", () => {
    expect(decided(answer(500), { attempt: 8 })).toMatchObject({ do: "fail", reason: "max_attempts" });
    expect(decided(answer(500), { expiresAt: NOW + 1 })).toMatchObject({ do: "fail", reason: "max_age" });
  });
});

describe("decide, whatever comes", () => {
  test("never tries outside the bounds of the round, and always says what decided", () => {
    const inputs = fc.record({
      status: fc.integer({ min: 0, max: 600 }),
      retryAfter: fc.option(fc.nat(1_000_000)),
      attempt: fc.integer({ min: 1, max: 100 }),
      leftMs: fc.integer({ min: -10, max: 100_000_000 }),
      body: fc.jsonValue(),
      chance: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    const policy = policyOf(`
      rules:
        - { when: "body.a.b == 1", do: hold, until: signal }
        - { when: "status == 404 && attempt < 3", do: retry, max_attempts: 50 }
        - { when: "size(body) > 1", do: fail }`);
    fc.assert(
      fc.property(inputs, ({ status, retryAfter, attempt, leftMs, body, chance }) => {
        const headers: Record<string, string> = retryAfter === null ? {} : { "retry-after": `${retryAfter}` };
        const outcome = answer(status, { headers, body });
        const expiresAt = NOW + leftMs;
        const decision = decide(build({ policy, outcome, attempt, expiresAt }), () => chance);
        if (decision.do !== "succeed") expect(decision.rule).not.toBeNull();
        if (decision.do !== "retry") return;
        expect(attempt).toBeLessThan(50);
        expect(NOW + decision.delayMs).toBeLessThan(expiresAt);
        expect(decision.delayMs).toBeGreaterThanOrEqual(Math.min(outcome.retryAfterMs ?? 0, 14_400_000));
      }),
    );
  });
});
