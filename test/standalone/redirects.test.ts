import { afterAll, beforeAll, expect, test } from "vitest";
import type { TaskRequestInput } from "../../src/schema/task.ts";
import { FAILS_ON_PURPOSE, openWorld, type World } from "../support/server/stories.ts";
import { startTarget, type Target } from "../support/server/target.ts";

let world: World;
let elsewhere: Target;
beforeAll(async () => {
  [world, elsewhere] = await Promise.all([openWorld({ queue: FAILS_ON_PURPOSE }), startTarget()]);
});
afterAll(() => Promise.all([world?.stop(), elsewhere?.stop()]));

const OWN = { authorization: "Bearer s", "x-custom-pw": "s", "x-hub-key": "s", "x-tenant": "eu" };

/** Submits a task to a place that redirects by `status` to a path of another origin; gives what came there. */
async function redirected(status: number, task: Partial<TaskRequestInput>) {
  const path = `/hop-${crypto.randomUUID()}`;
  const place = world.place(() => ({ status, headers: { location: `${elsewhere.url}${path}` } }));
  const { id } = await world.client.submit({ url: place.url, max_redirects: 3, headers: OWN, ...task });
  const ended = await world.client.wait(id);
  return { ended, calls: elsewhere.calls.filter((call) => call.path === path) };
}

test.each([301, 302, 303])(
  "a POST that a %i would make a GET without body is not delivered",
  async (status) => {
    const goal = world.place();
    const place = world.place(() => ({ status, headers: { location: goal.url } }));
    const call = { url: place.url, max_redirects: 3, body: "whole" };

    const strict = await world.client.submit(call);
    expect(await world.client.wait(strict.id)).toMatchObject({
      state: "failed",
      attempts: [{ status, error_type: "redirect" }],
    });
    expect(goal.calls()).toEqual([]);

    const loose = await world.client.submit({ ...call, redirect_mode: "loose" });
    expect(await world.client.wait(loose.id)).toMatchObject({ state: "succeeded" });
    expect(goal.calls()).toMatchObject([{ method: "GET", body: "" }]);
  },
);

test.each([307, 308])("a POST does not go to another origin by a %i", async (status) => {
  const { ended, calls } = await redirected(status, { body: "whole" });
  expect(ended).toMatchObject({ state: "failed", attempts: [{ status, error_type: "redirect" }] });
  expect(calls).toEqual([]);
});

test("a GET goes to another origin with nothing of the task's", async () => {
  const { ended, calls } = await redirected(302, { method: "GET" });
  expect(ended).toMatchObject({ state: "succeeded" });
  expect(calls).toHaveLength(1);
  const names = Object.keys(calls[0]?.headers ?? {});
  expect(names.filter((name) => name in OWN || /idempotency|redrive|trace|retry/.test(name))).toEqual([]);
});

test("a task that says so is repeated at another origin, without known secrets", async () => {
  const { ended, calls } = await redirected(307, { body: "whole", redirect_mode: "loose" });
  expect(ended).toMatchObject({ state: "succeeded" });
  expect(calls).toMatchObject([{ method: "POST", body: "whole", headers: { "x-tenant": "eu" } }]);
  expect(calls[0]?.headers).not.toHaveProperty("authorization");
});

test.each(["22", "25", "6667"])("no target has port %s", async (port) => {
  const refused = expect.objectContaining({ status: 400 });
  const url = `http://example.com:${port}/`;
  await expect(world.client.submit({ url })).rejects.toEqual(refused);
  await expect(world.client.submit({ url: elsewhere.url, callback: { url } })).rejects.toEqual(refused);
  await expect(world.client.queues.put("refused", { events: { url } })).rejects.toEqual(refused);
  const place = world.place(() => ({ status: 302, headers: { location: url } }));
  const { id } = await world.client.submit({ url: place.url, method: "GET", max_redirects: 1 });
  expect(await world.client.wait(id)).toMatchObject({
    attempts: [{ status: 0, error_type: "invalid_request" }],
  });
});
