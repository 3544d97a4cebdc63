import { describe, expect, test } from "vitest";
import { CATALOG_MIGRATIONS } from "../../src/catalog/migrations.ts";
import { QueueRows } from "../../src/catalog/queue-rows.ts";
import { migrate } from "../../src/platform/migrate.ts";
import { completeSettings, type QueueConfig } from "../../src/protocol/queue-config.ts";
import { buildConfig } from "../support/shard/shard-messages.ts";
import { ShardWorld } from "../support/shard/shard-world.ts";
import { memorySql } from "../support/shard/sqlite.ts";

/** Every setting is written, so that each can be missing; those of lists and of either-or are whole. */
const WHOLE = buildConfig({
  rate: { limit: 5 },
  events: { url: "https://me.example.com/events" },
  callback: { url: "https://me.example.com/hook" },
  breaker: { readiness: { url: "https://api.example.com/ready" } },
}).settings;

type Path = readonly string[];

/** What has no default: nobody stored a queue without it. */
const NEEDED = ["rate.limit", "events.url", "callback.url", "breaker.readiness.url"];

/** The settings that may have been added after a queue was stored. */
const ADDED: Path[] = pathsOf(WHOLE).filter(
  (path) => !NEEDED.some((needed) => needed === path.join(".") || needed.startsWith(`${path.join(".")}.`)),
);

describe("settings stored before one of them existed", () => {
  test("are tried for nested ones too", () => {
    expect(ADDED.map((path) => path.join("."))).toEqual(
      expect.arrayContaining(["timeout", "retention.failed", "breaker.share", "rate.per", "events.on"]),
    );
  });

  test.each(ADDED.map((path) => [path.join("."), path] as const))(
    "have the default of %s, in the catalog and in a shard alike",
    async (_, path) => {
      const stored = without(WHOLE, path);
      const catalog = readByCatalog(stored);
      expect(catalog).toEqual(completeSettings(stored));
      expect(valueAt(catalog, path)).toEqual(valueAt(WHOLE, path) ?? valueAt(buildConfig().settings, path));
      expect(await readByShard(stored)).toEqual(catalog);
    },
  );

  test("are those of a new queue where nothing was stored", () => {
    expect(completeSettings(undefined)).toEqual(buildConfig().settings);
  });
});

function readByCatalog(settings: QueueConfig["settings"]): unknown {
  const { sql, transaction } = memorySql();
  migrate(sql, (run) => transaction(run), CATALOG_MIGRATIONS, 1);
  const { ref: _, version: __, ...queue } = buildConfig();
  new QueueRows(sql).insert({ ...queue, settings }, 1);
  return new QueueRows(sql).byRef(1)?.settings;
}

/** As told, and as read back after a restart. */
async function readByShard(settings: QueueConfig["settings"]): Promise<unknown> {
  const world = new ShardWorld();
  await world.shard.configure({ ...world.config, version: 9, settings });
  const told = world.shard.ctx.queue.settings;
  world.restart();
  expect(world.shard.ctx.queue.settings).toEqual(told);
  return told;
}

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return path.length ? [path] : [];
  const below = Object.entries(value).flatMap(([name, field]) => pathsOf(field, [...path, name]));
  return path.length === 0 ? below : [path, ...below];
}

function without<T>(value: T, [name, ...rest]: Path): T {
  const { [name ?? ""]: field, ...others } = value as Record<string, unknown>;
  return (rest.length === 0 ? others : { ...others, [name ?? ""]: without(field, rest) }) as T;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], value);
}
