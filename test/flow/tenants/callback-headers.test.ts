import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CallbackSettings } from "../../../src/schema/task.ts";
import {
  ask,
  clientOf,
  FAILS_ON_PURPOSE,
  inTurn,
  openWorld,
  type World,
} from "../../support/server/stories.ts";
import type { TargetCall } from "../../support/server/target.ts";

const QUEUE_HEADERS = { authorization: "Bearer of-the-queue", "x-webhook-token": "of-the-queue" };
const SOON = { max_attempts: 4, backoff: { intervals: ["1s"], jitter: "none" as const } };

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

/** A queue whose callback has credentials, and a client whose key may do no more than submit to it and read. */
async function queueWithSecrets(callback: Pick<CallbackSettings, "url">) {
  const queue = await world.makeQueue({ callback: { ...callback, headers: QUEUE_HEADERS, retry: SOON } });
  const key = { name: queue, scopes: ["submit", "read"], queues: [queue] };
  const { body } = await ask(world.server, "POST", "/v1/keys", { body: key });
  return { queue, tenant: clientOf(world.server, String(body.key)) };
}

function credentials(call: TargetCall | undefined): (string | undefined)[] {
  return [call?.headers.authorization, call?.headers["x-webhook-token"]];
}

describe.concurrent("a queue's callback headers", () => {
  test("go to no URL that a submitter names, not even of the same origin", async () => {
    const receiver = world.place();
    const elsewhere = world.place();
    const { queue, tenant } = await queueWithSecrets({ url: receiver.url });
    const { url } = world.place();
    const results = await tenant.submitBatch([
      { url, queue, callback: { url: elsewhere.url } },
      { url, queue, callback: { url: `${receiver.url}/other`, on: ["succeeded"] } },
      { url, queue, callback: { url: `${receiver.url}?to=me` } },
      { url, queue, callback: { url: elsewhere.url, headers: { authorization: "Bearer of-the-task" } } },
    ]);
    const calls = [...(await elsewhere.waitForCalls(2)), ...(await receiver.waitForCalls(2))];

    expect(results).toHaveLength(4);
    const sent = calls.map((call) => credentials(call)[0] ?? "none").sort();
    expect(sent).toEqual(["Bearer of-the-task", "none", "none", "none"]);
    expect(calls.map((call) => credentials(call)[1])).toEqual([undefined, undefined, undefined, undefined]);
  });

  test("go to the queue's own URL, also where a task repeats it", async () => {
    const receiver = world.place();
    const { queue, tenant } = await queueWithSecrets({ url: receiver.url });
    const { url } = world.place();
    await tenant.submit({ url, queue });
    await tenant.submit({ url, queue, callback: { url: `${receiver.url}#again`, on: ["succeeded"] } });
    const calls = await receiver.waitForCalls(2);

    expect(calls.map(credentials)).toEqual([Object.values(QUEUE_HEADERS), Object.values(QUEUE_HEADERS)]);
  });

  test("that were changed together with the URL do not go to the URL before", async () => {
    const before = world.place(inTurn({ status: 503 }, { status: 204 }));
    const after = world.place();
    const { queue, tenant } = await queueWithSecrets({ url: before.url });
    await tenant.submit({ url: world.place().url, queue });
    await before.waitForCalls(1);
    const headers = { authorization: "Bearer of-the-new-receiver" };
    await world.client.queues.put(queue, {
      ...FAILS_ON_PURPOSE,
      callback: { url: after.url, headers, retry: SOON },
    });
    const [first, second] = await before.waitForCalls(2);
    await tenant.submit({ url: world.place().url, queue });
    const [fresh] = await after.waitForCalls(1);

    expect(credentials(first)).toEqual(Object.values(QUEUE_HEADERS));
    expect(credentials(second)).toEqual([undefined, undefined]);
    expect(credentials(fresh)).toEqual(["Bearer of-the-new-receiver", undefined]);
  });

  test("are refused without a URL of the queue, where they would go nowhere", async () => {
    const settings = { callback: { headers: QUEUE_HEADERS } };
    const answer = await ask(world.server, "PUT", "/v1/queues/headless", { body: settings });

    expect(answer).toMatchObject({ status: 400, body: { errors: [{ path: "callback.headers" }] } });
    expect(JSON.stringify(answer.body)).not.toContain("of-the-queue");
  });
});

describe.concurrent("a task's own callback headers", () => {
  test("go where the queue pointed when it was submitted, and not where it points later", async () => {
    const before = world.place();
    const after = world.place();
    const { queue, tenant } = await queueWithSecrets({ url: before.url });
    const callback = { headers: { authorization: "Bearer of-the-task" } };
    const { id } = await tenant.submit({ url: world.place().url, queue, delay: "1h", callback });
    await world.client.queues.put(queue, { ...FAILS_ON_PURPOSE, callback: { url: after.url } });
    await world.client.retry(id);
    const [call] = await before.waitForCalls(1);

    expect(credentials(call)).toEqual(["Bearer of-the-task", undefined]);
    expect(after.calls()).toEqual([]);
  });
});
