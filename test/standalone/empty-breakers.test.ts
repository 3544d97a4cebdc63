import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, eventually, openWorld, type World } from "../support/server/stories.ts";

let world: World;

beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world.stop());

/** How many breakers have a database. */
async function databases(): Promise<number> {
  const names = await readdir(join(world.server.dataDir, "do", "redrive-breaker")).catch(() => []);
  return names.filter((name) => name.endsWith(".sqlite")).length;
}

describe("a read of a breaker that does not exist", () => {
  test("makes no database, whatever names a key for some queues makes up", async () => {
    const queue = await world.makeQueue({ shards: 2 });
    const own = await world.makeQueue({ shards: 2, breaker: { share: "queue" } });
    const made = await ask(world.server, "POST", "/v1/keys", {
      body: { name: "reader", scopes: ["read"], queues: [queue, own] },
    });
    const { key } = made.body;
    const before = await databases();
    for (let i = 0; i < 20; i++) {
      const paths = [
        encodeURIComponent(`key:${queue}/none${i}`),
        encodeURIComponent(`https://none${i}.example.com`),
        `${encodeURIComponent(`https://none${i}.example.com`)}?queue=${own}`,
      ];
      for (const path of paths)
        expect((await ask(world.server, "GET", `/v1/breakers/${path}`, { key })).status).toBe(404);
    }
    expect(await databases()).toBe(before);
  }, 60_000);

  test("finds one that was told of", async () => {
    const queue = await world.makeQueue({ shards: 1, breaker: { minimum: 1 }, retry: { max_attempts: 2 } });
    const place = world.place();
    place.respond(() => ({ status: 500 }));
    await world.client.submit({ url: place.url, queue, breaker_key: "eu" });
    const path = `/v1/breakers/${encodeURIComponent(`key:${queue}/eu`)}`;
    const view = await eventually("the breaker", async () => {
      const { status, body } = await ask(world.server, "GET", path);
      return status === 200 ? body : null;
    });
    expect(view).toMatchObject({ key: `key:${queue}/eu`, queue });
    expect(await databases()).toBeGreaterThan(0);
  }, 30_000);
});
