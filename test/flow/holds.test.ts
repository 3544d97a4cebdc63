import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BreakerView } from "../../src/schema/breaker.ts";
import type { QueueSettingsInput } from "../../src/schema/queue.ts";
import { ask, clientOf, eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";
import { startTarget, type Target } from "../support/server/target.ts";

const DAY_MS = 86_400_000;
const PATIENT = { max_retry_after: "1d", max_age: "7d" } as const;

let world: World;
const targets: Target[] = [];

beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await Promise.all([world.stop(), ...targets.map((target) => target.stop())]);
});

/** A target of its own that has answered one task of a queue by a 429 for a day, and another task that waits for it. */
async function frozen(settings: QueueSettingsInput = {}) {
  const target = await startTarget();
  targets.push(target);
  const queue = await world.makeQueue({ shards: 1, retry: PATIENT, ...settings });
  target.respond(({ path }) =>
    path === "/hooks/alice" ? { status: 429, headers: { "retry-after": "86400" } } : null,
  );
  const { id: refused } = await world.client.submit({ url: `${target.url}/hooks/alice`, queue });
  await taskWhen(world.client, refused, ({ state }) => state === "retrying");
  const { id } = await world.client.submit({ url: `${target.url}/hooks/bob`, queue });
  const task = await taskWhen(world.client, id, ({ waiting_on }) => waiting_on === "rate");
  expect(task.summary).toMatch(/asked for it; it may be called again in (1 d|23 h)/);
  return { target, queue, id, refused, key: `/v1/breakers/${encodeURIComponent(target.url)}` };
}

function succeeds(id: string) {
  return taskWhen(world.client, id, ({ state }) => state === "succeeded");
}

/** The breaker once its holds are so; it is told of a hold a moment after the answer. */
function breakerWith(path: string, isSo: (view: BreakerView) => boolean, key?: string) {
  return eventually(`${path}: ${isSo}`, async () => {
    const { status, body } = await ask(world.server, "GET", path, key === undefined ? {} : { key });
    return status === 200 && isSo(body) ? (body as BreakerView) : null;
  });
}

describe("a 429 whose Retry-After is a day", () => {
  test("is over for its target once the breaker is reset; answer and history say so", async () => {
    const { target, queue, id, refused, key } = await frozen();
    const { holds } = await breakerWith(key, (view) => view.holds.length > 0);
    expect(holds).toEqual([{ queue, until: expect.any(String) }]);
    expect(Math.abs(Date.parse(holds[0]?.until ?? "") - Date.now() - DAY_MS)).toBeLessThan(60_000);
    const list = await ask(world.server, "GET", "/v1/breakers");
    expect(list.body.breakers.find((one: BreakerView) => one.key === target.url).holds).toEqual(holds);

    const { status, body } = await ask(world.server, "POST", `${key}/reset`, { body: { reason: "let go" } });
    expect({ status, holds: body.holds, released: body.released_holds }).toEqual({
      status: 200,
      holds: [],
      released: holds,
    });
    expect(body.audit[0]).toMatchObject({ to: "closed", reason: "let go", holds_released: 1 });
    await succeeds(id);
    // The one that was answered waits as long as its own policy lets it be asked to.
    expect(await world.client.get(refused)).toMatchObject({ state: "retrying", waiting_on: "backoff" });
    expect((await breakerWith(key, () => true)).holds).toEqual([]);
  });

  test.each(["1s", "0s"])("is over once its queue allows no more than %s", async (allowed) => {
    const { queue, id, key } = await frozen();
    await breakerWith(key, (view) => view.holds.length > 0);
    await world.client.queues.put(queue, { retry: { ...PATIENT, max_retry_after: allowed } });
    await succeeds(id);
    // Those that a gateway tells later, too, wait no longer than that.
    expect((await breakerWith(key, ({ holds }) => holds.length === 0)).state).toBe("closed");
    await world.client.queues.put(queue, { retry: PATIENT });
    const { id: later } = await world.client.submit({ url: `${targets.at(-1)?.url}/hooks/bob`, queue });
    await succeeds(later);
  });

  test("is released in a queue without breakers, where no breaker knows of it", async () => {
    const { id, key } = await frozen({ breaker: { enabled: false } });
    const reset = await ask(world.server, "POST", `${key}/reset`, { body: { reason: "let go" } });
    expect(reset).toMatchObject({ status: 200, body: { released_holds: [{}], audit: [{ by: "root" }] } });
    await succeeds(id);
  });

  test("is not passed by a pause, a resume, a retry of the task that waits, or a change of the breaker", async () => {
    const { queue, id, target } = await frozen();
    await world.client.queues.pause(queue);
    await world.client.queues.resume(queue);
    await world.client.queues.put(queue, { retry: PATIENT, breaker: { enabled: false } });
    const answer = await world.client.retry(id);
    expect(answer).toMatchObject({ waiting_on: "rate", state: "pending" });
    expect(answer.summary).toMatch(/asked for it; it may be called again in/);
    expect(target.calls).toHaveLength(1);
  });

  test("of a task that lets itself be asked for more than its queue holds that task alone", async () => {
    const target = await startTarget();
    targets.push(target);
    const queue = await world.makeQueue({ shards: 1, retry: { ...PATIENT, max_retry_after: "1s" } });
    target.respond(({ path }) =>
      path === "/a" ? { status: 429, headers: { "retry-after": "86400" } } : null,
    );
    const retry = { max_retry_after: "7d", max_age: "30d" } as const;
    const { id } = await world.client.submit({ url: `${target.url}/a`, queue, retry });
    const refused = await taskWhen(world.client, id, ({ state }) => state === "retrying");
    expect(Date.parse(refused.due_at ?? "") - Date.now()).toBeGreaterThan(DAY_MS - 60_000);
    const { id: other } = await world.client.submit({ url: `${target.url}/b`, queue });
    await succeeds(other);
  });

  test("is seen by the keys that may see the queue it holds", async () => {
    const { target, queue, key } = await frozen();
    await breakerWith(key, (view) => view.holds.length > 0);
    const other = await world.makeQueue({ shards: 1 });
    const { id } = await world.client.submit({ url: `${target.url}/hooks/bob`, queue: other });
    await succeeds(id);
    const keyFor = async (name: string) => {
      const body = { name, scopes: ["read"], queues: [name] };
      return (await ask(world.server, "POST", "/v1/keys", { body })).body.key;
    };
    const view = await breakerWith(key, () => true, await keyFor(queue));
    expect(view.holds.map((hold) => hold.queue)).toEqual([queue]);
    // Nothing was told of the other queue's calls, which have succeeded.
    expect((await ask(world.server, "GET", key, { key: await keyFor(other) })).status).toBe(404);
  });

  test("lasts over a restart, and is released after it", async () => {
    const { id, key, target } = await frozen();
    await breakerWith(key, (view) => view.holds.length > 0);
    world.server.kill();
    await world.server.exited;
    world.server = await world.server.restart();
    world.client = clientOf(world.server);
    expect(await world.client.get(id)).toMatchObject({ waiting_on: "rate" });
    expect((await breakerWith(key, () => true)).holds).toHaveLength(1);
    expect(target.calls).toHaveLength(1);
    await ask(world.server, "POST", `${key}/reset`, { body: { reason: "let go" } });
    await succeeds(id);
  });
});
