import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, eventually, openWorld, taskWhen, type World } from "../support/server/stories.ts";
import { startTarget } from "../support/server/target.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

async function submitMany(queue: string, url: string, count: number): Promise<string[]> {
  const results = await world.client.submitBatch(Array.from({ length: count }, () => ({ url, queue })));
  return results.flatMap((result) => ("problem" in result ? [] : [result.task.id]));
}

describe("one customer's receiver that fails all calls", () => {
  test("stops the others behind its origin, or none of them where the queue has a scope for each", async () => {
    const target = await startTarget(({ path }) => (path === "/hooks/alice" ? { status: 500 } : null));
    const open = async (key: string) => {
      const path = `/v1/breakers/${encodeURIComponent(key)}`;
      return eventually(`the breaker of ${key} is open`, async () => {
        const { body } = await ask(world.server, "GET", path);
        return body.state === "open" ? body : null;
      });
    };
    try {
      const scoped = await world.makeQueue({ shards: 1, breaker: { scopes: ["/hooks/*"] } });
      await submitMany(scoped, `${target.url}/hooks/alice`, 100);
      expect(await open(`${target.url}/hooks/alice`)).toMatchObject({ key: `${target.url}/hooks/alice` });
      const bobs = await submitMany(scoped, `${target.url}/hooks/bob`, 20);
      for (const id of bobs) {
        const task = await taskWhen(world.client, id, ({ state }) => state === "succeeded");
        expect(task.target).toBe(`${target.url}/hooks/bob`);
      }
      const { body } = await ask(world.server, "GET", "/v1/breakers?state=open");
      expect(body.breakers.map(({ key }: { key: string }) => key)).toEqual([`${target.url}/hooks/alice`]);
      const reset = `/v1/breakers/${encodeURIComponent(`${target.url}/hooks/alice`)}/reset`;
      expect((await ask(world.server, "POST", reset, { body: { reason: "mended" } })).status).toBe(200);

      const plain = await world.makeQueue({ shards: 1 });
      await submitMany(plain, `${target.url}/hooks/alice`, 100);
      await open(target.url);
      const [id = ""] = await submitMany(plain, `${target.url}/hooks/bob`, 1);
      expect(await world.client.get(id)).toMatchObject({ waiting_on: "breaker", target: target.url });
    } finally {
      await target.stop();
    }
  }, 60_000);

  test.each(["hooks", "/hooks/a*", "/", "/a/../b", "/a b", "//", "/hooks/"])(
    "cannot be told apart by %j, which is no path",
    async (scope) => {
      const { status, body } = await ask(world.server, "PUT", "/v1/queues/wrong", {
        body: { breaker: { scopes: [scope] } },
      });
      expect([status, body.errors[0].path]).toEqual([400, "breaker.scopes[0]"]);
    },
  );
});
