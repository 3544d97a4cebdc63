import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, FAILS_ON_PURPOSE, inTurn, openWorld, taskWhen, type World } from "../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  // All stories share a target, whose load would stretch the waits that they look at.
  world = await openWorld({ queue: { ...FAILS_ON_PURPOSE, retry: { backoff: { adaptive: "off" } } } });
});
afterAll(() => world.stop());

/** The policy of the README, with waits short enough for a test. */
const YAML_RETRY = `
retry:
  max_attempts: 3
  max_age: 24h
  backoff:
    strategy: exponential
    initial_interval: 10ms
    multiplier: 2.0
    max_interval: 50ms
    jitter: full
  conditions:
    - "status == 503"
    - "error_type == timeout"
    - "error_code == rate_limited"
  rules:
    - when: "error_type == conflict"
      do: retry
      max_attempts: 2
      backoff: { strategy: fixed, initial_interval: 300ms, jitter: none }
      log: false
    - when: "status == 404 && body.code == 'gone_already'"
      do: succeed
    - when: "status == 422"
      do: fail
`;

describe.concurrent("a policy in YAML", () => {
  const submitYaml = async (url: string): Promise<string> => {
    const answer = await ask(world.server, "POST", "/v1/tasks", { yaml: `url: "${url}"${YAML_RETRY}` });
    expect(answer.status).toBe(202);
    return answer.body.id;
  };

  test("retries while a condition holds, its constants unquoted", async () => {
    const target = world.place(inTurn({ status: 503 }, { status: 429 }, { status: 200 }));
    const task = await world.client.wait(await submitYaml(target.url));

    expect(task.state).toBe("succeeded");
    expect(task.attempts.map(({ rule }) => rule)).toEqual([
      "conditions[0]: status == 503",
      "conditions[2]: error_code == rate_limited",
      null,
    ]);
  });

  test("fails a fault that no condition holds for, though the table would retry it", async () => {
    const target = world.place(() => ({ status: 500 }));

    expect(await world.client.wait(await submitYaml(target.url))).toMatchObject({
      state: "failed",
      reason: "permanent",
      attempts: [{ status: 500, rule: "conditions: none holds" }],
    });
  });

  test("goes by the first rule that matches: its attempts, its backoff", async () => {
    const target = world.place(() => ({ status: 409 }));
    const task = await world.client.wait(await submitYaml(target.url));
    const [first, second] = target.calls();

    expect(task).toMatchObject({
      state: "failed",
      reason: "max_attempts",
      attempts: [{ rule: "rules[0]: error_type == conflict", delay_ms: 300 }, { decision: "fail" }],
    });
    expect((second?.receivedAt ?? 0) - (first?.receivedAt ?? 0)).toBeGreaterThanOrEqual(300);
  });

  test("can call a fault a success, by what the answer says", async () => {
    const done = world.place(() => ({ status: 404, body: '{"code":"gone_already"}' }));
    const unknown = world.place(() => ({ status: 404, body: '{"code":"no_such_thing"}' }));

    expect(await world.client.wait(await submitYaml(done.url))).toMatchObject({ state: "succeeded" });
    expect(await world.client.wait(await submitYaml(unknown.url))).toMatchObject({ state: "failed" });
  });

  test("can fail at once what would be retried", async () => {
    const target = world.place(() => ({ status: 422 }));

    expect(await world.client.wait(await submitYaml(target.url))).toMatchObject({
      state: "failed",
      reason: "rule",
      attempt_count: 1,
    });
  });
});

describe.concurrent("a task held by a rule", () => {
  test("goes on by itself once the probe is ready, and no attempt is used until then", async () => {
    const target = world.place(inTurn({ status: 401 }, { status: 200 }));
    const probed = world.place(inTurn({ status: 503 }, { status: 200 }));
    const until = { probe: { url: probed.url, period: "1s", timeout: "500ms" } };
    const { id } = await world.client.submit({
      url: target.url,
      retry: { rules: [{ when: "status == 401", do: "hold", until }] },
    });
    const held = await taskWhen(world.client, id, ({ state }) => state === "held");
    const task = await world.client.wait(id);

    expect(held).toMatchObject({
      waiting_on: "probe",
      attempts: [{ class: "conditional", decision: "hold" }],
    });
    expect(task).toMatchObject({
      state: "succeeded",
      attempts: [{ number: 1 }, { number: 2, trigger: "probe" }],
    });
    const [, second] = target.calls();
    const ready = probed.calls()[1];
    expect(probed.calls().map(({ method }) => method)).toEqual(["GET", "GET"]);
    expect(second?.receivedAt).toBeGreaterThanOrEqual(ready?.receivedAt ?? Number.POSITIVE_INFINITY);
  });

  test("is called again only by its resume, where it waits for a signal", async () => {
    const target = world.place(inTurn({ status: 403 }, { status: 200 }));
    const { id } = await world.client.submit({
      url: target.url,
      retry: { rules: [{ when: "error_type == auth", do: "hold", until: "signal" }] },
    });
    const held = await taskWhen(world.client, id, ({ state }) => state === "held");
    const callsBefore = target.calls().length;
    await world.client.resume(id);

    expect([held.waiting_on, callsBefore]).toEqual(["signal", 1]);
    expect(await world.client.wait(id)).toMatchObject({
      state: "succeeded",
      attempts: [{ decision: "hold" }, { trigger: "resume", status: 200 }],
    });
    await expect(world.client.resume(id)).rejects.toMatchObject({ status: 409, code: "invalid_state" });
  });
});

describe.concurrent("a queue in YAML", () => {
  test("gives its policy to its tasks, whose own wins field by field", async () => {
    const put = await ask(world.server, "PUT", "/v1/queues/from-yaml", { yaml: `timeout: 5s${YAML_RETRY}` });
    const always503 = world.place(() => ({ status: 503 }));
    const always422 = world.place(() => ({ status: 422 }));
    const queue = "from-yaml";
    const plain = await world.client.submit({ url: always503.url, queue });
    const own = await world.client.submit({ url: always503.url, queue, retry: { max_attempts: 2 } });
    const ruled = await world.client.submit({ url: always422.url, queue, retry: { max_attempts: 2 } });

    expect(put).toMatchObject({
      status: 201,
      body: { settings: { timeout: 5_000, retry: { max_attempts: 3 } } },
    });
    expect(await world.client.wait(plain.id)).toMatchObject({ state: "failed", attempt_count: 3 });
    expect(await world.client.wait(own.id)).toMatchObject({ state: "failed", attempt_count: 2 });
    expect(await world.client.wait(ruled.id)).toMatchObject({ reason: "rule", attempt_count: 1 });
  });

  test("is refused with the position of what is wrong", async () => {
    const yaml = 'retry:\n  conditions:\n    - "status = 503"\n';
    const put = await ask(world.server, "PUT", "/v1/queues/wrong-yaml", { yaml });

    expect(put).toMatchObject({
      status: 400,
      body: { code: "invalid_request", errors: [{ path: "retry.conditions[0]" }] },
    });
    expect((await ask(world.server, "GET", "/v1/queues/wrong-yaml")).status).toBe(404);
  });
});
