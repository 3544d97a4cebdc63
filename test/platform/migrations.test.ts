import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { BREAKER_MIGRATIONS } from "../../src/breaker/migrations.ts";
import { CATALOG_MIGRATIONS } from "../../src/catalog/migrations.ts";
import { SANDBOX_MIGRATIONS } from "../../src/sandbox/migrations.ts";
import { SHARD_MIGRATIONS } from "../../src/shard/migrations.ts";
import { MIGRATED, migrationsIn } from "../support/migrations.ts";

const LISTS = {
  breaker: BREAKER_MIGRATIONS,
  catalog: CATALOG_MIGRATIONS,
  sandbox: SANDBOX_MIGRATIONS,
  shard: SHARD_MIGRATIONS,
};

test.each(MIGRATED)("the list of %s has each file of its folder, in order", (folder) => {
  const listed = LISTS[folder].map(({ name, sql }) => ({ name: name.replace(".sql", ""), sql }));
  expect(listed).toEqual(migrationsIn(folder));
});

test("each folder of migrations is that of a list", () => {
  expect(readdirSync(new URL("../../migrations/", import.meta.url)).sort()).toEqual(MIGRATED);
});

test.each(MIGRATED)("the migrations of %s are numbered without a gap", (folder) => {
  const numbers = migrationsIn(folder).map(({ name }) => Number(name.slice(0, 4)));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});
